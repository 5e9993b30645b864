// What Cline hands to a plugin's hooks, as far as the mapping looks at it. Types only: nothing here runs.
//
// All of it comes from outside and nothing has checked it. Any value but null and undefined can be asked for any
// property, so "null, undefined, or something with these properties, each of which may be anything" is true of whatever
// comes; what is read at the end of such a path is `unknown` until a gate has let it pass.

/**
 * @template T
 * @typedef {T | null | undefined} Foreign
 */

/**
 * @typedef {Foreign<{
 *   inputTokens?: unknown,
 *   outputTokens?: unknown,
 *   cacheReadTokens?: unknown,
 *   cacheWriteTokens?: unknown,
 *   reasoningTokenCount?: unknown,
 *   totalCost?: unknown,
 * }>} RunUsage What a run has used so far: input tokens include what was cached.
 */

/**
 * @typedef {Foreign<{ type?: unknown, text?: unknown, toolCallId?: unknown }>} MessagePart
 * @typedef {Foreign<{
 *   id?: unknown,
 *   role?: unknown,
 *   content?: unknown,
 *   createdAt?: unknown,
 *   metadata?: Foreign<{ userRunSpan?: unknown }>,
 * }>} Message
 *   `content` is a text or a list of parts.
 */

/**
 * @typedef {Foreign<{
 *   agentId?: unknown,
 *   parentAgentId?: unknown,
 *   runId?: unknown,
 *   iteration?: unknown,
 *   status?: unknown,
 *   messages?: unknown,
 *   usage?: RunUsage,
 *   lastError?: unknown,
 *   lastErrorClass?: unknown,
 * }>} Snapshot The state of the agent whose hook is called. Teammates have no parent.
 */

/**
 * @typedef {Foreign<{ rootPath?: unknown, associatedRemoteUrls?: unknown }>} WorkspaceInfo
 *   Remotes are texts such as `origin: https://git.example/a/b.git`, with whatever keys are in them.
 *
 * @typedef {Foreign<{
 *   session?: Foreign<{ sessionId?: unknown }>,
 *   client?: Foreign<{ name?: unknown, version?: unknown }>,
 *   workspaceInfo?: WorkspaceInfo,
 * }>} SetupContext Of `setup`; a load that only lists commands has no session.
 *
 * @typedef {Foreign<{ snapshot?: Snapshot }>} RunStartedContext Of `beforeRun` and of the event `run-started`.
 *
 * @typedef {Foreign<{
 *   snapshot?: Snapshot,
 *   request?: Foreign<{
 *     messages?: Foreign<{ length?: unknown }>,
 *     tools?: Foreign<{ length?: unknown }>,
 *     options?: Foreign<{ metadata?: Foreign<{ sessionId?: unknown }> }>,
 *   }>,
 * }>} BeforeModelContext Of `beforeModel`.
 *
 * @typedef {Foreign<{
 *   snapshot?: Snapshot,
 *   assistantMessage?: Foreign<{
 *     id?: unknown,
 *     metrics?: RunUsage & Foreign<{ cost?: unknown }>,
 *     modelInfo?: Foreign<{ id?: unknown, provider?: unknown }>,
 *     content?: unknown,
 *   }>,
 *   finishReason?: unknown,
 *   requestId?: unknown,
 * }>} AfterModelContext Of `afterModel`; a failed call has no metrics, and some providers give no id of their answer.
 *
 * @typedef {Foreign<{
 *   toolCallId?: unknown,
 *   toolName?: unknown,
 *   input?: Foreign<{ task?: unknown, prompt?: unknown }>,
 *   execution?: unknown,
 * }>} ToolCall `execution` is there when the provider itself runs the tool.
 *
 * @typedef {Foreign<{ snapshot?: Snapshot, iteration?: unknown, toolCall?: ToolCall }>} ToolStartedContext
 *   Of the event `tool-started`.
 *
 * @typedef {Foreign<{
 *   snapshot?: Snapshot,
 *   tool?: Foreign<{ description?: unknown }>,
 *   toolCall?: ToolCall,
 *   input?: unknown,
 * }>} BeforeToolContext Of `beforeTool`, whose answer may have another `input`, and after which Cline asks the user
 *   unless the settings approve the call; tools that are not offered do not reach it.
 *
 * @typedef {Foreign<{
 *   snapshot?: Snapshot,
 *   toolCall?: ToolCall,
 *   result?: unknown,
 *   startedAt?: unknown,
 *   endedAt?: unknown,
 *   durationMs?: unknown,
 * }>} AfterToolContext Of `afterTool`, which tools that were refused do not reach.
 *
 * @typedef {Foreign<{ snapshot?: Snapshot, iteration?: unknown, toolCall?: ToolCall, message?: Message }>}
 *   ToolFinishedContext Of the event `tool-finished`; the result is a part of the message.
 *
 * @typedef {Foreign<{
 *   snapshot?: Snapshot,
 *   metadata?: Foreign<{
 *     kind?: unknown,
 *     phase?: unknown,
 *     reason?: unknown,
 *     iteration?: unknown,
 *     tokensBefore?: unknown,
 *     tokensAfter?: unknown,
 *     messagesBefore?: unknown,
 *     messagesAfter?: unknown,
 *   }>,
 * }>} StatusNoticeContext Of the event `status-notice`.
 *
 * @typedef {Foreign<{
 *   snapshot?: Snapshot,
 *   result?: Foreign<{ usage?: RunUsage, status?: unknown, iterations?: unknown }>,
 *   errorClass?: unknown,
 * }>} RunEndedContext Of `afterRun` and of the events `run-finished` and `run-failed`.
 */

/**
 * @typedef {SetupContext & RunStartedContext & BeforeModelContext & AfterModelContext & BeforeToolContext
 *   & ToolStartedContext & AfterToolContext & ToolFinishedContext & StatusNoticeContext & RunEndedContext} HookContext
 *   Of any hook: who gets it looks only at what his own hook has.
 */

export {};
