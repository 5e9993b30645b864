// The ids that the bridge gives to traces and tool calls, before it does: the same hashes of the same parts (ids.py).

import { blake2b } from "./blake2b.js";

/**
 * @param {number} sizeBytes
 * @param {readonly string[]} parts
 */
function digest(sizeBytes, parts) {
  const value = blake2b(parts.map((part) => `${[...part].length}:${part}`).join(""), sizeBytes);
  // All zeros are no id (W3C Trace Context).
  return /^0+$/.test(value) ? "01".repeat(sizeBytes) : value;
}

/**
 * @param {string} agentId of the root, as it is published
 * @param {string} runId
 */
export const traceId = (agentId, runId) => digest(16, ["trace", agentId, runId]);

/**
 * @param {string} agentId as it is published
 * @param {string} runId
 * @param {number} iteration
 * @param {number} ordinal
 */
export const toolCallSpanId = (agentId, runId, iteration, ordinal) =>
  digest(8, ["tool_call", agentId, runId, `${iteration}`, `${ordinal}`]);
