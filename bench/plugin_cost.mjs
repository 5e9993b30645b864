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

import { conversation, runCalls } from "./plugin_calls.mjs";

/** @import { ChildProcess } from "node:child_process" */
/** @import { Context } from "./plugin_calls.mjs" */

/**
 * @typedef {object} Plugin what a plugin's file exports
 * @property {(api: object, context: unknown) => unknown} setup
 * @property {Record<string, ((context: unknown) => unknown) | undefined>} hooks
 *
 * @typedef {(kind: string, context: Context, measured: boolean) => Promise<void>} Call
 * @typedef {{ calls: number, median_us: number, p99_us: number }} Spread
 */

const CONTEXT_BYTES = [10_000, 100_000, 400_000, 1_600_000];
const ITERATIONS = { alone: 60, trip: 6 };
const WARM_UP_ITERATIONS = 3;
const LOADINGS = 5; // of each plugin, compiled and not

const PLUGIN = new URL("../src/cline_otel/plugin/cline-otel.js", import.meta.url);
const SELF = fileURLToPath(import.meta.url);
const RECORDED = new Set(["beforeModel", "afterModel", "onEvent:tool-started", "afterTool"]); // each leaves a record

/** @param {string} kind */
const hookOf = (kind) => kind.replace(/:.*/, "");

// ---- Figures ----

/**
 * Median and 99th percentile of times in milliseconds, as microseconds.
 *
 * @param {number[]} timesMs
 * @returns {Spread}
 */
function spread(timesMs) {
  const sorted = timesMs.toSorted((a, b) => a - b);
  /** @param {number} share */
  const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN;
  /** @param {number} ms */
  const us = (ms) => Math.round(ms * 10_000) / 10;
  return { calls: sorted.length, median_us: us(at(0.5)), p99_us: us(at(0.99)) };
}

/** Times by kind of call, and what they come to: of every call, of those that leave a record, and of each kind. */
class Times {
  /** @type {Map<string, number[]>} */
  #byKind = new Map();

  /**
   * @param {string} kind
   * @param {number} timeMs
   */
  add(kind, timeMs) {
    const times = this.#byKind.get(kind);
    if (times) times.push(timeMs);
    else this.#byKind.set(kind, [timeMs]);
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

/**
 * Makes the calls of a run, of which those of the first iterations are not to be measured: they warm up.
 *
 * @param {object[]} messages
 * @param {number} iterations
 * @param {Call} call
 */
async function measure(messages, iterations, call) {
  for await (const [kind, context] of runCalls(messages, WARM_UP_ITERATIONS + iterations)) {
    const { iteration = 0, status } = context.snapshot ?? {};
    const measured = iteration > WARM_UP_ITERATIONS || status === "completed";
    await call(kind, context, measured);
  }
}

// ---- The three processes ----

/**
 * Calls the hooks in this process; its records are in the spool when the event loop has turned once.
 *
 * @param {Plugin} plugin
 * @param {number} contextBytes
 */
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

/** @param {unknown} message */
const send = (message) => process.send?.(message);

/**
 * Answers calls as Cline's plugin process does.
 *
 * @param {Plugin} plugin
 */
function serve(plugin) {
  /** @param {{ id: number, args: { hookName: string, payload: unknown } }} call */
  const onCall = async ({ id, args: { hookName, payload } }) => {
    const result = await (hookName === "setup" ? plugin.setup({}, payload) : plugin.hooks[hookName]?.(payload));
    send({ type: "response", id, ok: true, result });
  };
  process.on("message", onCall);
  send("ready");
}

/**
 * @param {ChildProcess} child
 * @param {number} contextBytes
 */
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

/**
 * What the child says next; fails when it ends instead.
 *
 * @param {ChildProcess} child
 * @returns {Promise<any>}
 */
function nextMessage(child) {
  return new Promise((resolve, reject) => {
    /** @param {number | null} code */
    const onExit = (code) => reject(new Error(`the plugin's process ended with ${code}`));
    child.once("exit", onExit);
    child.once("message", (message) => {
      child.off("exit", onExit);
      resolve(message);
    });
  });
}

/** @param {ChildProcess} child */
function exited(child) {
  const running = child.exitCode === null && child.signalCode === null;
  return running ? new Promise((resolve) => child.once("exit", resolve)) : Promise.resolve();
}

/**
 * The plugin as `cline-otel install` would write it, in a directory of its own; node itself wants `.mjs`, Cline `.js`.
 *
 * @param {string} directory
 */
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

/**
 * Fails unless the spool holds the start and end of each call of the run: else the figures would be of nothing.
 *
 * @param {string} spool
 * @param {number} iterations
 */
function checkSpool(spool, iterations) {
  const files = fs.existsSync(spool) ? fs.readdirSync(spool) : [];
  const lines = files.flatMap((name) => fs.readFileSync(path.join(spool, name), "utf8").trimEnd().split("\n"));
  const ends = lines.map((line) => JSON.parse(line).event).filter((event) => /_call\.(started|finished)$/.test(event));
  const expected = 4 * (WARM_UP_ITERATIONS + iterations);
  if (ends.length !== expected) throw new Error(`the plugin wrote ${ends.length} of ${expected} records about calls`);
}

/**
 * @param {string} directory
 * @param {number} contextBytes
 */
async function measureSize(directory, contextBytes) {
  /** @type {Record<string, unknown>} */
  const figures = { context_bytes: contextBytes };
  for (const mode of /** @type {const} */ (["alone", "trip"])) {
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

/** @param {string} directory */
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
 *
 * @param {string} bootstrap
 * @param {string} file
 * @param {string} temporary
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

/**
 * @param {string} directory
 * @param {string} bootstrap
 */
async function loading(directory, bootstrap) {
  const empty = path.join(directory, "empty.js");
  const manifest = 'name: "empty", manifest: { capabilities: ["hooks"] }';
  fs.writeFileSync(empty, `export default { ${manifest}, setup() {}, hooks: { onEvent() {} } };\n`);
  const { file } = install(path.join(directory, "installed"), ".js");
  const plugins = { empty, ours: file };
  const newTimes = () => ({ first: [], later: [], ended: [] });
  /** @type {Record<keyof typeof plugins, Record<"first" | "later" | "ended", number[]>>} */
  const times = { empty: newTimes(), ours: newTimes() };
  for (let number = 0; number < LOADINGS; number += 1) {
    for (const name of /** @type {const} */ (["empty", "ours"])) {
      const temporary = path.join(directory, `temporary-${name}-${number}`);
      for (const which of /** @type {const} */ (["first", "later"])) {
        const { loadedMs, endedMs } = await load(bootstrap, plugins[name], temporary);
        times[name][which].push(loadedMs);
        times[name].ended.push(endedMs);
      }
    }
  }
  /** @param {Record<string, number[]>} taken */
  const figures = (taken) =>
    Object.fromEntries(Object.entries(taken).map(([name, timesMs]) => [name, spread(timesMs)]));
  return { empty: figures(times.empty), ours: figures(times.ours) };
}

/** @param {(directory: string) => Promise<object>} measurement */
async function main(measurement) {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), "cline-otel-plugin-cost-"));
  try {
    console.log(JSON.stringify(await measurement(directory)));
  } finally {
    fs.rmSync(directory, { recursive: true, force: true });
  }
}

const [, , mode, file = "", contextBytes] = process.argv;
if (mode === undefined) {
  await main(hookCalls);
} else if (mode === "loading") {
  await main((directory) => loading(directory, file));
} else {
  Reflect.set(globalThis, "__clinePluginHost", { emitEvent() {} });
  process.once("disconnect", () => process.exit(0));
  const { default: plugin } = await import(pathToFileURL(file).href);
  if (mode === "alone") send(await measureAlone(plugin, Number(contextBytes)));
  else serve(plugin);
}
