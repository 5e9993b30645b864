// Hook calls as Cline makes them, for tests: every place that holds content holds the words given for it.

export const SECRET = "zorblatt-quux"; // stands for any content; must never be seen in a record

const messages = (task, answered, calls = []) => [
  { role: "user", content: [{ type: "text", text: task }] },
  ...(answered
    ? [
        {
          role: "assistant",
          content: [
            { type: "text", text: `answer ${SECRET}` },
            ...calls.map((toolCallId) => ({ type: "tool-call", toolCallId, toolName: "read_files", input: { q: SECRET } })),
          ],
        },
      ]
    : []),
];

/** One agent's run: each method gives `[kind, context]` of one hook call. */
export class RunCalls {
  constructor({ agentId = "agent_a", runId = "run_a", parentAgentId, task = `<user_input mode="act">do ${SECRET}</user_input>` } = {}) {
    Object.assign(this, { agentId, runId, parentAgentId, task, iteration: 0, calls: [] });
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

  started = () => ["beforeRun", { snapshot: this.snapshot() }];
  startedEvent = () => ["onEvent:run-started", { type: "run-started", snapshot: this.snapshot() }];

  beforeModel(iteration = this.iteration + 1) {
    this.iteration = iteration;
    const request = {
      systemPrompt: SECRET,
      messages: messages(this.task, false),
      tools: [{ name: "read_files", description: SECRET }],
      options: { metadata: { sessionId: "session_1", distinctId: SECRET } },
    };
    return ["beforeModel", { snapshot: this.snapshot(), request }];
  }

  delta = (type = "assistant-text-delta") => [
    `onEvent:${type}`,
    { type, snapshot: this.snapshot(), iteration: this.iteration, text: SECRET, accumulatedText: SECRET },
  ];

  afterModel = (extra = {}, snapshot = {}) => [
    "afterModel",
    {
      snapshot: this.snapshot(snapshot),
      assistantMessage: {
        role: "assistant",
        content: [{ type: "text", text: SECRET }],
        metrics: { inputTokens: 100, outputTokens: 5, cacheReadTokens: 40, cacheWriteTokens: 30, cost: 0.25 },
        modelInfo: { id: "gpt-5", provider: "openai-compatible" },
      },
      finishReason: "tool-calls",
      requestId: "response_1",
      ...extra,
    },
  ];

  toolCall = (toolCallId, toolName, input) => ({ type: "tool-call", toolCallId, toolName, input });

  toolStarted = (toolCallId, toolName = "read_files", input = { path: SECRET }) => [
    "onEvent:tool-started",
    {
      type: "tool-started",
      snapshot: this.snapshot(),
      iteration: this.iteration,
      toolCall: this.toolCall(toolCallId, toolName, input),
    },
  ];

  afterTool = (toolCallId, toolName = "read_files", result = { output: [{ query: SECRET, result: SECRET, success: true }] }) => [
    "afterTool",
    {
      snapshot: this.snapshot(),
      tool: { name: toolName, description: SECRET },
      toolCall: this.toolCall(toolCallId, toolName, { path: SECRET }),
      input: { path: SECRET },
      result,
      startedAt: "2027-01-15T08:00:00.100Z",
      endedAt: "2027-01-15T08:00:00.350Z",
      durationMs: 250,
    },
  ];

  toolFinished = (toolCallId, toolName = "read_files", result = { output: { error: SECRET }, isError: true }) => [
    "onEvent:tool-finished",
    {
      type: "tool-finished",
      snapshot: this.snapshot(),
      iteration: this.iteration,
      toolCall: this.toolCall(toolCallId, toolName, { path: SECRET }),
      message: { role: "tool", content: [{ type: "tool-result", toolCallId, toolName, ...result }] },
    },
  ];

  notice = (metadata) => ["onEvent:status-notice", { type: "status-notice", snapshot: this.snapshot(), message: SECRET, metadata }];

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

  afterRun = (status = "completed", extra) => ["afterRun", this.ended(status, extra)];
  finishedEvent = (status = "completed", extra) => ["onEvent:run-finished", { type: "run-finished", ...this.ended(status, extra) }];
  failedEvent = (errorClass) => [
    "onEvent:run-failed",
    { type: "run-failed", snapshot: this.snapshot({ status: "failed", lastError: SECRET }), error: { message: SECRET }, errorClass },
  ];
}

export const setup = (sessionId = "session_1") => [
  "setup",
  {
    session: { sessionId },
    client: { name: "cline-cli", version: "3.0.65", platform: SECRET },
    user: { distinctId: SECRET },
    workspaceInfo: { rootPath: SECRET, associatedRemoteUrls: [SECRET] },
  },
];

/** A whole small run: a model call, two tools of which the second is rejected, an end. */
export function wholeRun(given) {
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
    run.toolStarted("call_2", "no_such_tool"),
    run.toolFinished("call_2", "no_such_tool"),
    run.afterRun(),
    run.finishedEvent(),
  ];
}

/** Feeds hook calls to a mapping, one a millisecond from `fromMs` on, and gives all records. */
export function feed(mapping, calls, fromMs = 1_800_000_000_000) {
  return calls.flatMap(([kind, context], index) => mapping.map(kind, context, fromMs + index));
}

/** A generator of numbers in [0, 1) that a seed determines. */
export function random(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
