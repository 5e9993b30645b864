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
  // How long nothing is told at most while an agent works.
  heartbeatMs: 5000,
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
  // Of an argument or a result, to know its size.
  sizedValues: 100_000,
  // Of the spool's files, to know the size of all.
  sizedFiles: 1000,
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

// Words that may leave as they are, made from the bridge's catalogue by `make plugin`; all others may not.

// Cline's names of those who serve models.
const PROVIDERS = new Set(
  (
    "302ai abacus abliteration-ai above agentrouter agnes ai-router ai21 aiand aihubmix ainetcafe aixy aki-io " +
    "alibaba alibaba-cn alibaba-coding-plan alibaba-coding-plan-cn alibaba-token-plan alibaba-token-plan-cn ambient " +
    "amd anthropic anyapi arcee asksage atomic-chat auriko azure azure-openai bailing baseten bedrock berget " +
    "blueclaw bothub cerebras chutes clarifai claude-code claudinio cline cline-pass cloudferro-sherlock " +
    "cloudflare-workers-ai coralbricks cortecs crof crossmodel crusoe daoxe databricks deepseek dify digitalocean " +
    "dinference doubao drun ebcloud echo edenai elevenlabs empiriolabs evroc fastrouter fireworks freemodel " +
    "friendli frogbot gemini gemini-cli github-copilot gmicloud greenpt groq helicone hetzner hicap hpc-ai " +
    "huawei-cloud-maas huggingface hyper iflowcn impossibl inception inceptron inco infer inference inferx " +
    "infomaniak io-net iteracompute jalapeno jiekou kenari kilo kimi-code-plan-cn kimi-code-plan-global " +
    "klokintegration kosmik kuae-cloud-coding-plan lilac litellm llama llmgateway llmgateway-providers llmtech " +
    "llmtr lmstudio longcat lucidquery lynkr meganova melious meta minimax minimax-cn minimax-cn-coding-plan " +
    "minimax-coding-plan mistral mixlayer moark modal model-oracle-ai modelis modelscope moonshot moonshotai-cn " +
    "morph nan nano-gpt nearai nebius neon neosmith neuralwatt nousResearch nova novita-ai nvidia oca oci ofox " +
    "ollama openai openai-codex openai-codex-cli openai-compatible openai-native opencode opencode-go openreason " +
    "openrouter opper orcarouter ovhcloud pendra perplexity perplexity-agent pioneer poe poolside privatemode-ai " +
    "qihang-ai qiniu-ai qwen qwen-code regolo-ai requesty routing-run runinfra sakana sambanova sapaicore sarvam " +
    "scaleway scnet-token-plan scx-ai sensenova siliconflow siliconflow-cn snowflake-cortex stackit stepfun " +
    "stepfun-ai stepfun-ai-step-plan stepfun-step-plan subconscious submodel synthetic tempr tencent-coding-plan " +
    "tencent-token-plan tencent-tokenhub tensorx the-grid-ai thinkingmachines tinfoil together tokengo tokenrouter " +
    "trustedrouter umans-ai umans-ai-coding-plan unorouter upstage v0 vancine vercel-ai-gateway vertex vispark " +
    "vivgrid volcengine volcengine-coding-plan vscode-lm vultr wafer.ai wallaby wandb xai xiaomi " +
    "xiaomi-token-plan-ams xiaomi-token-plan-cn xiaomi-token-plan-sgp xpersona zai zai-coding-plan zeldoc zenifra " +
    "zenmux zhipuai zhipuai-coding-plan "
  )
    .trim()
    .split(" "),
);

// Why a model stopped.
const FINISH_REASONS = new Set(
  "aborted content-filter content_filter error length max-tokens other stop tool-calls tool_call unknown "
    .trim()
    .split(" "),
);

// Classes of errors.
const ERROR_CLASSES = new Set(
  (
    "AI_APICallError AI_DownloadError AI_EmptyResponseBodyError AI_InvalidArgumentError AI_InvalidDataContentError " +
    "AI_InvalidMessageRoleError AI_InvalidPromptError AI_InvalidResponseDataError AI_InvalidStreamPartError " +
    "AI_InvalidToolApprovalError AI_InvalidToolApprovalSignatureError AI_InvalidToolInputError AI_JSONParseError " +
    "AI_LoadAPIKeyError AI_LoadSettingError AI_MessageConversionError AI_MissingToolResultsError " +
    "AI_NoContentGeneratedError AI_NoImageGeneratedError AI_NoObjectGeneratedError AI_NoOutputGeneratedError " +
    "AI_NoSpeechGeneratedError AI_NoSuchModelError AI_NoSuchProviderError AI_NoSuchProviderReferenceError " +
    "AI_NoSuchToolError AI_NoTranscriptGeneratedError AI_NoTranslationGeneratedError AI_NoVideoGeneratedError " +
    "AI_RetryError AI_SerializationError AI_TooManyEmbeddingValuesForCallError AI_ToolCallNotFoundForApprovalError " +
    "AI_ToolCallRepairError AI_TypeValidationError AI_UIMessageStreamError AI_UnsupportedFunctionalityError " +
    "AI_UnsupportedModelVersionError AbortError AgendaTaskRevisionConflictError AgentRuntimeAbortError " +
    "ClineFreeModelLimitError ClineNotSubscribedError ClineOAuthTokenError " +
    "ClineOrgIndividualInferenceSubscriptionError ClinePassLimitError CloudQueueUnconfirmedError CloudSessionError " +
    "CommandExitError ContextWindowOverflowError ControlledStopError DiffError Error HubCommandError " +
    "HubLockHeldError HubRunAdmissionRejectedError HubTransportError McpOAuthClientChangedError " +
    "McpSettingsLockTimeoutError McpSettingsMutatorPurityError McpSettingsUpdateSkippedError " +
    "OAuthReauthRequiredError OcaOAuthTokenError OpenAICodexOAuthTokenError RangeError SessionNotFoundError " +
    "SessionRunInProgressError SessionVersioningError SyntaxError TimeoutError TypeError ZodError aborted auth " +
    "billing cancelled command_failed content_filter context_window_exceeded denied invalid_input invalid_request " +
    "max_iterations mcp_error mistake_limit mistake_limit_reached network network_error not_found overloaded " +
    "parse_error permission_denied process_exited quota rate_limit rejected search_not_found server_error timeout " +
    "tool_error unknown_tool "
  )
    .trim()
    .split(" "),
);

// Cline's words for why it did something.
const REASONS = new Set(
  (
    "agentic_summary api api_error auto auto_compaction auto_compaction_emergency basic_compaction_projection " +
    "buffer_stuck cli compaction_budget_emergency completion_without_submit configured_setting " +
    "context_overflow_recovery core default_setting desktop enterprise error file ide invalid_tool_call jetbrains " +
    "kanban local manual manual_compaction max_consecutive_mistakes max_tokens_compaction max_tokens_recovery " +
    "mistake_limit neovim no_result no_tools_used normal_provider_request over_budget overflow_recovery " +
    "protected_live_tail provider_error_retry result root shutdown sqlite started subagent submit_and_exit success " +
    "team_lead team_teammate thrown tool_execution_failed unknown unsafe_to_truncate vscode waiting_for_completion " +
    "web "
  )
    .trim()
    .split(" "),
);

// Gates: the only ways from a context into a record. Each takes anything and gives what may be written, or undefined.


const TOOL_NAME = /^[A-Za-z0-9_.:-]{1,128}$/;
const PLAIN_NAME = /^[A-Za-z0-9][A-Za-z0-9_.:/+-]{0,127}$/;
const CLIENT_VERSION = new RegExp(
  "^[0-9]{1,6}(?:\\.[0-9]{1,6}){1,2}" +
    "(?:-(?:alpha|beta|rc|nightly|next|canary|dev|pre|preview|insiders?)(?:[.-]?[0-9]{1,14}){0,3})?$",
);
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
  typeof value === "string" && value.length <= LIMITS.nameCharacters && pattern.test(value) && !KEY_SHAPE.test(value)
    ? value
    : undefined;
const plainToolName = matching(TOOL_NAME);
const plainName = matching(PLAIN_NAME);
const clientVersion = matching(CLIENT_VERSION);

/** @type {(words: ReadonlySet<string>) => (value: unknown) => string | undefined} */
const among = (words) => (value) => (typeof value === "string" && words.has(value) ? value : undefined);
const errorClass = among(ERROR_CLASSES);
const finishReason = among(FINISH_REASONS);
const provider = among(PROVIDERS);
const reason = among(REASONS);

/** @param {unknown} value */
const finishReasonOrOther = (value) =>
  value === undefined || value === null ? undefined : (finishReason(value) ?? OTHER);

/** @param {unknown} value */
const providerOrOther = (value) => (typeof value === "string" ? (provider(value) ?? OTHER) : undefined);

/**
 * A name or id as it is, which must not get into a record but by way of `published`.
 *
 * @param {unknown} value
 */
const chosen = (value) =>
  typeof value === "string" && value !== "" && value.length <= LIMITS.nameCharacters ? value : undefined;

/**
 * The same; `OTHER` for what is too long to be one, and nothing for a missing value that was written as a text.
 *
 * @param {unknown} value
 */
function chosenOrOther(value) {
  if (value === "undefined" || value === "null") return undefined;
  return typeof value === "string" && value.length > LIMITS.nameCharacters ? OTHER : chosen(value);
}

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
  // What somebody has put into the prototype of all objects is no field.
  for (const [key, value] of Object.entries(fields)) if (value !== undefined) result[key] = value;
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
 * @property {Readonly<Record<string, FieldValue>> | undefined} remoteSpan what a root run says of the span in which Cline
 *   was started
 */

/**
 * What one hook leaves for a later one.
 *
 * @param {Readonly<Record<string, FieldValue>>} [remote]
 * @returns {State}
 */
function createState(remote) {
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
function onStatusNotice(state, context, nowMs) {
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

// What became of a tool call, read from its result and from the head of its error, of which no word is kept.


/** @typedef {{ output?: unknown, isError?: unknown }} ToolResult */

const ERROR_HEAD_CHARACTERS = 600;
// What newer SDKs (0.0.86, not 0.0.78) put behind the reason of every denial, which may be the user's own words.
const DENIAL_END = " -- NOT a tool or system failure. Clarify with user before proceeding.";
const EXIT_CODE = /^Command exited with code (-?\d{1,9})\b/;
const DENIALS = [
  /^Tool "?\S{1,200}"? (?:was (?:denied|not approved|blocked by)|requires approval|approval request|is disabled)/,
  /^Tool approval (?:request|callback|requires)/,
  /^Tool was not executed/,
  /^This tool call was rejected by the user/,
  /^Tool execution is disabled for provider /,
  /^Desktop tool approval /,
  /^User (?:rejected the tool call|denied the tool execution)/,
  /^Permission request (?:was cancelled|failed)/,
  /^Unknown permission option: /,
  /^Denied by /,
  /^[A-Z][A-Za-z ]{1,60} before approval was resolved/,
  /^No Cline Hub webview is attached/,
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
function failureOf$1({ output, isError }, parts) {
  if (isError === true) return true;
  if (Array.isArray(output)) return parts.some((part) => part.success === false);
  if (!isObject(output)) return false;
  if (output.isError === true || output.success === false) return true;
  if (output.success !== true && typeof output.error === "string" && output.error !== "") return true;
  // An agent tool answers even when its agent failed; then this is all that says so.
  return Number.isInteger(output.iterations) && AGENT_FAILURES.has(output.finishReason);
}

/** @param {unknown} value */
const isDenial = (value) => typeof value === "string" && value.endsWith(DENIAL_END);

/**
 * @param {string} text the head of the error
 * @param {{ ran: boolean, mcp: boolean, exitCode: number | undefined, output: unknown }} call
 */
function errorTypeOf(text, { ran, mcp, exitCode, output }) {
  if (UNKNOWN_TOOL.test(text)) return "unknown_tool";
  if (UNREADABLE_INPUT.test(text) || (ran && REFUSED_INPUT.test(text))) return "invalid_input";
  if (DENIALS.some((pattern) => pattern.test(text))) return "denied";
  if (!ran) return "rejected";
  if (mcp) return "tool_error";
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
  const failed = failureOf$1(result, parts);
  const mcp = mcpServerIn(name) !== undefined && (hasContent || (failed && ran));
  if (!failed) return { outcome: "success", is_mcp: mcp || undefined };
  if (isDenial(output) || parts.some((part) => isDenial(part.error)))
    return { outcome: "rejected", error_type: "denied" };
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

// What class an error is of, by its text, of which nothing is kept: as src/cline_otel/catalogue/attributes.toml has it.


/** @type {readonly (readonly [string, RegExp])[]} */
const CLASSES = [
  [
    "search_not_found",
    /SEARCH block|no replacement performed|could not find (?:the |matching )?(?:old|search|text|context)|hunks? did not match|no match(?:es)? found|patch could not be applied/i,
  ],
  ["rate_limit", /rate.?limit|too many requests|throttl|resource.?exhausted|per.?minute|\b429\b/i],
  [
    "context_window_exceeded",
    /context.?(?:window|length|limit)|(?:prompt|input) is too long|too many (?:input )?tokens|maximum context|(?:input|tokens?) (?:token )?(?:count|length).{0,40}exceeds|reduce the length of the messages/i,
  ],
  [
    "billing",
    /credit balance|(?:insufficient|not enough|more).?(?:credits?|funds|balance)|payment required|not subscribed|billing is|\b402\b/i,
  ],
  ["quota", /quota|(?:usage|spend) limit|limit reached for/i],
  ["content_filter", /content.?(?:filter|policy|management)|safety system|due to safety/i],
  [
    "permission_denied",
    /permission denied|access denied|EACCES|EPERM|forbidden|not authorized to|(?<!or you do )not have access|\b403\b/i,
  ],
  [
    "auth",
    /api.?key|unauthori[sz]ed|authenticat|oauth|credentials|(?:invalid|expired|security|auth|refresh\w*|codex) ?token|token exchange|\b401\b|not logged in|(?:log|sign)(?:ing)? ?in\b/i,
  ],
  ["overloaded", /overloaded|(?:at|available) capacity|\b529\b|\b503\b|service unavailable/i],
  ["timeout", /timed? ?out|ETIMEDOUT|deadline exceeded|\b504\b/i],
  ["unknown_tool", /NoSuchTool|unknown tool|unavailable tool/i],
  [
    "not_found",
    /not found|no such|ENOENT|does not exist|missing file|cannot find module|model \S+ is unavailable|\b404\b/i,
  ],
  [
    "network",
    /ECONN|ENOTFOUND|EAI_AGAIN|EPIPE|socket|fetch failed|network|getaddrinfo|connection (?:error|refused|reset|closed)|side closed|TLS|certificate/i,
  ],
  ["mistake_limit", /mistakes? (?:limit )?reached|consecutive mistakes/i],
  ["aborted", /cancel|abort|cli_run_shutdown|interrupt/i],
  [
    "parse_error",
    /^(?:Invalid|Unknown) (?:Add File )?line|invalid patch text|JSON|unexpected (?:token|end)|pars(?:e|ing)|malformed/i,
  ],
  ["server_error", /server (?:error|had an error)|internalserver|bad gateway|\b50[0-4]\b/i],
  ["invalid_request", /invalid|bad request|required|unsupported|not supported|\b4(?:00|22)\b/i],
];

// What Cline says of an error that it has no class for.
const UNCLASSED = "unknown";

/**
 * Why a model call or a run failed: Cline's class of it, else that of its text.
 *
 * @param {unknown} said Cline's class of it
 * @param {Snapshot} snapshot
 */
function failureOf(said, snapshot) {
  const classes = [errorClass(said), errorClass(snapshot?.lastErrorClass)];
  const known = classes.find((found) => found !== undefined && found !== UNCLASSED);
  return known ?? errorClassOf(errorText(snapshot?.lastError)) ?? OTHER;
}

/**
 * The first class whose pattern is found; undefined where none is.
 *
 * @param {string} text
 */
const errorClassOf = (text) => CLASSES.find(([, pattern]) => pattern.test(text))?.[0];

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

// Names of the programs that run Cline: the bridge has the same in privacy/client_names.py and its catalogue, and
// tests/plugin/client_names.json has the one result of both.

const LONGEST_CLIENT_NAME = 80;
const CLIENTS = new Set(
  "cline-cli cline-vscode cline-hub cline-hub-daemon cline-acp cline-code cline-platform cli hub kanban cline-sdk vscode jetbrains".split(
    " ",
  ),
);
const FILLERS = new Set(["cline", "for", "the", "extension", "plugin", "ide", "ides", "client", "insiders"]);
const ALIASES = new Map([
  ["vscode", "vscode"],
  ["vscodeinsiders", "vscode"],
  ["visualstudiocode", "vscode"],
  ["jetbrains", "jetbrains"],
  ["intellij", "jetbrains"],
  ["intellijidea", "jetbrains"],
  ["cli", "cli"],
  ["hub", "hub"],
  ["kanban", "kanban"],
]);

/**
 * The known client that a name means, whatever its case, spaces and suffixes.
 *
 * @param {string} name
 * @returns {string | undefined} nothing for an unknown one
 */
function knownClient(name) {
  if (CLIENTS.has(name)) return name;
  if (name.length > LONGEST_CLIENT_NAME || /[^\0-\x7f]/.test(name)) return undefined;
  const lower = name.toLowerCase();
  if (CLIENTS.has(lower)) return lower;
  const words = lower.match(/[a-z0-9]+/g) ?? [];
  return ALIASES.get(words.filter((word) => !FILLERS.has(word)).join(""));
}

// Words of public model names, made by `make model-names`.

const MODEL_FAMILIES = new Set(
  "abab anubis arctic aya bge chatglm chatgpt chimera claude codegeex codellama coder codestral codex command compound dbrx deepseek demo devstral dolphin doubao dummy echo embedding ernie example exaone fake falcon gemini gemma glm gpt granite grok haiku hermes hunyuan inkling internlm internvl jamba kat kimi laguna learnlm lfm ling llama longcat maestro magistral mai mathstral mercury mimo minimax ministral mistral mixtral moa mock moonshot nemotron nomic nova o olmo opt opus orca palmyra phi pixtral qvq qwen qwq reka ring sample seed skywork smollm solar sonar sonic sonnet sonoma spotlight stablelm starcoder step stub test titan trinity tulu vicuna virtuoso voxtral wizardlm yi zephyr".split(
    " ",
  ),
);
const MODEL_WORDS = new Set(
  "a agent agentic ai air airx alibaba alpha amazon anthropic apac arcee au audio auto awq b base batch beta bf bit bnb build by c ca canvas chat cloud code coder coding cohere context copilot core d databricks deep default dense distill distilled ds e edition embed embedding embeddings eu ev exp experimental express extended f fast flash flashx fp free ggml gguf global google gov gptq groq guard h heavy hf high highspeed hybrid i image instant instruct int it jp k l large latest light lite live long low m maas mamba math maverick max maxi medium meta micro microsoft mini mlx model moe moonshotai multi multimodal mxfp nano nemo new next no non nvfp nvidia ocr omni open openai or original oss p plus premier preview pro q qat r rc realtime reason reasoner reasoning research s safeguard scout search series sky small spark stable super t tee text think thinking tiny tool tools transcribe tts turbo turbos ultra unsloth us use v venice version vision vl x xl xs zai".split(
    " ",
  ),
);
const MODEL_OWNERS = new Set(
  "01-ai @cf accounts ai21 alibaba alibaba-cloud allenai amazon anthropic arcee-ai arcee_ai aws azure azure-openai azure_ai baidu bartowski bedrock bigcode bytedance bytedance-seed cerebras cline cognitivecomputations cohere cohereforai converse copilot databricks deepinfra deepseek deepseek-ai eleutherai facebook fireworks fireworks-ai fireworks_ai gemini github github-copilot google groq hf huggingface huggingfaceh4 huggingfacetb ibm-granite inception inclusionai internlm kwaipilot lgai lgai-exaone library liquid litellm lmstudio lmstudio-community meituan meituan-longcat meta meta-llama microsoft minimax minimaxai mistral mistralai mlx-community models moonshot moonshotai mradermacher nousresearch novita nvidia ollama openai opengvlab openrouter perplexity pro publishers qwen reka rekaai sao10k siliconflow skywork stabilityai stepfun stepfun-ai tencent thebloke thedrummer thudm tiiuae tngtech together together-ai together_ai togethercomputer unsloth upstage vertex vertex_ai vertexai x-ai xai xiaomi xiaomimo z-ai zai zai-org zhipuai ~anthropic ~deepseek ~google ~moonshotai ~openai ~x-ai ~z-ai".split(
    " ",
  ),
);
const MODEL_NAMES = new Set(
  "@cf/ai4bharat/indictrans2-en-indic-1b @cf/aisingapore/gemma-sea-lion-v4-27b-it @cf/baai/bge-base-en-v1.5 @cf/baai/bge-large-en-v1.5 @cf/baai/bge-m3 @cf/baai/bge-reranker-base @cf/baai/bge-small-en-v1.5 @cf/cloudflare/clairic @cf/cloudflare/clef @cf/cloudflare/clef-flash @cf/cloudflare/clef-omni @cf/daily-co/phonellm-mini-alpha-2 @cf/huggingface/distilbert-sst-2-int8 @cf/meta/m2m100-1.2b @cf/moondream/moondream3.1-9b-a2b @cf/pfnet/plamo-embedding-1b abacusai/dracarys-llama-3.1-70b-instruct abliterated-model abliterated-model-large abliterated-model-large-v2 abliteration-ai/abliterated-model-large abliteration-ai/abliterated-model-large-v2 accounts/fireworks/models/ember-1 accounts/fireworks/models/nemotron-lightning-3p5-30b-a3b accounts/fireworks/routers/deepseek-flash-latest accounts/fireworks/routers/deepseek-pro-latest accounts/fireworks/routers/glm-5p2-fast accounts/fireworks/routers/glm-5p3-fast accounts/fireworks/routers/glm-fast-latest accounts/fireworks/routers/glm-flash-latest accounts/fireworks/routers/glm-latest accounts/fireworks/routers/kimi-fast-latest accounts/fireworks/routers/kimi-k3-fast accounts/fireworks/routers/kimi-latest accounts/fireworks/routers/minimax-latest accounts/fireworks/routers/qwen-max-latest ada aetherwiing/mn-starcannon-12b agent-max agent-prime agent-standard agentica-org/deepcoder-14b-preview:free agents-a1 agnes-2.0-flash agnes-2.5-flash agnes-2.5-pro-alpha agnes-3.0-flash aion-labs/aion-1.0 aion-labs/aion-1.0-mini aion-labs/aion-2.0 aion-labs/aion-3.0 aion-labs/aion-3.0-mini aion-labs/aion-3.5 aion-labs/aion-3.5-mini aion-labs/aion-rp-llama-3.1-8b aisingapore/gemma-sea-lion-v4-27b-it aisingapore/nemotron-sea-lion-v4.8-120b-a12b aisingapore/qwen-sea-lion-v4-32b-it aisingapore/qwen-sea-lion-v4.5-27b-it alfredpros/codellama-7b-instruct-solidity alibaba/qwen3.8-max-prime alicloud-deepseek-v4-flash alicloud-deepseek-v4-pro alicloud-glm-5.1 all-hands/openhands-lm-32b-v0.1 allenai/molmo-7b-d:free alpindale/goliath-120b alpindale/magnum-72b alpindale/wizardlm-2-8x22b ambient/large anthracite-org/magnum-v2-72b anthracite-org/magnum-v4-72b anthropic-claude-fable-5 anthropic-claude-fable-5.1 anthropic.claude-fable-5 anthropic.claude-fable-5-1 anthropic/claude-fable-5 anthropic/claude-fable-5-1 anthropic/claude-fable-5.1 anthropic/claude-fable-5.1:batch anthropic/claude-fable-5:batch anthropic/claude-fable-latest anthropic/claude-opus-4.1:thinking:32768 anthropic/claude-opus-4:thinking:32768 anthropic/claude-sonnet-4:thinking:32768 anthropic/claude-sonnet-4:thinking:64000 apertus-70b arcee-blitz arcee_ai/afm/models/trinity-mini arliai/qwq-32b-arliai-rpr-v1:free atria-dawn-preview atria/atria-dawn-preview austism/chronos-hermes-13b auto auto-model auto-model-basic auto-model-premium auto-model-standard aws-bedrock/claude-fable-5 aws-bedrock/claude-fable-5-1 aws-bedrock/claude-haiku-4-5 aws-bedrock/claude-haiku-4-5-20251001 aws-bedrock/claude-opus-4-1-20250805 aws-bedrock/claude-opus-4-5-20251101 aws-bedrock/claude-opus-4-6 aws-bedrock/claude-opus-4-7 aws-bedrock/claude-opus-4-8 aws-bedrock/claude-opus-5 aws-bedrock/claude-sonnet-4-5 aws-bedrock/claude-sonnet-4-5-20250929 aws-bedrock/claude-sonnet-4-6 aws-bedrock/claude-sonnet-5 aws-bedrock/grok-4-3 aws-bedrock/grok-4-6 aws-mantle/gpt-5.6-luna aws-mantle/gpt-5.6-sol aws-mantle/gpt-5.6-terra aws-mantle/gpt-6-astra azure-ai-foundry/grok-4-1-fast-non-reasoning azure-ai-foundry/grok-4-1-fast-reasoning azure-ai-foundry/grok-4-3 azure-anthropic/claude-fable-5 azure-anthropic/claude-opus-4-6 azure-anthropic/claude-opus-4-7 azure-anthropic/claude-opus-4-8 azure-anthropic/claude-opus-5 azure-anthropic/claude-sonnet-5 azure/gpt-5.6-luna azure/gpt-5.6-sol azure/gpt-5.6-terra azure/gpt-6-astra azure/gpt-6-luna azure/gpt-6-sol babbage babbage-002 baichuan/baichuan-m2-32b baidu/cobuddy baidu/ernie-4.5-21b-a3b-pt baidu/ernie-4.5-300b-a47b-base-pt baidu/ernie-4.5-300b-a47b-paddle baidu/ernie-4.5-vl-28b-a3b-pt baidu/ernie-4.5-vl-424b-a47b-base-pt bailian/qwen-flash bailian/qwen-max bailian/qwen-plus bailian/qwen-turbo bailian/qwen-vl-max bailian/qwen3-coder-flash bailian/qwen3-coder-next bailian/qwen3-coder-plus bailian/qwen3-max bailian/qwen3.5-122b-a10b bailian/qwen3.5-27b bailian/qwen3.5-35b-a3b bailian/qwen3.5-397b-a17b bailian/qwen3.5-flash bailian/qwen3.5-plus bailian/qwen3.6-27b bailian/qwen3.6-flash bailian/qwen3.6-max-preview bailian/qwen3.6-plus bailian/qwen3.7-max bailian/qwen3.7-plus bailian/qwen3.8-27b bailian/qwen3.8-flash bailian/qwen3.8-max bailian/qwen3.8-max-0902 bfl/flux-2-flex bfl/flux-2-klein-4b bfl/flux-2-klein-9b bfl/flux-2-max bfl/flux-2-pro bfl/flux-kontext-max bfl/flux-kontext-pro bfl/flux-pro-1.0-fill bfl/flux-pro-1.1 bfl/flux-pro-1.1-ultra bge-base-en-v1.5 bge-multilingual-gemma2 big-pickle brick-complexity-pro brick-v1-beta bsc-lt/alia-40b-instruct-2606 bytedance-research/ui-tars-72b:free bytedance/seedream-4.0 bytedance/seedream-4.5 bytedance/seedream-5.0-lite bytedance/seedream-5.0-pro bytedance/ui-tars-1.5-7b c4ai-aya-expanse-32b c4ai-aya-expanse-8b caller-large canopylabs/orpheus-arabic-saudi canopylabs/orpheus-v1-english canopywave/deepseek-v4-flash canopywave/deepseek-v4-pro canopywave/glm-5.2 canopywave/kimi-k2.6 canopywave/kimi-k3 cerebras-llama-4-maverick-17b-128e-instruct cerebras-llama-4-scout-17b-16e-instruct cerebras/gpt-oss-120b-cs cerebras/llama-3.1-8b-cs claude-fable-5 claude-fable-5-1 claude-fable-5-1@default claude-fable-5-2 claude-fable-5.1 claude-fable-5.1@eu claude-fable-5@default claude-fable-5@eu claude-mythos-5-2 claudinio claudius claw-high claw-low claw-medium cline-free/deepseek-v4.1-flash cline-free/mimo-v2.6-flash cline-free/muse-spark-1.3-contributor cline-pass/deepseek-v4-pro cline-pass/deepseek-v4.1-flash cline-pass/glm-5.3 cline-pass/glm-5.3-flash cline-pass/kimi-k3 cline-pass/mimo-v2.5 cline-pass/mimo-v2.5-pro cline-pass/mimo-v2.6-flash cline-pass/mimo-v2.6-pro cline-pass/minimax-m3 cline-pass/muse-spark-1.3-contributor cline-pass/qwen3.7-max cline-pass/qwen3.7-plus cline-pass/qwen3.8-max cloudflare/@cf/deepseek-ai/deepseek-v4-flash-0731 cloudflare/@cf/deepseek-ai/deepseek-v4-pro-0813 cloudflare/@cf/openai/gpt-oss-120b cloudflare/@cf/openai/gpt-oss-20b cloudflare/@cf/zai-org/glm-4.7-flash cloudflare/clef cloudflare/clef-flash code-max code-prime code-standard codellama-7b-instruct-solidity codellama/codellama-13b-instruct-hf codellama/codellama-34b-instruct-hf codellama/codellama-70b-instruct-hf codellama/codellama-7b-instruct-hf coding-xiaomi-mimo-v2.5 coding-xiaomi-mimo-v2.5-pro cohere/north-mini-code:free composer-2.5 composer-2.5-fast computer-use consensusprotocol/deepseek-v4-flash consensusprotocol/deepseek-v4.1-flash consensusprotocol/gemma-4-31b-it consensusprotocol/glm-5.3-flash consensusprotocol/gpt-oss-20b consensusprotocol/qwen3.8-27b cortecs/llama-3.3-70b-instruct-fp8-dynamic curie custom databricks-bge-large-en databricks-gpt-5-6-luna databricks-gpt-5-6-sol databricks-gpt-5-6-terra databricks-gte-large-en davinci davinci-002 deep-research-max-preview-04-2026 deep-research-preview-04-2026 deepcoder-14b-preview:free deepcogito/cogito-671b-v2.1 deepcogito/cogito-v2.1-671b deephermes-3-llama-3-3-70b-preview deephermes-3-llama-3-8b-preview:free deepinfra/hy3 deepinfra/meta-models/muse-glimmer-30b deepinfra/muse-glimmer-30b deepinfra/nemotron-3.5-lightning deepinfra/tencent/hy3 deepinfra/thinkingmachines/inkling deepinfra/thinkingmachines/inkling-small deepseek-ai/deepseek-prover-v2-671b deepseek-ai/deepseek-v3.1-terminus deepseek-ai/deepseek-v3.1-terminus:thinking deepseek-chat-cheaper deepseek-prover-v2 deepseek-tng-r1t2-chimera deepseek-v3.1-terminus deepseek-v4-flash-flex deepseek-v4-flash-ga-260731 deepseek-v4-flash-speed deepseek-v4-pro-ga-260813 deepseek-v4.1-flash-flex deepseek-v4p1-flash-1017-ultrafast deepseek/deepseek-r1-zero:free deepseek/deepseek-v3.1-terminus default devstral-2-123b-instruct-2512-int4-autoround dicta-il/dictalm-3.0-24b-thinking dobby-mini-unhinged-plus-llama-3.1-8b dots-studio/dots-3-note-preview:free doubao-seed-character-260628 doubao-seed-evolving eleutherai/llemma_7b eleven_realtime_v1_max eleven_realtime_v1_mini elorian/glimpse embed-v4.0 ember-1 embercloud/glm-4.5 embercloud/glm-4.5-air embercloud/glm-4.7 embercloud/glm-4.7-flash embercloud/glm-5 embercloud/glm-5.1 embercloud/glm-5.2 embercloud/kimi-k2.5 embercloud/qwen3-coder-next empiriolabs/deepseek-v4-flash-el empiriolabs/deepseek-v4-pro-el essentialai/rnj-1-instruct eu.anthropic.claude-fable-5 eva-llama-3.33-70b eva-qwen-2.5-32b eva-qwen-2.5-72b eva-unit-01/eva-llama-3.33-70b eva-unit-01/eva-qwen-2.5-32b eva-unit-01/eva-qwen-2.5-72b evroc/roc fal-ai/fast-sdxl fal-ai/flux/schnell fastino/gliguard-llmguardrails-300m fastino/gliguard-pii-multi fastino/gliner2-base-v1 fastino/gliner2-large-v1 fastino/gliner2-multi-large-v1 fastino/gliner2-multi-v1 fastino/gliner2-privacy-filter-pii-multi fastino/gliner2.5-multi-v1 featherless/qwerky-72b:free fimbulvetr-11b-v2 fireworks-ai/kimi-k2.5-fw fireworks/ember-1 fireworks_ai/accounts/fireworks/models/muse-glimmer-30b fish-audio/transcribe-1 flexai/deepseek-v4-flash-0731 flexai/gpt-oss-120b flexai/gpt-oss-20b flexai/muse-glimmer-30b flexai/step-3.7-flash ft:gpt-3.5-turbo- ft:gpt-4o ft:gpt-4o-mini fugu fugu-max fugu-ultra fugu-ultra-20260615 fugu-ultra-v1-0 fugu-ultra-v1-1 fugu-ultra-v2-0 fugu-ultra-v2.0 garage-baind/platypus2-70b-instruct gemini-2.5-computer-use-preview-10-2025 gemini-2.5-flash-lite-preview-09-2025 gemini-2.5-flash-lite-preview-09-2025-thinking gemini-2.5-flash-nothink gemini-2.5-flash-preview-09-2025 gemini-2.5-flash-preview-09-2025-thinking gemini-3.1-pro-preview-customtools gemini-4-argon gemini-nano-banana-2.1 gemini-robotics-er-2-preview gemini-robotics-er-2-streaming-preview gemma-3n gemma-3n-e4b-it:free gemma-4-12b-it-semancer gemma-4-12b-it-station-keeper gemma-4-26b-a4b-it-chimerax gemma-4-26b-a4b-it-darksoul gemma-4-26b-a4b-it-luminous gemma-4-26b-a4b-it-moonlight gemma-4-26b-a4b-it-musica gemma-4-26b-a4b-it-opusdistill gemma-4-26b-a4b-it-shadowsiren gemma-4-26b-a4b-meromero gemma-4-26b-a4b-meromero:thinking gemma-4-31b-cognitive-unshackled gemma-4-31b-darkidol gemma-4-31b-garnetv2 gemma-4-31b-it-darkidol gemma-4-31b-it-fabled gemma-4-31b-it-garnet gemma-4-31b-it-gembrain gemma-4-31b-it-gemsicle gemma-4-31b-it-isometry gemma-4-31b-it-novelist gemma-4-31b-meromero-v2 gemma-4-31b-meromero-v2:thinking gemma-4-31b-queen glm-4-assistant glm-4.6-derestricted-v5 glm-5.2-caveman glm-5.2-caveman-lite glm-5.2-caveman-ultra glm-5.2-honey glm-5.2-honey-lite glm-5.2-honey-ultra glm-5.2-nitro glm-5.2-ponytail glm-5.2-ponytail-lite glm-5.2-ponytail-ultra glm-5.3-flash-flex glm-5.3-flex glm-5.3-prime glm-z1-32b glm-z1-32b:free glm-z1-airx glm-z1-rumination-32b global.anthropic.claude-fable-5 global.anthropic.claude-fable-5-1 global.anthropic.claude-fable-5-1-v1:0 global.anthropic.claude-fable-5-2 global.anthropic.claude-fable-5-v1:0 global.anthropic.claude-mythos-5-2 global.openai.gpt-5.6-luna global.openai.gpt-5.6-sol global.openai.gpt-5.6-terra global.openai.gpt-6-astra global.openai.gpt-6-luna global.openai.gpt-6-sol global.openai.gpt-6.1-sol global.openai.gpt-6.1-terra global.xai.grok-4.6 goliath-120b gonka24/deepseek-v4-flash gonka24/glm-5.3-flash gonka24/minimax-m2.7 google-ai-studio/gemini-2.5-flash google-ai-studio/gemini-2.5-flash-lite google-ai-studio/gemini-2.5-pro google-ai-studio/gemini-3-flash-preview google-ai-studio/gemini-3.1-flash-lite google-ai-studio/gemini-3.1-pro-preview google-ai-studio/gemini-3.5-flash google-ai-studio/gemini-3.5-flash-lite google-ai-studio/gemini-3.6-flash google-ai-studio/gemini-3.7-flash google-ai-studio/gemini-3.8-flash google-ai-studio/gemini-pro-latest google-vertex/gemini-2.5-flash google-vertex/gemini-2.5-flash-lite google-vertex/gemini-2.5-pro google-vertex/gemini-3-flash-preview google-vertex/gemini-3.1-flash-lite google-vertex/gemini-3.1-pro-preview google-vertex/gemini-3.5-flash google-vertex/gemini-3.5-flash-lite google-vertex/gemini-3.6-flash google-vertex/gemini-3.7-flash google-vertex/gemini-3.8-flash google/diffusiongemma-26b-a4b-it google/gemini-2.5-flash-lite-preview-09-2025 google/gemini-2.5-flash-preview-09-2025 google/gemini-3.1-pro-preview-customtools google/gemini-4-argon google/gemini-4-argon:batch google/gemini-nano-banana-2.1 google/gemini-robotics-er-1.6-preview google/gemma-3-4b-pt google/gemma-3n-e2b-it google/gemma-3n-e4b-it google/gemma-4-26b-a4b-it-cybersecurity google/gemma4-31b-splituntied google/lyria-3-clip-preview google/lyria-3-pro-preview google/palm-2-chat-bison google/palm-2-codechat-bison gpt-4o-mini-2024-07-18.ft- gpt-5-6-luna gpt-5-6-sol gpt-5-6-terra gpt-5-search-api gpt-5.3-codex-xhigh gpt-5.5-cyber gpt-5.6-cyber gpt-5.6-luna gpt-5.6-luna-pro gpt-5.6-luna@eu gpt-5.6-sol gpt-5.6-sol-pro gpt-5.6-sol@eu gpt-5.6-terra gpt-5.6-terra-pro gpt-5.6-terra@eu gpt-6-astra gpt-6-cyber gpt-6-luna gpt-6-luna@eu gpt-6-rosalind gpt-6-sol gpt-6-sol@eu gpt-6.1-sol gpt-6.1-terra gpt-image-2.5-flare gpt-image-2.5-sunburst gpt-realtime-translate gpt-realtime-whisper gpt-rosalind-discovery gpt-rosalind-research green-l green-l-raw green-r green-r-raw grok-imagine-image grok-imagine-image-quality grok-voice-latest grok-voice-think-fast-1.0 grok-voice-think-fast-2.0 grok/grok-4.3 grok/grok-4.5 grok/grok-4.6 gryphe/mythomax-l2-13b hf:deepseek-ai/deepseek-v4.1-flash hf:minimaxai/minimax-m3 hf:moonshotai/kimi-k2.7-code hf:moonshotai/kimi-k3 hf:nvidia/nvidia-nemotron-3-super-120b-a12b-nvfp4 hf:openai/gpt-oss-120b hf:qwen/qwen3.6-27b hf:zai-org/glm-4.7-flash hf:zai-org/glm-5.2 hf:zai-org/glm-5.3-flash hicap-pro holo2-30b-a3b holo3-35b-a3b holo3-35b-a3b:thinking hy-mt2-plus hy3 hy3-preview hy3:free hy4 hy4-preview in.openai.gpt-5.6-luna in.openai.gpt-5.6-terra inclusionai/ling-3.0-flash-fin inclusionai/ling-3.0-flash-fin-free inclusionai/ling-3.0-flash-fin:free inclusionai/ling-3.0-flash-sante inclusionai/ling-3.0-flash-sante-free inclusionai/ling-3.0-flash-sante:free infer/gpt-5.6-sol:official infer/gpt-6-astra:official inferact/qwen3.8-2.4t-a95b-nvfp4 inference-net/schematron-v2-small inference-net/schematron-v2-turbo infermatic/mn-inferor-12b inflection/inflection-3-pi inflection/inflection-3-productivity intel/qwen3-coder-480b-a35b-instruct-int4-mixed-ar jetbrains/mellum2-12b-a2.5b-instruct jev-1.13 jev-1.13.0 jev-1.14.0 jondurbin/airoboros-l2-70b k3 k3-256k kblab/kb-whisper-large kilo-auto/balanced kilo-auto/efficient kilo-auto/free kilo-auto/frontier kilo-auto/small kimi-dev-72b:free kimi-for-coding kimi-for-coding-highspeed kimi-k2.6-nitro kimi-k2.7-code-flex kimi-k2.7-code-nitro kimi-k3-eco kimi-k3-flex kimi/kimi-k2.5 kimi/kimi-k2.6 kimi/kimi-k2.7-code kimi/kimi-k3 kloker kloker-integration-architect kloker-integration-developer kuaishou/kat-coder-pro-v2 l3-euryale-70b latitudegames/wayfarer-large-70b-llama-3.3 leanstral-1-5 leanstral-1-5@eu lightonai/lightonocr-2-1b ling-3.0-flash-fin-free llama-3-lumimaid-70b llama-3-lumimaid-8b llama-3.1-70b-versatile llama-3.1-lumimaid-70b llama-3.1-lumimaid-8b llama-3.1-sonar-large-128k-online llama-3.1-sonar-small-128k-online llama-3.3-70b-specdec llama-3.3-70b-versatile llama3.1-typhoon2-70b-instruct llama4-maverick-instruct-basic llemma_7b lmsys/vicuna-13b-v1.5 lmsys/vicuna-7b-v1.5 lucidnova-rf1-100b lucidquery-agi-01-frontier lucidquery-agi-01-swift lucidquery-nexus-coder lynkr-auto m2-her magnum-72b magnum-v2-72b mai-code-1-flash-picker mancer/weaver meta-contributor/muse-spark-1.2-contributor meta-contributor/muse-spark-1.3-contributor meta-llama/llama-prompt-guard-2-22m meta-llama/llama-prompt-guard-2-86m meta-models/muse-glimmer-30b meta-models/muse-spark-open meta-models/muse-spark-open-816b-a42b meta/muse-glimmer-30b meta/muse-glimmer-30b:batch meta/muse-image-1.0 meta/muse-spark-1.1 meta/muse-spark-1.2 meta/muse-spark-1.2-contributor meta/muse-spark-1.3 meta/muse-spark-1.3-contributor meta/muse-spark-open meta/muse-wonder midnight-rose-70b mimo-v2-6-pro-ultraspeed mimo-v2.5-pro-ultraspeed mimo-v2.6-pro-ultraspeed mimo/mimo-v2.5 mimo/mimo-v2.5-pro mindai/macaron-v1-tall mindai/macaron-v1-venti ming-image-0.1-design minicpm-v-4.5 minicpm5-2b minimax/m2-her minimax/minimax-m2-her minimax/minimax-m2.1-lightning minimax/minimax-m2.5-lightning minimaxai/chat-completion/models/minimax-m2_5-high-throughput mistral-saba mistral-saba-24b mistralai--mistral-medium mistralai--mistral-medium-instruct mistralai--mistral-small mistralai/completion/models/ministral-3-14b-reasoning-2512 mistralai/completion/models/ministral-3-3b-reasoning-2512 mistralai/mistral-saba mixedbread/toast-1 mixtral-8x7b-32768 mn-celeste-12b mn-inferor-12b mn-starcannon-12b moderation moondream/moondream3-preview moondream/moondream3.1-9b-a2b moonshot-ai/kimi-k2.7-code moonshot-ai/kimi-k3 moonshotai/chat-completion/models/kimi-k2_6 moonshotai/moonlight-16b-a3b-instruct:free morph/morph-v3-fast morph/morph-v3-fast:batch morph/morph-v3-large morph/morph-v3-large:batch motif-technologies/motif-3 muse-glimmer-30b muse-glimmer-30b-tr muse-spark-1-1 muse-spark-1-2 muse-spark-1-3 muse-spark-1.1 muse-spark-1.2 muse-spark-1.2-contributor muse-spark-1.2-contributor-free muse-spark-1.3 muse-spark-1.3-contributor muse-spark-1.3-contributor-free muse-spark-open muse-wonder muse-wonder-1.0 mythalion-13b nanogpt/coding-router nanogpt/coding-router:high nanogpt/coding-router:low nanogpt/coding-router:max nanogpt/coding-router:medium nebius/deepseek-ai/deepseek-v4-flash-0731 nebius/deepseek-ai/deepseek-v4-pro-0813 nebius/google/gemma-3-27b-it nebius/nvidia/nemotron-3-super-120b-a12b nebius/nvidia/nemotron-3-ultra-550b-a55b nebius/openai/gpt-oss-120b nemotron-3.5-lightning nemotron-3.5-lightning-30b-a3b nemotron-3.5-lightning-free nemotron-lightning-3.5-30b-a3b nemotron-lightning-3p5-30b-a3b neosmith.intelligent-basic neosmith.intelligent-maestro neosmith.intelligent-pro neosmith.neolite neversleep/llama-3-lumimaid-70b neversleep/llama-3-lumimaid-8b neversleep/llama-3.1-lumimaid-70b neversleep/llama-3.1-lumimaid-8b neversleep/noromaid-20b nex-agi/nex-n2-pro nex-agi/nex-n2-pro:free nex-agi/nex-n2.5-mini nex-agi/nex-n2.5-mini:free nex-agi/nex-n2.5-pro nex-agi/nex-n2.5-pro:free nexusflow/nexusraven-v2-13b noromaid-20b nothingiisreal/mn-celeste-12b nous-hermes-2-mixtral-8x7b-dpo nousresearch/deephermes-3-llama-3-8b-preview:free nousresearch/nous-capybara-7b-v1p9 nousresearch/nous-hermes-2-mixtral-8x7b-dpo nousresearch/nous-hermes-2-mixtral-8x7b-sft nousresearch/nous-hermes-2-yi-34b nousresearch/nous-hermes-llama-2-7b nousresearch/nous-hermes-llama2-13b novita/glm-4.7-n novita/hy3 nvidia/cosmos-reason2-8b nvidia/nemotron-3.5-content-safety nvidia/nemotron-3.5-content-safety:free nvidia/nemotron-3.5-lightning nvidia/nemotron-3.5-lightning-30b-a3b nvidia/nemotron-3.5-lightning:free nvidia/nemotron-3.5-lightning:thinking nvidia/nemotron-3_5-lightning nvidia/nemotron-cascade-2-30b-a3b nvidia/nemotron-voicechat nvidia/nvidia-nemotron-3.5-lightning-30b-a3b nvidia/nvidia-nemotron-3.5-lightning-30b-a3b-bf16 open-orca/mistral-7b-openorca open-r1/olympiccoder-32b:free open-r1/olympiccoder-7b:free openai-gpt-5.6-luna openai-gpt-5.6-sol openai-gpt-5.6-terra openai-gpt-6-astra openai-gpt-6-luna openai-gpt-6-sol openai.gpt-5.6-luna openai.gpt-5.6-sol openai.gpt-5.6-terra openai.gpt-6-astra openai.gpt-6-luna openai.gpt-6-sol openai/chat-completion/models/gpt-oss-120b-high-throughput openai/chat-completion/models/gpt-oss-20b openai/gpt-3.5-turbo-raw openai/gpt-4o-aug openai/gpt-5.6-luna openai/gpt-5.6-luna-fast openai/gpt-5.6-luna-pro openai/gpt-5.6-luna-pro:batch openai/gpt-5.6-luna:batch openai/gpt-5.6-sol openai/gpt-5.6-sol-fast openai/gpt-5.6-sol-pro openai/gpt-5.6-sol-pro:batch openai/gpt-5.6-sol:batch openai/gpt-5.6-terra openai/gpt-5.6-terra-fast openai/gpt-5.6-terra-pro openai/gpt-5.6-terra-pro:batch openai/gpt-5.6-terra:batch openai/gpt-6-astra openai/gpt-6-astra-fast openai/gpt-6-astra-pro openai/gpt-6-astra-pro:batch openai/gpt-6-astra:batch openai/gpt-6-luna openai/gpt-6-luna-fast openai/gpt-6-luna-pro openai/gpt-6-luna:batch openai/gpt-6-sol openai/gpt-6-sol-fast openai/gpt-6-sol-pro openai/gpt-6-sol:batch openai/gpt-6.1-sol openai/gpt-6.1-sol:batch openai/gpt-6.1-terra openai/gpt-6.1-terra-pro:batch openai/gpt-6.1-terra:batch openai/gpt-astra-latest openai/gpt-image-2.5-flare openai/gpt-image-2.5-sunburst openai/gpt-luna-latest openai/gpt-realtime-whisper openai/gpt-sol-latest openai/gpt-terra-latest openai/whisper-1 openai/whisper-large-v3 openai/whisper-large-v3-turbo openchat/openchat-3.5-1210 openchat/openchat-7b openhands-lm-32b-v0.1 openpipe/qwen3-14b-instruct openrouter/auto openrouter/free orcarouter/auto orcarouter/free orcarouter/fusion orcarouter/fusion-flash orcarouter/fusion-mini ornith-1.0-35b-fp8 ornith-ai/ornith-1.5-35b-a3b ornith-ai/ornith-1.5-35b-a3b:thinking osmosis/osmosis-structure-0.6b ox-alpha paddlepaddle/paddleocr-vl particle-ai/particle-1 perceptron/perceptron-mk1 perceptron/perceptron-mk1.5 perplexity/llama-3.1-sonar-large-128k-online perplexity/llama-3.1-sonar-small-128k-online perplexity/pplx-decider-v1-27b perplexity/pplx-decider-v1.1-27b perplexity/r1-1776 pioneer/auto poetools/claude-code pokee-isaac poolside/laguna-m.1 poolside/laguna-m.1:free poolside/laguna-s-2.1 poolside/laguna-s-2.1-free poolside/laguna-s-2.1:free poolside/laguna-s-2.1:thinking poolside/laguna-xs-2.1 poolside/laguna-xs-2.1:free poolside/laguna-xs.2:free pplx-decider-flash-v1.2 pplx-decider-v1-27b pplx-decider-v1.1-27b pplx-decider-v1.2 pplx-embed-context-v1-0.6b pplx-embed-context-v1-4b pplx-embed-v1-0.6b pplx-embed-v1-4b prime-intellect/intellect-3 primeintellect/intellect-3-fp8 prism-ml/ternary-bonsai-2-27b prism-ml/ternary-bonsai-2-9b prism-ml/ternary-bonsai-27b-awq-4bit prism-ml/ternary-bonsai-27b-gguf pro/deepseek-ai/deepseek-v3.1-terminus prodia/flux-fast-schnell public/deepseek-r1 public/deepseek-v3 public/minimax-m25 publicai/apertus-70b-instruct publicai/apertus-8b-instruct pygmalionai/mythalion-13b quartz/gemini-3.1-pro-preview quiverai/arrow-1.1 quiverai/arrow-2 quiverai/arrow-2-telos qwen-3.8-27b-flex qwen-doc-turbo qwen-plus-character qwen-plus-character-ja qwen/qwen-mt-plus qwen/qwen3.5-35b-a3b-fp8-dottxt qwen/qwen3.8-27b-cybersecurity qwen/qwen3.8-27b-fable qwen/qwen3.8-27b-hemmingway qwen/qwen3.8-27b-obliterated qwen/qwen3.8-27b-obliterated:thinking qwen/qwen3.8-27b-queen qwen/qwen3.8-27b-uncensored qwen/qwen3.8-27b-uncensored:thinking qwen/qwen3.8-max-prime qwen/qwencoder/models/qwen3-coder-30b-a3b-instruct qwen/qwenlm/models/qwen3-30b-a3b-instruct-2507 qwen/qwenlm/models/qwen3-30b-a3b-thinking-2507 qwen3.5-27b-bluestar-v3-derestricted qwen3.5-27b-queen-derestricted qwen3.6-35b-flex qwen3.8-27b-decentered qwen3.8-max-prime qwerky-72b:free qwq-32b-arliai-rpr-v1:free r1-1776 raifle/sorcererlm-8x22b ranoai/deepseek-v4-flash recraft/recraft-v2 recraft/recraft-v3 recraft/recraft-v4 recraft/recraft-v4-pro recraft/recraft-v4.1 recraft/recraft-v4.1-flash recraft/recraft-v4.1-pro recraft/recraft-v4.1-utility recraft/recraft-v4.1-utility-pro recursive/flint-v1.0:free reflection/beam-1.0 reflection/beam-1.0-501b-a23b regional.amazon.nova-2-lite-v1:0 regional.anthropic.claude-3-5-haiku-20241022-v1:0 regional.anthropic.claude-3-5-sonnet-20240620-v1:0 regional.anthropic.claude-3-5-sonnet-20241022-v2:0 regional.anthropic.claude-3-7-sonnet-20250219-v1:0 regional.anthropic.claude-3-haiku-20240307-v1:0 regional.anthropic.claude-3-opus-20240229-v1:0 regional.anthropic.claude-3-sonnet-20240229-v1:0 regional.anthropic.claude-fable-5-1-v1:0 regional.anthropic.claude-fable-5-2 regional.anthropic.claude-fable-5-v1:0 regional.anthropic.claude-haiku-4-5-20251001-v1:0 regional.anthropic.claude-haiku-5-5 regional.anthropic.claude-mythos-5-2 regional.anthropic.claude-opus-4-1-20250805-v1:0 regional.anthropic.claude-opus-4-20250514-v1:0 regional.anthropic.claude-opus-4-5-v1:0 regional.anthropic.claude-opus-4-6-v1:0 regional.anthropic.claude-opus-4-7-v1:0 regional.anthropic.claude-opus-4-8-v1:0 regional.anthropic.claude-opus-5 regional.anthropic.claude-opus-5-5 regional.anthropic.claude-sonnet-4-20250514-v1:0 regional.anthropic.claude-sonnet-4-5-20250929-v1:0 regional.anthropic.claude-sonnet-4-6-v1:0 regional.anthropic.claude-sonnet-5-5 regional.anthropic.claude-sonnet-5-v1:0 regional.moonshotai.kimi-k3 regional.moonshotai.kimi-k3.1 regional.openai.gpt-5.6-luna regional.openai.gpt-5.6-sol regional.openai.gpt-5.6-terra regional.openai.gpt-6-astra regional.openai.gpt-6-luna regional.openai.gpt-6-sol regional.openai.gpt-6.1-sol regional.openai.gpt-6.1-terra regional.zai.glm-5.3 rekaai/reka-edge relace/relace-apply-3 relace/relace-search ricursive-ai/ripple-65b-preview ricursiveai/ripple-65b-preview route-llm runpod/kimi-k3 runware/deepseek-v4-flash runware/deepseek-v4-pro runware/deepseek-v4.1-flash runware/gemma-4-31b-it runware/glm-5.2 runware/glm-5.3 runware/glm-5.3-flash runware/gpt-oss-120b runware/kimi-k2.6 runware/kimi-k3 sakana-namazu sakana/fugu-max sakana/fugu-ultra sakana/fugu-ultra-v1.1 sakana/fugu-ultra-v2 sakana/fugu-ultra-v2.0 sakana/namazu sakana/sakana-namazu sao10k/fimbulvetr-11b-v2 sao10k/l3-70b-euryale-v2.1 sao10k/l3-8b-lunaris sao10k/l3-8b-lunaris-v1 sao10k/l3-8b-stheno-v3.2 sao10k/l3-euryale-70b sao10k/l3-lunaris-8b sao10k/l3.1-70b-hanami-x1 sao10k/l3.1-euryale-70b sao10k/l3.3-euryale-70b sao10k/l31-70b-euryale-v2.2 sap-abap-1 sapiens-ai/agnes-1.5-lite sapiens-ai/agnes-1.5-pro sarvam-105b sarvam-30b sarvam-m:free sarvam/sarvam-105b sarvam/sarvam-30b sarvamai/sarvam-m scaledown/extract scaledown/summarize scaleway/deepseek-v4-flash-0731 scaleway/gpt-oss-120b scaleway/llama-3.3-70b-instruct scb10x/llama3.1-typhoon2-70b-instruct scb10x/llama3.1-typhoon2-8b-instruct scribe_v2 scx-ai-gp/glm-5.2 scx-ai-gp/glm-5.2-fast scx-ai-gp/glm-5.3 scx-ai-gp/glm-5.3-flash scx-ai-gp/kimi-k2.7-code scx-ai-gp/kimi-k3 scx-ai-gp/qwen3.8-max scx-ai/gemma-4-31b-it scx-ai/gpt-oss-120b scx-ai/llama-4-maverick-17b-instruct scx-ai/minimax-m2.7 scx-ai/qwen3-32b sensenova-6.8-flash-lite servicenow-ai/apriel-1.6-15b-thinker shisa-ai/shisa-v2-llama3.3-70b:free shisa-v2-llama3.3-70b:free siliconflow/deepseek-v3.1-terminus snorkelai/snorkel-mistral-pairrm-dpo snowflake-llama3.3-70b sophosympatheia/midnight-rose-70b sophosympatheia/rogue-rose-103b-v0.2:free sorcererlm-8x22b space-bunny-free spacexai/grok-4.1-fast-non-reasoning spacexai/grok-4.1-fast-reasoning spacexai/grok-4.20-multi-agent spacexai/grok-4.20-multi-agent-beta spacexai/grok-4.20-non-reasoning spacexai/grok-4.20-non-reasoning-beta spacexai/grok-4.20-reasoning spacexai/grok-4.20-reasoning-beta spacexai/grok-4.3 spacexai/grok-4.5 spacexai/grok-4.6 spacexai/grok-4.7 spacexai/grok-build-0.1 spacexai/grok-imagine-image spacexai/grok-imagine-image-2.0 spacexai/grok-stt speakleash/bielik-11b-v2.6-instruct speakleash/bielik-11b-v3.0-instruct stable-diffusion-3.5-large stealth/claude-opus-4.6 stealth/claude-opus-4.7 stealth/claude-opus-4.8 stealth/claude-sonnet-4.6 stealth/crouton-alpha stealth/qwen3.6-plus stealth/space-bunny-alpha steelskull/l3.3-electra-r1-70b step-router-v1 stepfun-ai/gelab-zero-4b-preview subconscious/glm-5.2 subconscious/tim-qwen3.6-27b swiss-ai/apertus-70b-instruct-2509 swiss-ai/apertus-8b-instruct-2509 swiss-ai/apertus-v1.5-70b switchpoint/router tc-code-latest tee/deepseek-v4.1-flash tee/gemma-4-26b-a4b-uncensored tee/gemma-4-31b-it tee/gemma4-31b tee/gemma4-31b:thinking tee/glm-5.1 tee/glm-5.1-thinking tee/glm-5.2 tee/glm-5.2:thinking tee/glm-5.3 tee/glm-5.3-flash tee/kimi-k2.6 tee/kimi-k2.7-code tee/kimi-k3 tee/muse-glimmer-30b tee/nemotron-3.5-lightning tee/qwen3.8-27b teknium/openhermes-2-mistral-7b teknium/openhermes-2.5-mistral-7b teknium/openhermes-2p5-mistral-7b tencent/hy-mt2-1.8b tencent/hy-mt2-30b-a3b tencent/hy-mt2-7b tencent/hy3 tencent/hy3-free tencent/hy3-preview tencent/hy4 tencent/hy4-preview tensorx/deepseek/deepseek-v4-flash-0731 tensorx/deepseek/deepseek-v4-pro-0813 tensorx/deepseek/deepseek-v4.1-flash tensorx/moonshotai/kimi-k2.5 text-davinci-002 text-davinci-003 text-embedding-ada-002 text-max text-prime text-standard thedrummer/artemis-v1.1 thedrummer/cydonia-24b-v4.1 thedrummer/rocinante-12b thedrummer/skyfall-36b-v2 thedrummer/unslopnemo-12b thinkingmachines/inkling thinkingmachines/inkling-nvfp4 thinkingmachines/inkling-small thinkingmachines/inkling-small:batch thinkingmachines/inkling-small:free thinkingmachines/inkling-small:thinking thinkingmachines/inkling:free thinkingmachines/inkling:peft:262144 thinkingmachines/inkling:thinking thudm/glm-z1-32b:free together-ai/muse-glimmer-30b together/tev1-4b-experimental together_ai/meta-models/muse-glimmer-30b together_ai/thinkingmachines/inkling togethercomputer/alpaca-7b togethercomputer/gpt-jt-moderation-6b togethercomputer/redpajama-incite-7b-base togethercomputer/redpajama-incite-7b-chat togethercomputer/redpajama-incite-7b-instruct togethercomputer/redpajama-incite-base-3b-v1 togethercomputer/redpajama-incite-chat-3b-v1 togethercomputer/redpajama-incite-instruct-3b-v1 togethercomputer/stripedhyena-hessian-7b togethercomputer/stripedhyena-nous-7b tokyotech-llm/llama-3.3-swallow-70b-instruct-v0.4 toppy-m-7b trio-spark-v1.3 trustedrouter/auto trustedrouter/cheap trustedrouter/e2e trustedrouter/fast trustedrouter/synth trustedrouter/synth-code trustedrouter/zdr trytako/tako tts-1 tts-1-hd typesafe/jev-1.13 typesafe/jev-1.14 ultramarine-1-flash-us umans-coder umans-deepseek-v4-flash-0731 umans-deepseek-v4-pro-0813 umans-flash umans-glm-5.3-flash umans-kimi-k3 umans-qwen3.6-35b-a3b unbiased/pareto unbiased/pareto-26.10 unbiased/pareto-26.9 undi95/remm-slerp-l2-13b undi95/toppy-m-7b us.anthropic.claude-fable-5 us.anthropic.claude-fable-5-1 us.openai.gpt-5.6-luna us.openai.gpt-5.6-sol us.openai.gpt-5.6-terra us.openai.gpt-6-astra us.openai.gpt-6-luna us.openai.gpt-6-sol us.writer.palmyra-x4-v1:0 us.writer.palmyra-x5-v1:0 us.xai.grok-4.6 utter-project/eurollm-22b-instruct-2512 v0-1.0-md v0-1.5-lg v0-1.5-md valkyrie-49b-v1 vertex-anthropic/claude-haiku-4-5 vertex-anthropic/claude-opus-4-5-20251101 vertex-anthropic/claude-opus-4-6 vertex-anthropic/claude-opus-4-7 vertex-anthropic/claude-sonnet-4-5 vertex-anthropic/claude-sonnet-4-6 vertex-anthropic/claude-sonnet-5 vertex-openai/deepseek-v3.2 vertex-openai/glm-4.7 vertex-openai/glm-5 vertex-openai/grok-4-20-non-reasoning vertex-openai/grok-4-20-reasoning vertex-openai/grok-4-6 vertex-openai/kimi-k2-thinking vertex-openai/qwen3-235b-a22b-instruct-2507 vertex-openai/qwen3-coder-480b-a35b-instruct vertex-openai/qwen3-next-80b-a3b-instruct vertex-openai/qwen3-next-80b-a3b-thinking vispark/vision-large vispark/vision-medium vispark/vision-small viv-fast volcengine/doubao-seed-1-6 volcengine/doubao-seed-1-6-flash volcengine/doubao-seed-1-6-vision volcengine/doubao-seed-1-8 volcengine/doubao-seed-1.8 volcengine/doubao-seed-2.0-code volcengine/doubao-seed-2.0-lite volcengine/doubao-seed-2.0-mini volcengine/doubao-seed-2.0-pro volcengine/doubao-seed-2.1-pro volcengine/doubao-seed-2.1-turbo volcengine/doubao-seed-character volcengine/doubao-seed-evolving voyage-01 voyage-02 voyage-2 voyage-3 voyage-3-large voyage-3-lite voyage-3.5 voyage-3.5-lite voyage-4 voyage-4-large voyage-4-lite voyage-code-2 voyage-code-3 voyage-code-4 voyage-context-3 voyage-context-4 voyage-finance-2 voyage-large-2 voyage-large-2-instruct voyage-law-2 voyage-lite-01 voyage-lite-01-instruct voyage-lite-02-instruct voyage-multilingual-2 whisper-1 whisper-large-v3 whisper-large-v3-turbo wizardlm/wizardlm-13b-v1.2 writer.palmyra-x4-v1:0 writer.palmyra-x5-v1:0 writer/palmyra-x5 xai.grok-4.20-non-reasoning xai.grok-4.20-reasoning xai.grok-4.3 xai.grok-4.6 xiaomi-mimo-v2.5 xiaomi-mimo-v2.5-free xiaomi-mimo-v2.5-pro xiaomi-mimo-v2.5-pro-free xiaomi/mimo-v2.6-pro-ultraspeed xiaomimimo/mimo-v2-flash xiaomimimo/mimo-v2-pro xiaomimimo/mimo-v2.5 xiaomimimo/mimo-v2.5-pro xiaomimimo/mimo-v2.6-flash xiaomimimo/mimo-v2.6-flash-rl xiaomimimo/mimo-v2.6-pro xiaomimimo/mimo-v2.6-pro-rl xingchen-agi/xing4.0-29b-a4b:free xpersona-frieren-coder xpersona-gpt-5.5 xwin-lm/xwin-lm-70b z-ai/autoglm-phone-9b z-ai/glm-5.3-flash-cybersecurity z-ai/glm-5.3-flash-uncensored z-ai/glm-5.3-flashx-legal z-ai/glm-5.3-prime zai-org/autoglm-phone-9b-multilingual zdev zero-one-ai/yi-34b zero-one-ai/yi-6b ~anthropic/claude-fable-latest ~openai/gpt-astra-latest ~openai/gpt-luna-latest ~openai/gpt-sol-latest ~openai/gpt-terra-latest ~unbiased/pareto-latest".split(
    " ",
  ),
);

// Names of models that are public, told from names that somebody chose: the bridge has the same in
// privacy/model_names.py, and tests/plugin/model_ids.json has the one result of both.


const LONGEST_MODEL_NAME = 160; // What is longer is no public name, and no pattern sees it.

const HOSTS = ["hf.co/", "huggingface.co/", "registry.ollama.ai/", "modelscope.cn/", "www.modelscope.cn/"];
const ARN_RESOURCES = [":foundation-model/", ":inference-profile/"];
const CHARACTERS = /^[a-z0-9 ._:/@+~()[\]-]+$/;
const MODEL_WORD = /[a-z]+|[0-9]+/g;
const DATE = /(?<![0-9])(?:20[0-9]{2}-?|2[0-9])(?:0[1-9]|1[0-2])-?(?:0[1-9]|[12][0-9]|3[01])(?![0-9])/;
const ADDRESS = /[0-9]{1,3}(?:\.[0-9]{1,3}){3}|::|(?:[0-9a-f]{1,4}:){3}/;
const NOT_ASCII = /[^\0-\x7f]/;
const SIZE = /(?<![0-9])[0-9]{1,4}[bkm](?![a-z])/g;
const MOST_SIZES = 3;
const MOST_DIGITS = 7;
const LONGEST_NUMBER = 4;

/** @param {string} value */
function publicPart(value) {
  const lower = value.toLowerCase();
  if (lower.includes("arn:")) {
    const mark = ARN_RESOURCES.find((resource) => lower.includes(resource));
    return mark === undefined ? "" : value.slice(lower.indexOf(mark) + mark.length);
  }
  if (lower.includes("projects/")) {
    const at = value.lastIndexOf("/publishers/");
    const path = at < 0 ? "" : value.slice(at + "/publishers/".length);
    const end = path.indexOf("/models/");
    return end >= 0 && MODEL_OWNERS.has(path.slice(0, end).toLowerCase()) ? path.slice(end + "/models/".length) : "";
  }
  const start = lower.startsWith("https://") ? "https://".length : 0;
  const host = HOSTS.find((known) => lower.startsWith(known, start));
  if (host === undefined) return value;
  const name = value.slice(start + host.length);
  return name.startsWith("library/") ? name.slice("library/".length) : name;
}

/** @param {string} name */
function isMadeOfWords(name) {
  const undated = name.replace(DATE, "");
  const sizes = undated.match(SIZE)?.length ?? 0;
  const parts = undated.replace(SIZE, " b ").match(MODEL_WORD) ?? [];
  const words = parts.filter((part) => part >= "a");
  const lengths = parts.filter((part) => part < "a").map((number) => number.length);
  return (
    words.some((part) => MODEL_FAMILIES.has(part)) &&
    words.every((part) => MODEL_FAMILIES.has(part) || MODEL_WORDS.has(part)) &&
    sizes <= MOST_SIZES &&
    areFew(lengths, undated !== name)
  );
}

/**
 * Whether numbers are fewer than a telephone's or a card's, which has more digits or more groups of them.
 *
 * @param {readonly number[]} lengths
 * @param {boolean} isDated
 */
function areFew(lengths, isDated) {
  /** @param {number} digits */
  const having = (digits) => lengths.filter((length) => length >= digits).length;
  return (
    lengths.reduce((sum, length) => sum + length, 0) <= MOST_DIGITS &&
    lengths.every((length) => length <= LONGEST_NUMBER) &&
    having(1) <= 5 &&
    having(2) <= 2 &&
    having(3) <= (isDated ? 0 : 1)
  );
}

/** @param {string} lower */
function isPublic(lower) {
  if (!CHARACTERS.test(lower) || ADDRESS.test(lower)) return false;
  const parts = lower.split("/");
  for (const [start, part] of parts.entries()) {
    if (MODEL_NAMES.has(parts.slice(start).join("/"))) return true;
    if (start === parts.length - 1) return isMadeOfWords(part);
    if (!MODEL_OWNERS.has(part)) return false;
  }
  return false;
}

/**
 * The public part of a model's name: all of it, or what a public ARN, path or registry names.
 *
 * @param {string} value
 * @returns {string | undefined} nothing where no part is public
 */
function publicModelName(value) {
  if (value.length > LONGEST_MODEL_NAME || NOT_ASCII.test(value)) return undefined;
  const name = publicPart(value);
  return name !== "" && isPublic(name.toLowerCase()) ? name : undefined;
}

// Pseudonyms: what stands for a name that somebody chose, for a tool or in place of an id.


// Ids that a machine made up. Any other is a name.
const GENERATED_ID = anyOf(
  "(?:(?:agent|run|conv|session|subagent|teammate|task)_)?1[6-9][0-9]{11}(?:_[a-z0-9]{4,8}(?:c[0-9]{1,3})?)?", // with the time
  "(?:run|msg)_[A-Za-z0-9_-](?=[a-z_-]*[A-Z0-9])[A-Za-z0-9_-]{7}", // a word is none
  "msg_[k-p][a-z0-9]{7}_[a-z0-9]{1,5}", // prompts in editors, with the time
  "[0-9A-HJKMNP-TV-Z]{26}", // ULID
  "(?:error_)?[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", // UUID, also of what stands for an answer that failed
  "[0-9a-f]{32}", // a UUID without dashes, or a pseudonym
);
const ONE_PROVIDER_ID =
  "(?:(?:call|fc|toolu|toolu_bdrk|tooluse|srvtoolu|msg|msg_bdrk|resp|rs|req|gen|chatcmpl|chatcmpl-tool|cmpl)" +
  "[_-](?!(?:[A-Za-z0-9]*[_-]){0,9}[A-Za-z]?[a-z]{5,}(?![A-Za-z0-9]))" +
  "(?!(?:[A-Za-z0-9]*[_-]){0,9}[A-Za-z]{3,}[_-](?:[A-Za-z0-9]*[_-]){0,9}[A-Za-z]{3,}(?![A-Za-z0-9]))" + // no two words
  "(?=[A-Za-z_-]*[0-9]|[A-Za-z]{1,2}(?![A-Za-z0-9_-]))[A-Za-z0-9_-]{1,72}|[a-z]{2,12}-0[0-9]{3,7})";
const PROVIDER_ID = new RegExp(`${ONE_PROVIDER_ID}(?:\\|${ONE_PROVIDER_ID})?`); // of answers and calls
const WHOLE_ID = new RegExp(`^(?:${GENERATED_ID.source})$`);
const WHOLE_PROVIDER_ID = new RegExp(`^(?:${PROVIDER_ID.source})$`);
const KEY = /^[0-9a-f]{64}$/i;

/** The bridge has the same in its catalogue's patterns, privacy/pseudonyms.py and privacy/secret_detectors.py. */
const PATTERNS = {
  version: CLIENT_VERSION,
  generatedId: WHOLE_ID,
  providerId: WHOLE_PROVIDER_ID,
  key: KEY_SHAPE,
};

const PSEUDONYM_DIGITS = 32;
const CUSTOM_DIGITS = 12;
const CUSTOM_NAME = new RegExp(`^custom-[0-9a-f]{${CUSTOM_DIGITS}}$`);

/**
 * @param {Buffer} key
 * @param {"client" | "id" | "mcp_server" | "model" | "repository" | "tool"} kind
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
 * @property {(name: string) => string} client gives the known name of what runs Cline; of any other the pseudonym
 * @property {(name: string) => string} model gives the public part of a model's name; of any other name the pseudonym
 * @property {(name: string) => { mcp_server?: string, mcp_server_hash?: string }} server gives the fields that name an
 *   MCP server
 * @property {(name: string) => { repository_hash?: string }} repository gives the field that tells a repository from others
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
  /** @type {Map<string, string>} */
  const models = new Map();

  /**
   * @param {Map<string, string>} known those of the kind that were made of what was learnt last
   * @param {string} name
   * @param {() => string} make
   */
  const remembered = (known, name, make) => {
    const shown = known.get(name) ?? make();
    keep(known, name, shown, LIMITS.toolPseudonyms);
    return shown;
  };

  /**
   * @param {"client" | "model"} kind
   * @param {string} name
   */
  const custom = (kind, name) => {
    if (key === undefined || name === OTHER) return OTHER;
    if (CUSTOM_NAME.test(name)) return name;
    return (
      (plainNames ? plainName(name) : undefined) ?? `custom-${pseudonymOf(key, kind, name).slice(0, CUSTOM_DIGITS)}`
    );
  };

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
      models.clear();
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
      const ofKey = key;
      if (ofKey === undefined || name === "") return { tool_name: OTHER };
      return { tool_name: OTHER, tool_name_hash: remembered(tools, name, () => pseudonymOf(ofKey, "tool", name)) };
    },
    model: (name) => remembered(models, name, () => publicModelName(name) ?? custom("model", name)),
    client: (name) => knownClient(name) ?? custom("client", name),
    server: (name) => {
      if (plainNames) return { mcp_server: plainToolName(name) ?? OTHER };
      const ofKey = key;
      if (ofKey === undefined) return {};
      return { mcp_server_hash: remembered(servers, name, () => pseudonymOf(ofKey, "mcp_server", name)) };
    },
    repository: (name) => (key === undefined ? {} : { repository_hash: pseudonymOf(key, "repository", name) }),
  };
  if (content !== undefined) pseudonyms.learn(content);
  return pseudonyms;
}

/**
 * An id of those that who serves models makes, of calls and answers, and of the messages that hold them.
 *
 * @type {PublishName}
 */
function providerId(pseudonyms, id) {
  if (!WHOLE_PROVIDER_ID.test(id)) return pseudonyms.identifier(id);
  return KEY_SHAPE.test(id) ? undefined : id;
}

/**
 * @typedef {(pseudonyms: Pseudonyms, name: string) => Record<string, string> | string | undefined} PublishName gives what
 *   is written of it, under the same name or others
 */

/** @type {PublishName} */
const ownId = (pseudonyms, id) => pseudonyms.identifier(id);

const PUBLISHED_NAMES = new Map(
  /** @type {[string, PublishName][]} */ ([
    ["session_id", ownId],
    ["agent_id", ownId],
    ["run_id", ownId],
    ["parent_agent_id", ownId],
    ["parent_run_id", ownId],
    ["parent_call_id", providerId],
    ["call_id", providerId],
    ["response_id", providerId],
    ["prompt_id", providerId],
    ["message_id", providerId],
    ["tool_name", (pseudonyms, name) => pseudonyms.tool(name)],
    ["mcp_server", (pseudonyms, name) => pseudonyms.server(name)],
    ["client_name", (pseudonyms, name) => pseudonyms.client(name)],
    ["model", (pseudonyms, name) => pseudonyms.model(name)],
    ["repository", (pseudonyms, name) => pseudonyms.repository(name)],
  ]),
);

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
  for (const [field, value] of Object.entries(entry)) {
    const publish = PUBLISHED_NAMES.get(field);
    if (publish === undefined) {
      result[field] = value;
      continue;
    }
    const shown = publish(pseudonyms, String(value));
    if (typeof shown === "string") result[field] = shown;
    else if (shown !== undefined) Object.assign(result, shown);
    else if (field === "agent_id" || field === "run_id" || entry.event === "session.claimed") return undefined;
  }
  return result;
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
 * The message that began a run: the newest of the user's that Cline did not insert by itself.
 *
 * @param {unknown} given a snapshot's messages
 */
function promptOf(given) {
  /** @type {readonly Message[]} */
  const messages = Array.isArray(given) ? given : [];
  return messages.findLast((message) => message?.role === "user" && message?.metadata?.userRunSpan !== 0);
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

// Repositories: what a workspace is called, the same in every clone of it.


const REMOTE_NAME = /^\S{1,100}: /;
const SCP_ADDRESS = /^(?:[^@/\s]{1,256}@)?([^:/\s]{2,256}):([^\s]+)$/; // git's short form; a drive has one letter

/**
 * Host and path of a remote, without who asks, a key, the port or the ending; undefined for one that is no address.
 *
 * @param {string} remote
 */
function addressOf(remote) {
  const short = SCP_ADDRESS.exec(remote);
  if (!remote.includes("://") && short === null) return undefined;
  const { hostname, pathname } = new URL(remote.includes("://") ? remote : `ssh://${short?.[1]}/${short?.[2]}`);
  const path = pathname.replace(/^\/{1,9}|\/{1,9}$/g, "").replace(/\.git$/, "");
  return hostname === "" || path === "" ? undefined : `${hostname}/${path}`.toLowerCase();
}

/**
 * The repository of a workspace by its remote, `origin` before any other; the workspace's own path where it has none.
 * Must not get into a record but by way of `published`.
 *
 * @param {WorkspaceInfo} workspace
 */
function repositoryOf(workspace) {
  const remotes = Array.isArray(workspace?.associatedRemoteUrls) ? workspace.associatedRemoteUrls : [];
  const named = remotes.slice(0, 20).filter((remote) => chosen(remote) !== undefined);
  const remote = named.find((text) => text.startsWith("origin: ")) ?? named[0];
  try {
    return (remote && addressOf(remote.replace(REMOTE_NAME, ""))) ?? chosen(workspace?.rootPath);
  } catch {
    return chosen(workspace?.rootPath); // a remote that is no URL
  }
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
    client_name: chosenOrOther(context?.client?.name),
    client_version: clientVersion(context?.client?.version),
    repository: repositoryOf(context?.workspaceInfo),
  };
  keep(state.sessions, sessionId, fields, LIMITS.sessions);
  return [record("session.claimed", nowMs, fields)];
}

// What an editing tool changed, in numbers: lines and files. No line and no path is kept.


/** @typedef {Record<string, FieldValue | undefined>} Change */

const CREATED = "File created successfully";
// What is larger is not looked at, so that Cline waits for no edit longer than some milliseconds.
const MOST_CHARACTERS = 512 * 1024;
const MOST_LINES = 4_096;
const MOST_STEPS = 100_000;

/**
 * The lines of a text, or undefined if it is too large to be taken apart.
 *
 * @param {string} text
 */
function linesOf(text) {
  if (text.length > MOST_CHARACTERS) return undefined;
  let lines = 1;
  for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1))
    if (++lines > MOST_LINES) return undefined;
  return text.split(/\r\n|\n/);
}

/**
 * How many items must at least be taken out of one list and put in to make it the other (E. W. Myers, An O(ND)
 * Difference Algorithm, 1986), or undefined if they differ too much to be counted.
 *
 * @param {readonly number[]} before
 * @param {readonly number[]} after
 */
function differences(before, after) {
  const most = before.length + after.length;
  const last = before.length - after.length;
  const furthest = new Int32Array(2 * most + 3);
  /** @param {number} diagonal */
  const reached = (diagonal) => furthest[most + 1 + diagonal] ?? 0;
  let steps = 0;
  /**
   * How far one gets on a diagonal that lies within so many differences.
   *
   * @param {number} diagonal
   * @param {number} count
   */
  const reach = (diagonal, count) => {
    const left = reached(diagonal - 1) + 1;
    const above = reached(diagonal + 1);
    let at = diagonal === -count || (diagonal !== count && left <= above) ? above : left;
    for (; at < before.length && before[at] === after[at - diagonal]; at++) steps++;
    steps++;
    return at;
  };
  for (let count = 0; count <= most && steps <= MOST_STEPS; count++)
    for (let diagonal = -count; diagonal <= count && steps <= MOST_STEPS; diagonal += 2) {
      const at = reach(diagonal, count);
      if (diagonal === last && at >= before.length) return count;
      furthest[most + 1 + diagonal] = at;
    }
  return undefined;
}

/**
 * How many lines two texts have in common, in the same order; undefined if that takes too long to find out.
 *
 * @param {readonly string[]} before
 * @param {readonly string[]} after
 */
function commonLines(before, after) {
  /** @type {Map<string, number>} */
  const numbers = new Map();
  for (const line of before) if (!numbers.has(line)) numbers.set(line, numbers.size);
  const shared = new Set(after.map((line) => numbers.get(line)));
  /** @param {readonly string[]} lines */
  const numbered = (lines) =>
    lines.map((line) => numbers.get(line)).filter((number) => number !== undefined && shared.has(number));
  const [ours, theirs] = /** @type {[number[], number[]]} */ ([numbered(before), numbered(after)]);
  const differing = differences(ours, theirs);
  return differing === undefined ? undefined : (ours.length + theirs.length - differing) / 2;
}

/**
 * What replacing a text by another removes and adds, line by line, as the smallest diff counts it.
 *
 * @param {string} oldText
 * @param {string} newText
 * @returns {Change}
 */
function replaced(oldText, newText) {
  const before = linesOf(oldText);
  const after = linesOf(newText);
  if (before === undefined || after === undefined) return {};
  const shorter = Math.min(before.length, after.length);
  let head = 0;
  while (head < shorter && before[head] === after[head]) head++;
  let tail = 0;
  while (tail < shorter - head && before.at(-1 - tail) === after.at(-1 - tail)) tail++;
  const removed = before.slice(head, before.length - tail);
  const added = after.slice(head, after.length - tail);
  const common = commonLines(removed, added);
  if (common === undefined) return {};
  return { lines_added: added.length - common, lines_removed: removed.length - common };
}

/**
 * @param {number | undefined} lines
 * @returns {Change}
 */
const onlyAdded = (lines) => (lines === undefined ? {} : { lines_added: lines, lines_removed: 0 });

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
    return { ...onlyAdded(linesOf(newText)?.length), files_modified: 1 };
  if (typeof answer === "string" && answer.startsWith(CREATED)) {
    // A line break at the end ends the last line and begins none.
    const text = newText.endsWith("\n") ? newText.slice(0, newText.endsWith("\r\n") ? -2 : -1) : newText;
    return { ...onlyAdded(newText === "" ? 0 : linesOf(text)?.length), files_created: 1 };
  }
  return typeof oldText === "string" ? { ...replaced(oldText, newText), files_modified: 1 } : {};
}

const UPDATED = "files_modified";
const MOVED = "files_moved";
/** @type {readonly [string, string][]} */
const PATCH_LINES = [
  ["+", "lines_added"],
  ["-", "lines_removed"],
  ["*** Add File: ", "files_created"],
  ["*** Update File: ", UPDATED],
  ["*** Move to: ", MOVED],
  ["*** Delete File: ", "files_deleted"],
];

/**
 * The tool `apply_patch`: its lines say what they do. How many lines a deleted file had it does not say. A file that is
 * moved is one that is updated, with a line that says so right behind.
 *
 * @param {unknown} patch
 * @returns {Change}
 */
function patchChange(patch) {
  const lines = typeof patch === "string" ? linesOf(patch) : undefined;
  if (lines === undefined) return {};
  const fields = lines.map((line) => PATCH_LINES.find(([marker]) => line.startsWith(marker))?.[1]);
  /** @type {Record<string, number>} */
  const change = { lines_added: 0, lines_removed: 0 };
  for (const [at, field] of fields.entries()) {
    const counts = field === UPDATED ? fields[at + 1] !== MOVED : field !== MOVED || fields[at - 1] === UPDATED;
    if (field !== undefined && counts) change[field] = (change[field] ?? 0) + 1;
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

// How large a value is, without making the text of it: an argument may have fifty million characters.


// JSON.stringify of a text so short is quick, and counts what has to be escaped.
const ESCAPED_CHARACTERS = 65_536;

class TooMany extends Error {}

/** @param {string} text */
function textBytes(text) {
  if (text.length <= ESCAPED_CHARACTERS) return Buffer.byteLength(JSON.stringify(text));
  return Buffer.byteLength(text) + 2; // without what its escapes add
}

/** @typedef {{ values: number }} Budget */

/**
 * @param {unknown} value
 * @param {Budget} budget
 * @returns {number | undefined} undefined for what JSON leaves out
 */
function jsonBytes(value, budget) {
  budget.values -= 1;
  if (budget.values < 0) throw new TooMany();
  if (value === null) return 4;
  switch (typeof value) {
    case "string":
      return textBytes(value);
    case "number":
      return Number.isFinite(value) ? String(value).length : 4;
    case "boolean":
      return value ? 4 : 5;
    case "object":
      return Array.isArray(value) ? arrayBytes(value, budget) : objectBytes(value, budget);
    case "bigint":
      throw new TooMany();
    default:
      return undefined;
  }
}

/**
 * @param {readonly unknown[]} values
 * @param {Budget} budget
 */
function arrayBytes(values, budget) {
  let bytes = 2 + Math.max(0, values.length - 1);
  for (const value of values) bytes += jsonBytes(value, budget) ?? 4;
  return bytes;
}

/**
 * @param {object} value
 * @param {Budget} budget
 */
function objectBytes(value, budget) {
  if ("toJSON" in value) throw new TooMany(); // it says itself what it is, which might be anything
  let bytes = 1;
  for (const key of Object.keys(value)) {
    const of = jsonBytes(Reflect.get(value, key), budget);
    if (of !== undefined) bytes += textBytes(key) + 2 + of;
  }
  return Math.max(bytes, 2);
}

/**
 * The size in bytes of a value as JSON (of a string: its own), or undefined when it has none or too many parts.
 *
 * A text of more than 65,536 characters counts without the escapes that JSON would add.
 *
 * @param {unknown} value
 */
function sizeBytes(value) {
  if (value === undefined || value === null) return undefined;
  try {
    return typeof value === "string" ? Buffer.byteLength(value) : jsonBytes(value, { values: LIMITS.sizedValues });
  } catch {
    return undefined; // cyclic, a bigint, a getter that throws, too many parts
  }
}

// Tool calls: when Cline asks for them, their order within an iteration, their start, and their end, which two hooks report.


/**
 * @param {number} iteration
 * @param {unknown} rawCallId
 */
const callKey$1 = (iteration, rawCallId) => `${iteration} ${typeof rawCallId === "string" ? rawCallId : ""}`;

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
function onBeforeTool(state, context, nowMs) {
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
function onToolStarted(state, context, nowMs) {
  const toolCall = context?.toolCall;
  const snapshot = context?.snapshot;
  const run = runOf(state, snapshot);
  if (!run || typeof toolCall !== "object" || toolCall === null) return [];
  const iteration = integer(context?.iteration) ?? integer(snapshot?.iteration) ?? 0;
  const key = callKey$1(iteration, toolCall.toolCallId);
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
  const key = callKey$1(iteration, toolCall?.toolCallId);
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
  const key = callKey$1(iteration, rawCallId);
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
    ["beforeTool", onBeforeTool],
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

// Commands that get a variable before they run, and what Cline says of them as if they had not got it.


const OWN = /TRACEPARENT=/;
const HERE_DOCUMENT = "<<";
// Cline's note where it shows the beginning of a long command.
const CUT = /^(.*)( \.\.\. \[command truncated: )(\d+)( more chars.*)$/s;

/** @param {string} traceparent */
const prefixFor = (traceparent) => `export TRACEPARENT=${traceparent}; `;

/**
 * Applies a change to the texts that a shell runs, wherever Cline takes them: programs with a list of arguments run
 * without a shell. Gives the same input where nothing changes.
 *
 * @param {unknown} input of `run_commands`
 * @param {(command: string) => string} change
 * @returns {unknown}
 */
function changed(input, change) {
  if (typeof input === "string") return change(input);
  if (Array.isArray(input)) {
    const commands = input.map((command) => (typeof command === "string" ? change(command) : command));
    return commands.some((command, index) => command !== input[index]) ? commands : input;
  }
  if (!isObject(input)) return input;
  const key = ["commands", "command", "cmd"].find((name) => name in input);
  if (key === undefined || "args" in input) return input;
  const value = changed(input[key], change);
  return value === input[key] ? input : { ...input, [key]: value };
}

/** @param {unknown} input */
function mayBePieces(input) {
  const commands = isObject(input) && !Array.isArray(input) ? input.commands : input;
  const isPiece = (/** @type {unknown} */ command) => typeof command === "string" && command.includes(HERE_DOCUMENT);
  return Array.isArray(commands) && commands.length > 1 && commands.some(isPiece);
}

/**
 * The input with the prefix before each command of a shell. A command that sets the variable itself is left alone, and
 * so are several of which one has a here-document: Cline joins those that are lines of it.
 *
 * @param {unknown} input of `run_commands`
 * @param {string} prefix
 * @returns {unknown} undefined where nothing is to be changed
 */
function withPrefix(input, prefix) {
  if (mayBePieces(input)) return undefined;
  const given = changed(input, (command) => (command.trim() === "" || OWN.test(command) ? command : prefix + command));
  return given === input ? undefined : given;
}

/**
 * @param {unknown} input that {@link withPrefix} gave
 * @param {string} prefix
 */
const withoutPrefix = (input, prefix) =>
  changed(input, (command) => (command.startsWith(prefix) ? command.slice(prefix.length) : command));

/**
 * The text that Cline shows for a command without the prefix; of a long one it shows the beginning.
 *
 * @param {string} shown
 * @param {string} prefix
 * @param {readonly string[]} commands without it
 */
function shownWithout(shown, prefix, commands) {
  const rest = shown.slice(prefix.length);
  const [, beginning, note, , tail] = CUT.exec(shown) ?? [];
  if (beginning === undefined) return rest;
  const begun = commands.find((command) => command.startsWith(beginning.slice(prefix.length)));
  if (begun === undefined) return rest;
  const left = begun.length - beginning.length;
  return left <= 0 ? begun : `${begun.slice(0, beginning.length)}${note}${left}${tail}`;
}

/**
 * What commands gave, as if they had not had the prefix: it is gone from wherever it was quoted.
 *
 * @param {unknown} output
 * @param {string} prefix
 * @param {unknown} input without it
 * @returns {unknown}
 */
function resultWithout(output, prefix, input) {
  /** @type {string[]} */
  const commands = [];
  changed(input, (command) => {
    commands.push(command);
    return command;
  });
  /** @param {unknown} value @returns {unknown} */
  const without = (value) => {
    if (typeof value === "string") {
      return (value.startsWith(prefix) ? shownWithout(value, prefix, commands) : value).replaceAll(prefix, "");
    }
    if (Array.isArray(value)) return value.map(without);
    if (!isObject(value)) return value;
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, without(item)]));
  };
  return without(output);
}

// BLAKE2b (RFC 7693) without a key, of any digest size: Node.js offers that of 64 bytes alone, whose beginning is not
// the digest of another size.

const BLOCK_BYTES = 128;
const MASK = (1n << 64n) - 1n;
const INITIAL = [
  0x6a09e667f3bcc908n,
  0xbb67ae8584caa73bn,
  0x3c6ef372fe94f82bn,
  0xa54ff53a5f1d36f1n,
  0x510e527fade682d1n,
  0x9b05688c2b3e6c1fn,
  0x1f83d9abfb41bd6bn,
  0x5be0cd19137e2179n,
];
// The order in which each round takes the words of a block, sixteen digits a round; two more are the first two again.
const ORDERS = [
  "0123456789abcdef",
  "ea489fd61c02b753",
  "b8c052fdae367194",
  "7931dcbe265a40f8",
  "905724afe1bc683d",
  "2c6a0b834d75fe19",
  "c51fed4a0763928b",
  "db7ec13950f4862a",
  "6fe9b308c2d714a5",
  "a2847615fb9e3cd0",
  "0123456789abcdef",
  "ea489fd61c02b753",
].map((digits) => [...digits].map((digit) => Number.parseInt(digit, 16)));
// Which four words are mixed: columns, then diagonals.
const QUARTERS = [
  [0, 4, 8, 12],
  [1, 5, 9, 13],
  [2, 6, 10, 14],
  [3, 7, 11, 15],
  [0, 5, 10, 15],
  [1, 6, 11, 12],
  [2, 7, 8, 13],
  [3, 4, 9, 14],
];

/**
 * @param {bigint} value
 * @param {bigint} bits
 */
const rotated = (value, bits) => ((value >> bits) | (value << (64n - bits))) & MASK;

/**
 * @param {BigUint64Array} words
 * @param {readonly number[]} places
 * @param {bigint} first
 * @param {bigint} second
 */
function mix(words, [a = 0, b = 0, c = 0, d = 0], first, second) {
  const at = (/** @type {number} */ place) => words[place] ?? 0n;
  // The array keeps 64 bits of what is put into it.
  words[a] = at(a) + at(b) + first;
  words[d] = rotated(at(d) ^ at(a), 32n);
  words[c] = at(c) + at(d);
  words[b] = rotated(at(b) ^ at(c), 24n);
  words[a] = at(a) + at(b) + second;
  words[d] = rotated(at(d) ^ at(a), 16n);
  words[c] = at(c) + at(d);
  words[b] = rotated(at(b) ^ at(c), 63n);
}

/**
 * @param {BigUint64Array} chain
 * @param {DataView} block
 * @param {number} countBytes of the text up to the end of this block
 * @param {boolean} isLast
 */
function compress(chain, block, countBytes, isLast) {
  const words = BigUint64Array.from([...chain, ...INITIAL]);
  words[12] = (words[12] ?? 0n) ^ BigInt(countBytes);
  if (isLast) words[14] = (words[14] ?? 0n) ^ MASK;
  const word = (/** @type {number | undefined} */ place) => block.getBigUint64((place ?? 0) * 8, true);
  for (const order of ORDERS) {
    for (const [index, places] of QUARTERS.entries()) {
      mix(words, places, word(order[2 * index]), word(order[2 * index + 1]));
    }
  }
  for (let index = 0; index < 8; index += 1) {
    chain[index] = (chain[index] ?? 0n) ^ (words[index] ?? 0n) ^ (words[index + 8] ?? 0n);
  }
}

/**
 * The digest in hex digits.
 *
 * @param {string} text which is taken in UTF-8
 * @param {number} sizeBytes from 1 to 64
 */
function blake2b(text, sizeBytes) {
  const bytes = Buffer.from(text, "utf8");
  const chain = BigUint64Array.from(INITIAL);
  chain[0] = (chain[0] ?? 0n) ^ BigInt(0x0101_0000 | sizeBytes);
  const blocks = Math.max(1, Math.ceil(bytes.length / BLOCK_BYTES));
  for (let index = 0; index < blocks; index += 1) {
    const block = new Uint8Array(BLOCK_BYTES);
    block.set(bytes.subarray(index * BLOCK_BYTES, (index + 1) * BLOCK_BYTES));
    const countBytes = Math.min(bytes.length, (index + 1) * BLOCK_BYTES);
    compress(chain, new DataView(block.buffer), countBytes, index === blocks - 1);
  }
  const digest = new DataView(new ArrayBuffer(64));
  chain.forEach((word, index) => {
    digest.setBigUint64(index * 8, word, true);
  });
  return Buffer.from(digest.buffer, 0, sizeBytes).toString("hex");
}

// The ids that the bridge gives to traces and tool calls, before it does: the same hashes of the same parts (ids.py).


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
const traceId = (agentId, runId) => digest(16, ["trace", agentId, runId]);

/**
 * @param {string} agentId as it is published
 * @param {string} runId
 * @param {number} iteration
 * @param {number} ordinal
 */
const toolCallSpanId = (agentId, runId, iteration, ordinal) =>
  digest(8, ["tool_call", agentId, runId, `${iteration}`, `${ordinal}`]);

// Trace context for commands: which tool call's span a command is to have as its parent, told before the command runs.
//
// Span and trace are known by hashes of ids, and these are known when a call is prepared: the run's from its start, the
// call's place from the answer that asks for it. Nothing of a command is remembered.


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
function createTraceContextOut(pseudonyms) {
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

// Whose a file is: what is trusted, or written to, is this user's or root's.

/**
 * Whether the owner of what was looked at is this user, root, or one whom the environment names; on Windows always.
 *
 * @param {{ uid: number }} found
 */
function hasTrustedOwner({ uid }) {
  const ours = process.geteuid?.();
  if (ours === undefined || uid === ours || uid === 0) return true;
  return (process.env.CLINE_OTEL_BRIDGE_TRUSTED_UIDS ?? "").split(",").some((each) => each.trim() === String(uid));
}

/**
 * The same, and that not everybody may write to it.
 *
 * @param {{ uid: number, mode: number }} found
 */
const isTrusted = (found) => hasTrustedOwner(found) && (process.platform === "win32" || !(found.mode & 0o002));

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
  if (!isTrusted(found)) throw new TypeError("another user's settings");
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
 * @param {readonly string[]} given.offFiles each of which switches off by being there
 * @param {string} given.clineDirectory
 * @param {NodeJS.ProcessEnv} given.environment
 * @param {() => number} given.monotonicMs
 * @returns {() => boolean} which says true for no
 */
function createConsent({ offFiles, clineDirectory, environment, monotonicMs }) {
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
    refused = saysNo || offFiles.some(isThere) || isOff.some((each) => each !== false);
    return refused;
  };
}

// A sign of life while an agent works and there is nothing else to tell: how long a call lasted is else not known when all
// of Cline dies at once.


/**
 * @typedef {object} Heartbeat
 * @property {(records: readonly SpoolRecord[]) => void} note what was told: which runs are open, and that the process lives
 */

/**
 * @param {object} given
 * @param {(records: readonly SpoolRecord[]) => void} given.append
 * @param {() => number} given.nowMs
 * @param {() => number} given.monotonicMs
 * @param {{ heartbeatMs: number, agents: number }} given.limits
 * @param {(action: () => void, delayMs: number) => { unref?: () => unknown }} [given.later] a timer, which must not keep
 *   the process alive
 * @returns {Heartbeat}
 */
function createHeartbeat({ append, nowMs, monotonicMs, limits, later = setTimeout }) {
  /** @type {Map<string, string>} by agent id, the run that it works on */
  const open = new Map();
  let toldAtMs = 0;
  let scheduled = false;

  const beat = () => {
    scheduled = false;
    if (open.size === 0) return;
    if (monotonicMs() - toldAtMs >= limits.heartbeatMs) {
      toldAtMs = monotonicMs();
      append([record("process.alive", nowMs(), {})]);
    }
    schedule();
  };

  const schedule = () => {
    if (scheduled || open.size === 0) return;
    scheduled = true;
    later(beat, Math.max(toldAtMs + limits.heartbeatMs - monotonicMs(), 0)).unref?.();
  };

  return {
    note: (records) => {
      if (records.length === 0) return;
      toldAtMs = monotonicMs();
      for (const { event, agent_id: agentId, run_id: runId } of records) {
        if (typeof agentId !== "string" || typeof runId !== "string") continue;
        if (event !== "run.finished") keep(open, agentId, runId, limits.agents);
        else if (open.get(agentId) === runId) open.delete(agentId);
      }
      schedule();
    },
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

/**
 * The prototype of all objects, which anybody may have changed, is not asked how a record is written.
 *
 * @param {object} entry
 */
const lineOf = (entry) => `${JSON.stringify({ __proto__: null, ...entry })}\n`;

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
    if (!hasTrustedOwner(fs.statSync(directory))) throw new Error("another user's spool");
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
  try {
    const names = fs.readdirSync(directory).filter((entry) => entry.endsWith(".jsonl"));
    // Of very many files some stand for all: to ask for the size of each would keep Cline waiting.
    const every = Math.max(1, Math.ceil(names.length / LIMITS.sizedFiles));
    const asked = names.filter((_, at) => at % every === 0);
    let total = 0;
    for (const name of asked) total += fs.statSync(path.join(directory, name), { throwIfNoEntry: false })?.size ?? 0;
    return total * (names.length / Math.max(1, asked.length));
  } catch {
    return 0; // no directory yet: nothing in it
  }
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

// The span of somebody else in which Cline was started: a pipeline's, for example. From the environment alone.

// W3C Trace Context, level 2: version, trace id, parent id, flags; later versions may append more.
const TRACEPARENT = /^(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;
const SAMPLED = 1;

/**
 * @typedef {{ remote_trace_id: string, remote_span_id: string, remote_relation: "child" | "link" }} RemoteSpan
 */

/**
 * What a root run says of that span: that it is its child, if that is asked for and the span is one that is kept, else
 * that it has a link to it.
 *
 * @param {NodeJS.ProcessEnv} environment
 * @returns {RemoteSpan | undefined}
 */
function remoteSpan(environment) {
  const [, traceId, spanId, flags, more] = TRACEPARENT.exec(environment.TRACEPARENT ?? "") ?? [];
  if (traceId === undefined || spanId === undefined || flags === undefined) return undefined;
  if (more !== undefined && environment.TRACEPARENT?.startsWith("00")) return undefined;
  const relation = environment.CLINE_OTEL_TRACEPARENT_AS;
  if (relation === "none") return undefined;
  const isKept = (Number.parseInt(flags, 16) & SAMPLED) === SAMPLED;
  return {
    remote_trace_id: traceId,
    remote_span_id: spanId,
    remote_relation: relation === "parent" && isKept ? "child" : "link",
  };
}

/**
 * Whether commands are to know the span of the tool call that runs them.
 *
 * @param {NodeJS.ProcessEnv} environment
 */
const tracesCommands = (environment) => environment.CLINE_OTEL_TRACEPARENT_TO_COMMANDS === "true";

// A recorder: hooks' contexts in, spool lines out, for one process.


// Cline's own limit, after which it ends a process that it has not called.
const IDLE_MS = 1_800_000;

/**
 * @typedef {object} Recorder
 * @property {(kind: string, context: unknown) => object | undefined} receive gives what the hook is to answer
 * @property {() => void} flush
 * @property {(reason: "disconnected" | "exit" | "terminated") => void} end after which nothing is written any more
 */

/**
 * @param {object} given
 * @param {string} given.directory of the spool
 * @param {readonly string[]} given.offFiles
 * @param {string} given.pseudonymsFile
 * @param {string} given.clineDirectory
 * @param {NodeJS.ProcessEnv} [given.environment]
 * @returns {Recorder}
 */
function createRecorder({ directory, offFiles, pseudonymsFile, clineDirectory, environment = process.env }) {
  const nowMs = () => Date.now();
  const monotonicMs = () => performance.now();
  const pseudonyms = createPseudonyms();
  const renewPseudonyms = watchPseudonyms(pseudonymsFile, pseudonyms, monotonicMs);
  const mapping = createMapping(createState(remoteSpan(environment)), pseudonyms);
  const refused = createConsent({ offFiles, clineDirectory, environment, monotonicMs });
  const outgoing = tracesCommands(environment) ? createTraceContextOut(pseudonyms) : undefined;
  const spool = createSpool({
    directory,
    pid: process.pid,
    startMs: Math.round(performance.timeOrigin),
    refused,
    claims: () => mapping.claims(nowMs()),
    nowMs,
    monotonicMs,
  });
  const heartbeat = createHeartbeat({ append: (records) => spool.append(records), nowMs, monotonicMs, limits: LIMITS });
  const idleMs = Number(environment.CLINE_PLUGIN_IDLE_TIMEOUT_MS) || IDLE_MS;
  let errors = 0;
  let ended = false;
  let calledAtMs = monotonicMs();
  return {
    receive: (kind, context) => {
      calledAtMs = monotonicMs();
      renewPseudonyms();
      const whole = outgoing?.restored(/** @type {HookContext} */ (context)) ?? context;
      const records = mapping.map(kind, whole, nowMs());
      spool.append(records);
      heartbeat.note(records);
      if (mapping.state.errors > errors) spool.drop("internal_error", mapping.state.errors - errors);
      errors = mapping.state.errors;
      outgoing?.note(records);
      if (kind === "beforeTool" && !refused()) return outgoing?.before(/** @type {HookContext} */ (context));
      // The model is to see what its command gave, and not what was put before it.
      if (kind === "afterTool" && whole !== context) return { result: /** @type {HookContext} */ (whole)?.result };
      return undefined;
    },
    flush: () => spool.flush(),
    end: (reason) => {
      if (ended) return;
      ended = true;
      spool.append(mapping.drain());
      const isIdle = reason === "terminated" && monotonicMs() - calledAtMs >= idleMs;
      spool.close(record("process.exited", nowMs(), { reason: isIdle ? "idle" : reason }));
    },
  };
}

// The plugin: what Cline's loader wants, and the recorder of this process behind it.


// The installer writes absolute paths here: the hub daemon runs with an environment of its own.
const SPOOL_DIRECTORY = "@CLINE_OTEL_SPOOL_DIRECTORY@";
const OFF_FILE = "@CLINE_OTEL_OFF_FILE@";
const USER_OFF_FILE = "@CLINE_OTEL_USER_OFF_FILE@"; // empty where there was no home directory
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
    offFiles: [OFF_FILE, USER_OFF_FILE].filter(path.isAbsolute),
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
 * @returns {object | undefined} what the hook answers
 */
function receive(kind, context) {
  try {
    return installed ? processRecorder().receive(kind, context) : undefined;
  } catch {
    // whatever it is, it is not the agent's concern
    return undefined;
  }
}

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
    // Each hook costs Cline a trip with all messages. This one alone tells how long the user is asked about a tool.
    /** @param {unknown} context */
    beforeTool: (context) => receive("beforeTool", context),
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

export { LIMITS, PATTERNS, SPOOL_VERSION, blake2b, createConsent, createMapping, createPseudonyms, createSpool, createState, createTraceContextOut, plugin as default, plugin, remoteSpan, watchPseudonyms };
