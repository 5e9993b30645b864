// Hook calls as Cline makes them, for tests: every place that holds content holds the words given for it.

import fs from "node:fs";

import { createMapping, createPseudonyms } from "../../src/cline_otel/plugin/cline-otel.js";

/** @import { Mapping } from "../../src/cline-plugin/mapping/mapping.js" */
/** @import { State } from "../../src/cline-plugin/mapping/state.js" */

export const SECRET = "zorblatt-quux"; // stands for any content; must never be seen in a record

/** @typedef {readonly [kind: string, context: unknown]} HookCall */

/**
 * @typedef {object} PseudonymsContent
 * @property {number} version
 * @property {string} key
 * @property {string[]} built_in_tools
 * @property {boolean} plain_names
 */

/**
 * What pseudonyms.json holds: a fixed key, some built-in tools, no plain names.
 *
 * @type {PseudonymsContent}
 */
export const PSEUDONYMS = JSON.parse(fs.readFileSync(new URL("./pseudonyms.json", import.meta.url), "utf8"));

/**
 * A mapping with those pseudonyms, or with others.
 *
 * @param {State} [state]
 */
export const newMapping = (state, content = PSEUDONYMS) => createMapping(state, createPseudonyms(content));

// Ids as Cline makes them up, which need no pseudonym.
export const SESSION = "1800000000000_sess1";
/** @param {string} name */
export const agentIdOf = (name) => `agent_1800000000000_${name.padEnd(4, "0")}`;
/** @param {string} name */
export const runIdOf = (name) => `run_${name.padEnd(8, "0")}`;
export const [AGENT, RUN] = [agentIdOf("a"), runIdOf("a")];

/**
 * @typedef {object} Part
 * @property {string} type
 * @property {string} [text]
 * @property {string} [toolCallId]
 * @property {string} [toolName]
 * @property {object} [input]
 *
 * @typedef {{ role: string, content: string | Part[] }} Message
 */

/**
 * @param {string} task
 * @param {boolean} answered
 * @param {string[]} calls
 * @returns {Message[]}
 */
const messages = (task, answered, calls = []) => [
  { role: "user", content: [{ type: "text", text: task }] },
  ...(answered
    ? [
        {
          role: "assistant",
          content: [
            { type: "text", text: `answer ${SECRET}` },
            ...calls.map((toolCallId) => ({
              type: "tool-call",
              toolCallId,
              toolName: "read_files",
              input: { q: SECRET },
            })),
          ],
        },
      ]
    : []),
];

const TASK = `<user_input mode="act">do ${SECRET}</user_input>`;

/**
 * @template C
 * @param {string} kind
 * @param {C} context
 * @returns {[kind: string, context: C]}
 */
export const call = (kind, context) => [kind, context];

/**
 * @typedef {{ output?: unknown, isError?: boolean }} ToolResult
 *
 * The agent's id is a text in truth; a test may want to know what becomes of another.
 *
 * @typedef {object} RunGiven
 * @property {unknown} [agentId]
 * @property {string} [runId]
 * @property {string} [parentAgentId]
 * @property {string} [sessionId]
 * @property {string} [task]
 */

/** One agent's run: each method gives `[kind, context]` of one hook call. */
export class RunCalls {
  /** @type {string[]} */
  calls = [];
  iteration = 0;

  /** @param {RunGiven} given */
  constructor({ agentId = AGENT, runId = RUN, parentAgentId, sessionId = SESSION, task = TASK } = {}) {
    this.agentId = agentId;
    this.runId = runId;
    this.parentAgentId = parentAgentId;
    this.sessionId = sessionId;
    this.task = task;
  }

  snapshot(extra = {}) {
    return {
      agentId: this.agentId,
      ...(this.parentAgentId ? { parentAgentId: this.parentAgentId } : {}),
      conversationId: `conversation ${SECRET}`,
      runId: this.runId,
      status: "running",
      iteration: this.iteration,
      messages: messages(this.task, this.iteration > 0, this.calls),
      usage: { inputTokens: 10, outputTokens: 2, cacheReadTokens: 0, cacheWriteTokens: 0, totalCost: 0 },
      ...extra,
    };
  }

  started = () => call("beforeRun", { snapshot: this.snapshot() });
  startedEvent = () => call("onEvent:run-started", { type: "run-started", snapshot: this.snapshot() });

  /** @param {number} iteration */
  beforeModel(iteration = this.iteration + 1) {
    this.iteration = iteration;
    const request = {
      systemPrompt: SECRET,
      messages: messages(this.task, false),
      tools: [{ name: "read_files", description: SECRET }],
      options: { metadata: { sessionId: this.sessionId, distinctId: SECRET } },
    };
    return call("beforeModel", { snapshot: this.snapshot(), request });
  }

  delta = (type = "assistant-text-delta") =>
    call(`onEvent:${type}`, {
      type,
      snapshot: this.snapshot(),
      iteration: this.iteration,
      text: SECRET,
      accumulatedText: SECRET,
    });

  afterModel = (extra = {}, snapshot = {}) =>
    call("afterModel", {
      snapshot: this.snapshot(snapshot),
      assistantMessage: {
        role: "assistant",
        content: [{ type: "text", text: SECRET }],
        metrics: { inputTokens: 100, outputTokens: 5, cacheReadTokens: 40, cacheWriteTokens: 30, cost: 0.25 },
        modelInfo: { id: "gpt-5", provider: "openai-compatible" },
      },
      finishReason: "tool-calls",
      requestId: "resp_1",
      ...extra,
    });

  /**
   * @param {string} toolCallId
   * @param {string} toolName
   * @param {object} input
   * @returns {{ type: string, toolCallId: string, toolName: string, input: object, execution?: string }}
   */
  toolCall = (toolCallId, toolName, input) => ({ type: "tool-call", toolCallId, toolName, input });

  /**
   * @param {string} toolCallId
   * @param {string} toolName
   * @param {object} input
   */
  toolStarted = (toolCallId, toolName = "read_files", input = { path: SECRET }) =>
    call("onEvent:tool-started", {
      type: "tool-started",
      snapshot: this.snapshot(),
      iteration: this.iteration,
      toolCall: this.toolCall(toolCallId, toolName, input),
    });

  /**
   * @param {string} toolCallId
   * @param {string} toolName
   * @param {ToolResult} result
   */
  afterTool = (
    toolCallId,
    toolName = "read_files",
    result = { output: [{ query: SECRET, result: SECRET, success: true }] },
  ) =>
    call("afterTool", {
      snapshot: this.snapshot(),
      tool: { name: toolName, description: SECRET },
      toolCall: this.toolCall(toolCallId, toolName, { path: SECRET }),
      input: { path: SECRET },
      result,
      startedAt: "2027-01-15T08:00:00.100Z",
      endedAt: "2027-01-15T08:00:00.350Z",
      durationMs: 250,
    });

  /**
   * @param {string} toolCallId
   * @param {string} toolName
   * @param {ToolResult} result
   */
  toolFinished = (toolCallId, toolName = "read_files", result = { output: { error: SECRET }, isError: true }) =>
    call("onEvent:tool-finished", {
      type: "tool-finished",
      snapshot: this.snapshot(),
      iteration: this.iteration,
      toolCall: this.toolCall(toolCallId, toolName, { path: SECRET }),
      message: { role: "tool", content: [{ type: "tool-result", toolCallId, toolName, ...result }] },
    });

  /** @param {object} [metadata] */
  notice = (metadata) =>
    call("onEvent:status-notice", { type: "status-notice", snapshot: this.snapshot(), message: SECRET, metadata });

  /** @param {string} status */
  ended = (status, extra = {}) => ({
    snapshot: this.snapshot({ status, ...extra }),
    result: {
      agentId: this.agentId,
      runId: this.runId,
      status,
      iterations: this.iteration,
      outputText: SECRET,
      messages: [],
      usage: { inputTokens: 300, outputTokens: 9, cacheReadTokens: 1, cacheWriteTokens: 2, totalCost: 0.5 },
    },
  });

  afterRun = (status = "completed", extra = {}) => call("afterRun", this.ended(status, extra));
  finishedEvent = (status = "completed", extra = {}) =>
    call("onEvent:run-finished", { type: "run-finished", ...this.ended(status, extra) });
  /** @param {unknown} errorClass */
  failedEvent = (errorClass, lastError = SECRET) =>
    call("onEvent:run-failed", {
      type: "run-failed",
      snapshot: this.snapshot({ status: "failed", lastError }),
      error: { message: SECRET },
      errorClass,
    });
}

export const setup = (sessionId = SESSION) =>
  call("setup", {
    session: { sessionId },
    client: { name: "cline-cli", version: "3.0.65", platform: SECRET },
    user: { distinctId: SECRET },
    workspaceInfo: { rootPath: SECRET, associatedRemoteUrls: [SECRET] },
  });

/**
 * A whole small run: a model call, two tools of which the second is rejected, an end.
 *
 * @param {RunGiven & { toolName?: string }} given
 * @returns {HookCall[]}
 */
export function wholeRun({ toolName = "no_such_tool", ...given } = {}) {
  const run = new RunCalls(given);
  return [
    run.started(),
    run.startedEvent(),
    run.beforeModel(),
    run.delta(),
    run.afterModel(),
    run.toolStarted("call_1"),
    run.afterTool("call_1"),
    run.toolFinished("call_1"),
    run.toolStarted("call_2", toolName),
    run.toolFinished("call_2", toolName),
    run.afterRun(),
    run.finishedEvent(),
  ];
}

/**
 * Feeds hook calls to a mapping, one a millisecond from `fromMs` on, and gives all records.
 *
 * @param {Mapping} mapping
 * @param {readonly HookCall[]} calls
 */
export function feed(mapping, calls, fromMs = 1_800_000_000_000) {
  return calls.flatMap(([kind, context], index) => mapping.map(kind, context, fromMs + index));
}

/**
 * A generator of numbers in [0, 1) that a seed determines.
 *
 * @param {number} seed
 */
export function random(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/**
 * One of these, by chance.
 *
 * @template T
 * @param {() => number} next gives a number in [0, 1)
 * @param {readonly T[]} choices at least one
 */
export const pick = (next, choices) => /** @type {T} */ (choices[Math.floor(next() * choices.length)]);
