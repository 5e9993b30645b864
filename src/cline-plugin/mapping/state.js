// The mapping's memory: join state of one process, all of it bounded, names as Cline has them.

import { LIMITS } from "../limits.js";
import { keep } from "./bounded_map.js";
import { chosen } from "./gates.js";

/** @import { Snapshot } from "../hook_contexts.js" */
/** @import { FieldValue, SpoolRecord } from "./record.js" */

/**
 * @typedef {object} Agent
 * @property {"root" | "subagent" | "teammate" | undefined} kind undefined while no run of it was seen to start
 * @property {string | undefined} parentAgentId
 * @property {string | undefined} sessionId
 * @property {string} runId of its newest run
 *
 * @typedef {object} ModelCall
 * @property {number} iteration
 * @property {number} attempt 1 for the first of its iteration
 * @property {number} startedAtMs
 * @property {number | undefined} firstChunkAtMs
 * @property {number} reasoningTokens of the run before this call
 *
 * @typedef {object} OpenCall a tool call that was seen to start
 * @property {number} iteration
 * @property {number} ordinal
 * @property {string | undefined} callId
 * @property {number} startedAtMs
 * @property {boolean} finished `afterTool` has reported its end, `tool-finished` not yet
 *
 * @typedef {object} Run
 * @property {string} agentId
 * @property {string} runId
 * @property {boolean} started
 * @property {boolean} finished
 * @property {number | undefined} iteration of the newest tool call
 * @property {number} nextOrdinal
 * @property {Map<string, OpenCall[]>} calls by iteration and call id: begun and not yet done with, in order
 * @property {Map<string, SpoolRecord[]>} held by iteration and call id: tool_call.finished that came before its start
 * @property {ModelCall | undefined} model
 * @property {SpoolRecord | undefined} ending
 *
 * @typedef {object} Task a text given to an agent that has not begun yet; it never leaves this memory
 * @property {string} text
 * @property {boolean} team whether it is for a teammate
 * @property {string} agentId of the agent that gave it
 * @property {string} runId
 * @property {OpenCall} call by which it was given
 *
 * @typedef {object} State
 * @property {Map<string, Readonly<Record<string, FieldValue | undefined>>>} sessions by session id: its session.claimed fields
 * @property {Map<string, Agent>} agents by agent id
 * @property {Map<string, Run>} runs by agent and run id
 * @property {Task[]} tasks
 * @property {number} taskCharacters of all tasks together
 * @property {number} errors how many hook calls could not be mapped
 * @property {Readonly<Record<string, FieldValue>> | undefined} remoteSpan what a root run says of the span in which Cline
 *   was started
 */

/**
 * What one hook leaves for a later one.
 *
 * @param {Readonly<Record<string, FieldValue>>} [remote]
 * @returns {State}
 */
export function createState(remote) {
  return {
    sessions: new Map(),
    agents: new Map(),
    runs: new Map(),
    tasks: [],
    taskCharacters: 0,
    errors: 0,
    remoteSpan: remote,
  };
}

/**
 * @param {string} agentId
 * @param {string} runId
 */
export const runKey = (agentId, runId) => `${agentId.length} ${agentId} ${runId}`;

/**
 * @param {string} agentId
 * @param {string} runId
 * @returns {Run}
 */
const newRun = (agentId, runId) => ({
  agentId,
  runId,
  started: false,
  finished: false,
  iteration: undefined,
  nextOrdinal: 0,
  calls: new Map(),
  held: new Map(),
  model: undefined,
  ending: undefined,
});

/**
 * The run that a snapshot is of, remembered as the newest; undefined where the snapshot does not say.
 *
 * @param {State} state
 * @param {Snapshot} snapshot
 */
export function runOf(state, snapshot) {
  const agentId = chosen(snapshot?.agentId);
  const runId = chosen(snapshot?.runId);
  if (agentId === undefined || runId === undefined) return undefined;
  const key = runKey(agentId, runId);
  const run = state.runs.get(key) ?? newRun(agentId, runId);
  keep(state.runs, key, run, LIMITS.runs);
  return run;
}

/**
 * The session of an agent: its own, else the only one that there is.
 *
 * @param {State} state
 * @param {string} agentId
 */
export const sessionOf = (state, agentId) =>
  state.agents.get(agentId)?.sessionId ?? (state.sessions.size === 1 ? state.sessions.keys().next().value : undefined);
