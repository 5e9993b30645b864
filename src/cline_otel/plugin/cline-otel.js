// cline-otel plugin for Cline. Put here by "cline-otel install"; "cline-otel uninstall" removes it.
//
// It turns Cline's plugin hooks into an append-only spool of JSON lines (docs/spool-format.md): ids, names, times,
// usage, status and sizes. Never content: no prompt, argument, output, path or error text gets into a record, because
// a record is built only from values that passed one of the gates below. Nor a name that somebody chose, for a tool or
// in place of an id: where records leave the mapping, a pseudonym takes its place.
//
// Two rooms: a pure mapping (hook and context in, records out), and a writer at the rim. Nothing here throws into
// Cline, and every hook answers at once: records reach the disk after the answer, in the same turn of the event loop.
//
// Made from the modules in src/cline-plugin by `make plugin`: change those.

import path from 'node:path';
import { createHmac } from 'node:crypto';
import fs from 'node:fs';

// How much of the plugin's is kept, written and waited for, at most.

const SPOOL_VERSION = 1;
const LIMITS = Object.freeze({
  fileBytes: 4 * 1024 * 1024,
  directoryBytes: 64 * 1024 * 1024,
  // How far this process may write before it measures the directory again.
  directoryCheckBytes: 256 * 1024,
  checkIntervalMs: 1000,
  // A write slower than this makes the next one wait a hundred times as long: at most 1 % of the time is spent waiting.
  slowWriteMs: 100,
  slowWritePauseMs: 60_000,
  waitingLines: 8192,
  sessions: 64,
  agents: 1024,
  runs: 1024,
  openCalls: 1024,
  tasks: 256,
  taskCharacters: 1024 * 1024,
  // What is longer is no name.
  nameCharacters: 1024,
  // More than the runs that are remembered can have, so that none of them changes its ids.
  idPseudonyms: 8192,
  toolPseudonyms: 1024,
  settingsBytes: 16 * 1024 * 1024,
});

/** @typedef {Readonly<Record<keyof typeof LIMITS, number>>} Limits */

// The end of the process, in which the recorder has the last word.

/**
 * Sees to it that the recorder is the last to go.
 *
 * Cline ends its plugin process by SIGTERM and, 300 ms later, SIGKILL; a process whose Cline has died exits by itself.
 * Ctrl-C and a closed terminal reach the whole process group, this process too, before Cline has reported how the run
 * ended: those it leaves to Cline. In a host that loads plugins into its own process, signals are not ours.
 *
 * @param {Recorder} recorder
 */
function watchProcess(recorder) {
  process.once("exit", () => recorder.end(process.connected === false ? "disconnected" : "exit"));
  const isPluginHost = Reflect.get(globalThis, "__clinePluginHost") !== undefined;
  if (!isPluginHost || typeof process.send !== "function") return;
  process.on("SIGINT", () => recorder.flush());
  process.on("SIGHUP", () => recorder.flush());
  const onTerminate = () => {
    let turns = 3; // hooks that Cline called before the signal are still in the channel
    const step = () => {
      if (turns-- > 0) {
        setImmediate(step);
        return;
      }
      process.removeListener("SIGTERM", onTerminate);
      if (process.listenerCount("SIGTERM") > 0) {
        recorder.flush(); // another plugin decides when; "exit" follows
        return;
      }
      recorder.end("terminated");
      process.kill(process.pid, "SIGTERM");
    };
    setImmediate(step);
  };
  process.on("SIGTERM", onTerminate);
}

// Gates: the only ways from a context into a record. Each takes anything and gives what may be written, or undefined.


const TOOL_NAME = /^[A-Za-z0-9_.:-]{1,128}$/;
// No account's number, no fine-tuned model of OpenAI's (it has the organization's name), no owner, no address.
const MODEL_NAME = new RegExp(
  [
    "^(?!.*[Aa][Rr][Nn]:|ft:|projects/|accounts/(?!fireworks/)|localhost|[^/]*\\.[a-z]{2,}(?::[^/]*)?/)",
    "(?!.*(?:[0-9]{9,}|:[0-9]{2,5}/|[0-9]+(?:\\.[0-9]+){3}))",
    "(?=.{1,128}$)(?:~|@cf/)?[A-Za-z0-9][A-Za-z0-9_.:+-]*",
    "(/[A-Za-z0-9_.:+-]+){0,4}(@(?:[0-9][0-9A-Za-z.-]*|default|latest|us|eu|apac|global))?$",
  ].join(""),
);
const CLIENT_NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/;
const CLIENT_VERSION = new RegExp(
  "^[0-9]{1,6}(?:\\.[0-9]{1,6}){1,2}" +
    "(?:-(?:alpha|beta|rc|nightly|next|canary|dev|pre|preview|insiders?)(?:[.-]?[0-9]{1,14}){0,3})?$",
);
const WORD = /^[a-z][a-z0-9_-]{0,39}$/;
const OTHER = "_OTHER";

/**
 * @param {...string} shapes sources of regular expressions
 * @returns {RegExp} which matches what one of them does
 */
const anyOf = (...shapes) => new RegExp(shapes.join("|"));

// Keys and tokens.
const KEY_SHAPE = anyOf(
  "(?<![A-Za-z0-9])[SsPpRr][Kk][-_.](?:live|test|proj|ant|or|svcacct)?[-_]?[A-Za-z0-9_.-]{16,}", // OpenAI, Stripe
  "gh[oprsu]_[A-Za-z0-9]{12,}|github_pat_\\w{20,}|glpat-[\\w-]{16,}", // GitHub, GitLab
  "(?:AKIA|ASIA)[A-Z0-9]{16}|AIza[\\w-]{30,}", // AWS, Google
  "xox[abeoprs]-[\\w-]{10,}|npm_[A-Za-z0-9]{30,}|hf_[A-Za-z0-9]{30,}", // Slack, npm, Hugging Face
  "glrt-[\\w-]{16,}|dckr_pat_[\\w-]{16,}|shp(?:at|ss|ca|pa)_[A-Za-z0-9]{16,}", // GitLab, Docker, Shopify
  "(?<![A-Za-z0-9])(?:xai|gsk|pplx|tgp_v1|fw|r8|csk|dop_v1|pcsk|tvly)[-_][A-Za-z0-9]{20,}", // model providers
  "(?<![A-Za-z0-9])nvapi-[\\w-]{20,}",
  "SG\\.[\\w-]{16,}\\.[\\w-]{16,}|(?<![A-Za-z0-9])hv[sb]\\.[\\w-]{16,}|ya29\\.[\\w-]{16,}", // SendGrid, Vault, Google
  "eyJ[\\w-]{8,}\\.[\\w-]{8,}\\.[\\w-]*", // JSON Web Token
);

/** @type {(pattern: RegExp) => (value: unknown) => string | undefined} */
const matching = (pattern) => (value) =>
  typeof value === "string" && pattern.test(value) && !KEY_SHAPE.test(value) ? value : undefined;
const plainToolName = matching(TOOL_NAME);
const modelName = matching(MODEL_NAME);
const clientName = matching(CLIENT_NAME);
const clientVersion = matching(CLIENT_VERSION);
const word = matching(WORD);

/** @param {unknown} value */
const wordOrOther = (value) => (value === undefined || value === null ? undefined : (word(value) ?? OTHER));

/** @param {unknown} value */
const modelOrOther = (value) => (typeof value === "string" ? (modelName(value) ?? OTHER) : undefined);

/**
 * A name or id as it is, which must not get into a record but by way of `published`.
 *
 * @param {unknown} value
 */
const chosen = (value) =>
  typeof value === "string" && value !== "" && value.length <= LIMITS.nameCharacters ? value : undefined;

/** @param {unknown} value */
const runStatus = (value) =>
  value === "completed" || value === "failed" || value === "aborted" ? value : undefined;

/** @param {unknown} value */
const amount = (value) =>
  typeof value === "number" && Number.isFinite(value) && value >= 0 ? value : undefined;

/** @param {unknown} value */
const integer = (value) =>
  typeof value === "number" && Number.isSafeInteger(value) && value >= 0 ? value : undefined;

/**
 * Milliseconds since the epoch from a Date (same process), its ISO text (through JSON) or a number.
 *
 * @param {unknown} value
 */
function instantMs(value) {
  if (typeof value === "number") return integer(Math.round(value));
  if (typeof value === "string") return integer(Date.parse(value));
  return value instanceof Date ? integer(value.getTime()) : undefined;
}

/**
 * The size in bytes of a value as JSON (of a string: its own), or undefined when it has none.
 *
 * @param {unknown} value
 */
function sizeBytes(value) {
  if (value === undefined || value === null) return undefined;
  try {
    const text = typeof value === "string" ? value : JSON.stringify(value);
    return typeof text === "string" ? Buffer.byteLength(text) : undefined;
  } catch {
    return undefined; // cyclic, a bigint, a getter that throws
  }
}

// A record: what becomes one line of the spool (docs/spool-format.md).


/**
 * @typedef {string | number | boolean} FieldValue
 * @typedef {{ v: number, event: string, time_unix_ms: number, [field: string]: FieldValue }} SpoolRecord
 */

/**
 * @param {string} event
 * @param {number} timeMs since the Unix epoch
 * @param {Readonly<Record<string, FieldValue | undefined>>} fields of which those that are undefined are left out
 * @returns {SpoolRecord}
 */
function record(event, timeMs, fields) {
  /** @type {SpoolRecord} */
  const result = { v: SPOOL_VERSION, event, time_unix_ms: timeMs };
  for (const key in fields) {
    const value = fields[key];
    if (value !== undefined) result[key] = value;
  }
  return result;
}

// Maps that are used as memories which must not grow without end: what is used stays, what is oldest goes.

/**
 * Puts a value into a map as its newest; where that makes it too large, the oldest go.
 *
 * @template K, V
 * @param {Map<K, V>} map
 * @param {K} key
 * @param {V} value
 * @param {number} limit how many the map may have
 */
function keep(map, key, value, limit) {
  map.delete(key);
  map.set(key, value);
  if (map.size <= limit) return;
  for (const oldest of map.keys()) {
    map.delete(oldest);
    if (map.size <= limit) return;
  }
}

/**
 * Adds a value to those under a key.
 *
 * @template K, V
 * @param {Map<K, V[]>} map
 * @param {K} key
 * @param {V} value
 * @param {number} limit how many keys the map may have
 */
function push(map, key, value, limit) {
  const values = map.get(key);
  if (values) values.push(value);
  else keep(map, key, [value], limit);
}

/**
 * Takes the first value under the key that the test accepts, or undefined.
 *
 * @template K, V
 * @param {Map<K, V[]>} map
 * @param {K} key
 * @param {(value: V) => boolean} accepts
 * @returns {V | undefined}
 */
function take(map, key, accepts = () => true) {
  const values = map.get(key);
  const at = values ? values.findIndex(accepts) : -1;
  if (!values || at < 0) return undefined;
  const [value] = values.splice(at, 1);
  if (values.length === 0) map.delete(key);
  return value;
}

// The mapping's memory: join state of one process, all of it bounded, names as Cline has them.


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
 */

/**
 * What one hook leaves for a later one.
 *
 * @returns {State}
 */
function createState() {
  return { sessions: new Map(), agents: new Map(), runs: new Map(), tasks: [], taskCharacters: 0, errors: 0 };
}

/**
 * @param {string} agentId
 * @param {string} runId
 */
const runKey = (agentId, runId) => `${agentId.length} ${agentId} ${runId}`;

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
function runOf(state, snapshot) {
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
const sessionOf = (state, agentId) =>
  state.agents.get(agentId)?.sessionId ?? (state.sessions.size === 1 ? state.sessions.keys().next().value : undefined);

// Compaction: what Cline does when a conversation becomes too long for its model, reported by notices of the run's status.


/**
 * The notice of a context that stays too large has a kind of its own and no phase.
 *
 * @param {string} kind
 * @param {string | undefined} phase
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
function onStatusNotice(state, context, nowMs) {
  const metadata = context?.metadata;
  const kind = word(metadata?.kind);
  if (kind === undefined || !/compact|overflow/.test(kind)) return [];
  const run = runOf(state, context?.snapshot);
  if (!run) return [];
  const phase = word(metadata?.phase);
  return [
    record(compactionEvent(kind, phase), nowMs, {
      agent_id: run.agentId,
      run_id: run.runId,
      iteration: integer(metadata?.iteration) ?? integer(context?.snapshot?.iteration),
      phase,
      kind,
      reason: word(metadata?.reason),
      tokens_before: integer(metadata?.tokensBefore),
      tokens_after: integer(metadata?.tokensAfter),
      messages_before: integer(metadata?.messagesBefore),
      messages_after: integer(metadata?.messagesAfter),
    }),
  ];
}

// What a value of which nothing is known turns out to be.

/**
 * @param {unknown} value
 * @returns {value is Record<string, unknown>}
 */
const isObject = (value) => typeof value === "object" && value !== null;

/**
 * The parts of a message's content; none where it is a text.
 *
 * @param {unknown} content
 * @returns {readonly MessagePart[]}
 */
const partsOf = (content) => (Array.isArray(content) ? content : []);

// Model calls: start, first chunk, end and usage.


/**
 * @param {State} state
 * @param {BeforeModelContext} context
 * @param {number} nowMs
 * @returns {SpoolRecord[]}
 */
function onBeforeModel(state, context, nowMs) {
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
function onChunk(state, context, nowMs) {
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
function onAfterModel(state, context, nowMs) {
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
      finish_reason: wordOrOther(context?.finishReason),
      response_id: chosen(context?.requestId),
      provider: modelOrOther(message?.modelInfo?.provider),
      model: modelOrOther(message?.modelInfo?.id),
      input_tokens: integer(usage?.inputTokens),
      output_tokens: integer(usage?.outputTokens),
      cache_read_tokens: integer(usage?.cacheReadTokens),
      cache_write_tokens: integer(usage?.cacheWriteTokens),
      reasoning_tokens: reasoningTokensOf(context, model),
      cost_usd: amount(usage?.cost),
      tool_calls: toolCallsIn(message),
      error_type: context?.finishReason === "error" ? (word(snapshot?.lastErrorClass) ?? OTHER) : undefined,
    }),
  ];
}

// Pseudonyms: what stands for a name that somebody chose, for a tool or in place of an id.


// Ids that a machine made up. Any other is a name.
const GENERATED_ID = anyOf(
  "(?:(?:agent|run|conv|session|subagent|teammate|task)_)?1[0-9]{12}(?:_[a-z0-9]{4,12})?",
  "run_[A-Za-z0-9_-]{8}",
  "[0-9A-HJKMNP-TV-Z]{26}", // ULID
  "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", // UUID
  "[0-9a-f]{32}", // a UUID without dashes, or a pseudonym
);
const ONE_PROVIDER_ID =
  "(?:(?:call|fc|toolu|toolu_bdrk|tooluse|srvtoolu|msg|msg_bdrk|resp|rs|req|gen|chatcmpl|chatcmpl-tool|cmpl)" +
  "[_-][A-Za-z0-9_-]{1,72}|[a-z]{2,12}-0[0-9]{3,7})";
const PROVIDER_ID = new RegExp(`${ONE_PROVIDER_ID}(?:\\|${ONE_PROVIDER_ID})?`); // of answers and calls
const WHOLE_ID = new RegExp(`^(?:${GENERATED_ID.source})$`);
const WHOLE_PROVIDER_ID = new RegExp(`^(?:${PROVIDER_ID.source})$`);
const KEY = /^[0-9a-f]{64}$/i;

/** The bridge has the same in its catalogue's patterns, privacy/pseudonyms.py and privacy/secret_detectors.py. */
const PATTERNS = {
  version: CLIENT_VERSION,
  model: MODEL_NAME,
  generatedId: WHOLE_ID,
  providerId: WHOLE_PROVIDER_ID,
  key: KEY_SHAPE,
};

const PSEUDONYM_DIGITS = 32;

/**
 * @param {Buffer} key
 * @param {"id" | "tool" | "mcp_server"} kind
 * @param {string} name
 */
const pseudonymOf = (key, kind, name) =>
  createHmac("sha256", key).update(`${kind}\0${name}`).digest("hex").slice(0, PSEUDONYM_DIGITS);

/**
 * What `pseudonyms.json` holds, to be checked.
 *
 * @typedef {{ version?: unknown, key?: unknown, built_in_tools?: unknown, plain_names?: unknown }} PseudonymsContent
 *
 * @typedef {object} Pseudonyms
 * @property {(content: PseudonymsContent) => void} learn takes what `pseudonyms.json` holds and throws if that is not
 *   what it should be
 * @property {(id: string) => string | undefined} identifier gives an id that a machine made up as it is; of any other
 *   the pseudonym, or undefined while there is no key
 * @property {(name: string) => { tool_name: string, tool_name_hash?: string }} tool gives the fields that name a tool
 * @property {(name: string) => { mcp_server?: string, mcp_server_hash?: string }} server gives the fields that name an
 *   MCP server
 */

/**
 * The pseudonyms of one installation: HMAC-SHA-256 of a name's kind and the name, under the installation's key.
 *
 * Until they have learnt once, nobody's names are known and none has a pseudonym. An id keeps its pseudonym for as long
 * as this process remembers it, so that a new key does not tear apart what is open; a tool takes that of the new key at
 * once.
 *
 * @param {PseudonymsContent} [content] learnt at once; throws like `learn`
 * @returns {Pseudonyms}
 */
function createPseudonyms(content) {
  /** @type {Buffer | undefined} */
  let key;
  /** @type {Set<unknown>} */
  let builtInTools = new Set();
  let plainNames = false;
  /** @type {Map<string, string>} */
  const ids = new Map();
  /** @type {Map<string, string>} */
  const tools = new Map();
  /** @type {Map<string, string>} */
  const servers = new Map();

  /** @type {Pseudonyms} */
  const pseudonyms = {
    learn: (given) => {
      const { version, key: digits, built_in_tools: names, plain_names: plain } = given;
      if (version !== 1 || typeof digits !== "string" || !KEY.test(digits) || !Array.isArray(names))
        throw new TypeError("not what pseudonyms.json holds");
      key = Buffer.from(digits, "hex");
      builtInTools = new Set(names);
      plainNames = plain === true;
      tools.clear();
      servers.clear();
    },
    identifier: (id) => {
      if (WHOLE_ID.test(id)) return id;
      const known = ids.get(id) ?? (key && pseudonymOf(key, "id", id));
      if (known !== undefined) keep(ids, id, known, LIMITS.idPseudonyms);
      return known;
    },
    tool: (name) => {
      if (builtInTools.has(name)) return { tool_name: name };
      if (plainNames) return { tool_name: plainToolName(name) ?? OTHER };
      if (key === undefined || name === "") return { tool_name: OTHER };
      const hash = tools.get(name) ?? pseudonymOf(key, "tool", name);
      keep(tools, name, hash, LIMITS.toolPseudonyms);
      return { tool_name: OTHER, tool_name_hash: hash };
    },
    server: (name) => {
      if (plainNames) return { mcp_server: plainToolName(name) ?? OTHER };
      if (key === undefined) return {};
      const hash = servers.get(name) ?? pseudonymOf(key, "mcp_server", name);
      keep(servers, name, hash, LIMITS.toolPseudonyms);
      return { mcp_server_hash: hash };
    },
  };
  if (content !== undefined) pseudonyms.learn(content);
  return pseudonyms;
}

const ID_FIELDS = new Set([
  "session_id",
  "agent_id",
  "run_id",
  "parent_agent_id",
  "parent_run_id",
  "parent_call_id",
  "call_id",
  "response_id",
]);

// Ids of calls and answers, which those who serve models make.
const PROVIDER_ID_FIELDS = new Set(["parent_call_id", "call_id", "response_id"]);

/**
 * @param {string} field
 * @param {string} id
 * @param {Pseudonyms} pseudonyms
 */
function publishedId(field, id, pseudonyms) {
  if (!PROVIDER_ID_FIELDS.has(field) || !WHOLE_PROVIDER_ID.test(id)) return pseudonyms.identifier(id);
  return KEY_SHAPE.test(id) ? undefined : id;
}

/**
 * A record as it may be written; undefined for one whose subject has no name that may be.
 *
 * @param {SpoolRecord} entry
 * @param {Pseudonyms} pseudonyms
 * @returns {SpoolRecord | undefined}
 */
function published(entry, pseudonyms) {
  /** @type {SpoolRecord} */
  const result = { v: entry.v, event: entry.event, time_unix_ms: entry.time_unix_ms };
  for (const field in entry) {
    const value = /** @type {FieldValue} */ (entry[field]);
    if (field === "tool_name") Object.assign(result, pseudonyms.tool(String(value)));
    else if (field === "mcp_server") Object.assign(result, pseudonyms.server(String(value)));
    else if (!ID_FIELDS.has(field)) result[field] = value;
    else {
      const id = publishedId(field, String(value), pseudonyms);
      if (id !== undefined) result[field] = id;
      else if (field === "agent_id" || field === "run_id" || entry.event === "session.claimed") return undefined;
    }
  }
  return result;
}

// What became of a tool call, read from its result and from the head of its error, of which no word is kept.


/** @typedef {{ output?: unknown, isError?: unknown }} ToolResult */

const ERROR_HEAD_CHARACTERS = 600;
const EXIT_CODE = /^Command exited with code (-?\d{1,9})\b/;
const DENIALS = [
  /^Tool "?\S{1,200}"? (?:was (?:denied|not approved|blocked by)|requires approval|approval request|is disabled)/,
  /^Tool approval (?:request|callback)/,
  /^Tool execution is disabled for provider /,
  /^Desktop tool approval /,
  /^User (?:rejected the tool call|denied the tool execution)/,
  /^Permission request (?:was cancelled|failed)/,
  /^Denied by /,
  /^Hub shutting down before approval/,
  /^Command not executed: /, // plan mode
];
const UNKNOWN_TOOL = /^(?:Unknown tool: |Tool call \S{1,200} was rejected before execution: (?:AI_)?NoSuchTool)/;
const UNREADABLE_INPUT =
  /^Tool call \S{1,200} (?:emitted invalid|was rejected before execution: (?:AI_)?(?:Invalid|JSONParse|TypeVal))/;
const REFUSED_INPUT = /^\u2716 /; // the tool's own check of its input

/** @type {ReadonlySet<unknown>} */
const AGENT_FAILURES = new Set(["error", "failed", "aborted"]);

/** @param {unknown} value */
const errorText = (value) => (typeof value === "string" ? value.slice(0, ERROR_HEAD_CHARACTERS) : "");

/**
 * The server of a tool that is named as Cline names those of MCP servers: `<server>__<tool>`; undefined for others.
 *
 * @param {unknown} name
 */
function mcpServerIn(name) {
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

/**
 * @param {string} text the head of the error
 * @param {{ ran: boolean, mcp: boolean, exitCode: number | undefined, output: unknown }} call
 */
function errorTypeOf(text, { ran, mcp, exitCode, output }) {
  if (UNKNOWN_TOOL.test(text)) return "unknown_tool";
  if (UNREADABLE_INPUT.test(text) || (ran && REFUSED_INPUT.test(text))) return "invalid_input";
  if (DENIALS.some((pattern) => pattern.test(text))) return "denied";
  if (!ran) return "rejected";
  if (mcp) return "mcp_error";
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
function outcomeOf(name, result, ran) {
  const output = result.output;
  const parts = (Array.isArray(output) ? output : [output]).filter(isObject);
  const hasContent = isObject(output) && Array.isArray(output.content);
  const failed = failureOf(result, parts);
  const mcp = mcpServerIn(name) !== undefined && (hasContent || (failed && ran));
  if (!failed) return { outcome: "success", is_mcp: mcp || undefined };
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

// Messages, read for the mode and for the join of an agent to the call that made it.


/**
 * @param {Message} message
 * @returns {readonly string[]}
 */
function textsOf(message) {
  const content = message?.content;
  if (typeof content === "string") return [content];
  const texts = partsOf(content)
    .filter((part) => part?.type === "text")
    .map((part) => part?.text)
    .filter((text) => typeof text === "string");
  const [first] = texts;
  return first !== undefined && texts.length > 1 ? [first, texts.join("")] : texts;
}

/**
 * The texts of the newest user message, and of the first one while no model has answered yet.
 *
 * @param {unknown} given a snapshot's messages
 * @returns {readonly string[]}
 */
function promptTexts(given) {
  if (!Array.isArray(given)) return [];
  /** @type {readonly Message[]} */
  const messages = given;
  const newest = textsOf(messages.findLast((message) => message?.role === "user"));
  const beginning = messages.find((message) => message?.role === "user" || message?.role === "assistant");
  const first = beginning?.role === "user" ? textsOf(beginning) : [];
  const answered = first.length > 0 && messages.some((message) => message?.role === "assistant");
  return answered ? newest : [...newest, ...first];
}

const MODE = /^\s*<user_input mode="(act|plan|yolo)"/;
const WRAPPED = /^\s*<user_input [^>]{0,80}>([\s\S]*)<\/user_input>\s*$/;

/** @param {readonly string[]} texts */
const modeOf = (texts) => texts.map((text) => MODE.exec(text)?.[1]).find((mode) => mode !== undefined);

/**
 * The text by which a tool call starts an agent, or undefined for any other tool.
 *
 * @param {ToolCall} toolCall
 */
function taskOf(toolCall) {
  const name = toolCall?.toolName;
  if (name === "spawn_agent" || name === "team_run_task") return toolCall?.input?.task;
  return typeof name === "string" && name.startsWith("subagent_") ? toolCall?.input?.prompt : undefined;
}

/**
 * Remembers the text by which a tool call starts an agent, if it does.
 *
 * @param {State} state
 * @param {Run} run
 * @param {OpenCall} call
 * @param {ToolCall} toolCall
 */
function rememberTask(state, run, call, toolCall) {
  const text = taskOf(toolCall);
  if (typeof text !== "string" || text.trim() === "" || text.length > LIMITS.taskCharacters) return;
  const team = toolCall?.toolName === "team_run_task";
  state.tasks.push({ text: text.trim(), team, agentId: run.agentId, runId: run.runId, call });
  state.taskCharacters += text.length;
  while (state.tasks.length > LIMITS.tasks || state.taskCharacters > LIMITS.taskCharacters)
    forgetTask(state, state.tasks[0]);
}

/**
 * @param {State} state
 * @param {Task | undefined} task which may have been forgotten before
 */
function forgetTask(state, task) {
  const at = task === undefined ? -1 : state.tasks.indexOf(task);
  if (at < 0) return;
  state.tasks.splice(at, 1);
  state.taskCharacters = state.tasks.reduce((total, { text }) => total + text.length, 0);
}

/**
 * The oldest waiting call with one of these texts, word for word, as its task: the parent's, else a team's.
 *
 * @param {State} state
 * @param {readonly string[]} texts
 * @param {string} agentId of the agent that begins
 * @param {string | undefined} parentAgentId
 */
function claimTask(state, texts, agentId, parentAgentId) {
  if (state.tasks.length === 0) return undefined;
  const wanted = new Set(texts.flatMap((text) => [text.trim(), WRAPPED.exec(text)?.[1]?.trim()]));
  const task = state.tasks.find(
    (candidate) =>
      wanted.has(candidate.text) &&
      (parentAgentId === undefined
        ? candidate.team && candidate.agentId !== agentId
        : candidate.agentId === parentAgentId),
  );
  forgetTask(state, task);
  return task;
}

// Runs: how one starts, whose child it is, and how it ends.


/**
 * @param {State} state
 * @param {RunStartedContext} context
 * @param {number} nowMs
 * @returns {SpoolRecord[]}
 */
function onRunStarted(state, context, nowMs) {
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
  if (status === "failed") return word(context?.errorClass) ?? word(snapshot?.lastErrorClass) ?? OTHER;
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
function finish(state, run) {
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
function onAfterRun(state, context, nowMs) {
  noteEnding(state, context, nowMs); // onEvent follows at once, with what failed
  return [];
}

/**
 * @param {"failed"} [status] of the runs that end by the hook
 * @returns {(state: State, context: RunEndedContext, nowMs: number) => SpoolRecord[]}
 */
function onRunEnded(status) {
  return (state, context, nowMs) => {
    const run = noteEnding(state, context, nowMs, status);
    return run ? finish(state, run) : [];
  };
}

// Sessions: which of them this plugin reports.


/**
 * @param {State} state
 * @param {SetupContext} context
 * @param {number} nowMs
 * @returns {SpoolRecord[]}
 */
function onSetup(state, context, nowMs) {
  const sessionId = chosen(context?.session?.sessionId);
  if (sessionId === undefined) return []; // a load without a session, to list the plugin's commands
  const fields = {
    session_id: sessionId,
    client_name: clientName(context?.client?.name),
    client_version: clientVersion(context?.client?.version),
  };
  keep(state.sessions, sessionId, fields, LIMITS.sessions);
  return [record("session.claimed", nowMs, fields)];
}

// What an editing tool changed, in numbers: lines and files. No line and no path is kept.


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
function changeOf(toolCall, { output }) {
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

// Tool calls: their order within an iteration, their start, and their end, which two hooks report.


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
 * @param {ToolStartedContext} context
 * @param {number} nowMs
 * @returns {SpoolRecord[]}
 */
function onToolStarted(state, context, nowMs) {
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
function onAfterTool(state, context, nowMs) {
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
function onToolFinished(state, context, nowMs) {
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

// Hooks to records: the pure mapping. No clock, no file, no random; all it remembers is in `state` and in `pseudonyms`.


/** @typedef {(state: State, context: HookContext, nowMs: number) => SpoolRecord[]} Mapper */

/** @type {ReadonlyMap<string, Mapper>} */
const MAPPERS = new Map(
  /** @type {[string, Mapper][]} */ ([
    ["setup", onSetup],
    ["beforeRun", onRunStarted],
    ["onEvent:run-started", onRunStarted],
    ["beforeModel", onBeforeModel],
    ["onEvent:assistant-text-delta", onChunk],
    ["onEvent:assistant-reasoning-delta", onChunk],
    ["afterModel", onAfterModel],
    ["onEvent:tool-started", onToolStarted],
    ["afterTool", onAfterTool],
    ["onEvent:tool-finished", onToolFinished],
    ["onEvent:status-notice", onStatusNotice],
    ["afterRun", onAfterRun],
    ["onEvent:run-finished", onRunEnded()],
    ["onEvent:run-failed", onRunEnded("failed")],
  ]),
);

/**
 * Whatever the context is, nothing here throws.
 *
 * @typedef {object} Mapping
 * @property {State} state
 * @property {(kind: string, context: unknown, nowMs: number) => SpoolRecord[]} map gives the records of one hook call;
 *   the kind is the hook's name, for events `onEvent:<type>`
 * @property {(nowMs: number) => SpoolRecord[]} claims gives the session.claimed records again
 * @property {() => SpoolRecord[]} drain gives what is held back at the end of the process
 */

/** @returns {Mapping} */
function createMapping(state = createState(), pseudonyms = createPseudonyms()) {
  /** @param {() => SpoolRecord[]} produce */
  const guarded = (produce) => {
    try {
      const records = produce();
      if (records.length === 0) return records;
      return records.map((entry) => published(entry, pseudonyms)).filter((entry) => entry !== undefined);
    } catch {
      state.errors += 1;
      return [];
    }
  };
  return {
    state,
    map: (kind, context, nowMs) => {
      const mapper = MAPPERS.get(kind);
      return mapper ? guarded(() => mapper(state, /** @type {HookContext} */ (context), nowMs)) : [];
    },
    claims: (nowMs) =>
      guarded(() => [...state.sessions.values()].map((fields) => record("session.claimed", nowMs, fields))),
    drain: () => guarded(() => [...state.runs.values()].flatMap((run) => finish(state, run))),
  };
}

// Files that others write, as JSON: read again when they have changed.


/** @typedef {Record<string, unknown>} Dictionary */

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * @param {unknown} value
 * @returns {value is Dictionary}
 */
const isDictionary = (value) => typeof value === "object" && value !== null && !Array.isArray(value);

/** @param {unknown} error */
const codeOf = (error) => (error instanceof Error && "code" in error ? error.code : undefined);

/** @param {string} file */
function statOf(file) {
  try {
    return fs.statSync(file, { throwIfNoEntry: false });
  } catch (error) {
    if (codeOf(error) === "ENOTDIR") return undefined;
    throw error;
  }
}

/**
 * @param {string} file
 * @param {fs.Stats} found
 */
function readDictionary(file, found) {
  if (!found.isFile() || found.size > LIMITS.settingsBytes) throw new TypeError("not a file of settings");
  /** @type {unknown} */
  const value = JSON.parse(utf8.decode(fs.readFileSync(file)));
  if (!isDictionary(value)) throw new TypeError("no settings");
  return value;
}

/**
 * What `read` makes of the JSON object in a file, `{}` while there is none; looked up at each call, which costs a stat
 * where nothing changed. While the file is half written or `read` throws, it is what it was; undefined if it never was.
 *
 * @template T
 * @param {string} file
 * @param {(content: Dictionary) => T} read
 * @returns {() => T | undefined}
 */
function watchedJson(file, read) {
  /** @type {string | null | undefined} */
  let status = null; // of what was read; undefined of no file, null of nothing
  /** @type {T | undefined} */
  let answer;
  return () => {
    try {
      const found = statOf(file);
      const now = found && [found.dev, found.ino, found.size, found.mtimeMs, found.ctimeMs, found.mode].join();
      if (now === status) return answer;
      status = now;
      answer = read(found ? readDictionary(file, found) : {});
    } catch {
      status = null; // being written, or not for us to read: again at the next look
    }
    return answer;
  };
}

// Whether any opt-out source says no. They are those that the bridge looks at (docs/control.md).


/**
 * A setting of that type, or undefined where it is not there; throws where it is of another.
 *
 * @template T
 * @param {Dictionary} settings
 * @param {string} key
 * @param {(value: unknown) => value is T} isOfType
 * @returns {T | undefined}
 */
function typed(settings, key, isOfType) {
  const value = settings[key] ?? undefined;
  if (value === undefined || isOfType(value)) return value;
  throw new TypeError(`${key}: of a type that it cannot have`);
}

/**
 * @param {unknown} value
 * @returns {value is boolean}
 */
const isBoolean = (value) => typeof value === "boolean";

/**
 * @param {unknown} value
 * @returns {value is string}
 */
const isText = (value) => typeof value === "string";

/**
 * @param {unknown} value
 * @returns {value is boolean | string}
 */
const isBooleanOrText = (value) => isBoolean(value) || isText(value);

/**
 * An organization's remote config within what Cline keeps of it or its service answers.
 *
 * @param {Dictionary} document
 * @returns {Dictionary}
 */
function remoteConfigIn(document) {
  const envelope = typed(document, "data", isDictionary) ?? document;
  const bundled = typed(envelope, "remoteConfig", isDictionary);
  if (bundled) return bundled;
  const text = typed(envelope, "value", isText);
  if (text === undefined) return envelope;
  if (typed(envelope, "enabled", isBoolean) === false) return {};
  /** @type {unknown} */
  const config = JSON.parse(text);
  if (!isDictionary(config)) throw new TypeError("value: holds no settings");
  return config;
}

// Each gives true for off, and throws on what cannot be understood.

/** @param {Dictionary} settings */
const optedOut = (settings) => typed(settings, "telemetryOptOut", isBoolean) === true;

/** @param {Dictionary} settings */
function settingDisabled(settings) {
  const setting = typed(settings, "telemetrySetting", isBooleanOrText);
  return setting === false || setting === "disabled";
}

/** @param {Dictionary} document */
const organizationOff = (document) => typed(remoteConfigIn(document), "telemetryEnabled", isBoolean) === false;

/** @param {string | undefined} value of a variable */
const isSet = (value) => value !== undefined && !["", "0", "false"].includes(value.trim().toLowerCase());

/**
 * Whether anything has that name, be it a dangling link.
 *
 * @param {string} file
 */
function isThere(file) {
  try {
    return fs.lstatSync(file, { throwIfNoEntry: false }) !== undefined;
  } catch {
    return false;
  }
}

/** @param {string} dataDirectory Cline's */
function cachedConfigs(dataDirectory) {
  const cache = path.join(dataDirectory, "cache");
  /** @type {string[]} */
  let names = [];
  try {
    names = fs.readdirSync(cache).filter((name) => name.startsWith("remote_config_") && name.endsWith(".json"));
  } catch {
    // Cline has kept nothing
  }
  const bundle = path.join(dataDirectory, "remote-config-workspace/.cline/remote-config/cache/bundle.json");
  return [...names.map((name) => path.join(cache, name)), bundle];
}

/**
 * The files of organizations' remote configs, read again at each call, since Cline adds to them.
 *
 * @param {NodeJS.ProcessEnv} environment
 * @param {readonly string[]} dataDirectories Cline's
 */
function organizations(environment, dataDirectories) {
  const ownConfig = environment.CLINE_OTEL_BRIDGE_REMOTE_CONFIG?.replace(/^~(?=\/|$)/, environment.HOME ?? "~");
  /** @type {Map<string, () => boolean | undefined>} */
  let configs = new Map();
  return () => {
    const files = ownConfig ? [ownConfig] : dataDirectories.flatMap(cachedConfigs);
    configs = new Map(files.map((file) => [file, configs.get(file) ?? watchedJson(file, organizationOff)]));
    return [...configs.values()];
  };
}

/**
 * Whether anybody who may has said no, looked up at most once a second; one whose file could never be read counts as a
 * no here.
 *
 * @param {object} given
 * @param {string} given.offFile
 * @param {string} given.clineDirectory
 * @param {NodeJS.ProcessEnv} given.environment
 * @param {() => number} given.monotonicMs
 * @returns {() => boolean} which says true for no
 */
function createConsent({ offFile, clineDirectory, environment, monotonicMs }) {
  /** @param {string} variable */
  const named = (variable) => environment[variable]?.trim() || [];
  const dataDirectories = [named("CLINE_DATA_DIR"), path.join(clineDirectory, "data")].flat();
  /** @param {string} place */
  const inData = (place) => dataDirectories.map((directory) => path.join(directory, place));
  const settings = [named("CLINE_GLOBAL_SETTINGS_PATH"), inData("settings/global-settings.json")].flat();
  const saysNo = isSet(environment.DO_NOT_TRACK) || isSet(environment.OTEL_SDK_DISABLED);
  const userSettings = [
    ...settings.map((file) => watchedJson(file, optedOut)),
    ...inData("globalState.json").map((file) => watchedJson(file, settingDisabled)),
  ];
  const ofOrganizations = organizations(environment, dataDirectories);
  let refused = false;
  let askedAtMs = Number.NEGATIVE_INFINITY;
  return () => {
    const nowMs = monotonicMs();
    if (nowMs - askedAtMs < LIMITS.checkIntervalMs) return refused;
    askedAtMs = nowMs;
    const isOff = [...userSettings, ...ofOrganizations()].map((look) => look());
    refused = saysNo || isThere(offFile) || isOff.some((each) => each !== false);
    return refused;
  };
}

// Keeps pseudonyms as their file says.


/**
 * Looks at the file once a second at most; one that is gone changes nothing.
 *
 * @param {string} file
 * @param {Pseudonyms} pseudonyms
 * @param {() => number} monotonicMs
 * @returns {() => void} which looks
 */
function watchPseudonyms(file, pseudonyms, monotonicMs) {
  const look = watchedJson(file, pseudonyms.learn);
  let lookedAtMs = Number.NEGATIVE_INFINITY;
  return () => {
    const nowMs = monotonicMs();
    if (nowMs - lookedAtMs < LIMITS.checkIntervalMs) return;
    lookedAtMs = nowMs;
    look();
  };
}

// Lines that did not get into the spool: how many and why, until they are reported in the spool.

/**
 * @typedef {"directory_limit" | "internal_error" | "memory_limit" | "write_error"} LossReason
 *
 * @typedef {object} Losses
 * @property {(reason: LossReason, count: number) => void} add
 * @property {() => void} addUncounted notes that lines were thrown away whose number is never reported
 * @property {() => readonly [LossReason, number][]} counts that are not reported in the spool yet
 * @property {() => boolean} any whether any lines were lost at all, those of no count too
 * @property {() => void} clear
 */

/** @returns {Losses} */
function createLosses() {
  /** @type {Map<LossReason, number>} */
  const byReason = new Map();
  let any = false;
  return {
    add: (reason, count) => {
      byReason.set(reason, (byReason.get(reason) ?? 0) + count);
      any = true;
    },
    addUncounted: () => {
      any = true;
    },
    counts: () => [...byReason],
    any: () => any,
    clear: () => {
      byReason.clear();
      any = false;
    },
  };
}

// What goes to the disk together: what was lost before, sessions that must be claimed again, and the lines that waited.


/**
 * @typedef {object} BatchContext
 * @property {Pick<SpoolWriter, "hasRoomFor" | "write">} writer
 * @property {Losses} losses which the batch reports and to which it adds its own
 * @property {() => readonly object[]} claims gives the session.claimed records again
 * @property {() => number} nowMs
 */

// After a long pause a batch may be larger than a file should get.
const LINES_IN_A_WRITE = 1024;

/** @param {object} entry */
const lineOf = (entry) => `${JSON.stringify(entry)}\n`;

/** @param {Pick<BatchContext, "writer" | "losses" | "nowMs">} context */
function writeLosses({ writer, losses, nowMs }) {
  const counts = losses.counts();
  const entries = counts.map(([reason, count]) => record("records.dropped", nowMs(), { count, reason }));
  losses.clear();
  if (entries.length === 0 || writer.write(entries.map(lineOf))) return;
  losses.clear(); // the lines that reported losses are none themselves
  for (const [reason, count] of counts) losses.add(reason, count);
}

/**
 * Writes lines, and before them what the reader of the spool must know of those that were lost.
 *
 * @param {readonly string[]} lines
 * @param {BatchContext} context
 */
function writeBatch(lines, { writer, losses, claims, nowMs }) {
  if (!writer.hasRoomFor(lines)) {
    losses.add("directory_limit", lines.length);
    return;
  }
  // Whoever reads the spool learns of a session by its claim, which may have been among the lines not written.
  const claimed = losses.any() ? claims() : [];
  writeLosses({ writer, losses, nowMs });
  const all = [...claimed.map(lineOf), ...lines];
  for (let at = 0; at < all.length; at += LINES_IN_A_WRITE) writer.write(all.slice(at, at + LINES_IN_A_WRITE));
}

// When the disk is left alone: for a while after a failure, and for longer the slower it is.

/**
 * @typedef {object} Pause
 * @property {() => number} remainingMs until the next write; zero or less when it may be now
 * @property {() => void} afterFailure
 * @property {(tookMs: number) => void} afterWrite
 */

/**
 * @param {() => number} monotonicMs
 * @param {{ checkIntervalMs: number, slowWriteMs: number, slowWritePauseMs: number }} limits
 * @returns {Pause}
 */
function createPause(monotonicMs, limits) {
  let untilMs = 0;
  return {
    remainingMs: () => untilMs - monotonicMs(),
    afterFailure: () => {
      untilMs = monotonicMs() + limits.checkIntervalMs;
    },
    afterWrite: (tookMs) => {
      if (tookMs > limits.slowWriteMs) untilMs = monotonicMs() + Math.min(tookMs * 100, limits.slowWritePauseMs);
    },
  };
}

// The files of one process's spool: `<pid>-<process start ms>-<sequence>.jsonl`, each no longer than a limit.


/**
 * @typedef {object} SpoolFiles
 * @property {(bytes: Uint8Array) => number} append writes at the end of the newest file, or of a new one where that would
 *   pass its limit; gives how many bytes were written, and never throws. After a failure the next bytes go to a new file
 * @property {() => void} leaveIfGone has the next bytes go to a new file if somebody has deleted this one
 * @property {() => void} close
 */

/**
 * @param {object} given
 * @param {string} given.directory made when it is needed, for its owner alone
 * @param {number} given.pid
 * @param {number} given.startMs
 * @param {number} given.fileBytes the limit
 * @returns {SpoolFiles}
 */
function createSpoolFiles({ directory, pid, startMs, fileBytes }) {
  /** @type {{ descriptor: number, file: string, bytes: number } | undefined} */
  let current;
  let sequence = 0;

  const open = () => {
    fs.mkdirSync(directory, { recursive: true, mode: 0o700 });
    for (;;) {
      const file = path.join(directory, `${pid}-${startMs}-${sequence}.jsonl`);
      sequence += 1;
      try {
        return { descriptor: fs.openSync(file, "ax", 0o600), file, bytes: 0 };
      } catch (error) {
        if (codeOf(error) !== "EEXIST") throw error;
      }
    }
  };

  const close = () => {
    if (current === undefined) return;
    const { descriptor } = current;
    current = undefined;
    fs.closeSync(descriptor);
  };

  return {
    append: (bytes) => {
      let done = 0;
      try {
        if (current !== undefined && current.bytes > 0 && current.bytes + bytes.length > fileBytes) close();
        current ??= open();
        while (done < bytes.length) done += fs.writeSync(current.descriptor, bytes, done);
        current.bytes += done;
      } catch {
        try {
          close(); // what was torn must stay the last of its file
        } catch {
          // the descriptor is gone either way
        }
      }
      return done;
    },
    leaveIfGone: () => {
      if (current !== undefined && !fs.existsSync(current.file)) close();
    },
    close,
  };
}

// How much room there is in the spool's directory, which all processes share.


/** @param {string} directory */
function bytesIn(directory) {
  let total = 0;
  try {
    for (const name of fs.readdirSync(directory).filter((entry) => entry.endsWith(".jsonl")))
      total += fs.statSync(path.join(directory, name), { throwIfNoEntry: false })?.size ?? 0;
  } catch {
    // no directory yet: nothing in it
  }
  return total;
}

/**
 * @typedef {object} SpoolRoom
 * @property {() => boolean} measure looks at the directory if that was too long or too many bytes ago; says whether
 * @property {(bytes: number) => boolean} hasRoomFor
 * @property {(bytes: number) => void} used counts what this process has written since
 */

/**
 * @param {object} given
 * @param {string} given.directory
 * @param {() => number} given.monotonicMs
 * @param {{ directoryBytes: number, directoryCheckBytes: number, checkIntervalMs: number }} given.limits
 * @returns {SpoolRoom}
 */
function createSpoolRoom({ directory, monotonicMs, limits }) {
  let measuredBytes = Number.POSITIVE_INFINITY;
  let measuredAtMs = Number.NEGATIVE_INFINITY;
  let sinceBytes = 0;
  return {
    measure: () => {
      const isFresh = monotonicMs() - measuredAtMs < limits.checkIntervalMs && sinceBytes <= limits.directoryCheckBytes;
      if (isFresh) return false;
      measuredBytes = bytesIn(directory);
      sinceBytes = 0;
      measuredAtMs = monotonicMs();
      return true;
    },
    hasRoomFor: (bytes) => measuredBytes + sinceBytes + bytes <= limits.directoryBytes,
    used: (bytes) => {
      sinceBytes += bytes;
    },
  };
}

// Puts lines on the disk as far as there is room and the disk works, and counts those that did not get there.


/**
 * @typedef {object} SpoolWriter
 * @property {() => number} pauseMs how long the disk is to be left alone from now on; zero or less for not at all
 * @property {(lines: readonly string[]) => boolean} hasRoomFor
 * @property {(lines: readonly string[]) => boolean} write says whether all lines got to the disk; never throws
 * @property {() => boolean} hasWritten whether a write ever succeeded
 * @property {() => void} close
 */

/**
 * @param {object} given
 * @param {string} given.directory
 * @param {number} given.pid
 * @param {number} given.startMs
 * @param {() => number} given.monotonicMs
 * @param {Limits} given.limits
 * @param {Losses} losses gets the lines that could not be written
 * @returns {SpoolWriter}
 */
function createSpoolWriter({ directory, pid, startMs, monotonicMs, limits }, losses) {
  const files = createSpoolFiles({ directory, pid, startMs, fileBytes: limits.fileBytes });
  const room = createSpoolRoom({ directory, monotonicMs, limits });
  const pause = createPause(monotonicMs, limits);
  let hasWritten = false;
  return {
    pauseMs: pause.remainingMs,
    hasRoomFor: (lines) => {
      // The bridge deletes what it has read, and a person may delete all: then lines must go to a file that exists.
      if (room.measure()) files.leaveIfGone();
      return room.hasRoomFor(lines.reduce((total, { length }) => total + length, 0));
    },
    write: (lines) => {
      const bytes = Buffer.from(lines.join(""));
      const startedAtMs = monotonicMs();
      const done = files.append(bytes);
      room.used(done);
      const isWhole = done === bytes.length;
      if (isWhole) {
        hasWritten = true;
      } else {
        const wholeLines = bytes.subarray(0, done).toString().split("\n").length - 1;
        losses.add("write_error", lines.length - wholeLines);
        pause.afterFailure();
      }
      pause.afterWrite(monotonicMs() - startedAtMs);
      return isWhole;
    },
    hasWritten: () => hasWritten,
    close: files.close,
  };
}

// One process's spool: records wait in memory until the turn of the event loop is over, then go to the disk together.


/**
 * None of it throws.
 *
 * @typedef {object} Spool
 * @property {(reason: LossReason, count: number) => void} drop counts records that were lost before they got here
 * @property {(records: readonly object[]) => void} append
 * @property {() => void} flush writes what waits now, even while the disk is left alone
 * @property {(entry: object) => void} close writes a last record, unless there would be no other
 */

/**
 * One process's spool: records in, files `<pid>-<process start ms>-<sequence>.jsonl` out.
 *
 * @param {object} given
 * @param {string} given.directory
 * @param {number} given.pid
 * @param {number} given.startMs
 * @param {() => boolean} given.refused whether nothing may be written now
 * @param {() => readonly object[]} given.claims gives the session.claimed records again
 * @param {() => number} given.nowMs
 * @param {() => number} given.monotonicMs
 * @param {Limits} [given.limits]
 * @returns {Spool}
 */
function createSpool({ directory, pid, startMs, refused, claims, nowMs, monotonicMs, limits = LIMITS }) {
  const losses = createLosses();
  const writer = createSpoolWriter({ directory, pid, startMs, monotonicMs, limits }, losses);
  /** @type {string[]} */
  let waiting = [];
  let scheduled = false;

  const takeWaiting = () => {
    const lines = waiting;
    waiting = [];
    return lines;
  };

  /**
   * Runs an action of which nothing may be thrown: where something is, what waits is lost.
   *
   * @param {() => void} action
   */
  const quietly = (action) => {
    try {
      action();
    } catch {
      losses.add("internal_error", takeWaiting().length);
    }
  };

  const writeWaiting = () => {
    scheduled = false;
    if (refused()) {
      waiting = [];
      losses.addUncounted();
      return;
    }
    const lines = takeWaiting();
    if (lines.length > 0) writeBatch(lines, { writer, losses, claims, nowMs });
  };

  const onTurn = () => {
    scheduled = false;
    const pauseMs = writer.pauseMs();
    if (pauseMs > 0) schedule(pauseMs);
    else writeWaiting();
  };

  /** @param {number} delayMs zero for the end of this turn of the event loop */
  const schedule = (delayMs) => {
    if (scheduled) return;
    scheduled = true;
    if (delayMs > 0) setTimeout(() => quietly(onTurn), delayMs).unref?.();
    else setImmediate(() => quietly(onTurn));
  };

  /** @param {readonly object[]} records */
  const append = (records) => {
    if (records.length === 0) return;
    const room = Math.max(0, limits.waitingLines - waiting.length);
    if (records.length > room) losses.add("memory_limit", records.length - room);
    for (const entry of records.slice(0, room)) waiting.push(lineOf(entry));
    schedule(0);
  };

  /** @param {object} entry */
  const close = (entry) => {
    if (writer.hasWritten() || waiting.length > 0) waiting.push(lineOf(entry));
    writeWaiting();
    writer.close();
  };

  return {
    drop: losses.add,
    append: (records) => quietly(() => append(records)),
    flush: () => quietly(writeWaiting),
    close: (entry) => quietly(() => close(entry)),
  };
}

// A recorder: hooks' contexts in, spool lines out, for one process.


/**
 * @typedef {object} Recorder
 * @property {(kind: string, context: unknown) => void} receive
 * @property {() => void} flush
 * @property {(reason: "disconnected" | "exit" | "terminated") => void} end after which nothing is written any more
 */

/**
 * @param {object} given
 * @param {string} given.directory of the spool
 * @param {string} given.offFile
 * @param {string} given.pseudonymsFile
 * @param {string} given.clineDirectory
 * @param {NodeJS.ProcessEnv} [given.environment]
 * @returns {Recorder}
 */
function createRecorder({ directory, offFile, pseudonymsFile, clineDirectory, environment = process.env }) {
  const nowMs = () => Date.now();
  const monotonicMs = () => performance.now();
  const pseudonyms = createPseudonyms();
  const renewPseudonyms = watchPseudonyms(pseudonymsFile, pseudonyms, monotonicMs);
  const mapping = createMapping(createState(), pseudonyms);
  const spool = createSpool({
    directory,
    pid: process.pid,
    startMs: Math.round(performance.timeOrigin),
    refused: createConsent({ offFile, clineDirectory, environment, monotonicMs }),
    claims: () => mapping.claims(nowMs()),
    nowMs,
    monotonicMs,
  });
  let errors = 0;
  let ended = false;
  return {
    receive: (kind, context) => {
      renewPseudonyms();
      spool.append(mapping.map(kind, context, nowMs()));
      if (mapping.state.errors > errors) spool.drop("internal_error", mapping.state.errors - errors);
      errors = mapping.state.errors;
    },
    flush: () => spool.flush(),
    end: (reason) => {
      if (ended) return;
      ended = true;
      spool.append(mapping.drain());
      spool.close(record("process.exited", nowMs(), { reason }));
    },
  };
}

// The plugin: what Cline's loader wants, and the recorder of this process behind it.


// The installer writes absolute paths here: the hub daemon runs with an environment of its own.
const SPOOL_DIRECTORY = "@CLINE_OTEL_SPOOL_DIRECTORY@";
const OFF_FILE = "@CLINE_OTEL_OFF_FILE@";
const PSEUDONYMS_FILE = "@CLINE_OTEL_PSEUDONYMS_FILE@";
const CLINE_DIRECTORY = "@CLINE_OTEL_CLINE_DIRECTORY@";

/**
 * The recorder of this process, made at the first hook: a host may load this module more than once.
 *
 * @returns {Recorder}
 */
function processRecorder() {
  const key = Symbol.for(`cline-otel/${SPOOL_VERSION}:${SPOOL_DIRECTORY}`);
  /** @type {Recorder | undefined} */
  const present = Reflect.get(globalThis, key);
  if (present !== undefined) return present;
  const recorder = createRecorder({
    directory: SPOOL_DIRECTORY,
    offFile: OFF_FILE,
    pseudonymsFile: PSEUDONYMS_FILE,
    clineDirectory: CLINE_DIRECTORY,
  });
  Reflect.set(globalThis, key, recorder);
  watchProcess(recorder);
  return recorder;
}

const installed = path.isAbsolute(SPOOL_DIRECTORY);

/**
 * @param {string} kind
 * @param {unknown} context
 */
function receive(kind, context) {
  try {
    if (installed) processRecorder().receive(kind, context);
  } catch {
    // whatever it is, it is not the agent's concern
  }
}

// Not asked for: beforeTool. The tool-started event reports the same, and each hook costs Cline a trip with all messages.
const plugin = {
  name: "cline-otel",
  manifest: { capabilities: ["hooks"] },
  /**
   * @param {unknown} _api
   * @param {unknown} context
   */
  setup(_api, context) {
    receive("setup", context);
  },
  hooks: {
    /** @param {unknown} context */
    beforeRun: (context) => receive("beforeRun", context),
    /** @param {unknown} context */
    afterRun: (context) => receive("afterRun", context),
    /** @param {unknown} context */
    beforeModel: (context) => receive("beforeModel", context),
    /** @param {unknown} context */
    afterModel: (context) => receive("afterModel", context),
    /** @param {unknown} context */
    afterTool: (context) => receive("afterTool", context),
    /** @param {{ type?: unknown } | null | undefined} event */
    onEvent: (event) => {
      try {
        receive(`onEvent:${event?.type}`, event);
      } catch {
        // a type that cannot be read
      }
    },
  },
};

export { LIMITS, PATTERNS, SPOOL_VERSION, createConsent, createMapping, createPseudonyms, createSpool, createState, plugin as default, plugin, watchPseudonyms };
