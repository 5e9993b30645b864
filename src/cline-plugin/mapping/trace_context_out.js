// Trace context for commands: which tool call's span a command is to have as its parent, told before the command runs.
//
// Span and trace are known by hashes of ids, and these are known when a call is prepared: the run's from its start, the
// call's place from the answer that asks for it. Nothing of a command is remembered.

import { LIMITS } from "../limits.js";
import { keep } from "./bounded_map.js";
import { prefixFor, resultWithout, withoutPrefix, withPrefix } from "./commands.js";
import { chosen, integer } from "./gates.js";
import { published } from "./pseudonyms.js";
import { record } from "./record.js";
import { isObject, partsOf } from "./shapes.js";
import { toolCallSpanId, traceId } from "./span_ids.js";

/** @import { BeforeToolContext, HookContext, Message, Snapshot } from "../hook_contexts.js" */
/** @import { Pseudonyms } from "./pseudonyms.js" */
/** @import { SpoolRecord } from "./record.js" */

const TOOL = "run_commands";
// What Cline tells the model of shells that have another syntax.
const OTHER_SHELL = /powershell|pwsh|cmd\.exe/i;

/**
 * @typedef {object} TraceContextOut
 * @property {(records: readonly SpoolRecord[]) => void} note sees what is written of runs
 * @property {(context: BeforeToolContext) => { input: unknown } | undefined} before gives another input for the tool
 * @property {(context: HookContext) => HookContext} restored gives a context as it were without that; the same where it is
 */

/**
 * Where a call stands in the answer that asks for it; undefined if that is not certain.
 *
 * @param {Snapshot} snapshot
 * @param {unknown} callId
 */
function ordinalOf(snapshot, callId) {
  /** @type {readonly Message[]} */
  const messages = Array.isArray(snapshot?.messages) ? snapshot.messages : [];
  const answer = messages.findLast((message) => message?.role === "assistant");
  const ids = partsOf(answer?.content)
    .filter((part) => part?.type === "tool-call")
    .map((part) => part?.toolCallId);
  const ordinal = ids.indexOf(callId);
  return ordinal < 0 || ids.lastIndexOf(callId) !== ordinal ? undefined : ordinal;
}

/**
 * @param {Snapshot} snapshot
 * @param {unknown} callId
 */
const callKey = (snapshot, callId) => JSON.stringify([snapshot?.agentId, snapshot?.runId, snapshot?.iteration, callId]);

/**
 * @param {Pseudonyms} pseudonyms
 * @returns {TraceContextOut}
 */
export function createTraceContextOut(pseudonyms) {
  /** @type {Map<string, string>} the trace of each run, by the ids that are written of it */
  const traces = new Map();
  /** @type {Map<string, string>} the newest run of each agent */
  const newest = new Map();
  /** @type {Map<string, string>} what each call's commands begin with */
  const prefixes = new Map();

  /** @param {SpoolRecord} entry of a run that starts */
  const traceOf = (entry) => {
    if (entry.parent_agent_id !== undefined) {
      const parent = `${entry.parent_agent_id}`;
      // Of a parent that this process has not seen nobody knows here whose it is.
      return traces.get(`${parent} ${entry.parent_run_id ?? newest.get(parent)}`);
    }
    return entry.remote_relation === "child"
      ? `${entry.remote_trace_id}`
      : traceId(`${entry.agent_id}`, `${entry.run_id}`);
  };

  /** @param {BeforeToolContext} context */
  const traceparentFor = (context) => {
    const snapshot = context?.snapshot;
    const iteration = integer(snapshot?.iteration);
    const ordinal = ordinalOf(snapshot, context?.toolCall?.toolCallId);
    const ids = record("tool_call.started", 0, {
      agent_id: chosen(snapshot?.agentId),
      run_id: chosen(snapshot?.runId),
    });
    const entry = published(ids, pseudonyms);
    const trace = entry && traces.get(`${entry.agent_id} ${entry.run_id}`);
    if (!entry || trace === undefined || iteration === undefined || ordinal === undefined) return undefined;
    return `00-${trace}-${toolCallSpanId(`${entry.agent_id}`, `${entry.run_id}`, iteration, ordinal)}-01`;
  };

  return {
    note: (records) => {
      for (const entry of records) {
        if (entry.event !== "run.started") continue;
        const trace = traceOf(entry);
        if (trace !== undefined) keep(traces, `${entry.agent_id} ${entry.run_id}`, trace, LIMITS.runs);
        keep(newest, `${entry.agent_id}`, `${entry.run_id}`, LIMITS.agents);
      }
    },
    before: (context) => {
      const tool = context?.tool;
      if (context?.toolCall?.toolName !== TOOL || OTHER_SHELL.test(`${tool?.description ?? "cmd.exe"}`))
        return undefined;
      const traceparent = traceparentFor(context);
      if (traceparent === undefined) return undefined;
      const prefix = prefixFor(traceparent);
      const input = withPrefix(context.input, prefix);
      if (input === undefined) return undefined;
      keep(prefixes, callKey(context.snapshot, context.toolCall.toolCallId), prefix, LIMITS.openCalls);
      return { input };
    },
    restored: (context) => {
      const toolCall = context?.toolCall;
      if (!context || !toolCall || prefixes.size === 0) return context;
      const prefix = prefixes.get(callKey(context.snapshot, toolCall.toolCallId));
      if (prefix === undefined) return context;
      const input = withoutPrefix(toolCall.input, prefix);
      const result = isObject(context.result) ? resultWithout(context.result, prefix, input) : context.result;
      return /** @type {HookContext} */ ({ ...context, toolCall: { ...toolCall, input }, result });
    },
  };
}
