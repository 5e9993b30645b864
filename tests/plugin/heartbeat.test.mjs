// The sign of life of a process in which an agent works: when it is written, and when not.

import assert from "node:assert/strict";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { test } from "node:test";

import { createHeartbeat } from "../../src/cline-plugin/rim/heartbeat.js";
import { createRecorder } from "../../src/cline-plugin/rim/recorder.js";
import { AGENT, agentIdOf, RUN, RunCalls, runIdOf, setup } from "./hook_calls.mjs";

/** @import { SpoolRecord } from "../../src/cline-plugin/mapping/record.js" */

const HEARTBEAT_MS = 5000;
const START_MS = 1_790_000_000_000;

/**
 * @param {string} event
 * @returns {SpoolRecord}
 */
const of = (event, agent = AGENT, run = RUN) => ({ v: 1, event, time_unix_ms: 0, agent_id: agent, run_id: run });

/** A heartbeat with a clock that goes on when it is told to; `told` is how many ms after the start it told what. */
function heartbeat(agents = 8) {
  /** @type {[atMs: number, event: string][]} */
  const told = [];
  /** @type {{ action: () => void, atMs: number } | undefined} */
  let timer;
  let passedMs = 0;
  let unrefs = 0;
  const { note } = createHeartbeat({
    append: (records) => {
      for (const { event, time_unix_ms } of records) told.push([time_unix_ms - START_MS, event]);
    },
    nowMs: () => START_MS + passedMs,
    monotonicMs: () => passedMs,
    limits: { heartbeatMs: HEARTBEAT_MS, agents },
    later: (action, delayMs) => {
      assert.equal(timer, undefined, "one timer at a time");
      timer = { action, atMs: passedMs + delayMs };
      return { unref: () => (unrefs += 1) };
    },
  });
  /** @param {number} ms */
  const pass = (ms) => {
    const until = passedMs + ms;
    while (timer !== undefined && timer.atMs <= until) {
      passedMs = timer.atMs;
      const { action } = timer;
      timer = undefined;
      action();
    }
    passedMs = until;
  };
  return { note, pass, told, waits: () => timer !== undefined, unrefs: () => unrefs };
}

/** @param {number[]} atMs */
const alive = (...atMs) => atMs.map((at) => [at, "process.alive"]);

test("while an agent works and there is nothing else to tell, it says every 5 s that the process lives", () => {
  const { note, pass, told } = heartbeat();
  note([of("run.started"), of("model_call.started")]);
  pass(16_000);
  assert.deepEqual(told, alive(5000, 10_000, 15_000));
});

test("what else is told is a sign of life too", () => {
  const { note, pass, told } = heartbeat();
  note([of("run.started")]);
  pass(3000);
  note([of("model_call.started")]);
  pass(4999);
  assert.deepEqual(told, []);
  pass(1);
  assert.deepEqual(told, alive(8000));
});

test("a hook that is told of nothing puts no sign of life off", () => {
  const { note, pass, told } = heartbeat();
  note([of("run.started")]);
  pass(3000);
  note([]);
  pass(2000);
  assert.deepEqual(told, alive(5000));
});

test("where no agent works it says nothing and no timer runs", () => {
  const { note, pass, told, waits } = heartbeat();
  note([{ v: 1, event: "session.claimed", time_unix_ms: 0, session_id: "s" }]);
  assert.ok(!waits());
  note([of("run.started")]);
  pass(1000);
  note([of("run.finished")]);
  pass(60_000);
  assert.deepEqual(told, []);
  assert.ok(!waits());
});

test("as long as one of several agents works it goes on", () => {
  const { note, pass, told } = heartbeat();
  const other = /** @type {const} */ ([agentIdOf("b"), runIdOf("b")]);
  note([of("run.started"), of("run.started", ...other)]);
  note([of("run.finished", ...other)]);
  pass(5000);
  note([of("run.finished")]);
  pass(60_000);
  assert.deepEqual(told, alive(5000));
});

test("the end of an agent's earlier run does not end its later one", () => {
  const { note, pass, told } = heartbeat();
  note([of("run.started"), of("run.started", AGENT, runIdOf("b")), of("run.finished")]);
  pass(5000);
  assert.deepEqual(told, alive(5000));
});

test("a run that began in another process is known by what is told of it", () => {
  const { note, pass, told } = heartbeat();
  note([of("tool_call.finished")]);
  pass(5000);
  assert.deepEqual(told, alive(5000));
});

test("it keeps no process alive, and remembers no more agents than it may", () => {
  const { note, pass, told, unrefs } = heartbeat(1);
  const other = /** @type {const} */ ([agentIdOf("b"), runIdOf("b")]);
  note([of("run.started")]);
  assert.equal(unrefs(), 1);
  note([of("run.started", ...other), of("run.finished", ...other)]);
  pass(60_000);
  assert.deepEqual(told, []);
});

test("a recorder writes it into the spool", (t) => {
  const root = fs.mkdtempSync(path.join(os.tmpdir(), "cline-otel-heartbeat-"));
  t.after(() => fs.rmSync(root, { recursive: true, force: true }));
  let passedMs = 0;
  t.mock.method(performance, "now", () => passedMs);
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const directory = path.join(root, "spool");
  const places = { offFiles: [path.join(root, "off")], pseudonymsFile: path.join(root, "none"), clineDirectory: root };
  const recorder = createRecorder({ directory, ...places, environment: {} });
  const run = new RunCalls();
  for (const [kind, context] of [setup(), run.started(), run.beforeModel()]) recorder.receive(kind, context);
  passedMs = HEARTBEAT_MS;
  t.mock.timers.tick(HEARTBEAT_MS);
  recorder.end("terminated");
  const [name = "none"] = fs.readdirSync(directory);
  const lines = fs.readFileSync(path.join(directory, name), "utf8").trimEnd().split("\n");
  const events = lines.map((line) => /** @type {SpoolRecord} */ (JSON.parse(line)).event);
  assert.deepEqual(events.slice(-3), ["model_call.started", "process.alive", "process.exited"]);
});
