// The pure mapping: what hook calls become.

import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import fs from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { spoolFromCapture } from "../../bench/spool_from_capture.mjs";
import { createPseudonyms } from "../../src/cline_otel/plugin/cline-otel.js";
import { AGENT, feed, newMapping, PSEUDONYMS, RUN, RunCalls, runIdOf, SECRET, SESSION, setup } from "./hook_calls.mjs";
import { events, mapped, only, printed } from "./records.mjs";

/** @import { SpoolRecord } from "../../src/cline-plugin/mapping/record.js" */

const PSEUDONYMS_FILE = fileURLToPath(new URL("./pseudonyms.json", import.meta.url));
const FIXTURES = new URL("./fixtures/", import.meta.url);
const NAMES = fs
  .readdirSync(FIXTURES)
  .filter((name) => name.endsWith(".jsonl") && !name.endsWith(".expected.jsonl"))
  .map((name) => name.replace(".jsonl", ""));
/** @param {string} name */
const read = (name) => fs.readFileSync(new URL(name, FIXTURES), "utf8");
/** @param {string} text */
const linesOf = (text) => text.split("\n").filter((line) => line !== "");
/** @param {string[]} lines */
const spoolOf = (lines) => spoolFromCapture(lines, createPseudonyms(PSEUDONYMS));
// ---- recorded runs ----

for (const name of NAMES) {
  test(`the recording ${name} gives the spool lines kept beside it`, () => {
    const { records, malformed } = spoolOf(linesOf(read(`${name}.jsonl`)));
    assert.equal(malformed, 0);
    if (process.env.UPDATE_GOLDEN) fs.writeFileSync(new URL(`${name}.expected.jsonl`, FIXTURES), printed(records));
    assert.equal(printed(records), read(`${name}.expected.jsonl`));
    assert.ok(!process.env.UPDATE_GOLDEN, "rewritten: look at the difference, then run again without UPDATE_GOLDEN");
  });

  test(`no content word of the recording ${name} occurs in a spool line`, () => {
    const text = read(`${name}.jsonl`);
    const output = printed(spoolOf(linesOf(text)).records);
    const words = new Set(text.match(/wort[a-z]+/g)); // all content of the recordings is made of such words
    assert.ok(words.size > 5);
    for (const word of words) assert.ok(!output.includes(word), word);
  });

  test(`every tool call of the recording ${name} has one start, one end and one ordinal`, () => {
    const { records } = spoolOf(linesOf(read(`${name}.jsonl`)));
    /** @param {SpoolRecord} record */
    const keyOf = ({ agent_id, run_id, iteration, ordinal, call_id }) =>
      [agent_id, run_id, iteration, ordinal, call_id].join();
    const started = events(records, "tool_call.started").map(keyOf);
    const finished = events(records, "tool_call.finished").map(keyOf);
    assert.equal(new Set(started).size, started.length);
    assert.deepEqual(finished.toSorted(), started.toSorted());
  });
}

const SCRIPT = fileURLToPath(new URL("../../bench/spool_from_capture.mjs", import.meta.url));

test("the entry point prints the lines of a recording and counts what is none", () => {
  const output = execFileSync(process.execPath, [SCRIPT, PSEUDONYMS_FILE], {
    input: `${read("mcp.jsonl")}not json\n{"kind":1}\n`,
    stdio: ["pipe", "pipe", "ignore"],
  });
  assert.equal(output.toString(), read("mcp.expected.jsonl"));
});

test("without a file of pseudonyms that can be read the entry point converts nothing and says what it wants", () => {
  /** @type {[given: string[], said: RegExp][]} */
  const cases = [
    [[], /^usage: node spool_from_capture\.mjs PSEUDONYMS_FILE \[--plain-names\] < plugin\.jsonl\n$/],
    [[PSEUDONYMS_FILE, "another"], /^usage: /],
    [["no such file"], /^spool_from_capture: no such file is no pseudonyms\.json .*`cline-otel install` makes one\n$/],
    [[SCRIPT], /is no pseudonyms\.json/],
  ];
  for (const [given, said] of cases) {
    const { status, stdout, stderr } = spawnSync(process.execPath, [SCRIPT, ...given], {
      input: read("mcp.jsonl"),
      encoding: "utf8",
    });
    assert.equal(status, 2);
    assert.equal(stdout, "");
    assert.match(stderr, said);
  }
});

test("each process of a recording has a memory of its own and an end of its own", () => {
  const first = linesOf(read("basic.jsonl"));
  const second = linesOf(read("basic.jsonl")).map((line) => line.replace('"pid":100', '"pid":200'));
  const mixed = first.flatMap((line, index) => [line, second[index] ?? ""]);
  const { records } = spoolOf(mixed);
  assert.equal(events(records, "process.exited").length, 2);
  assert.equal(events(records, "run.started").length, 2);
  assert.equal(records.length, 2 * linesOf(read("basic.expected.jsonl")).length);
});

// ---- runs ----

test("a run starts once, whichever of its two hooks comes first", () => {
  const run = new RunCalls();
  for (const calls of [
    [run.started(), run.startedEvent()],
    [run.startedEvent(), run.started()],
    [run.startedEvent()],
  ]) {
    const record = only(mapped([setup(), ...calls]), "run.started");
    assert.deepEqual(record, {
      v: 1,
      event: "run.started",
      time_unix_ms: 1_800_000_000_001,
      session_id: SESSION,
      agent_id: AGENT,
      run_id: RUN,
      agent_kind: "root",
      mode: "act",
    });
  }
});

test("a load without a session claims nothing", () => {
  assert.deepEqual(
    mapped([
      ["setup", { client: { name: "cline-cli" } }],
      ["setup", {}],
      ["setup", undefined],
    ]),
    [],
  );
});

test("the mode is read at the head of the newest user message only", () => {
  /** @param {string} task */
  const modeOf = (task) => only(mapped([new RunCalls({ task }).started()]), "run.started").mode;
  assert.equal(modeOf('<user_input mode="plan">x</user_input>'), "plan");
  assert.equal(modeOf('<user_input mode="yolo">x</user_input>'), "yolo");
  assert.equal(modeOf(`<user_input mode="${SECRET}">x</user_input>`), undefined);
  assert.equal(modeOf('say <user_input mode="plan">'), undefined);
  const run = new RunCalls({ task: '<user_input mode="act">x</user_input>' });
  run.iteration = 1;
  const [kind, context] = run.started();
  context.snapshot.messages.push({ role: "user", content: '<user_input mode="plan">y</user_input>' });
  assert.equal(only(mapped([[kind, context]]), "run.started").mode, "plan");
});

test("a run ends once, with what came last", () => {
  const run = new RunCalls();
  const calls = [
    run.started(),
    run.beforeModel(),
    run.afterRun("failed", { lastErrorClass: "unknown" }),
    run.failedEvent("auth"),
    run.finishedEvent(),
  ];
  const record = only(mapped(calls), "run.finished");
  assert.equal(record.status, "failed");
  assert.equal(record.error_type, "auth");
  assert.equal(record.time_unix_ms, 1_800_000_000_003);
});

test("a run whose last event never came ends when the process does", () => {
  const run = new RunCalls();
  const mapping = newMapping();
  const before = feed(mapping, [run.started(), run.beforeModel(), run.afterRun("aborted")]);
  assert.equal(events(before, "run.finished").length, 0);
  const record = only(mapping.drain(), "run.finished");
  assert.equal(record.status, "aborted");
  assert.equal(record.time_unix_ms, 1_800_000_000_002);
  assert.deepEqual(mapping.drain(), []);
});

test("a run whose last event never came ends when the agent begins its next one", () => {
  const first = new RunCalls();
  const second = new RunCalls({ runId: runIdOf("b") });
  const records = mapped([first.started(), first.afterRun(), second.started()]);
  assert.deepEqual(
    records.map(({ event, run_id }) => [event, run_id]),
    [
      ["run.started", RUN],
      ["run.finished", RUN],
      ["run.started", runIdOf("b")],
    ],
  );
});

test("usage and cost of a run are the run's own, and a cost of zero means unknown", () => {
  const run = new RunCalls();
  const known = only(mapped([run.started(), run.finishedEvent()]), "run.finished");
  assert.equal(known.input_tokens, 300);
  assert.equal(known.cost_usd, 0.5);
  const [kind, context] = run.finishedEvent();
  context.result.usage.totalCost = 0;
  assert.ok(!("cost_usd" in only(mapped([run.started(), [kind, context]]), "run.finished")));
});

test("error text is never a type: what does not look like one is _OTHER", () => {
  const run = new RunCalls();
  for (const errorClass of [SECRET.toUpperCase(), "two words", "a".repeat(41), 7, undefined]) {
    assert.equal(only(mapped([run.started(), run.failedEvent(errorClass)]), "run.finished").error_type, "_OTHER");
    const failed = run.afterModel({ finishReason: "error" }, { lastErrorClass: errorClass, lastError: SECRET });
    assert.equal(only(mapped([run.beforeModel(1), failed]), "model_call.finished").error_type, "_OTHER");
  }
});

for (const [lastError, expected] of [
  ["Cannot connect to API: other side closed", "network"],
  ["Internal server error at upstream", "server_error"],
  ["429 Too Many Requests", "rate_limit"],
  [`Something else: ${SECRET}`, "_OTHER"],
])
  test(`an error that Cline has no class for is ${expected} by its text, for the call and the run alike`, () => {
    const run = new RunCalls();
    const failed = run.afterModel({ finishReason: "error" }, { lastErrorClass: "unknown", lastError });
    const records = mapped([run.started(), run.beforeModel(1), failed, run.failedEvent("unknown", lastError)]);
    assert.equal(only(records, "model_call.finished").error_type, expected);
    assert.equal(only(records, "run.finished").error_type, expected);
  });

test("a run that the mistake limit stopped says so, and not what the mistakes were", () => {
  const run = new RunCalls();
  const lastError = `mistake_limit_reached: ${SECRET}`;
  const record = only(mapped([run.started(), run.finishedEvent("aborted", { lastError })]), "run.finished");
  assert.equal(record.error_type, "mistake_limit_reached");
  const stopped = run.finishedEvent("aborted", { lastError: "cli_run_shutdown" });
  assert.ok(!("error_type" in only(mapped([run.started(), stopped]), "run.finished")));
});

// ---- model calls ----

test("a model call has its start, its first chunk and its own usage", () => {
  const run = new RunCalls();
  const calls = [
    run.started(),
    run.beforeModel(),
    run.delta("assistant-reasoning-delta"),
    run.delta(),
    run.afterModel(),
  ];
  const records = mapped(calls);
  const started = only(records, "model_call.started");
  assert.deepEqual(
    [started.session_id, started.iteration, started.message_count, started.tool_count],
    [SESSION, 1, 1, 1],
  );
  assert.deepEqual(only(records, "model_call.finished"), {
    v: 1,
    event: "model_call.finished",
    time_unix_ms: 1_800_000_000_004,
    agent_id: AGENT,
    run_id: RUN,
    iteration: 1,
    started_at_ms: 1_800_000_000_001,
    first_chunk_at_ms: 1_800_000_000_002,
    finish_reason: "tool-calls",
    response_id: "resp_1",
    provider: "openai-compatible",
    model: "gpt-5",
    input_tokens: 100,
    output_tokens: 5,
    cache_read_tokens: 40,
    cache_write_tokens: 30,
    cost_usd: 0.25,
    tool_calls: 0,
  });
});

test("how many tools an answer asks for is counted in its parts", () => {
  const run = new RunCalls();
  const part = run.toolCall("call_a", "editor", {});
  /** @param {unknown} content */
  const asked = (content) =>
    only(mapped([run.beforeModel(), run.afterModel({ assistantMessage: { content } })]), "model_call.finished")
      .tool_calls;
  assert.equal(asked([{ type: "text", text: SECRET }, part, part]), 2);
  assert.equal(asked(SECRET), undefined);
});

test("the first chunk of one call is not that of the next", () => {
  const run = new RunCalls();
  const records = mapped([run.beforeModel(), run.delta(), run.afterModel(), run.beforeModel(), run.afterModel()]);
  assert.deepEqual(
    events(records, "model_call.finished").map((record) => record.first_chunk_at_ms),
    [1_800_000_000_001, undefined],
  );
});

test("a call repeated within its iteration is told apart by its attempt", () => {
  const run = new RunCalls();
  const records = mapped([
    run.beforeModel(1),
    run.afterModel({ finishReason: "error" }),
    run.beforeModel(1),
    run.afterModel(),
  ]);
  assert.deepEqual(
    records.map(({ event, iteration, attempt }) => [event, iteration, attempt]),
    [
      ["model_call.started", 1, undefined],
      ["model_call.finished", 1, undefined],
      ["model_call.started", 1, 2],
      ["model_call.finished", 1, 2],
    ],
  );
});

test("reasoning tokens are the difference that the call made to its run", () => {
  const run = new RunCalls();
  /** @param {number} reasoningTokenCount */
  const usage = (reasoningTokenCount) => ({ usage: { reasoningTokenCount } });
  const before = run.beforeModel();
  Object.assign(before[1].snapshot, usage(30));
  assert.equal(only(mapped([before, run.afterModel({}, usage(75))]), "model_call.finished").reasoning_tokens, 45);
  assert.ok(!("reasoning_tokens" in only(mapped([before, run.afterModel({}, usage(30))]), "model_call.finished")));
});

// ---- compaction ----

test("compaction notices become records of numbers and short words, other notices none", () => {
  const run = new RunCalls();
  const metadata = {
    kind: "auto_compaction",
    reason: SECRET.toUpperCase(),
    phase: "completed",
    iteration: 2,
    tokensBefore: 8310,
    tokensAfter: 7603.5,
    messagesBefore: 3,
    messagesAfter: 1,
    providerError: SECRET,
  };
  const records = mapped([
    run.started(),
    run.notice(metadata),
    run.notice({ kind: "max_tokens_recovery" }),
    run.notice({ kind: `compaction ${SECRET}` }),
    run.notice(undefined),
  ]);
  assert.deepEqual(only(records, "compaction.finished"), {
    v: 1,
    event: "compaction.finished",
    time_unix_ms: 1_800_000_000_001,
    agent_id: AGENT,
    run_id: RUN,
    iteration: 2,
    tokens_before: 8310,
    messages_before: 3,
    messages_after: 1,
  });
});
