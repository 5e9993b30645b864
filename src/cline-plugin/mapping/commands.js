// Commands that get a variable before they run, and what Cline says of them as if they had not got it.

import { isObject } from "./shapes.js";

const OWN = /TRACEPARENT=/;
const HERE_DOCUMENT = "<<";
// Cline's note where it shows the beginning of a long command.
const CUT = /^(.*)( \.\.\. \[command truncated: )(\d+)( more chars.*)$/s;

/** @param {string} traceparent */
export const prefixFor = (traceparent) => `export TRACEPARENT=${traceparent}; `;

/**
 * Applies a change to the texts that a shell runs, wherever Cline takes them: programs with a list of arguments run
 * without a shell. Gives the same input where nothing changes.
 *
 * @param {unknown} input of `run_commands`
 * @param {(command: string) => string} change
 * @returns {unknown}
 */
function changed(input, change) {
  if (typeof input === "string") return change(input);
  if (Array.isArray(input)) {
    const commands = input.map((command) => (typeof command === "string" ? change(command) : command));
    return commands.some((command, index) => command !== input[index]) ? commands : input;
  }
  if (!isObject(input)) return input;
  const key = ["commands", "command", "cmd"].find((name) => name in input);
  if (key === undefined || "args" in input) return input;
  const value = changed(input[key], change);
  return value === input[key] ? input : { ...input, [key]: value };
}

/** @param {unknown} input */
function mayBePieces(input) {
  const commands = isObject(input) && !Array.isArray(input) ? input.commands : input;
  const isPiece = (/** @type {unknown} */ command) => typeof command === "string" && command.includes(HERE_DOCUMENT);
  return Array.isArray(commands) && commands.length > 1 && commands.some(isPiece);
}

/**
 * The input with the prefix before each command of a shell. A command that sets the variable itself is left alone, and
 * so are several of which one has a here-document: Cline joins those that are lines of it.
 *
 * @param {unknown} input of `run_commands`
 * @param {string} prefix
 * @returns {unknown} undefined where nothing is to be changed
 */
export function withPrefix(input, prefix) {
  if (mayBePieces(input)) return undefined;
  const given = changed(input, (command) => (command.trim() === "" || OWN.test(command) ? command : prefix + command));
  return given === input ? undefined : given;
}

/**
 * @param {unknown} input that {@link withPrefix} gave
 * @param {string} prefix
 */
export const withoutPrefix = (input, prefix) =>
  changed(input, (command) => (command.startsWith(prefix) ? command.slice(prefix.length) : command));

/**
 * The text that Cline shows for a command without the prefix; of a long one it shows the beginning.
 *
 * @param {string} shown
 * @param {string} prefix
 * @param {readonly string[]} commands without it
 */
function shownWithout(shown, prefix, commands) {
  const rest = shown.slice(prefix.length);
  const [, beginning, note, , tail] = CUT.exec(shown) ?? [];
  if (beginning === undefined) return rest;
  const begun = commands.find((command) => command.startsWith(beginning.slice(prefix.length)));
  if (begun === undefined) return rest;
  const left = begun.length - beginning.length;
  return left <= 0 ? begun : `${begun.slice(0, beginning.length)}${note}${left}${tail}`;
}

/**
 * What commands gave, as if they had not had the prefix: it is gone from wherever it was quoted.
 *
 * @param {unknown} output
 * @param {string} prefix
 * @param {unknown} input without it
 * @returns {unknown}
 */
export function resultWithout(output, prefix, input) {
  /** @type {string[]} */
  const commands = [];
  changed(input, (command) => {
    commands.push(command);
    return command;
  });
  /** @param {unknown} value @returns {unknown} */
  const without = (value) => {
    if (typeof value === "string") {
      return (value.startsWith(prefix) ? shownWithout(value, prefix, commands) : value).replaceAll(prefix, "");
    }
    if (Array.isArray(value)) return value.map(without);
    if (!isObject(value)) return value;
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, without(item)]));
  };
  return without(output);
}
