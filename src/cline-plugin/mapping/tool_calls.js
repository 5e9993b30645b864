// Tool calls: when Cline asks for them, their order within an iteration, their start, and their end, which two hooks report.

import { LIMITS } from "../limits.js";
import { push, take } from "./bounded_map.js";
import { changeOf } from "./edits.js";
import { amount, chosen, instantMs, integer } from "./gates.js";
import { mcpServerIn, outcomeOf } from "./outcome.js";
import { record } from "./record.js";
import { isObject, partsOf } from "./shapes.js";
import { sizeBytes } from "./sizes.js";
import { runOf } from "./state.js";
import { forgetTask, rememberTask } from "./tasks.js";

/**
 * @import {
 *   AfterToolContext, BeforeToolContext, Message, Snapshot, ToolCall, ToolFinishedContext, ToolStartedContext
 * } from "../hook_contexts.js"
 */
/** @import { ToolResult } from "./outcome.js" */
/** @import { SpoolRecord } from "./record.js" */
/** @import { OpenCall, Run, State } from "./state.js" */

/**
 * @param {number} iteration
 * @param {unknown} rawCallId
 */
const callKey = (iteration, rawCallId) => `${iteration} ${typeof rawCallId === "string" ? rawCallId : ""}`;

/**
 * Where a call stands in the newest answer: its ordinal when this process did not see the iteration from its start.
 *
 * @param {Snapshot} snapshot
 * @param {unknown} rawCallId
 */
function positionIn(snapshot, rawCallId) {
  /** @type {readonly Message[]} */
  const messages = Array.isArray(snapshot?.messages) ? snapshot.messages : [];
  const answer = messages.findLast((message) => message?.role === "assistant");
  const calls = partsOf(answer?.content).filter((part) => part?.type === "tool-call");
  return integer(calls.findIndex((part) => part?.toolCallId === rawCallId));
}

/**
 * @param {State} state
 * @param {BeforeToolContext} context
 * @param {number} nowMs
 * @returns {SpoolRecord[]}
 */
export function onBeforeTool(state, context, nowMs) {
  const toolCall = context?.toolCall;
  const run = runOf(state, context?.snapshot);
  if (!run || typeof toolCall !== "object" || toolCall === null) return [];
  return [
    record("tool_call.requested", nowMs, {
      agent_id: run.agentId,
      run_id: run.runId,
      iteration: integer(context?.snapshot?.iteration) ?? 0,
      call_id: chosen(toolCall.toolCallId),
      tool_name: chosen(toolCall.toolName) ?? "",
    }),
  ];
}

/**
 * @param {State} state
 * @param {ToolStartedContext} context
 * @param {number} nowMs
 * @returns {SpoolRecord[]}
 */
export function onToolStarted(state, context, nowMs) {
  const toolCall = context?.toolCall;
  const snapshot = context?.snapshot;
  const run = runOf(state, snapshot);
  if (!run || typeof toolCall !== "object" || toolCall === null) return [];
  const iteration = integer(context?.iteration) ?? integer(snapshot?.iteration) ?? 0;
  const key = callKey(iteration, toolCall.toolCallId);
  // A tool that the provider itself runs may be announced more than once.
  if (toolCall.execution !== undefined && run.calls.get(key)?.some((call) => !call.finished)) return [];
  if (run.iteration !== iteration) {
    run.iteration = iteration;
    const seenFromStart = run.started || run.model?.iteration === iteration;
    run.nextOrdinal = seenFromStart ? 0 : (positionIn(snapshot, toolCall.toolCallId) ?? 0);
  }
  const early = take(run.held, key);
  const call = {
    iteration,
    ordinal: run.nextOrdinal++,
    callId: chosen(toolCall.toolCallId),
    startedAtMs: nowMs,
    finished: early !== undefined,
  };
  push(run.calls, key, call, LIMITS.openCalls);
  rememberTask(state, run, call, toolCall);
  const started = record("tool_call.started", Math.min(nowMs, amount(early?.started_at_ms) ?? nowMs), {
    agent_id: run.agentId,
    run_id: run.runId,
    iteration,
    ordinal: call.ordinal,
    call_id: call.callId,
    tool_name: chosen(toolCall.toolName) ?? "",
    input_bytes: sizeBytes(toolCall.input),
  });
  return early ? [started, { ...early, ordinal: call.ordinal }] : [started];
}

/**
 * @param {Run} run
 * @param {{ iteration: number, ordinal: number | undefined, toolCall: ToolCall }} call
 * @param {{ startedAtMs: number | undefined, endedAtMs: number, durationMs: number | undefined }} times
 * @param {ToolResult} result
 * @param {boolean} ran
 */
function toolFinished(run, { iteration, ordinal, toolCall }, times, result, ran) {
  const outcome = outcomeOf(toolCall?.toolName, result, ran);
  return record("tool_call.finished", times.endedAtMs, {
    agent_id: run.agentId,
    run_id: run.runId,
    iteration,
    ordinal,
    call_id: chosen(toolCall?.toolCallId),
    tool_name: chosen(toolCall?.toolName) ?? "",
    started_at_ms: times.startedAtMs,
    ended_at_ms: times.endedAtMs,
    duration_ms: times.durationMs,
    ...outcome,
    mcp_server: outcome.is_mcp ? mcpServerIn(toolCall?.toolName) : undefined,
    output_bytes: sizeBytes(result.output),
    ...(outcome.outcome === "success" ? changeOf(toolCall, result) : undefined),
  });
}

/**
 * @param {State} state
 * @param {AfterToolContext} context
 * @param {number} nowMs
 * @returns {SpoolRecord[]}
 */
export function onAfterTool(state, context, nowMs) {
  const run = runOf(state, context?.snapshot);
  if (!run) return [];
  const toolCall = context?.toolCall;
  const iteration = integer(context?.snapshot?.iteration) ?? 0;
  const key = callKey(iteration, toolCall?.toolCallId);
  const call = run.calls.get(key)?.find((candidate) => !candidate.finished);
  const endedAtMs = instantMs(context?.endedAt) ?? nowMs;
  const startedAtMs = instantMs(context?.startedAt) ?? call?.startedAtMs;
  const betweenMs = startedAtMs === undefined ? undefined : integer(endedAtMs - startedAtMs);
  const times = { startedAtMs, endedAtMs, durationMs: integer(context?.durationMs) ?? betweenMs };
  const result = isObject(context?.result) ? context.result : {};
  const finished = toolFinished(run, { iteration, ordinal: call?.ordinal, toolCall }, times, result, true);
  if (call) {
    call.finished = true;
    return [finished];
  }
  if (run.finished) return [finished];
  push(run.held, key, finished, LIMITS.openCalls);
  return [];
}

/**
 * The result of a tool call within the message that reports its end.
 *
 * @param {ToolFinishedContext} context
 * @returns {ToolResult}
 */
function resultIn(context) {
  const parts = partsOf(context?.message?.content).filter(isObject);
  return parts.find((part) => part.toolCallId === context?.toolCall?.toolCallId) ?? parts[0] ?? {};
}

/**
 * @param {Run} run
 * @param {number} iteration
 * @param {OpenCall} call
 * @param {ToolFinishedContext} context
 * @param {number} nowMs
 */
function refusedOrProviders(run, iteration, call, context, nowMs) {
  const { ordinal, startedAtMs } = call;
  const toolCall = context?.toolCall;
  const endedAtMs = Math.max(startedAtMs, instantMs(context?.message?.createdAt) ?? nowMs);
  const times = { startedAtMs, endedAtMs, durationMs: endedAtMs - startedAtMs };
  return toolFinished(
    run,
    { iteration, ordinal, toolCall },
    times,
    resultIn(context),
    toolCall?.execution !== undefined,
  );
}

/**
 * @param {State} state
 * @param {ToolFinishedContext} context
 * @param {number} nowMs
 * @returns {SpoolRecord[]}
 */
export function onToolFinished(state, context, nowMs) {
  const snapshot = context?.snapshot;
  const run = runOf(state, snapshot);
  if (!run) return [];
  const rawCallId = context?.toolCall?.toolCallId;
  const iteration = integer(context?.iteration) ?? integer(snapshot?.iteration) ?? 0;
  const key = callKey(iteration, rawCallId);
  const held = take(run.held, key);
  // Of two calls with one id the finished one is meant: Cline reports afterTool first.
  const call = take(run.calls, key, (candidate) => candidate.finished) ?? take(run.calls, key);
  const task = call && state.tasks.find((candidate) => candidate.call === call && !candidate.team);
  forgetTask(state, task);
  if (held) return [record(held.event, held.time_unix_ms, { ...held, ordinal: positionIn(snapshot, rawCallId) })];
  return call && !call.finished ? [refusedOrProviders(run, iteration, call, context, nowMs)] : [];
}
