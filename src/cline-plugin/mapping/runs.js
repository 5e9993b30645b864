// Runs: how one starts, whose child it is, and how it ends.

import { LIMITS } from "../limits.js";
import { keep } from "./bounded_map.js";
import { failureOf } from "./error_classes.js";
import { amount, chosen, integer, runStatus } from "./gates.js";
import { errorText } from "./outcome.js";
import { record } from "./record.js";
import { runKey, runOf, sessionOf } from "./state.js";
import { claimTask, forgetTask, modeOf, promptOf, promptTexts } from "./tasks.js";

/** @import { RunEndedContext, RunStartedContext } from "../hook_contexts.js" */
/** @import { SpoolRecord } from "./record.js" */
/** @import { Run, State } from "./state.js" */

/**
 * @param {State} state
 * @param {RunStartedContext} context
 * @param {number} nowMs
 * @returns {SpoolRecord[]}
 */
export function onRunStarted(state, context, nowMs) {
  const snapshot = context?.snapshot;
  const run = runOf(state, snapshot);
  if (!run || run.started) return [];
  run.started = true;
  const known = state.agents.get(run.agentId);
  const earlier = known && state.runs.get(runKey(run.agentId, known.runId));
  const texts = promptTexts(snapshot?.messages);
  const declaredParent = chosen(snapshot?.parentAgentId);
  const task = known?.kind === "root" ? undefined : claimTask(state, texts, run.agentId, declaredParent);
  const parentAgentId = task?.agentId ?? declaredParent ?? known?.parentAgentId;
  const parent = parentAgentId === undefined ? undefined : state.agents.get(parentAgentId);
  const kind = task?.team ? "teammate" : declaredParent !== undefined ? "subagent" : (known?.kind ?? "root");
  const sessionId = known?.sessionId ?? parent?.sessionId ?? sessionOf(state, run.agentId);
  keep(state.agents, run.agentId, { kind, parentAgentId, sessionId, runId: run.runId }, LIMITS.agents);
  return [
    ...(earlier ? finish(state, earlier) : []),
    record("run.started", nowMs, {
      session_id: sessionId,
      agent_id: run.agentId,
      run_id: run.runId,
      parent_agent_id: parentAgentId,
      parent_run_id: task?.runId ?? parent?.runId,
      parent_iteration: task?.call.iteration,
      parent_ordinal: task?.call.ordinal,
      parent_call_id: task?.call.callId,
      agent_kind: kind,
      mode: modeOf(texts),
      prompt_id: chosen(promptOf(snapshot?.messages)?.id),
      ...(kind === "root" ? state.remoteSpan : undefined),
    }),
  ];
}

/**
 * Why a run did not complete: Cline's class of a provider error, or the one stop of its own that it names.
 *
 * @param {string | undefined} status
 * @param {RunEndedContext} context
 */
function runErrorType(status, context) {
  const snapshot = context?.snapshot;
  if (status === "failed") return failureOf(context?.errorClass, snapshot);
  const limited = status === "aborted" && errorText(snapshot?.lastError).startsWith("mistake_limit_reached");
  return limited ? "mistake_limit_reached" : undefined;
}

/**
 * Remembers how a run ended, as far as is known; gives the run, or undefined if its end has been reported already.
 *
 * @param {State} state
 * @param {RunEndedContext} context
 * @param {number} nowMs
 * @param {"failed"} [status] where the hook itself says it
 */
function noteEnding(state, context, nowMs, status) {
  const snapshot = context?.snapshot;
  const run = runOf(state, snapshot);
  if (!run || run.finished) return undefined;
  const result = context?.result;
  const usage = result?.usage ?? snapshot?.usage;
  const ended = status ?? runStatus(result?.status) ?? runStatus(snapshot?.status);
  run.ending = record("run.finished", nowMs, {
    session_id: sessionOf(state, run.agentId),
    agent_id: run.agentId,
    run_id: run.runId,
    iteration: integer(result?.iterations) ?? integer(snapshot?.iteration),
    status: ended,
    input_tokens: integer(usage?.inputTokens),
    output_tokens: integer(usage?.outputTokens),
    cache_read_tokens: integer(usage?.cacheReadTokens),
    cache_write_tokens: integer(usage?.cacheWriteTokens),
    cost_usd: amount(usage?.totalCost) || undefined, // zero means unknown
    error_type: runErrorType(ended, context) ?? run.ending?.error_type,
  });
  return run;
}

/**
 * What a run still holds: tool calls whose start was never seen, and its end.
 *
 * @param {State} state
 * @param {Run} run
 * @returns {SpoolRecord[]}
 */
export function finish(state, run) {
  const held = [...run.held.values()].flat();
  run.held.clear();
  if (run.ending === undefined || run.finished) return held;
  run.finished = true;
  for (const task of state.tasks.filter(({ team, runId }) => !team && runId === run.runId)) forgetTask(state, task);
  return [...held, run.ending];
}

/**
 * @param {State} state
 * @param {RunEndedContext} context
 * @param {number} nowMs
 * @returns {SpoolRecord[]}
 */
export function onAfterRun(state, context, nowMs) {
  noteEnding(state, context, nowMs); // onEvent follows at once, with what failed
  return [];
}

/**
 * @param {"failed"} [status] of the runs that end by the hook
 * @returns {(state: State, context: RunEndedContext, nowMs: number) => SpoolRecord[]}
 */
export function onRunEnded(status) {
  return (state, context, nowMs) => {
    const run = noteEnding(state, context, nowMs, status);
    return run ? finish(state, run) : [];
  };
}
