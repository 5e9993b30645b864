// What somebody else in Cline's process, a tool or a provider could do to the plugin: names, sizes, prototypes, files.

import assert from "node:assert/strict";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { mock, test } from "node:test";

import { LIMITS } from "../../src/cline-plugin/limits.js";
import { record } from "../../src/cline-plugin/mapping/record.js";
import { sizeBytes } from "../../src/cline-plugin/mapping/sizes.js";
import { lineOf } from "../../src/cline-plugin/rim/spool_batch.js";
import { createSpoolRoom } from "../../src/cline-plugin/rim/spool_room.js";
import { RunCalls, SECRET } from "./hook_calls.mjs";
import { mapped, only, printed } from "./records.mjs";

// ---- prototypes ----

test("what is put into the prototype of all objects gets into no line", () => {
  /** @type {Record<string, unknown>} */
  const polluted = { zorblatt: SECRET, toJSON: () => SECRET };
  for (const [name, value] of Object.entries(polluted))
    Object.defineProperty(Object.prototype, name, { value, enumerable: true, configurable: true });
  try {
    const line = lineOf(record("run.started", 1, { agent_id: "a" }));
    assert.equal(line, '{"v":1,"event":"run.started","time_unix_ms":1,"agent_id":"a"}\n');
    const run = new RunCalls();
    const lines = mapped([run.started(), run.beforeModel()]).map(lineOf);
    assert.equal(lines.length, 2);
    assert.ok(!lines.join("").includes(SECRET));
  } finally {
    for (const name of Object.keys(polluted)) Reflect.deleteProperty(Object.prototype, name);
  }
});

// ---- words ----

test("a provider, a reason and a class of errors that no list has are not told, whatever their shape", () => {
  const run = new RunCalls();
  const context = {
    finishReason: "zorblatt-quux",
    assistantMessage: { modelInfo: { id: "gpt-5", provider: "zorblatt-quux" }, content: [] },
  };
  const [kind, given] = run.afterModel({}, {});
  const records = mapped([run.started(), run.beforeModel(), [kind, { ...Object(given), ...context }]]);
  const finished = only(records, "model_call.finished");
  assert.deepEqual([finished.provider, finished.finish_reason], ["_OTHER", "_OTHER"]);
  assert.ok(!printed(records).includes(SECRET));
});

// ---- sizes ----

const VALUES = [
  "text",
  'quo"tes\n',
  "\u00e4\u20ac\ud83d\ude00\ud83d",
  12,
  -0.5,
  Number.NaN,
  true,
  false,
  [],
  [1, undefined, "x", null],
  {},
  { a: undefined },
  { a: 1, "b\n": [{ c: "d" }], e: null, f: () => 1 },
  Array.from({ length: 1000 }, (_, at) => ({ at, text: "x".repeat(at) })),
];

test("a value's size is that of its JSON, of a text its own", () => {
  for (const value of VALUES)
    assert.equal(sizeBytes(value), Buffer.byteLength(typeof value === "string" ? value : JSON.stringify(value)));
});

test("no text of a large value is made to know its size", () => {
  const large = { path: "a", content: "x".repeat(50_000_000) };
  const { stringify } = JSON;
  JSON.stringify = (/** @type {unknown} */ value) => {
    assert.ok(typeof value === "string" && value.length <= 65_536, "it is asked for the JSON of something large");
    return stringify(value);
  };
  try {
    assert.equal(sizeBytes(large), 50_000_000 + '{"path":"a","content":""}'.length);
  } finally {
    JSON.stringify = stringify;
  }
});

test("what has too many parts, contains itself, or says itself what it is has no size", () => {
  /** @type {unknown[]} */
  const cyclic = [];
  cyclic.push(cyclic);
  const fails = {
    get a() {
      throw new Error(SECRET);
    },
  };
  for (const value of [cyclic, Array(LIMITS.sizedValues).fill(1), new Date(0), { a: 1n }, fails])
    assert.equal(sizeBytes(value), undefined);
});

// ---- files ----

test("of however many spool files no more are asked for their size than a limit, and all count", () => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), "cline-otel-walls-"));
  const asked = mock.method(fs, "statSync");
  try {
    for (let at = 0; at < 5000; at += 1) fs.writeFileSync(path.join(directory, `1-1-${at}.jsonl`), "0123456789");
    const room = createSpoolRoom({ directory, monotonicMs: () => 0, limits: { ...LIMITS, directoryBytes: 50_010 } });
    assert.ok(room.measure());
    assert.ok(asked.mock.callCount() > 0 && asked.mock.callCount() <= LIMITS.sizedFiles);
    assert.ok(room.hasRoomFor(10));
    assert.ok(!room.hasRoomFor(11));
  } finally {
    asked.mock.restore();
    fs.rmSync(directory, { recursive: true, force: true });
  }
});
