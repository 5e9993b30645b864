// What an editing tool changed, in numbers: lines and files. No line and no path is kept.

import { isObject } from "./shapes.js";

/** @import { ToolCall } from "../hook_contexts.js" */
/** @import { FieldValue } from "./record.js" */
/** @import { ToolResult } from "./outcome.js" */

/** @typedef {Record<string, FieldValue | undefined>} Change */

const CREATED = "File created successfully";
// Two texts whose differing lines make more pairs than this are counted as if all of them differed.
const MOST_PAIRS = 250_000;

/** @param {string} text */
const linesOf = (text) => text.split(/\r\n|\n/);

/**
 * How many lines two texts have in common, in the same order.
 *
 * @param {readonly string[]} before
 * @param {readonly string[]} after
 */
function commonLines(before, after) {
  let lengths = new Uint32Array(after.length + 1);
  for (const line of before) {
    const next = new Uint32Array(after.length + 1);
    for (let at = 0; at < after.length; at++)
      next[at + 1] = line === after[at] ? (lengths[at] ?? 0) + 1 : Math.max(lengths[at + 1] ?? 0, next[at] ?? 0);
    lengths = next;
  }
  return lengths[after.length] ?? 0;
}

/**
 * What replacing a text by another removes and adds, line by line, as a diff counts it.
 *
 * @param {string} oldText
 * @param {string} newText
 */
function replaced(oldText, newText) {
  const before = linesOf(oldText);
  const after = linesOf(newText);
  const shorter = Math.min(before.length, after.length);
  let head = 0;
  while (head < shorter && before[head] === after[head]) head++;
  let tail = 0;
  while (tail < shorter - head && before.at(-1 - tail) === after.at(-1 - tail)) tail++;
  const removed = before.slice(head, before.length - tail);
  const added = after.slice(head, after.length - tail);
  const common = removed.length * added.length > MOST_PAIRS ? 0 : commonLines(removed, added);
  return { lines_added: added.length - common, lines_removed: removed.length - common };
}

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
    return { lines_added: linesOf(newText).length, lines_removed: 0, files_modified: 1 };
  if (typeof answer === "string" && answer.startsWith(CREATED)) {
    const lines = linesOf(newText);
    // A line break at the end ends the last line and begins none.
    return { lines_added: lines.length - (lines.at(-1) === "" ? 1 : 0), lines_removed: 0, files_created: 1 };
  }
  return typeof oldText === "string" ? { ...replaced(oldText, newText), files_modified: 1 } : {};
}

/** @type {readonly [string, string][]} */
const PATCH_FILES = [
  ["*** Add File: ", "files_created"],
  ["*** Update File: ", "files_modified"],
  ["*** Delete File: ", "files_deleted"],
];

/**
 * The tool `apply_patch`: its lines say what they do. How many lines a deleted file had it does not say.
 *
 * @param {unknown} patch
 * @returns {Change}
 */
function patchChange(patch) {
  if (typeof patch !== "string") return {};
  /** @type {Record<string, number>} */
  const change = { lines_added: 0, lines_removed: 0 };
  /** @param {string} field */
  const count = (field) => (change[field] = (change[field] ?? 0) + 1);
  for (const line of linesOf(patch)) {
    if (line.startsWith("+")) count("lines_added");
    else if (line.startsWith("-")) count("lines_removed");
    else {
      const file = PATCH_FILES.find(([marker]) => line.startsWith(marker));
      if (file !== undefined) count(file[1]);
    }
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
