// What became of a tool call, read from its result and from the head of its error, of which no word is kept.

import { chosen } from "./gates.js";
import { isObject } from "./shapes.js";

/** @typedef {{ output?: unknown, isError?: unknown }} ToolResult */

const ERROR_HEAD_CHARACTERS = 600;
// What newer SDKs (0.0.86, not 0.0.78) put behind the reason of every denial, which may be the user's own words.
const DENIAL_END = " -- NOT a tool or system failure. Clarify with user before proceeding.";
const EXIT_CODE = /^Command exited with code (-?\d{1,9})\b/;
const DENIALS = [
  /^Tool "?\S{1,200}"? (?:was (?:denied|not approved|blocked by)|requires approval|approval request|is disabled)/,
  /^Tool approval (?:request|callback|requires)/,
  /^Tool was not executed/,
  /^This tool call was rejected by the user/,
  /^Tool execution is disabled for provider /,
  /^Desktop tool approval /,
  /^User (?:rejected the tool call|denied the tool execution)/,
  /^Permission request (?:was cancelled|failed)/,
  /^Unknown permission option: /,
  /^Denied by /,
  /^[A-Z][A-Za-z ]{1,60} before approval was resolved/,
  /^No Cline Hub webview is attached/,
  /^Command not executed: /, // plan mode
];
const UNKNOWN_TOOL = /^(?:Unknown tool: |Tool call \S{1,200} was rejected before execution: (?:AI_)?NoSuchTool)/;
const UNREADABLE_INPUT =
  /^Tool call \S{1,200} (?:emitted invalid|was rejected before execution: (?:AI_)?(?:Invalid|JSONParse|TypeVal))/;
const REFUSED_INPUT = /^\u2716 /; // the tool's own check of its input

/** @type {ReadonlySet<unknown>} */
const AGENT_FAILURES = new Set(["error", "failed", "aborted"]);

/** @param {unknown} value */
export const errorText = (value) => (typeof value === "string" ? value.slice(0, ERROR_HEAD_CHARACTERS) : "");

/**
 * The server of a tool that is named as Cline names those of MCP servers: `<server>__<tool>`; undefined for others.
 *
 * @param {unknown} name
 */
export function mcpServerIn(name) {
  if (typeof name !== "string") return undefined;
  const at = name.indexOf("__");
  return at > 0 && at + 2 < name.length ? chosen(name.slice(0, at)) : undefined;
}

/**
 * @param {ToolResult} result
 * @param {readonly Record<string, unknown>[]} parts of its output
 */
function failureOf({ output, isError }, parts) {
  if (isError === true) return true;
  if (Array.isArray(output)) return parts.some((part) => part.success === false);
  if (!isObject(output)) return false;
  if (output.isError === true || output.success === false) return true;
  if (output.success !== true && typeof output.error === "string" && output.error !== "") return true;
  // An agent tool answers even when its agent failed; then this is all that says so.
  return Number.isInteger(output.iterations) && AGENT_FAILURES.has(output.finishReason);
}

/** @param {unknown} value */
const isDenial = (value) => typeof value === "string" && value.endsWith(DENIAL_END);

/**
 * @param {string} text the head of the error
 * @param {{ ran: boolean, mcp: boolean, exitCode: number | undefined, output: unknown }} call
 */
function errorTypeOf(text, { ran, mcp, exitCode, output }) {
  if (UNKNOWN_TOOL.test(text)) return "unknown_tool";
  if (UNREADABLE_INPUT.test(text) || (ran && REFUSED_INPUT.test(text))) return "invalid_input";
  if (DENIALS.some((pattern) => pattern.test(text))) return "denied";
  if (!ran) return "rejected";
  if (mcp) return "tool_error";
  if (exitCode !== undefined) return "command_failed";
  if (/\btimed out after \d+ ?(?:ms|s)\b/.test(text)) return "timeout";
  if (/\bwas aborted\b|\bAbortError\b/.test(text)) return "aborted";
  if (isObject(output) && output.finishReason === "aborted") return "aborted";
  if (text.startsWith("Command failed: ")) return "command_failed";
  return "tool_error";
}

/** @param {readonly string[]} texts */
function exitCodeIn(texts) {
  const digits = texts.map((text) => EXIT_CODE.exec(text)?.[1]).find((found) => found !== undefined);
  return digits === undefined ? undefined : Number(digits);
}

/**
 * The outcome of a tool's result, as fields of a record.
 *
 * @param {unknown} name of the tool
 * @param {ToolResult} result
 * @param {boolean} ran whether Cline ran the tool's code or at least asked whether it may
 */
export function outcomeOf(name, result, ran) {
  const output = result.output;
  const parts = (Array.isArray(output) ? output : [output]).filter(isObject);
  const hasContent = isObject(output) && Array.isArray(output.content);
  const failed = failureOf(result, parts);
  const mcp = mcpServerIn(name) !== undefined && (hasContent || (failed && ran));
  if (!failed) return { outcome: "success", is_mcp: mcp || undefined };
  if (isDenial(output) || parts.some((part) => isDenial(part.error)))
    return { outcome: "rejected", error_type: "denied" };
  const texts = parts.map((part) => errorText(part.error)).filter((text) => text !== "");
  const exitCode = exitCodeIn(texts);
  const text = texts[0] ?? errorText(output);
  const errorType = errorTypeOf(text, { ran, mcp, exitCode, output });
  const rejected =
    ["unknown_tool", "denied", "rejected"].includes(errorType) ||
    (errorType === "invalid_input" && !REFUSED_INPUT.test(text));
  return {
    outcome: rejected ? "rejected" : "error",
    error_type: errorType,
    exit_code: exitCode,
    is_mcp: (mcp && !rejected) || undefined,
  };
}
