// Compaction: what Cline does when a conversation becomes too long for its model, reported by notices of the run's status.

import { chosen, integer, reason } from "./gates.js";
import { record } from "./record.js";
import { runOf } from "./state.js";

/** @import { StatusNoticeContext } from "../hook_contexts.js" */
/** @import { SpoolRecord } from "./record.js" */
/** @import { State } from "./state.js" */

/**
 * The notice of a context that stays too large has a kind of its own and no phase.
 *
 * @param {string} kind
 * @param {unknown} phase
 */
function compactionEvent(kind, phase) {
  if (/emergency/.test(kind)) return "compaction.emergency";
  if (phase === "completed") return "compaction.finished";
  return phase === "started" ? "compaction.started" : "compaction.skipped";
}

/**
 * @param {State} state
 * @param {StatusNoticeContext} context
 * @param {number} nowMs
 * @returns {SpoolRecord[]}
 */
export function onStatusNotice(state, context, nowMs) {
  const metadata = context?.metadata;
  const kind = chosen(metadata?.kind);
  if (kind === undefined || !/compact|overflow/.test(kind)) return [];
  const run = runOf(state, context?.snapshot);
  if (!run) return [];
  return [
    record(compactionEvent(kind, metadata?.phase), nowMs, {
      agent_id: run.agentId,
      run_id: run.runId,
      iteration: integer(metadata?.iteration) ?? integer(context?.snapshot?.iteration),
      reason: reason(metadata?.reason),
      tokens_before: integer(metadata?.tokensBefore),
      tokens_after: integer(metadata?.tokensAfter),
      messages_before: integer(metadata?.messagesBefore),
      messages_after: integer(metadata?.messagesAfter),
    }),
  ];
}
