// The installed plugin in processes of its own: what is on the disk after each way in which such a process can end.

import assert from "node:assert/strict";
import { fork } from "node:child_process";
import { once } from "node:events";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";

import plugin, { plugin as named } from "../../src/cline_otel/plugin/cline-otel.js";
import { PSEUDONYMS, RunCalls, setup, wholeRun } from "./hook_calls.mjs";

const SOURCE = fileURLToPath(new URL("../../src/cline_otel/plugin/cline-otel.js", import.meta.url));
const HOST = fileURLToPath(new URL("./host.mjs", import.meta.url));

/** @import { ChildProcess } from "node:child_process" */
/** @import { SpoolRecord } from "../../src/cline-plugin/mapping/record.js" */
/** @import { HookCall } from "./hook_calls.mjs" */

/** @type {string} */
let root;
/** @type {string} */
let spool;
/** @type {string} */
let file;
/** @type {Set<ChildProcess>} */
const children = new Set();

beforeEach(() => {
  root = fs.mkdtempSync(path.join(os.tmpdir(), "cline-otel-process-"));
  spool = path.join(root, "state", "spool");
  file = path.join(root, "cline-otel.mjs");
  const state = path.join(root, "state");
  const places = {
    SPOOL_DIRECTORY: spool,
    OFF_FILE: path.join(state, "off"),
    USER_OFF_FILE: path.join(root, "home", ".cline-otel", "off"),
    PSEUDONYMS_FILE: path.join(state, "pseudonyms.json"),
    CLINE_DIRECTORY: root,
  };
  fs.mkdirSync(state);
  fs.writeFileSync(places.PSEUDONYMS_FILE, JSON.stringify(PSEUDONYMS));
  let text = fs.readFileSync(SOURCE, "utf8");
  for (const [name, place] of Object.entries(places))
    text = text.replace(`"@CLINE_OTEL_${name}@"`, JSON.stringify(place));
  fs.writeFileSync(file, text);
});

afterEach(() => {
  for (const child of children) child.kill("SIGKILL");
  children.clear();
  fs.rmSync(root, { recursive: true, force: true });
});

async function host(mode = "sandbox", extra = {}) {
  const { DO_NOT_TRACK: _track, OTEL_SDK_DISABLED: _disabled, ...environment } = process.env;
  const child = fork(HOST, [file, mode], {
    env: { ...environment, ...extra },
    stdio: ["ignore", "ignore", "inherit", "ipc"],
  });
  children.add(child);
  child.once("exit", () => children.delete(child));
  assert.deepEqual(await once(child, "message"), ["ready", undefined]);
  return child;
}

/**
 * @param {ChildProcess} child
 * @param {readonly HookCall[]} calls
 */
async function told(child, calls) {
  for (const call of calls) child.send(call);
  child.send("done");
  assert.deepEqual(await once(child, "message"), ["done", undefined]); // anything else is a hook that answered
}

/** @param {ChildProcess} child */
const ended = (child) =>
  child.exitCode === null && child.signalCode === null ? once(child, "exit") : [child.exitCode, child.signalCode];
const spoolFiles = () => (fs.existsSync(spool) ? fs.readdirSync(spool) : []);
/**
 * @param {string} name
 * @returns {SpoolRecord[]}
 */
const recordsOf = (name) =>
  fs
    .readFileSync(path.join(spool, name), "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
/** @param {string} name */
const eventsOf = (name) => recordsOf(name).map(({ event }) => event);

/** The one file of the spool. */
function onlyFile() {
  const [name, ...others] = spoolFiles();
  assert.ok(name !== undefined && others.length === 0);
  return name;
}

const WHOLE = [
  "session.claimed",
  "run.started",
  "model_call.started",
  "model_call.finished",
  "tool_call.started",
  "tool_call.finished",
  "tool_call.started",
  "tool_call.finished",
  "run.finished",
];

test("the plugin is what Cline's loader wants: a name, a manifest, hooks that are functions, by default and by name", () => {
  assert.equal(plugin, named);
  assert.equal(plugin.name, "cline-otel");
  assert.deepEqual(plugin.manifest, { capabilities: ["hooks"] });
  assert.deepEqual(Object.keys(plugin.hooks).toSorted(), [
    "afterModel",
    "afterRun",
    "afterTool",
    "beforeModel",
    "beforeRun",
    "beforeTool",
    "onEvent",
  ]);
});

test("uninstalled, straight from the package, it does nothing at all", () => {
  for (const [kind, context] of [setup(), ...wholeRun()]) {
    const hook = Reflect.get(plugin.hooks, kind.replace(/:.*/, ""));
    assert.equal(kind === "setup" ? plugin.setup({}, context) : hook(context), undefined);
  }
  assert.equal(process.listenerCount("SIGTERM"), 0);
});

test("hooks never throw and answer nothing, whatever they are given", async () => {
  const refuse = () => {
    throw new Error("no");
  };
  const { default: loaded } = await import(pathToFileURL(file).href);
  for (const hook of [loaded.setup, ...Object.values(loaded.hooks)])
    for (const context of [undefined, null, 1n, "x", [], new Proxy({}, { get: refuse, ownKeys: refuse })])
      assert.equal(hook(context, context), undefined);
});

/** @typedef {(child: ChildProcess) => unknown} End */

/** @type {[how: string, mode: string, end: End, status: unknown[], reason: string][]} */
const ENDS = [
  ["Cline ends it by SIGTERM", "sandbox", (child) => child.kill("SIGTERM"), [null, "SIGTERM"], "terminated"],
  ["Cline is gone", "sandbox", (child) => child.disconnect(), [0, null], "disconnected"],
  ["it has nothing more to do", "in-process", (child) => child.disconnect(), [0, null], "disconnected"],
];

for (const [how, mode, end, status, reason] of ENDS) {
  test(`nothing is lost when ${how} right after the last hook`, async () => {
    const child = await host(mode);
    const calls = [setup(), ...wholeRun()];
    for (const call of calls) child.send(call);
    child.send("done");
    await once(child, "message");
    end(child);
    assert.deepEqual(await ended(child), status);
    const name = onlyFile();
    assert.match(name, new RegExp(`^${child.pid}-[0-9]{13}-0\\.jsonl$`));
    assert.deepEqual(eventsOf(name), [...WHOLE, "process.exited"]);
    assert.equal(recordsOf(name).at(-1)?.reason, reason);
  });
}

test("a process that Cline ends because it did not call it for its limit was idle", async () => {
  const run = new RunCalls();
  const child = await host("sandbox", { CLINE_PLUGIN_IDLE_TIMEOUT_MS: "0.001" });
  await told(child, [setup(), run.started(), run.beforeModel()]);
  child.kill("SIGTERM");
  await ended(child);
  assert.equal(recordsOf(onlyFile()).at(-1)?.reason, "idle");
});

test("hooks that were called before SIGTERM are read before the process goes", async () => {
  const child = await host();
  await told(child, [setup()]);
  for (const call of wholeRun()) child.send(call);
  child.kill("SIGTERM");
  await ended(child);
  const events = eventsOf(onlyFile());
  assert.equal(events.at(-1), "process.exited");
  assert.deepEqual(events.slice(0, -1), WHOLE.slice(0, events.length - 1));
});

for (const signal of /** @type {const} */ (["SIGINT", "SIGHUP"])) {
  test(`${signal} reaches Cline and its plugins alike: the plugin stays to hear how the run ended`, async () => {
    const run = new RunCalls();
    const child = await host();
    await told(child, [setup(), run.started(), run.beforeModel()]);
    child.kill(signal);
    await told(child, [run.afterRun("aborted"), run.finishedEvent("aborted")]);
    child.kill("SIGTERM");
    await ended(child);
    assert.deepEqual(eventsOf(onlyFile()), [
      "session.claimed",
      "run.started",
      "model_call.started",
      "run.finished",
      "process.exited",
    ]);
  });
}

test("in a host's own process signals are the host's", async () => {
  const child = await host("in-process");
  await told(child, [setup(), ...wholeRun()]);
  await told(child, []); // a turn of the event loop later
  child.kill("SIGINT");
  assert.deepEqual(await ended(child), [null, "SIGINT"]);
  assert.deepEqual(eventsOf(onlyFile()), WHOLE);
});

test("SIGKILL takes at most the last word, and no line is torn", async () => {
  const child = await host();
  await told(child, [setup(), ...wholeRun()]);
  await told(child, []); // a turn of the event loop later
  child.kill("SIGKILL");
  await ended(child);
  assert.deepEqual(eventsOf(onlyFile()), WHOLE);
});

test("an end that waits for its last event is written at exit", async () => {
  const run = new RunCalls();
  const child = await host();
  await told(child, [setup(), run.started(), run.afterTool("a"), run.afterRun("completed")]);
  child.kill("SIGTERM");
  await ended(child);
  assert.deepEqual(eventsOf(onlyFile()), [
    "session.claimed",
    "run.started",
    "tool_call.finished",
    "run.finished",
    "process.exited",
  ]);
});

test("several processes at once have a file each, and none loses a line", async () => {
  const hosts = await Promise.all(Array.from({ length: 4 }, () => host()));
  /** @param {ChildProcess} child */
  const sessionOf = (child) => `session_${18e11 + Number(child.pid)}`;
  await Promise.all(hosts.map((child) => told(child, [setup(sessionOf(child)), ...wholeRun()])));
  for (const child of hosts) child.kill("SIGTERM");
  await Promise.all(hosts.map(ended));
  assert.equal(spoolFiles().length, 4);
  for (const child of hosts) {
    const name = spoolFiles().find((entry) => entry.startsWith(`${child.pid}-`)) ?? "none of its own";
    assert.deepEqual(eventsOf(name), [...WHOLE, "process.exited"]);
    assert.equal(recordsOf(name)[0]?.session_id, sessionOf(child));
  }
});

test("a name that somebody chose has one pseudonym in all processes, and is in none of their files", async () => {
  const names = { agentId: "prüferin", runId: "april", sessionId: "Invoice checker 42", toolName: "crm__find" };
  const hosts = await Promise.all([host(), host()]);
  for (const child of hosts) await told(child, [setup(names.sessionId), ...wholeRun(names)]);
  for (const child of hosts) child.kill("SIGTERM");
  await Promise.all(hosts.map(ended));
  const [one = [], two = []] = spoolFiles().map(recordsOf);
  /** @param {readonly SpoolRecord[]} records */
  const named = (records) =>
    records.map(({ session_id, agent_id, run_id, tool_name_hash }) => [session_id, agent_id, run_id, tool_name_hash]);
  assert.deepEqual(named(one), named(two));
  assert.deepEqual(
    one.map(({ event }) => event),
    [...WHOLE, "process.exited"],
  );
  assert.match(String(one[0]?.session_id), /^[0-9a-f]{32}$/);
  for (const name of spoolFiles()) {
    const text = fs.readFileSync(path.join(spool, name), "utf8");
    for (const chosen of Object.values(names)) assert.ok(!text.includes(chosen), chosen);
  }
});

test("without pseudonyms what Cline made up is written, and nothing that somebody named", async () => {
  fs.unlinkSync(path.join(root, "state", "pseudonyms.json"));
  const child = await host();
  const another = { agentId: "prüferin", runId: "april", sessionId: "Invoice checker 42" };
  await told(child, [setup(), ...wholeRun({ toolName: "crm__find" }), setup(another.sessionId), ...wholeRun(another)]);
  child.kill("SIGTERM");
  await ended(child);
  const name = onlyFile();
  assert.deepEqual(eventsOf(name), [...WHOLE, "process.exited"]);
  for (const record of recordsOf(name)) {
    assert.ok(!("tool_name_hash" in record));
    assert.ok(!("tool_name" in record) || record.tool_name === "_OTHER");
  }
});

test("a process that only lists the plugin's commands leaves nothing behind", async () => {
  const child = await host();
  await told(child, [["setup", { client: { name: "cline-cli" } }]]);
  child.kill("SIGTERM");
  await ended(child);
  assert.deepEqual(spoolFiles(), []);
});

test("a user who has opted out gets no file", async () => {
  const child = await host("sandbox", { DO_NOT_TRACK: "1" });
  await told(child, [setup(), ...wholeRun()]);
  child.kill("SIGTERM");
  await ended(child);
  assert.deepEqual(spoolFiles(), []);
});

test("the file has no line that Cline's dependency check would take for a package", () => {
  const text = fs.readFileSync(SOURCE, "utf8");
  const named = [
    /\bimport\s+(?:type\s+)?[^"'`]*?\bfrom\s*["'`]([^"'`]+)["'`]/g,
    /\bexport\s+[^"'`]*?\bfrom\s*["'`]([^"'`]+)["'`]/g,
    /\b(?:import|require)\s*\(\s*["'`]([^"'`]+)["'`]\s*\)/g,
  ].flatMap((pattern) => [...text.matchAll(pattern)].map((match) => match[1]));
  assert.deepEqual(named.toSorted(), ["node:crypto", "node:fs", "node:path"]);
});

/** @type {HookCall} */
const BEFORE_TOOL = [
  "beforeTool",
  {
    snapshot: {
      ...new RunCalls().snapshot(),
      iteration: 1,
      messages: [{ role: "assistant", content: [{ type: "tool-call", toolCallId: "c" }] }],
    },
    tool: { description: "Run shell commands." },
    toolCall: { toolCallId: "c", toolName: "run_commands" },
    input: { commands: ["make"] },
  },
];
const ASKED_FOR = { CLINE_OTEL_TRACEPARENT_TO_COMMANDS: "true" };

test("a tool gets another input only if that is asked for, and nobody has switched telemetry off", async () => {
  for (const [extra, isOff, answer] of /** @type {const} */ ([
    [ASKED_FOR, false, "a hook answered object"],
    [ASKED_FOR, true, "done"],
    [{ ...ASKED_FOR, DO_NOT_TRACK: "1" }, false, "done"],
    [{ CLINE_OTEL_TRACEPARENT_TO_COMMANDS: "1" }, false, "done"],
    [{}, false, "done"],
  ])) {
    const off = path.join(root, "state", "off");
    if (isOff) fs.writeFileSync(off, "");
    const child = await host("sandbox", extra);
    child.send(setup());
    child.send(new RunCalls().started());
    child.send(BEFORE_TOOL);
    child.send("done");
    assert.deepEqual(await once(child, "message"), [answer, undefined], JSON.stringify([extra, isOff]));
    fs.rmSync(off, { force: true });
  }
});
