// The hook calls of a run as Cline makes them, with a conversation of a given size.

const WORDS = 20; // streamed in one answer of the model
const TOOL_OUTPUT_BYTES = 4_000;
const SYSTEM_PROMPT_BYTES = 4_300; // this and the tools as Cline sends them
const TOOLS = 25;
const TOOL_DESCRIPTION_BYTES = 600;

/** @typedef {{ snapshot?: { iteration: number, status: string }, [field: string]: unknown }} Context of a hook call */

/**
 * Text that looks like source code and is as long as asked.
 *
 * @param {number} bytes
 */
const sourceText = (bytes) => {
  /** @param {number} number */
  const line = (number) =>
    `${number} | const total${number} = items.map((item) => item.price * ${number}).join("\\n");\n`;
  let text = "";
  for (let number = 1; text.length < bytes; number += 1) text += line(number);
  return text.slice(0, bytes);
};

/** @param {number} number */
const readFile = (number) => ({ files: [{ path: `src/module_${number}.ts` }] });

/** @param {number} number */
function answer(number) {
  const toolCall = {
    type: "tool-call",
    toolCallId: `call_${number}`,
    toolName: "read_files",
    input: readFile(number),
  };
  const message = {
    id: `message-${number}`,
    role: "assistant",
    content: [{ type: "text", text: `Reading module ${number} to see where the price is computed.` }, toolCall],
    createdAt: 1_800_000_000_000 + number,
    modelInfo: { id: "claude-sonnet-4.6", provider: "openai-compatible" },
    metrics: { inputTokens: 9000, outputTokens: 120, cacheReadTokens: 8000, cacheWriteTokens: 500, cost: 0.0123 },
  };
  return { message, toolCall };
}

/** @param {number} number */
const outputOf = (number) => [
  { query: `src/module_${number}.ts`, result: sourceText(TOOL_OUTPUT_BYTES), success: true },
];

/** @param {number} number */
function toolMessage(number) {
  const part = { type: "tool-result", toolCallId: `call_${number}`, toolName: "read_files", output: outputOf(number) };
  return { id: `result-${number}`, role: "tool", content: [part], createdAt: 1_800_000_000_000 + number };
}

/**
 * A conversation whose messages take about so many bytes of JSON.
 *
 * @param {number} bytes
 */
export function conversation(bytes) {
  const text = '<user_input mode="act">Round all prices to whole cents.</user_input>';
  /** @type {object[]} */
  const messages = [{ id: "message-0", role: "user", content: [{ type: "text", text }], createdAt: 1_800_000_000_000 }];
  let size = JSON.stringify(messages).length;
  for (let number = 1; size < bytes; number += 1) {
    const pair = [answer(number).message, toolMessage(number)];
    messages.push(...pair);
    size += JSON.stringify(pair).length;
  }
  return messages;
}

/**
 * The hook calls of a run with so many iterations, each with one answer and one tool.
 *
 * @param {object[]} messages
 * @param {number} iterations
 * @returns {Generator<[kind: string, context: Context]>}
 */
export function* runCalls(messages, iterations) {
  let iteration = 0;
  const snapshot = (extra = {}) => ({
    agentId: "agent_1800000000000_a1b2",
    conversationId: "conversation_1",
    runId: "run_a1b2c3d4",
    status: "running",
    iteration,
    messages,
    pendingToolCalls: [],
    usage: { inputTokens: 9000, outputTokens: 120, cacheReadTokens: 8000, cacheWriteTokens: 500, totalCost: 0.0123 },
    ...extra,
  });
  /**
   * @param {string} type
   * @returns {[kind: string, context: Context]}
   */
  const event = (type, fields = {}) => [`onEvent:${type}`, { type, snapshot: snapshot(), iteration, ...fields }];
  const tools = Array.from({ length: TOOLS }, (_, number) => ({
    name: `tool_${number}`,
    description: sourceText(TOOL_DESCRIPTION_BYTES),
    inputSchema: { type: "object", properties: { path: { type: "string" } } },
  }));
  const request = {
    systemPrompt: sourceText(SYSTEM_PROMPT_BYTES),
    messages,
    tools,
    options: { metadata: { sessionId: "1800000000000_a1b2c" } },
  };
  const ended = {
    result: { agentId: "agent_1800000000000_a1b2", runId: "run_a1b2c3d4", status: "completed", iterations, messages },
  };

  yield ["setup", { session: { sessionId: "1800000000000_a1b2c" }, client: { name: "cline-cli", version: "3.0.65" } }];
  yield ["beforeRun", { snapshot: snapshot() }];
  yield event("run-started");
  while (iteration < iterations) {
    iteration += 1;
    const { message: assistantMessage, toolCall } = answer(iteration);
    yield event("turn-started");
    yield ["beforeModel", { snapshot: snapshot(), request }];
    let accumulatedText = "";
    for (let word = 0; word < WORDS; word += 1) {
      accumulatedText += "reading ";
      yield event("assistant-text-delta", { text: "reading ", accumulatedText });
    }
    yield event("usage-updated", { usage: snapshot().usage });
    const afterModel = {
      snapshot: snapshot(),
      assistantMessage,
      finishReason: "tool-calls",
      requestId: `answer-${iteration}`,
    };
    yield ["afterModel", afterModel];
    yield event("message-added", { message: assistantMessage });
    yield event("assistant-message", { message: assistantMessage, finishReason: "tool-calls" });
    yield event("tool-started", { toolCall });
    const times = { startedAt: "2027-01-15T08:00:00.100Z", endedAt: "2027-01-15T08:00:00.350Z", durationMs: 250 };
    const result = { output: outputOf(iteration) };
    const tool = { name: "read_files", description: sourceText(TOOL_DESCRIPTION_BYTES) };
    yield ["afterTool", { snapshot: snapshot(), tool, toolCall, input: toolCall.input, result, ...times }];
    yield event("tool-finished", { toolCall, message: toolMessage(iteration) });
    yield event("message-added", { message: toolMessage(iteration) });
    yield event("turn-finished");
  }
  yield ["afterRun", { snapshot: snapshot({ status: "completed" }), ...ended }];
  yield ["onEvent:run-finished", { type: "run-finished", snapshot: snapshot({ status: "completed" }), ...ended }];
}
