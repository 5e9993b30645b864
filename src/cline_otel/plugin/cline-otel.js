// cline-otel plugin for Cline. Put here by "cline-otel install"; "cline-otel uninstall" removes it.
//
// It turns Cline's plugin hooks into an append-only spool of JSON lines (docs/spool-format.md): ids, names, times,
// usage, status and sizes. Never content: no prompt, argument, output, path or error text gets into a record, because
// a record is built only from values that passed one of the gates below. Nor a name that somebody chose, for a tool or
// in place of an id: where records leave the mapping, a pseudonym takes its place.
//
// Two rooms: a pure mapping (hook and context in, records out), and a writer at the rim. Nothing here throws into
// Cline, and every hook answers at once: records reach the disk after the answer, in the same turn of the event loop.

import { createHmac } from "node:crypto";
import fs from "node:fs";
import path from "node:path";

// The installer writes absolute paths here: the hub daemon runs with an environment of its own.
const SPOOL_DIRECTORY = "@CLINE_OTEL_SPOOL_DIRECTORY@";
const OFF_FILE = "@CLINE_OTEL_OFF_FILE@";
const PSEUDONYMS_FILE = "@CLINE_OTEL_PSEUDONYMS_FILE@";
const CLINE_DIRECTORY = "@CLINE_OTEL_CLINE_DIRECTORY@";

export const SPOOL_VERSION = 1;
export const LIMITS = Object.freeze({
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

// ---- Gates: the only ways from a context into a record ----

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

const matching = (pattern) => (value) =>
  typeof value === "string" && pattern.test(value) && !KEY_SHAPE.test(value) ? value : undefined;
const plainToolName = matching(TOOL_NAME);
const modelName = matching(MODEL_NAME);
const clientName = matching(CLIENT_NAME);
const clientVersion = matching(CLIENT_VERSION);
const word = matching(WORD);
const wordOrOther = (value) => (value === undefined || value === null ? undefined : (word(value) ?? OTHER));
const modelOrOther = (value) => (typeof value === "string" ? (modelName(value) ?? OTHER) : undefined);
/** A name or id as it is, which must not get into a record but by way of `published`. */
const chosen = (value) =>
  typeof value === "string" && value !== "" && value.length <= LIMITS.nameCharacters ? value : undefined;
const oneOf = (...values) => (value) => (values.includes(value) ? value : undefined);
const runStatus = oneOf("completed", "failed", "aborted");
const amount = (value) => (typeof value === "number" && Number.isFinite(value) && value >= 0 ? value : undefined);
const integer = (value) => (Number.isSafeInteger(value) && value >= 0 ? value : undefined);

/** Milliseconds since the epoch from a Date (same process), its ISO text (through JSON) or a number. */
function instantMs(value) {
  if (typeof value === "number") return integer(Math.round(value));
  if (typeof value === "string") return integer(Date.parse(value));
  return value instanceof Date ? integer(value.getTime()) : undefined;
}

/** The size in bytes of a value as JSON (of a string: its own), or undefined when it has none. */
function sizeBytes(value) {
  if (value === undefined || value === null) return undefined;
  try {
    const text = typeof value === "string" ? value : JSON.stringify(value);
    return typeof text === "string" ? Buffer.byteLength(text) : undefined;
  } catch {
    return undefined; // cyclic, a bigint, a getter that throws
  }
}

function record(event, timeMs, fields) {
  const result = { v: SPOOL_VERSION, event, time_unix_ms: timeMs };
  for (const key in fields) if (fields[key] !== undefined) result[key] = fields[key];
  return result;
}

// ---- Pseudonyms: what stands for a name that somebody chose ----

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

/** The bridge has the same in its catalogue's patterns, privacy/pseudonyms.py and privacy/shapes.py. */
export const PATTERNS = { version: CLIENT_VERSION, model: MODEL_NAME, generatedId: WHOLE_ID, providerId: WHOLE_PROVIDER_ID, key: KEY_SHAPE };

const PSEUDONYM_DIGITS = 32;

/**
 * The pseudonyms of one installation: HMAC-SHA-256 of a name's kind and the name, under the installation's key.
 *
 * `learn(content)` takes what `pseudonyms.json` holds and throws if that is not what it should be; until it has learnt
 * once, nobody's names are known and none has a pseudonym. An id keeps its pseudonym for as long as this process
 * remembers it, so that a new key does not tear apart what is open; a tool takes that of the new key at once.
 */
export function createPseudonyms(content) {
  let key;
  let builtInTools = new Set();
  let plainNames = false;
  const ids = new Map();
  const tools = new Map();
  const pseudonym = (kind, name) =>
    createHmac("sha256", key).update(`${kind}\0${name}`).digest("hex").slice(0, PSEUDONYM_DIGITS);

  const pseudonyms = {
    learn: (given) => {
      const { version, key: digits, built_in_tools: names, plain_names: plain } = given;
      const isWhole = version === 1 && typeof digits === "string" && KEY.test(digits) && Array.isArray(names);
      if (!isWhole) throw new TypeError("not what pseudonyms.json holds");
      key = Buffer.from(digits, "hex");
      builtInTools = new Set(names);
      plainNames = plain === true;
      tools.clear();
    },
    /** An id that a machine made up as it is; of any other the pseudonym, or undefined while there is no key. */
    identifier: (id) => {
      if (WHOLE_ID.test(id)) return id;
      const known = ids.get(id) ?? (key && pseudonym("id", id));
      if (known !== undefined) keep(ids, id, known, LIMITS.idPseudonyms);
      return known;
    },
    /** The fields that tell of a tool. */
    tool: (name) => {
      if (builtInTools.has(name)) return { tool_name: name };
      if (plainNames) return { tool_name: plainToolName(name) ?? OTHER };
      if (key === undefined || name === "") return { tool_name: OTHER };
      const hash = tools.get(name) ?? pseudonym("tool", name);
      keep(tools, name, hash, LIMITS.toolPseudonyms);
      return { tool_name: OTHER, tool_name_hash: hash };
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

function providerId(id, pseudonyms) {
  if (!WHOLE_PROVIDER_ID.test(id)) return pseudonyms.identifier(id);
  return KEY_SHAPE.test(id) ? undefined : id;
}

/** A record as it may be written; undefined for one whose subject has no name that may be. */
function published(entry, pseudonyms) {
  const result = {};
  for (const field in entry) {
    const value = entry[field];
    if (field === "tool_name") Object.assign(result, pseudonyms.tool(value));
    else if (!ID_FIELDS.has(field)) result[field] = value;
    else {
      const id = PROVIDER_ID_FIELDS.has(field) ? providerId(value, pseudonyms) : pseudonyms.identifier(value);
      if (id !== undefined) result[field] = id;
      else if (field === "agent_id" || field === "run_id" || entry.event === "session.claimed") return undefined;
    }
  }
  return result;
}

// ---- What became of a tool call ----

const ERROR_HEAD_CHARACTERS = 600;
const EXIT_CODE = /^Command exited with code (-?\d{1,9})\b/;
const DENIALS = [
  /^Tool "?\S{1,200}"? (?:was (?:denied|not approved|blocked by)|requires approval|approval request|is disabled)/,
  /^Tool approval (?:request|callback)/,
  /^Tool execution is disabled for provider /,
  /^Desktop tool approval /,
  /^User rejected the tool call/,
  /^Permission request (?:was cancelled|failed)/,
  /^Denied by /,
  /^Hub shutting down before approval/,
  /^Command not executed: /, // plan mode
];
const UNKNOWN_TOOL = /^(?:Unknown tool: |Tool call \S{1,200} was rejected before execution: (?:AI_)?NoSuchTool)/;
const UNREADABLE_INPUT =
  /^Tool call \S{1,200} (?:emitted invalid|was rejected before execution: (?:AI_)?(?:Invalid|JSONParse|TypeVal))/;
const REFUSED_INPUT = /^\u2716 /; // the tool's own check of its input

const isObject = (value) => typeof value === "object" && value !== null;
const errorText = (value) => (typeof value === "string" ? value.slice(0, ERROR_HEAD_CHARACTERS) : "");

/** Whether Cline names this tool as it names those of MCP servers: `<server>__<tool>`. */
function isMcpName(name) {
  const at = typeof name === "string" ? name.indexOf("__") : -1;
  return at > 0 && at + 2 < name.length;
}

function failureOf({ output, isError }, parts) {
  if (isError === true) return true;
  if (Array.isArray(output)) return parts.some((part) => part.success === false);
  if (!isObject(output)) return false;
  if (output.isError === true || output.success === false) return true;
  if (output.success !== true && typeof output.error === "string" && output.error !== "") return true;
  // An agent tool answers even when its agent failed; then this is all that says so.
  return Number.isInteger(output.iterations) && ["error", "failed", "aborted"].includes(output.finishReason);
}

function errorTypeOf(text, { ran, mcp, exitCode, output }) {
  if (UNKNOWN_TOOL.test(text)) return "unknown_tool";
  if (UNREADABLE_INPUT.test(text) || (ran && REFUSED_INPUT.test(text))) return "invalid_input";
  if (DENIALS.some((pattern) => pattern.test(text))) return "denied";
  if (!ran) return "rejected";
  if (mcp) return "mcp_error";
  if (exitCode !== undefined) return "command_failed";
  if (/\btimed out after \d+ ?(?:ms|s)\b/.test(text)) return "timeout";
  if (/\bwas aborted\b|\bAbortError\b/.test(text) || output?.finishReason === "aborted") return "aborted";
  if (text.startsWith("Command failed: ")) return "command_failed";
  return "tool_error";
}

/** The outcome of a tool's result; `ran` says that Cline ran the tool's code or at least asked whether it may. */
function outcomeOf(name, result, ran) {
  const output = result.output;
  const parts = (Array.isArray(output) ? output : [output]).filter(isObject);
  const hasContent = isObject(output) && Array.isArray(output.content);
  const failed = failureOf(result, parts);
  const mcp = isMcpName(name) && (hasContent || (failed && ran));
  if (!failed) return { outcome: "success", is_mcp: mcp || undefined };
  const texts = parts.map((part) => errorText(part.error)).filter((text) => text !== "");
  const exits = texts.map((text) => EXIT_CODE.exec(text)).filter((match) => match !== null);
  const exitCode = exits.length > 0 ? Number(exits[0][1]) : undefined;
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

// ---- The mapping's memory ----

/** Join state of one process, all of it bounded: what one hook leaves for a later one, names as Cline has them. */
export function createState() {
  return {
    sessions: new Map(), // session id -> its session.claimed fields
    agents: new Map(), // agent id -> {kind, parentAgentId, sessionId, runId}
    runs: new Map(), // agent and run id -> run
    tasks: [], // texts given to agents that have not begun yet; they never leave this memory
    taskCharacters: 0,
    errors: 0,
  };
}

function keep(map, key, value, limit) {
  map.delete(key);
  map.set(key, value);
  while (map.size > limit) map.delete(map.keys().next().value);
}

const runKey = (agentId, runId) => `${agentId.length} ${agentId} ${runId}`;

function runOf(state, snapshot) {
  const agentId = chosen(snapshot?.agentId);
  const runId = chosen(snapshot?.runId);
  if (agentId === undefined || runId === undefined) return undefined;
  const key = runKey(agentId, runId);
  const run = state.runs.get(key) ?? {
    agentId,
    runId,
    started: false,
    finished: false,
    iteration: undefined, // of the newest tool call
    nextOrdinal: 0,
    calls: new Map(), // iteration and call id -> calls begun and not yet done with, in order
    held: new Map(), // iteration and call id -> tool_call.finished that came before its start
    model: undefined,
    ending: undefined,
  };
  keep(state.runs, key, run, LIMITS.runs);
  return run;
}

const sessionOf = (state, agentId) =>
  state.agents.get(agentId)?.sessionId ?? (state.sessions.size === 1 ? state.sessions.keys().next().value : undefined);

const callKey = (iteration, rawCallId) => `${iteration} ${typeof rawCallId === "string" ? rawCallId : ""}`;

function push(map, key, value) {
  const values = map.get(key);
  if (values) values.push(value);
  else keep(map, key, [value], LIMITS.openCalls);
}

/** Takes the first value under the key that the test accepts, or undefined. */
function take(map, key, accepts = () => true) {
  const values = map.get(key);
  const at = values ? values.findIndex(accepts) : -1;
  if (at < 0) return undefined;
  const [value] = values.splice(at, 1);
  if (values.length === 0) map.delete(key);
  return value;
}

// ---- Messages: read for the mode and for the join of an agent to the call that made it ----

function textsOf(message) {
  const content = message?.content;
  if (typeof content === "string") return [content];
  const texts = (Array.isArray(content) ? content : [])
    .filter((part) => part?.type === "text" && typeof part.text === "string")
    .map((part) => part.text);
  return texts.length > 1 ? [texts[0], texts.join("")] : texts;
}

/** The texts of the newest user message, and of the first one while no model has answered yet. */
function promptTexts(messages) {
  if (!Array.isArray(messages)) return [];
  const newest = textsOf(messages.findLast((message) => message?.role === "user"));
  const firstIndex = messages.findIndex((message) => message?.role === "user" || message?.role === "assistant");
  const first = messages[firstIndex]?.role === "user" ? textsOf(messages[firstIndex]) : [];
  const answered = first.length > 0 && messages.some((message) => message?.role === "assistant");
  return answered ? newest : [...newest, ...first];
}

const MODE = /^\s*<user_input mode="(act|plan|yolo)"/;
const WRAPPED = /^\s*<user_input [^>]{0,80}>([\s\S]*)<\/user_input>\s*$/;

const modeOf = (texts) => texts.map((text) => MODE.exec(text)?.[1]).find((mode) => mode !== undefined);

/** The text by which a tool call starts an agent, or undefined for any other tool. */
function taskOf(name, input) {
  if (name === "spawn_agent" || name === "team_run_task") return input?.task;
  return typeof name === "string" && name.startsWith("subagent_") ? input?.prompt : undefined;
}

function rememberTask(state, run, call, name, input) {
  const text = taskOf(name, input);
  if (typeof text !== "string" || text.trim() === "" || text.length > LIMITS.taskCharacters) return;
  state.tasks.push({
    text: text.trim(),
    team: name === "team_run_task",
    agentId: run.agentId,
    runId: run.runId,
    call,
  });
  state.taskCharacters += text.length;
  while (state.tasks.length > LIMITS.tasks || state.taskCharacters > LIMITS.taskCharacters)
    forgetTask(state, state.tasks[0]);
}

function forgetTask(state, task) {
  const at = state.tasks.indexOf(task);
  if (at < 0) return;
  state.tasks.splice(at, 1);
  state.taskCharacters = state.tasks.reduce((total, { text }) => total + text.length, 0);
}

/** The oldest waiting call with one of these texts, word for word, as its task: the parent's, else a team's. */
function claimTask(state, texts, agentId, parentAgentId) {
  if (state.tasks.length === 0) return undefined;
  const wanted = new Set(texts.flatMap((text) => [text.trim(), WRAPPED.exec(text)?.[1].trim()]));
  const task = state.tasks.find(
    (candidate) =>
      wanted.has(candidate.text) &&
      (parentAgentId === undefined
        ? candidate.team && candidate.agentId !== agentId
        : candidate.agentId === parentAgentId),
  );
  if (task) forgetTask(state, task);
  return task;
}

// ---- Hooks to records ----

function onSetup(state, context, nowMs) {
  const sessionId = chosen(context?.session?.sessionId);
  if (sessionId === undefined) return []; // a load without a session, to list the plugin's commands
  const fields = {
    session_id: sessionId,
    client_name: clientName(context.client?.name),
    client_version: clientVersion(context.client?.version),
  };
  keep(state.sessions, sessionId, fields, LIMITS.sessions);
  return [record("session.claimed", nowMs, fields)];
}

function onRunStarted(state, context, nowMs) {
  const snapshot = context?.snapshot;
  const run = runOf(state, snapshot);
  if (!run || run.started) return [];
  run.started = true;
  const known = state.agents.get(run.agentId);
  const earlier = known && state.runs.get(runKey(run.agentId, known.runId));
  const texts = promptTexts(snapshot.messages);
  const declaredParent = chosen(snapshot.parentAgentId);
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

function onBeforeModel(state, context, nowMs) {
  const run = runOf(state, context?.snapshot);
  if (!run) return [];
  const iteration = integer(context.snapshot.iteration) ?? 0;
  const repeated = run.model !== undefined && run.model.iteration === iteration;
  run.model = {
    iteration,
    attempt: repeated ? run.model.attempt + 1 : 1,
    startedAtMs: nowMs,
    firstChunkAtMs: undefined,
    reasoningTokens: amount(context.snapshot.usage?.reasoningTokenCount) ?? 0,
  };
  const sessionId = chosen(context.request?.options?.metadata?.sessionId) ?? sessionOf(state, run.agentId);
  const known = state.agents.get(run.agentId);
  const parentAgentId = known?.parentAgentId ?? chosen(context.snapshot.parentAgentId);
  keep(state.agents, run.agentId, { kind: known?.kind, parentAgentId, sessionId, runId: run.runId }, LIMITS.agents);
  return [
    record("model_call.started", nowMs, {
      session_id: sessionId,
      agent_id: run.agentId,
      run_id: run.runId,
      iteration,
      attempt: run.model.attempt > 1 ? run.model.attempt : undefined,
      message_count: integer(context.request?.messages?.length),
      tool_count: integer(context.request?.tools?.length),
    }),
  ];
}

function onChunk(state, context, nowMs) {
  const model = runOf(state, context?.snapshot)?.model;
  if (model && model.firstChunkAtMs === undefined) model.firstChunkAtMs = nowMs;
  return [];
}

function onAfterModel(state, context, nowMs) {
  const snapshot = context?.snapshot;
  const run = runOf(state, snapshot);
  if (!run) return [];
  const iteration = integer(snapshot.iteration) ?? 0;
  const model = run.model?.iteration === iteration ? run.model : undefined;
  const message = context.assistantMessage;
  const usage = message?.metrics;
  const reasoningInRun = amount(snapshot.usage?.reasoningTokenCount);
  const reasoning = integer(usage?.reasoningTokenCount) ?? (model && integer(reasoningInRun - model.reasoningTokens));
  return [
    record("model_call.finished", nowMs, {
      agent_id: run.agentId,
      run_id: run.runId,
      iteration,
      attempt: model && model.attempt > 1 ? model.attempt : undefined,
      started_at_ms: model?.startedAtMs,
      first_chunk_at_ms: model?.firstChunkAtMs,
      finish_reason: wordOrOther(context.finishReason),
      response_id: chosen(context.requestId),
      provider: modelOrOther(message?.modelInfo?.provider),
      model: modelOrOther(message?.modelInfo?.id),
      input_tokens: integer(usage?.inputTokens),
      output_tokens: integer(usage?.outputTokens),
      cache_read_tokens: integer(usage?.cacheReadTokens),
      cache_write_tokens: integer(usage?.cacheWriteTokens),
      reasoning_tokens: reasoning || undefined, // zero is also what Cline says when it does not know
      cost_usd: amount(usage?.cost),
      error_type: context.finishReason === "error" ? (word(snapshot.lastErrorClass) ?? OTHER) : undefined,
    }),
  ];
}

/** Where a call stands in the newest answer: its ordinal when this process did not see the iteration from its start. */
function positionIn(snapshot, rawCallId) {
  const messages = Array.isArray(snapshot?.messages) ? snapshot.messages : [];
  const answer = messages.findLast((message) => message?.role === "assistant");
  const parts = Array.isArray(answer?.content) ? answer.content.filter((part) => part?.type === "tool-call") : [];
  return integer(parts.findIndex((part) => part.toolCallId === rawCallId));
}

function onToolStarted(state, context, nowMs) {
  const toolCall = context?.toolCall;
  const run = runOf(state, context?.snapshot);
  if (!run || !isObject(toolCall)) return [];
  const iteration = integer(context.iteration) ?? integer(context.snapshot.iteration) ?? 0;
  const key = callKey(iteration, toolCall.toolCallId);
  // A tool that the provider itself runs may be announced more than once.
  if (toolCall.execution !== undefined && run.calls.get(key)?.some((call) => !call.finished)) return [];
  if (run.iteration !== iteration) {
    run.iteration = iteration;
    const seenFromStart = run.started || run.model?.iteration === iteration;
    run.nextOrdinal = seenFromStart ? 0 : (positionIn(context.snapshot, toolCall.toolCallId) ?? 0);
  }
  const call = {
    iteration,
    ordinal: run.nextOrdinal++,
    callId: chosen(toolCall.toolCallId),
    startedAtMs: nowMs,
    finished: false,
  };
  const early = take(run.held, key);
  call.finished = early !== undefined;
  push(run.calls, key, call);
  rememberTask(state, run, call, toolCall.toolName, toolCall.input);
  const started = record("tool_call.started", early ? Math.min(nowMs, early.started_at_ms ?? nowMs) : nowMs, {
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

function toolFinished(run, iteration, call, toolCall, times, result, ran) {
  return record("tool_call.finished", times.endedAtMs, {
    agent_id: run.agentId,
    run_id: run.runId,
    iteration,
    ordinal: call?.ordinal,
    call_id: chosen(toolCall?.toolCallId),
    tool_name: chosen(toolCall?.toolName) ?? "",
    started_at_ms: times.startedAtMs,
    ended_at_ms: times.endedAtMs,
    duration_ms: times.durationMs,
    ...outcomeOf(toolCall?.toolName, result, ran),
    output_bytes: sizeBytes(result.output),
  });
}

function onAfterTool(state, context, nowMs) {
  const run = runOf(state, context?.snapshot);
  if (!run) return [];
  const toolCall = context.toolCall;
  const iteration = integer(context.snapshot.iteration) ?? 0;
  const key = callKey(iteration, toolCall?.toolCallId);
  const call = run.calls.get(key)?.find((candidate) => !candidate.finished);
  const endedAtMs = instantMs(context.endedAt) ?? nowMs;
  const startedAtMs = instantMs(context.startedAt) ?? call?.startedAtMs;
  const durationMs = integer(context.durationMs) ?? integer(endedAtMs - startedAtMs);
  const result = isObject(context.result) ? context.result : {};
  const finished = toolFinished(run, iteration, call, toolCall, { startedAtMs, endedAtMs, durationMs }, result, true);
  if (call) {
    call.finished = true;
    return [finished];
  }
  if (run.finished) return [finished];
  push(run.held, key, finished);
  return [];
}

function onToolFinished(state, context, nowMs) {
  const run = runOf(state, context?.snapshot);
  if (!run) return [];
  const toolCall = context.toolCall;
  const iteration = integer(context.iteration) ?? integer(context.snapshot.iteration) ?? 0;
  const key = callKey(iteration, toolCall?.toolCallId);
  const held = take(run.held, key);
  // Of two calls with one id the finished one is meant: Cline tells of afterTool first.
  const call = take(run.calls, key, (candidate) => candidate.finished) ?? take(run.calls, key);
  const task = call && state.tasks.find((candidate) => candidate.call === call && !candidate.team);
  if (task) forgetTask(state, task);
  if (held) {
    const ordinal = positionIn(context.snapshot, toolCall?.toolCallId);
    return [record(held.event, held.time_unix_ms, { ...held, ordinal })];
  }
  if (!call || call.finished) return [];
  const message = context.message;
  const parts = Array.isArray(message?.content) ? message.content.filter(isObject) : [];
  const result = parts.find((part) => part.toolCallId === toolCall?.toolCallId) ?? parts[0] ?? {};
  const endedAtMs = Math.max(call.startedAtMs, instantMs(message?.createdAt) ?? nowMs);
  const times = { startedAtMs: call.startedAtMs, endedAtMs, durationMs: endedAtMs - call.startedAtMs };
  return [toolFinished(run, iteration, call, toolCall, times, result, toolCall?.execution !== undefined)];
}

/** The notice of a context that stays too large has a kind of its own and no phase. */
function compactionEvent(kind, phase) {
  if (/emergency/.test(kind)) return "compaction.emergency";
  return phase === "completed" ? "compaction.finished" : phase === "started" ? "compaction.started" : "compaction.skipped";
}

function onStatusNotice(state, context, nowMs) {
  const metadata = context?.metadata;
  const kind = word(metadata?.kind);
  if (kind === undefined || !/compact|overflow/.test(kind)) return [];
  const run = runOf(state, context.snapshot);
  if (!run) return [];
  return [
    record(compactionEvent(kind, word(metadata.phase)), nowMs, {
      agent_id: run.agentId,
      run_id: run.runId,
      iteration: integer(metadata.iteration) ?? integer(context.snapshot.iteration),
      phase: word(metadata.phase),
      kind,
      reason: word(metadata.reason),
      tokens_before: integer(metadata.tokensBefore),
      tokens_after: integer(metadata.tokensAfter),
      messages_before: integer(metadata.messagesBefore),
      messages_after: integer(metadata.messagesAfter),
    }),
  ];
}

/** Why a run did not complete: Cline's class of a provider error, or the one stop of its own that it names. */
function runErrorType(status, context, snapshot) {
  if (status === "failed") return word(context.errorClass) ?? word(snapshot.lastErrorClass) ?? OTHER;
  const limited = status === "aborted" && errorText(snapshot.lastError).startsWith("mistake_limit_reached");
  return limited ? "mistake_limit_reached" : undefined;
}

function noteEnding(state, context, nowMs, status) {
  const snapshot = context?.snapshot;
  const run = runOf(state, snapshot);
  if (!run || run.finished) return undefined;
  const result = isObject(context.result) ? context.result : {};
  const usage = result.usage ?? snapshot.usage;
  const ended = status ?? runStatus(result.status) ?? runStatus(snapshot.status);
  run.ending = record("run.finished", nowMs, {
    session_id: sessionOf(state, run.agentId),
    agent_id: run.agentId,
    run_id: run.runId,
    iteration: integer(result.iterations) ?? integer(snapshot.iteration),
    status: ended,
    input_tokens: integer(usage?.inputTokens),
    output_tokens: integer(usage?.outputTokens),
    cache_read_tokens: integer(usage?.cacheReadTokens),
    cache_write_tokens: integer(usage?.cacheWriteTokens),
    cost_usd: amount(usage?.totalCost) || undefined, // zero means unknown
    error_type: runErrorType(ended, context, snapshot) ?? run.ending?.error_type,
  });
  return run;
}

/** What a run still holds: tool calls whose start was never seen, and its end. */
function finish(state, run) {
  const held = [...run.held.values()].flat();
  run.held.clear();
  if (run.ending === undefined || run.finished) return held;
  run.finished = true;
  for (const task of state.tasks.filter(({ team, runId }) => !team && runId === run.runId)) forgetTask(state, task);
  return [...held, run.ending];
}

function onAfterRun(state, context, nowMs) {
  noteEnding(state, context, nowMs); // onEvent follows at once, with what failed
  return [];
}

function onRunEnded(status) {
  return (state, context, nowMs) => {
    const run = noteEnding(state, context, nowMs, status);
    return run ? finish(state, run) : [];
  };
}

const MAPPERS = new Map([
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
  ["onEvent:run-finished", onRunEnded(undefined)],
  ["onEvent:run-failed", onRunEnded("failed")],
]);

/**
 * The pure mapping: no clock, no file, no random; all it remembers is in `state` and in `pseudonyms`.
 *
 * `map(kind, context, nowMs)` gives the records of one hook call (`kind` is the hook's name, for events
 * `onEvent:<type>`), `claims(nowMs)` the session.claimed records again, `drain()` what is held back at the end of the
 * process. Whatever the context is, none of them throws.
 */
export function createMapping(state = createState(), pseudonyms = createPseudonyms()) {
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
      return mapper ? guarded(() => mapper(state, context, nowMs)) : [];
    },
    claims: (nowMs) =>
      guarded(() => [...state.sessions.values()].map((fields) => record("session.claimed", nowMs, fields))),
    drain: () => guarded(() => [...state.runs.values()].flatMap((run) => finish(state, run))),
  };
}

// ---- The rim: files of others, opt-out, the spool, the process ----

const BATCH_LINES = 1024;

const isDictionary = (value) => isObject(value) && !Array.isArray(value);
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function statOf(file) {
  try {
    return fs.statSync(file, { throwIfNoEntry: false });
  } catch (error) {
    if (error.code === "ENOTDIR") return undefined;
    throw error;
  }
}

function readDictionary(file, found) {
  if (!found.isFile() || found.size > LIMITS.settingsBytes) throw new TypeError("not a file of settings");
  const value = JSON.parse(utf8.decode(fs.readFileSync(file)));
  if (!isDictionary(value)) throw new TypeError("no settings");
  return value;
}

/**
 * What `read` makes of the JSON object in a file, `{}` while there is none; looked up at each call, which costs a stat
 * where nothing changed. While the file is half written or `read` throws, it is what it was; undefined if it never was.
 */
function watchedJson(file, read) {
  let status = null; // of what was read
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

/** A setting of that type, or undefined where it is not there; throws where it is of another. */
function typed(settings, key, isOfType) {
  const value = settings[key] ?? undefined;
  if (value !== undefined && !isOfType(value)) throw new TypeError(`${key}: of a type that it cannot have`);
  return value;
}
const isBoolean = (value) => typeof value === "boolean";
const isText = (value) => typeof value === "string";

/** An organization's remote config within what Cline keeps of it or its service answers. */
function remoteConfigIn(document) {
  const envelope = typed(document, "data", isDictionary) ?? document;
  const bundled = typed(envelope, "remoteConfig", isDictionary);
  if (bundled) return bundled;
  const text = typed(envelope, "value", isText);
  if (text === undefined) return envelope;
  if (typed(envelope, "enabled", isBoolean) === false) return {};
  return typed({ value: JSON.parse(text) ?? [] }, "value", isDictionary);
}

// Each gives true for off, and throws on what cannot be understood.
const optedOut = (settings) => typed(settings, "telemetryOptOut", isBoolean) === true;
const settingDisabled = (settings) =>
  [false, "disabled"].includes(typed(settings, "telemetrySetting", (value) => isBoolean(value) || isText(value)));
const organizationOff = (document) => typed(remoteConfigIn(document), "telemetryEnabled", isBoolean) === false;

const isSet = (value) => typeof value === "string" && !["", "0", "false"].includes(value.trim().toLowerCase());

/** Whether anything has that name, be it a dangling link. */
function isThere(file) {
  try {
    return fs.lstatSync(file, { throwIfNoEntry: false }) !== undefined;
  } catch {
    return false;
  }
}

function cachedConfigs(dataDirectory) {
  const cache = path.join(dataDirectory, "cache");
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
 * Whether anybody who may has said no, looked up at most once a second. They are those whom the bridge asks
 * (docs/control.md), and one whose file could never be read counts as a no here.
 */
export function createConsent({ offFile, clineDirectory, environment, monotonicMs }) {
  const named = (variable) => environment[variable]?.trim() || [];
  const dataDirectories = [named("CLINE_DATA_DIR"), path.join(clineDirectory, "data")].flat();
  const inData = (place) => dataDirectories.map((directory) => path.join(directory, place));
  const settings = [named("CLINE_GLOBAL_SETTINGS_PATH"), inData("settings/global-settings.json")].flat();
  const saysNo = isSet(environment.DO_NOT_TRACK) || isSet(environment.OTEL_SDK_DISABLED);
  const deciders = [
    ...settings.map((file) => watchedJson(file, optedOut)),
    ...inData("globalState.json").map((file) => watchedJson(file, settingDisabled)),
  ];
  const ownConfig = environment.CLINE_OTEL_BRIDGE_REMOTE_CONFIG?.replace(/^~(?=\/|$)/, environment.HOME ?? "~");
  let configs = new Map();
  const organizations = () => {
    const files = ownConfig ? [ownConfig] : dataDirectories.flatMap(cachedConfigs);
    configs = new Map(files.map((file) => [file, configs.get(file) ?? watchedJson(file, organizationOff)]));
    return [...configs.values()];
  };
  let refused = false;
  let askedAtMs = Number.NEGATIVE_INFINITY;
  return () => {
    const nowMs = monotonicMs();
    if (nowMs - askedAtMs < LIMITS.checkIntervalMs) return refused;
    askedAtMs = nowMs;
    const answers = [...deciders, ...organizations()].map((ask) => ask());
    refused = saysNo || isThere(offFile) || answers.some((answer) => answer !== false);
    return refused;
  };
}

/** Keeps pseudonyms as their file says, which is looked at once a second at most; one that is gone changes nothing. */
export function watchPseudonyms(file, pseudonyms, monotonicMs) {
  const look = watchedJson(file, pseudonyms.learn);
  let lookedAtMs = Number.NEGATIVE_INFINITY;
  return () => {
    const nowMs = monotonicMs();
    if (nowMs - lookedAtMs < LIMITS.checkIntervalMs) return;
    lookedAtMs = nowMs;
    look();
  };
}

/** One process's spool: lines in, files `<pid>-<process start ms>-<sequence>.jsonl` out. It never throws. */
export function createSpool({ directory, pid, startMs, refused, claims, nowMs, monotonicMs, limits = LIMITS }) {
  let waiting = [];
  let scheduled = false;
  let fd;
  let file;
  let fileBytes = 0;
  let sequence = 0;
  let wrote = false;
  let claimsLost = false;
  let directoryBytes = Number.POSITIVE_INFINITY;
  let sinceMeasured = 0;
  let measuredAtMs = Number.NEGATIVE_INFINITY;
  let pausedUntilMs = 0;
  const dropped = new Map();

  const drop = (reason, count) => {
    dropped.set(reason, (dropped.get(reason) ?? 0) + count);
    claimsLost = true;
  };
  const line = (entry) => `${JSON.stringify(entry)}\n`;

  const close = () => {
    if (fd === undefined) return;
    const open = fd;
    fd = undefined;
    fs.closeSync(open);
  };

  const measure = () => {
    let total = 0;
    try {
      for (const name of fs.readdirSync(directory).filter((entry) => entry.endsWith(".jsonl")))
        total += fs.statSync(path.join(directory, name), { throwIfNoEntry: false })?.size ?? 0;
    } catch {
      // no directory yet: nothing in it
    }
    directoryBytes = total;
    sinceMeasured = 0;
    measuredAtMs = monotonicMs();
  };

  const hasRoom = (bytes) => {
    const stale = monotonicMs() - measuredAtMs >= limits.checkIntervalMs || sinceMeasured > limits.directoryCheckBytes;
    if (stale) {
      measure();
      // The bridge deletes what it has read, and a person may delete all: then lines must go to a file that exists.
      if (fd !== undefined && !fs.existsSync(file)) close();
    }
    return directoryBytes + sinceMeasured + bytes <= limits.directoryBytes;
  };

  const open = () => {
    fs.mkdirSync(directory, { recursive: true, mode: 0o700 });
    for (;;) {
      file = path.join(directory, `${pid}-${startMs}-${sequence}.jsonl`);
      sequence += 1;
      try {
        fd = fs.openSync(file, "ax", 0o600);
        fileBytes = 0;
        return;
      } catch (error) {
        if (error.code !== "EEXIST") throw error;
      }
    }
  };

  const write = (lines) => {
    const bytes = Buffer.from(lines.join(""));
    const startedAtMs = monotonicMs();
    let done = 0;
    try {
      if (fd !== undefined && fileBytes > 0 && fileBytes + bytes.length > limits.fileBytes) close();
      if (fd === undefined) open();
      while (done < bytes.length) done += fs.writeSync(fd, bytes, done);
      wrote = true;
    } catch {
      // A torn line must stay the last of its file; whole lines before it have been written.
      const whole = bytes.subarray(0, done).toString().split("\n").length - 1;
      drop("write_error", lines.length - whole);
      try {
        close();
      } catch {
        // the descriptor is gone either way
      }
      pausedUntilMs = monotonicMs() + limits.checkIntervalMs;
    }
    fileBytes += done;
    sinceMeasured += done;
    const tookMs = monotonicMs() - startedAtMs;
    if (tookMs > limits.slowWriteMs) pausedUntilMs = monotonicMs() + Math.min(tookMs * 100, limits.slowWritePauseMs);
    return done === bytes.length;
  };

  const flush = (last = false) => {
    scheduled = false;
    const pauseMs = pausedUntilMs - monotonicMs();
    if (pauseMs > 0 && !last) {
      schedule(pauseMs);
      return;
    }
    if (refused()) {
      waiting = [];
      claimsLost = true;
      return;
    }
    if (waiting.length === 0) return;
    const lines = waiting;
    waiting = [];
    if (!hasRoom(lines.reduce((total, { length }) => total + length, 0))) {
      drop("directory_limit", lines.length);
      return;
    }
    const counted = [...dropped];
    const losses = counted.map(([reason, count]) => record("records.dropped", nowMs(), { count, reason }));
    // Whoever reads the spool learns of a session by its claim, which may have been among the lines not written.
    const claimed = claimsLost ? claims() : [];
    dropped.clear();
    claimsLost = false;
    if (losses.length > 0 && !write(losses.map(line))) {
      dropped.clear();
      for (const [reason, count] of counted) drop(reason, count);
    }
    const batch = [...claimed.map(line), ...lines];
    // After a long pause a batch may be larger than a file should get.
    for (let at = 0; at < batch.length; at += BATCH_LINES) write(batch.slice(at, at + BATCH_LINES));
  };

  const schedule = (delayMs) => {
    if (scheduled) return;
    scheduled = true;
    if (delayMs > 0) setTimeout(flushQuietly, delayMs).unref?.();
    else setImmediate(flushQuietly);
  };

  const quietly = (action) => (...given) => {
    try {
      action(...given);
    } catch {
      drop("internal_error", waiting.length);
      waiting = [];
    }
  };
  const flushQuietly = quietly(() => flush());

  return {
    drop,
    append: quietly((records) => {
      if (records.length === 0) return;
      const room = Math.max(0, limits.waitingLines - waiting.length);
      if (records.length > room) drop("memory_limit", records.length - room);
      for (const entry of records.slice(0, room)) waiting.push(line(entry));
      schedule(0);
    }),
    flush: quietly(() => flush(true)),
    close: quietly((entry) => {
      if (wrote || waiting.length > 0) waiting.push(line(entry));
      flush(true);
      close();
    }),
  };
}

/** A recorder for one process: hooks' contexts in, spool lines out. */
export function createRecorder({ directory, offFile, pseudonymsFile, clineDirectory, environment = process.env }) {
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

/**
 * Sees to it that the recorder is the last to go.
 *
 * Cline ends its plugin process by SIGTERM and, 300 ms later, SIGKILL; a process whose Cline has died exits by itself.
 * Ctrl-C and a closed terminal reach the whole process group, this process too, before Cline has told how the run
 * ended: those it leaves to Cline. In a host that loads plugins into its own process, signals are not ours.
 */
function watchProcess(recorder) {
  process.once("exit", () => recorder.end(process.connected === false ? "disconnected" : "exit"));
  if (globalThis.__clinePluginHost === undefined || typeof process.send !== "function") return;
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

/** The recorder of this process, made at the first hook: a host may load this module more than once. */
function processRecorder() {
  const key = Symbol.for(`cline-otel/${SPOOL_VERSION}:${SPOOL_DIRECTORY}`);
  if (globalThis[key] === undefined) {
    globalThis[key] = createRecorder({
      directory: SPOOL_DIRECTORY,
      offFile: OFF_FILE,
      pseudonymsFile: PSEUDONYMS_FILE,
      clineDirectory: CLINE_DIRECTORY,
    });
    watchProcess(globalThis[key]);
  }
  return globalThis[key];
}

const installed = path.isAbsolute(SPOOL_DIRECTORY);

function receive(kind, context) {
  try {
    if (installed) processRecorder().receive(kind, context);
  } catch {
    // whatever it is, it is not the agent's concern
  }
}

// Not asked for: beforeTool. The tool-started event tells the same, and each hook costs Cline a trip with all messages.
const plugin = {
  name: "cline-otel",
  manifest: { capabilities: ["hooks"] },
  setup(_api, context) {
    receive("setup", context);
  },
  hooks: {
    beforeRun: (context) => receive("beforeRun", context),
    afterRun: (context) => receive("afterRun", context),
    beforeModel: (context) => receive("beforeModel", context),
    afterModel: (context) => receive("afterModel", context),
    afterTool: (context) => receive("afterTool", context),
    onEvent: (event) => {
      try {
        receive(`onEvent:${event?.type}`, event);
      } catch {
        // a type that cannot be read
      }
    },
  },
};

export { plugin };
export default plugin;
