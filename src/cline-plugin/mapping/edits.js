// What an editing tool changed, in numbers: lines and files. No line and no path is kept.

import { isObject } from "./shapes.js";

/** @import { ToolCall } from "../hook_contexts.js" */
/** @import { FieldValue } from "./record.js" */
/** @import { ToolResult } from "./outcome.js" */

/** @typedef {Record<string, FieldValue | undefined>} Change */

const CREATED = "File created successfully";
// What is larger is not looked at, so that Cline waits for no edit longer than some milliseconds.
const MOST_CHARACTERS = 512 * 1024;
const MOST_LINES = 4_096;
const MOST_STEPS = 100_000;

/**
 * The lines of a text, or undefined if it is too large to be taken apart.
 *
 * @param {string} text
 */
function linesOf(text) {
  if (text.length > MOST_CHARACTERS) return undefined;
  let lines = 1;
  for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1))
    if (++lines > MOST_LINES) return undefined;
  return text.split(/\r\n|\n/);
}

/**
 * How many items must at least be taken out of one list and put in to make it the other (E. W. Myers, An O(ND)
 * Difference Algorithm, 1986), or undefined if they differ too much to be counted.
 *
 * @param {readonly number[]} before
 * @param {readonly number[]} after
 */
function differences(before, after) {
  const most = before.length + after.length;
  const last = before.length - after.length;
  const furthest = new Int32Array(2 * most + 3);
  /** @param {number} diagonal */
  const reached = (diagonal) => furthest[most + 1 + diagonal] ?? 0;
  let steps = 0;
  /**
   * How far one gets on a diagonal that lies within so many differences.
   *
   * @param {number} diagonal
   * @param {number} count
   */
  const reach = (diagonal, count) => {
    const left = reached(diagonal - 1) + 1;
    const above = reached(diagonal + 1);
    let at = diagonal === -count || (diagonal !== count && left <= above) ? above : left;
    for (; at < before.length && before[at] === after[at - diagonal]; at++) steps++;
    steps++;
    return at;
  };
  for (let count = 0; count <= most && steps <= MOST_STEPS; count++)
    for (let diagonal = -count; diagonal <= count && steps <= MOST_STEPS; diagonal += 2) {
      const at = reach(diagonal, count);
      if (diagonal === last && at >= before.length) return count;
      furthest[most + 1 + diagonal] = at;
    }
  return undefined;
}

/**
 * How many lines two texts have in common, in the same order; undefined if that takes too long to find out.
 *
 * @param {readonly string[]} before
 * @param {readonly string[]} after
 */
function commonLines(before, after) {
  /** @type {Map<string, number>} */
  const numbers = new Map();
  for (const line of before) if (!numbers.has(line)) numbers.set(line, numbers.size);
  const shared = new Set(after.map((line) => numbers.get(line)));
  /** @param {readonly string[]} lines */
  const numbered = (lines) =>
    lines.map((line) => numbers.get(line)).filter((number) => number !== undefined && shared.has(number));
  const [ours, theirs] = /** @type {[number[], number[]]} */ ([numbered(before), numbered(after)]);
  const differing = differences(ours, theirs);
  return differing === undefined ? undefined : (ours.length + theirs.length - differing) / 2;
}

/**
 * What replacing a text by another removes and adds, line by line, as the smallest diff counts it.
 *
 * @param {string} oldText
 * @param {string} newText
 * @returns {Change}
 */
function replaced(oldText, newText) {
  const before = linesOf(oldText);
  const after = linesOf(newText);
  if (before === undefined || after === undefined) return {};
  const shorter = Math.min(before.length, after.length);
  let head = 0;
  while (head < shorter && before[head] === after[head]) head++;
  let tail = 0;
  while (tail < shorter - head && before.at(-1 - tail) === after.at(-1 - tail)) tail++;
  const removed = before.slice(head, before.length - tail);
  const added = after.slice(head, after.length - tail);
  const common = commonLines(removed, added);
  if (common === undefined) return {};
  return { lines_added: added.length - common, lines_removed: removed.length - common };
}

/**
 * @param {number | undefined} lines
 * @returns {Change}
 */
const onlyAdded = (lines) => (lines === undefined ? {} : { lines_added: lines, lines_removed: 0 });

/**
 * The tool `editor`: it creates a file that is not there, inserts lines, or replaces a text that is there once.
 *
 * @param {Record<string, unknown>} input
 * @param {unknown} answer
 * @returns {Change}
 */
function editorChange({ new_text: newText, old_text: oldText, insert_line: insertLine }, answer) {
  if (typeof newText !== "string") return {};
  if (insertLine !== undefined && insertLine !== null)
    return { ...onlyAdded(linesOf(newText)?.length), files_modified: 1 };
  if (typeof answer === "string" && answer.startsWith(CREATED)) {
    // A line break at the end ends the last line and begins none.
    const text = newText.endsWith("\n") ? newText.slice(0, newText.endsWith("\r\n") ? -2 : -1) : newText;
    return { ...onlyAdded(newText === "" ? 0 : linesOf(text)?.length), files_created: 1 };
  }
  return typeof oldText === "string" ? { ...replaced(oldText, newText), files_modified: 1 } : {};
}

const UPDATED = "files_modified";
const MOVED = "files_moved";
/** @type {readonly [string, string][]} */
const PATCH_LINES = [
  ["+", "lines_added"],
  ["-", "lines_removed"],
  ["*** Add File: ", "files_created"],
  ["*** Update File: ", UPDATED],
  ["*** Move to: ", MOVED],
  ["*** Delete File: ", "files_deleted"],
];

/**
 * The tool `apply_patch`: its lines say what they do. How many lines a deleted file had it does not say. A file that is
 * moved is one that is updated, with a line that says so right behind.
 *
 * @param {unknown} patch
 * @returns {Change}
 */
function patchChange(patch) {
  const lines = typeof patch === "string" ? linesOf(patch) : undefined;
  if (lines === undefined) return {};
  const fields = lines.map((line) => PATCH_LINES.find(([marker]) => line.startsWith(marker))?.[1]);
  /** @type {Record<string, number>} */
  const change = { lines_added: 0, lines_removed: 0 };
  for (const [at, field] of fields.entries()) {
    const counts = field === UPDATED ? fields[at + 1] !== MOVED : field !== MOVED || fields[at - 1] === UPDATED;
    if (field !== undefined && counts) change[field] = (change[field] ?? 0) + 1;
  }
  return change;
}

/**
 * What a tool call that succeeded changed, as fields of a record; nothing for tools that edit no files themselves.
 *
 * @param {ToolCall} toolCall
 * @param {ToolResult} result
 * @returns {Change}
 */
export function changeOf(toolCall, { output }) {
  const input = /** @type {unknown} */ (toolCall?.input);
  switch (toolCall?.toolName) {
    case "editor":
      return isObject(input) ? editorChange(input, isObject(output) ? output.result : output) : {};
    case "apply_patch":
      return patchChange(isObject(input) ? input.input : input);
    default:
      return {};
  }
}
