// What a hook call of the Cline plugin costs, by the size of the conversation that Cline hands to every hook.
//
//   node bench/plugin_cost.mjs                    prints JSON, times in microseconds
//   node bench/plugin_cost.mjs loading BOOTSTRAP  the same of loading the plugin by Cline's own plugin process, whose
//                                                 program is BOOTSTRAP, beside a plugin that does nothing
//
// Each size is measured twice, in a process of its own as Cline gives each session one: the hook alone (until it
// answers, and until its records are in the spool), and the way from another process to the hook and back, as JSON
// over node's channel, which is how Cline calls its plugins. Cline waits for that answer, also after each streamed word.

import { fork } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const CONTEXT_BYTES = [10_000, 100_000, 400_000, 1_600_000];
const WORDS = 20; // streamed in one answer of the model
const ITERATIONS = { alone: 60, trip: 6 };
const WARM_UP_ITERATIONS = 3;
const LOADINGS = 5; // of each plugin, compiled and not
const TOOL_OUTPUT_BYTES = 4_000;
const SYSTEM_PROMPT_BYTES = 4_300; // this and the tools as Cline sends them
const TOOLS = 25;
const TOOL_DESCRIPTION_BYTES = 600;

const PLUGIN = new URL("../src/cline_otel/plugin/cline-otel.js", import.meta.url);
const SELF = fileURLToPath(import.meta.url);
const RECORDED = new Set(["beforeModel", "afterModel", "onEvent:tool-started", "afterTool"]); // each leaves a record

// ---- Hook calls as Cline makes them ----

/** Text that looks like source code and is as long as asked. */
const sourceText = (bytes) => {
  const line = (number) => `${number} | const total${number} = items.map((item) => item.price * ${number}).join("\\n");\n`;
  let text = "";
  for (let number = 1; text.length < bytes; number += 1) text += line(number);
  return text.slice(0, bytes);
};

const readFile = (number) => ({ files: [{ path: `src/module_${number}.ts` }] });

function answer(number) {
  return {
    id: `message-${number}`,
    role: "assistant",
    content: [
      { type: "text", text: `Reading module ${number} to see where the price is computed.` },
      { type: "tool-call", toolCallId: `call_${number}`, toolName: "read_files", input: readFile(number) },
    ],
    createdAt: 1_800_000_000_000 + number,
    modelInfo: { id: "claude-sonnet-4.6", provider: "openai-compatible" },
    metrics: { inputTokens: 9000, outputTokens: 120, cacheReadTokens: 8000, cacheWriteTokens: 500, cost: 0.0123 },
  };
}

const outputOf = (number) => [{ query: `src/module_${number}.ts`, result: sourceText(TOOL_OUTPUT_BYTES), success: true }];

function toolMessage(number) {
  const part = { type: "tool-result", toolCallId: `call_${number}`, toolName: "read_files", output: outputOf(number) };
  return { id: `result-${number}`, role: "tool", content: [part], createdAt: 1_800_000_000_000 + number };
}

/** A conversation whose messages take about `bytes` bytes of JSON. */
function conversation(bytes) {
  const text = '<user_input mode="act">Round all prices to whole cents.</user_input>';
  const messages = [{ id: "message-0", role: "user", content: [{ type: "text", text }], createdAt: 1_800_000_000_000 }];
  let size = JSON.stringify(messages).length;
  for (let number = 1; size < bytes; number += 1) {
    const pair = [answer(number), toolMessage(number)];
    messages.push(...pair);
    size += JSON.stringify(pair).length;
  }
  return messages;
}

/** The hook calls of a run with so many iterations, each with one answer and one tool, as `[kind, context]`. */
function* runCalls(messages, iterations) {
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
  const ended = { result: { agentId: "agent_1800000000000_a1b2", runId: "run_a1b2c3d4", status: "completed", iterations, messages } };

  yield ["setup", { session: { sessionId: "1800000000000_a1b2c" }, client: { name: "cline-cli", version: "3.0.65" } }];
  yield ["beforeRun", { snapshot: snapshot() }];
  yield event("run-started");
  while (iteration < iterations) {
    iteration += 1;
    const assistantMessage = answer(iteration);
    const [, toolCall] = assistantMessage.content;
    yield event("turn-started");
    yield ["beforeModel", { snapshot: snapshot(), request }];
    let accumulatedText = "";
    for (let word = 0; word < WORDS; word += 1) {
      accumulatedText += "reading ";
      yield event("assistant-text-delta", { text: "reading ", accumulatedText });
    }
    yield event("usage-updated", { usage: snapshot().usage });
    const afterModel = { snapshot: snapshot(), assistantMessage, finishReason: "tool-calls", requestId: `answer-${iteration}` };
    yield ["afterModel", afterModel];
    yield event("message-added", { message: assistantMessage });
    yield event("assistant-message", { message: assistantMessage, finishReason: "tool-calls" });
    yield event("tool-started", { toolCall });
    const times = { startedAt: "2027-01-15T08:00:00.100Z", endedAt: "2027-01-15T08:00:00.350Z", durationMs: 250 };
    const result = { output: outputOf(iteration) };
    const tool = { name: "read_files", description: tools[0].description };
    yield ["afterTool", { snapshot: snapshot(), tool, toolCall, input: toolCall.input, result, ...times }];
    yield event("tool-finished", { toolCall, message: toolMessage(iteration) });
    yield event("message-added", { message: toolMessage(iteration) });
    yield event("turn-finished");
  }
  yield ["afterRun", { snapshot: snapshot({ status: "completed" }), ...ended }];
  yield ["onEvent:run-finished", { type: "run-finished", snapshot: snapshot({ status: "completed" }), ...ended }];
}

const hookOf = (kind) => kind.split(":")[0];

// ---- Figures ----

/** Median and 99th percentile of times in milliseconds, as microseconds. */
function spread(timesMs) {
  const sorted = timesMs.toSorted((a, b) => a - b);
  const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
  const us = (ms) => Math.round(ms * 10_000) / 10;
  return { calls: sorted.length, median_us: us(at(0.5)), p99_us: us(at(0.99)) };
}

/** Times by kind of call, and what they come to: of every call, of those that leave a record, and of each kind. */
class Times {
  #byKind = new Map();

  add(kind, timeMs) {
    if (!this.#byKind.has(kind)) this.#byKind.set(kind, []);
    this.#byKind.get(kind).push(timeMs);
  }

  figures() {
    const kinds = [...this.#byKind];
    return {
      every_call: spread(kinds.flatMap(([, times]) => times)),
      recorded_call: spread(kinds.flatMap(([kind, times]) => (RECORDED.has(kind) ? times : []))),
      kinds: Object.fromEntries(kinds.map(([kind, times]) => [kind, spread(times)])),
    };
  }
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

/** Takes the times of calls made by `call`, those of the first iterations left out: they warm up. */
async function measure(messages, iterations, call) {
  for await (const [kind, context] of runCalls(messages, WARM_UP_ITERATIONS + iterations)) {
    const measured = context.snapshot?.iteration > WARM_UP_ITERATIONS || context.snapshot?.status === "completed";
    await call(kind, context, measured);
  }
}

// ---- The three processes ----

/** Calls the hooks in this process; its records are in the spool when the event loop has turned once. */
async function measureAlone(plugin, contextBytes) {
  const [answered, written] = [new Times(), new Times()];
  await measure(conversation(contextBytes), ITERATIONS.alone, async (kind, context, measured) => {
    const startedAtMs = performance.now();
    if (kind === "setup") plugin.setup({}, context);
    else plugin.hooks[hookOf(kind)]?.(context);
    const answeredAtMs = performance.now();
    await turn();
    const writtenAtMs = performance.now();
    if (!measured) return;
    answered.add(kind, answeredAtMs - startedAtMs);
    written.add(kind, writtenAtMs - startedAtMs);
  });
  const turns = [];
  for (let number = 0; number < 1000; number += 1) {
    const startedAtMs = performance.now();
    await turn();
    turns.push(performance.now() - startedAtMs);
  }
  return { answered: answered.figures(), written: written.figures(), empty_turn: spread(turns) };
}

/** Answers calls as Cline's plugin process does. */
function serve(plugin) {
  process.on("message", async ({ id, args: { hookName, payload } }) => {
    const result = await (hookName === "setup" ? plugin.setup({}, payload) : plugin.hooks[hookName]?.(payload));
    process.send({ type: "response", id, ok: true, result });
  });
  process.send("ready");
}

async function measureTrips(child, contextBytes) {
  const times = new Times();
  let id = 0;
  await measure(conversation(contextBytes), ITERATIONS.trip, async (kind, context, measured) => {
    id += 1;
    const args = { pluginId: "plugin_1", hookName: hookOf(kind), payload: context };
    const startedAtMs = performance.now();
    const answered = nextMessage(child);
    child.send({ type: "call", id, method: "invokeHook", args });
    await answered;
    if (measured) times.add(kind, performance.now() - startedAtMs);
  });
  return times.figures();
}

/** What the child says next; fails when it ends instead. */
function nextMessage(child) {
  return new Promise((resolve, reject) => {
    const onExit = (code) => reject(new Error(`the plugin's process ended with ${code}`));
    child.once("exit", onExit);
    child.once("message", (message) => {
      child.off("exit", onExit);
      resolve(message);
    });
  });
}

function exited(child) {
  const running = child.exitCode === null && child.signalCode === null;
  return running ? new Promise((resolve) => child.once("exit", resolve)) : Promise.resolve();
}

/** The plugin as `cline-otel install` would write it, in a directory of its own; node itself wants `.mjs`, Cline `.js`. */
function install(directory, ending = ".mjs") {
  fs.mkdirSync(directory);
  const file = path.join(directory, `cline-otel${ending}`);
  const places = {
    SPOOL_DIRECTORY: "spool",
    OFF_FILE: "off",
    PSEUDONYMS_FILE: "pseudonyms.json",
    CLINE_DIRECTORY: "cline",
  };
  const pseudonyms = { version: 1, key: "00".repeat(32), built_in_tools: ["read_files"], plain_names: false };
  fs.writeFileSync(path.join(directory, places.PSEUDONYMS_FILE), JSON.stringify(pseudonyms));
  let text = fs.readFileSync(PLUGIN, "utf8");
  for (const [name, place] of Object.entries(places))
    text = text.replace(`"@CLINE_OTEL_${name}@"`, JSON.stringify(path.join(directory, place)));
  fs.writeFileSync(file, text);
  return { file, spool: path.join(directory, "spool") };
}

/** Fails unless the spool holds the start and end of each call of the run: else the figures would be of nothing. */
function checkSpool(spool, iterations) {
  const files = fs.existsSync(spool) ? fs.readdirSync(spool) : [];
  const lines = files.flatMap((name) => fs.readFileSync(path.join(spool, name), "utf8").trimEnd().split("\n"));
  const ends = lines.map((line) => JSON.parse(line).event).filter((event) => /_call\.(started|finished)$/.test(event));
  const expected = 4 * (WARM_UP_ITERATIONS + iterations);
  if (ends.length !== expected) throw new Error(`the plugin wrote ${ends.length} of ${expected} records about calls`);
}

async function measureSize(directory, contextBytes) {
  const figures = { context_bytes: contextBytes };
  for (const mode of ["alone", "trip"]) {
    const { file, spool } = install(path.join(directory, `${mode}-${contextBytes}`));
    const child = fork(SELF, [mode, file, String(contextBytes)]);
    try {
      const first = await nextMessage(child);
      if (mode === "alone") Object.assign(figures, first);
      else figures.trip = await measureTrips(child, contextBytes);
    } finally {
      if (child.connected) child.disconnect();
      await exited(child);
    }
    checkSpool(spool, ITERATIONS[mode]);
  }
  return figures;
}

async function hookCalls(directory) {
  const sizes = [];
  for (const contextBytes of CONTEXT_BYTES) sizes.push(await measureSize(directory, contextBytes));
  return { sizes };
}

// ---- Loading ----

/**
 * How long Cline's plugin process takes from its start until it has set the plugin up, and to end when told to.
 *
 * Cline compiles a plugin and keeps the outcome in the temporary directory, so a fresh one makes it compile.
 */
async function load(bootstrap, file, temporary) {
  fs.mkdirSync(temporary, { recursive: true });
  const env = { ...process.env, TMPDIR: temporary };
  const child = fork(bootstrap, [], { env, stdio: ["ignore", "ignore", "inherit", "ipc"] });
  const startedAtMs = performance.now();
  const loaded = nextMessage(child);
  const args = { pluginPaths: [file], session: { sessionId: "1800000000000_a1b2c" }, client: { name: "cline-cli" } };
  child.send({ type: "call", id: "1", method: "initialize", args });
  const { result } = await loaded;
  const loadedAtMs = performance.now();
  child.kill("SIGTERM");
  await exited(child);
  if (result?.plugins?.length !== 1) throw new Error(`Cline's plugin process did not load ${path.basename(file)}`);
  return { loadedMs: loadedAtMs - startedAtMs, endedMs: performance.now() - loadedAtMs };
}

async function loading(directory, bootstrap) {
  const empty = path.join(directory, "empty.js");
  const manifest = 'name: "empty", manifest: { capabilities: ["hooks"] }';
  fs.writeFileSync(empty, `export default { ${manifest}, setup() {}, hooks: { onEvent() {} } };\n`);
  const { file } = install(path.join(directory, "installed"), ".js");
  const times = { empty: { first: [], later: [], ended: [] }, ours: { first: [], later: [], ended: [] } };
  for (let number = 0; number < LOADINGS; number += 1) {
    for (const [name, plugin] of [["empty", empty], ["ours", file]]) {
      const temporary = path.join(directory, `temporary-${name}-${number}`);
      for (const which of ["first", "later"]) {
        const { loadedMs, endedMs } = await load(bootstrap, plugin, temporary);
        times[name][which].push(loadedMs);
        times[name].ended.push(endedMs);
      }
    }
  }
  const figures = (taken) => Object.fromEntries(Object.entries(taken).map(([name, timesMs]) => [name, spread(timesMs)]));
  return { empty: figures(times.empty), ours: figures(times.ours) };
}

async function main(measurement) {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), "cline-otel-plugin-cost-"));
  try {
    console.log(JSON.stringify(await measurement(directory)));
  } finally {
    fs.rmSync(directory, { recursive: true, force: true });
  }
}

const [, , mode, file, contextBytes] = process.argv;
if (mode === undefined) {
  await main(hookCalls);
} else if (mode === "loading") {
  await main((directory) => loading(directory, file));
} else {
  globalThis.__clinePluginHost = { emitEvent() {} };
  process.once("disconnect", () => process.exit(0));
  const { default: plugin } = await import(pathToFileURL(file).href);
  if (mode === "alone") process.send(await measureAlone(plugin, Number(contextBytes)));
  else serve(plugin);
}
