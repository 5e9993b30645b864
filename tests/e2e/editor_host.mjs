/**
 * Does with Cline's core what the extension of an editor does: a session of one prompt, with a tool call that fails.
 * The model is served here. Usage: node editor_host.mjs CORE WORKSPACE, where CORE is the core's file.
 */
import assert from "node:assert";
import { once } from "node:events";
import { createServer } from "node:http";
import { argv, exit } from "node:process";
import { pathToFileURL } from "node:url";

const [core, workspace] = argv.slice(2);
assert(core && workspace);
const { ClineCore } = await import(pathToFileURL(core).href);

const command = { name: "run_commands", arguments: '{"commands":["exit 3"]}' };
const deltas = [
  { content: "I try.", tool_calls: [{ index: 0, id: "call_1", type: "function", function: command }] },
  { content: "It fails." },
];
const usage = { prompt_tokens: 100, completion_tokens: 10, total_tokens: 110 };
const model = createServer(async (request, response) => {
  await once(request.resume(), "end");
  const delta = deltas.shift();
  const choices = [
    { delta: { role: "assistant", ...delta }, finish_reason: null },
    { delta: {}, finish_reason: delta?.tool_calls ? "tool_calls" : "stop" },
  ];
  response.writeHead(200, { "content-type": "text/event-stream" });
  for (const choice of choices) {
    const chunk = { id: "answer", object: "chat.completion.chunk", created: 1, model: "scripted", usage };
    response.write(`data: ${JSON.stringify({ ...chunk, choices: [{ index: 0, ...choice }] })}\n\n`);
  }
  response.end("data: [DONE]\n\n");
});
await once(model.listen(0, "127.0.0.1"), "listening");
const address = model.address();
assert(address && typeof address === "object");

const host = await ClineCore.create({
  backendMode: "local",
  capabilities: { requestToolApproval: async () => ({ approved: true }) },
});
const session = await host.start({
  config: {
    providerId: "openai-compatible",
    modelId: "scripted",
    apiKey: "none",
    baseUrl: `http://127.0.0.1:${address.port}/v1`,
    cwd: workspace,
    workspaceRoot: workspace,
    systemPrompt: "You are tested.",
    mode: "act",
    enableTools: true,
    enableSpawnAgent: false,
    enableAgentTeams: false,
    disableMcpSettingsTools: true,
    checkpoint: { enabled: false },
    extensionContext: { client: { name: "VSCode", version: "4.1.13" } },
  },
  source: "vscode",
  interactive: true,
});
const result = await host.send({ sessionId: session.sessionId, prompt: "Try it." });
console.log(result?.finishReason);
await host.dispose?.("tested");
exit(0);
