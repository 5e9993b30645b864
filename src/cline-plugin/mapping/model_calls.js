// Model calls: start, first chunk, end and usage.

import { LIMITS } from "../limits.js";
import { keep } from "./bounded_map.js";
import { failureOf } from "./error_classes.js";
import { amount, chosen, chosenOrOther, finishReasonOrOther, integer, providerOrOther } from "./gates.js";
import { record } from "./record.js";
import { partsOf } from "./shapes.js";
import { runOf, sessionOf } from "./state.js";

/** @import { AfterModelContext, BeforeModelContext, Foreign, RunStartedContext } from "../hook_contexts.js" */
/** @import { SpoolRecord } from "./record.js" */
/** @import { ModelCall, State } from "./state.js" */

/**
 * @param {State} state
 * @param {BeforeModelContext} context
 * @param {number} nowMs
 * @returns {SpoolRecord[]}
 */
export function onBeforeModel(state, context, nowMs) {
  const snapshot = context?.snapshot;
  const run = runOf(state, snapshot);
  if (!run) return [];
  const iteration = integer(snapshot?.iteration) ?? 0;
  const attempt = run.model?.iteration === iteration ? run.model.attempt + 1 : 1;
  const reasoningTokens = amount(snapshot?.usage?.reasoningTokenCount) ?? 0;
  run.model = { iteration, attempt, startedAtMs: nowMs, firstChunkAtMs: undefined, reasoningTokens };
  const sessionId = chosen(context?.request?.options?.metadata?.sessionId) ?? sessionOf(state, run.agentId);
  const known = state.agents.get(run.agentId);
  const parentAgentId = known?.parentAgentId ?? chosen(snapshot?.parentAgentId);
  keep(state.agents, run.agentId, { kind: known?.kind, parentAgentId, sessionId, runId: run.runId }, LIMITS.agents);
  return [
    record("model_call.started", nowMs, {
      session_id: sessionId,
      agent_id: run.agentId,
      run_id: run.runId,
      iteration,
      attempt: attempt > 1 ? attempt : undefined,
      message_count: integer(context?.request?.messages?.length),
      tool_count: integer(context?.request?.tools?.length),
    }),
  ];
}

/**
 * @param {State} state
 * @param {RunStartedContext} context of which only the snapshot is looked at, as for a run's start
 * @param {number} nowMs
 * @returns {SpoolRecord[]}
 */
export function onChunk(state, context, nowMs) {
  const model = runOf(state, context?.snapshot)?.model;
  if (model && model.firstChunkAtMs === undefined) model.firstChunkAtMs = nowMs;
  return [];
}

/**
 * The reasoning tokens of one call: what Cline says of it, else the difference that it made to its run.
 *
 * @param {AfterModelContext} context
 * @param {ModelCall | undefined} model
 */
function reasoningTokensOf(context, model) {
  const reported = integer(context?.assistantMessage?.metrics?.reasoningTokenCount);
  const inRun = amount(context?.snapshot?.usage?.reasoningTokenCount);
  const difference = model === undefined || inRun === undefined ? undefined : integer(inRun - model.reasoningTokens);
  return (reported ?? difference) || undefined; // Cline also reports zero when it does not know
}

/**
 * How many tools an answer asks for; undefined where its parts are not there to be counted.
 *
 * @param {Foreign<{ content?: unknown }>} message
 */
function toolCallsIn(message) {
  const content = message?.content;
  return Array.isArray(content) ? partsOf(content).filter((part) => part?.type === "tool-call").length : undefined;
}

/**
 * @param {State} state
 * @param {AfterModelContext} context
 * @param {number} nowMs
 * @returns {SpoolRecord[]}
 */
export function onAfterModel(state, context, nowMs) {
  const snapshot = context?.snapshot;
  const run = runOf(state, snapshot);
  if (!run) return [];
  const iteration = integer(snapshot?.iteration) ?? 0;
  const model = run.model?.iteration === iteration ? run.model : undefined;
  const message = context?.assistantMessage;
  const usage = message?.metrics;
  return [
    record("model_call.finished", nowMs, {
      agent_id: run.agentId,
      run_id: run.runId,
      iteration,
      attempt: model && model.attempt > 1 ? model.attempt : undefined,
      started_at_ms: model?.startedAtMs,
      first_chunk_at_ms: model?.firstChunkAtMs,
      message_id: chosen(message?.id),
      finish_reason: finishReasonOrOther(context?.finishReason),
      response_id: chosen(context?.requestId),
      provider: providerOrOther(message?.modelInfo?.provider),
      model: chosenOrOther(message?.modelInfo?.id),
      input_tokens: integer(usage?.inputTokens),
      output_tokens: integer(usage?.outputTokens),
      cache_read_tokens: integer(usage?.cacheReadTokens),
      cache_write_tokens: integer(usage?.cacheWriteTokens),
      reasoning_tokens: reasoningTokensOf(context, model),
      cost_usd: amount(usage?.cost),
      tool_calls: toolCallsIn(message),
      error_type: context?.finishReason === "error" ? failureOf(undefined, snapshot) : undefined,
    }),
  ];
}
