// The pure mapping: what hook calls become, and what never gets into a record.

import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import fs from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

import { createPseudonyms, createState, LIMITS } from "../../src/cline_otel/plugin/cline-otel.js";
import { spoolFromCapture } from "../../bench/spool_from_capture.mjs";
import {
  AGENT,
  agentIdOf,
  feed,
  newMapping,
  PSEUDONYMS,
  random,
  RUN,
  RunCalls,
  runIdOf,
  SECRET,
  SESSION,
  setup,
  wholeRun,
} from "./hook_calls.mjs";

const PSEUDONYMS_FILE = fileURLToPath(new URL("./pseudonyms.json", import.meta.url));
const FIXTURES = new URL("./fixtures/", import.meta.url);
const NAMES = fs
  .readdirSync(FIXTURES)
  .filter((name) => name.endsWith(".jsonl") && !name.endsWith(".expected.jsonl"))
  .map((name) => name.replace(".jsonl", ""));
const read = (name) => fs.readFileSync(new URL(name, FIXTURES), "utf8");
const linesOf = (text) => text.split("\n").filter((line) => line !== "");
const SCRIPT = fileURLToPath(new URL("../../bench/spool_from_capture.mjs", import.meta.url));
const spoolOf = (lines) => spoolFromCapture(lines, createPseudonyms(PSEUDONYMS));
const printed = (records) => records.map((record) => `${JSON.stringify(record)}\n`).join("");

const events = (records, event) => records.filter((record) => record.event === event);
const only = (records, event) => {
  const found = events(records, event);
  assert.equal(found.length, 1, `one ${event}`);
  return found[0];
};
const mapped = (calls) => feed(newMapping(), calls);

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
    const keyOf = ({ agent_id, run_id, iteration, ordinal, call_id }) => [agent_id, run_id, iteration, ordinal, call_id].join();
    const started = events(records, "tool_call.started").map(keyOf);
    const finished = events(records, "tool_call.finished").map(keyOf);
    assert.equal(new Set(started).size, started.length);
    assert.deepEqual(finished.toSorted(), started.toSorted());
  });
}

test("the entry point prints the lines of a recording and counts what is none", () => {
  const input = `${read("mcp.jsonl")}not json\n{"kind":1}\n`;
  const output = execFileSync(process.execPath, [SCRIPT, PSEUDONYMS_FILE], { input, stdio: ["pipe", "pipe", "ignore"] });
  assert.equal(output.toString(), read("mcp.expected.jsonl"));
});

test("without a file of pseudonyms that can be read the entry point converts nothing and says what it wants", () => {
  for (const [given, said] of [
    [[], /^usage: node spool_from_capture\.mjs PSEUDONYMS_FILE \[--plain-names\] < plugin\.jsonl\n$/],
    [[PSEUDONYMS_FILE, "another"], /^usage: /],
    [["no such file"], /^spool_from_capture: no such file is no pseudonyms\.json .*`cline-otel install` makes one\n$/],
    [[SCRIPT], /is no pseudonyms\.json/],
  ]) {
    const { status, stdout, stderr } = spawnSync(process.execPath, [SCRIPT, ...given], { input: read("mcp.jsonl"), encoding: "utf8" });
    assert.equal(status, 2);
    assert.equal(stdout, "");
    assert.match(stderr, said);
  }
});

test("each process of a recording has a memory of its own and an end of its own", () => {
  const first = linesOf(read("basic.jsonl"));
  const second = linesOf(read("basic.jsonl")).map((line) => line.replace('"pid":100', '"pid":200'));
  const mixed = first.flatMap((line, index) => [line, second[index]]);
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
  assert.deepEqual(mapped([["setup", { client: { name: "cline-cli" } }], ["setup", {}], ["setup", undefined]]), []);
});

test("the mode is read at the head of the newest user message only", () => {
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
  const calls = [run.started(), run.beforeModel(), run.afterRun("failed", { lastErrorClass: "unknown" }), run.failedEvent("auth"), run.finishedEvent()];
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
  const calls = [run.started(), run.beforeModel(), run.delta("assistant-reasoning-delta"), run.delta(), run.afterModel()];
  const records = mapped(calls);
  const started = only(records, "model_call.started");
  assert.deepEqual([started.session_id, started.iteration, started.message_count, started.tool_count], [SESSION, 1, 1, 1]);
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
  });
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
  const records = mapped([run.beforeModel(1), run.afterModel({ finishReason: "error" }), run.beforeModel(1), run.afterModel()]);
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
  const usage = (reasoningTokenCount) => ({ usage: { reasoningTokenCount } });
  const before = run.beforeModel();
  Object.assign(before[1].snapshot, usage(30));
  assert.equal(only(mapped([before, run.afterModel({}, usage(75))]), "model_call.finished").reasoning_tokens, 45);
  assert.ok(!("reasoning_tokens" in only(mapped([before, run.afterModel({}, usage(30))]), "model_call.finished")));
});

// ---- tool calls ----

test("ordinals count the tool calls of an iteration and begin anew with the next", () => {
  const run = new RunCalls();
  const records = mapped([
    run.started(),
    run.beforeModel(),
    run.toolStarted("call_a"),
    run.toolStarted("call_b"),
    run.toolStarted("call_c"),
    run.afterTool("call_b"),
    run.toolFinished("call_b"),
    run.afterTool("call_a"),
    run.toolFinished("call_a"),
    run.toolFinished("call_c"),
    run.beforeModel(),
    run.toolStarted("call_d"),
    run.afterTool("call_d"),
    run.toolFinished("call_d"),
  ]);
  const keys = (event) => events(records, event).map(({ iteration, ordinal, call_id }) => `${iteration}.${ordinal}.${call_id}`);
  assert.deepEqual(keys("tool_call.started"), ["1.0.call_a", "1.1.call_b", "1.2.call_c", "2.0.call_d"]);
  assert.deepEqual(keys("tool_call.finished"), ["1.1.call_b", "1.0.call_a", "1.2.call_c", "2.0.call_d"]);
});

test("calls that share one id are still two calls", () => {
  const run = new RunCalls();
  for (const order of [
    [run.toolStarted("call_x"), run.toolStarted("call_x"), run.afterTool("call_x"), run.toolFinished("call_x"), run.afterTool("call_x"), run.toolFinished("call_x")],
    [run.toolStarted("call_x"), run.afterTool("call_x"), run.toolFinished("call_x"), run.toolStarted("call_x"), run.afterTool("call_x"), run.toolFinished("call_x")],
    [run.toolStarted("call_x"), run.toolFinished("call_x"), run.toolStarted("call_x"), run.afterTool("call_x"), run.toolFinished("call_x")],
  ]) {
    const finished = events(mapped([run.started(), ...order]), "tool_call.finished");
    assert.deepEqual(finished.map(({ ordinal }) => ordinal), [0, 1]);
  }
});

test("a call's end carries Cline's own clock", () => {
  const run = new RunCalls();
  const record = only(mapped([run.started(), run.toolStarted("call_a"), run.afterTool("call_a"), run.toolFinished("call_a")]), "tool_call.finished");
  assert.equal(record.started_at_ms, Date.parse("2027-01-15T08:00:00.100Z"));
  assert.equal(record.ended_at_ms, Date.parse("2027-01-15T08:00:00.350Z"));
  assert.equal(record.time_unix_ms, record.ended_at_ms);
  assert.equal(record.duration_ms, 250);
  const [kind, context] = run.afterTool("call_a"); // in the host's own process the times are Dates
  const dates = { startedAt: new Date(context.startedAt), endedAt: new Date(context.endedAt) };
  const same = mapped([run.started(), run.toolStarted("call_a"), [kind, { ...context, ...dates }]]);
  assert.deepEqual(only(same, "tool_call.finished"), record);
});

test("an end that comes before its start waits for it and takes its ordinal", () => {
  const run = new RunCalls();
  const records = mapped([run.started(), run.toolStarted("call_a"), run.afterTool("call_b"), run.toolStarted("call_b"), run.toolFinished("call_b"), run.afterTool("call_a")]);
  assert.deepEqual(
    records.slice(1).map(({ event, ordinal, call_id }) => [event, ordinal, call_id]),
    [
      ["tool_call.started", 0, "call_a"],
      ["tool_call.started", 1, "call_b"],
      ["tool_call.finished", 1, "call_b"],
      ["tool_call.finished", 0, "call_a"],
    ],
  );
  const [, , early, finished] = records;
  assert.ok(early.time_unix_ms <= finished.started_at_ms);
});

test("an end whose start never comes is written when the run ends", () => {
  const run = new RunCalls();
  const records = mapped([run.started(), run.afterTool("call_a"), run.finishedEvent()]);
  assert.deepEqual(records.map(({ event }) => event), ["run.started", "tool_call.finished", "run.finished"]);
  assert.ok(!("ordinal" in records[1]));
});

test("an end that comes after the run's end is written still", () => {
  const run = new RunCalls();
  const records = mapped([run.started(), run.toolStarted("call_a"), run.finishedEvent("aborted"), run.afterTool("call_a"), run.toolFinished("call_a")]);
  assert.deepEqual(records.map(({ event }) => event), ["run.started", "tool_call.started", "run.finished", "tool_call.finished"]);
});

test("a process that takes over in the middle of an iteration counts on from the answer's order", () => {
  const run = new RunCalls();
  run.iteration = 3;
  run.calls = ["call_a", "call_b", "call_c"];
  const records = mapped([setup(), run.afterTool("call_b"), run.toolFinished("call_b"), run.toolStarted("call_c"), run.afterTool("call_c"), run.toolFinished("call_c")]);
  assert.deepEqual(
    records.slice(1).map(({ event, ordinal }) => [event, ordinal]),
    [
      ["tool_call.finished", 1],
      ["tool_call.started", 2],
      ["tool_call.finished", 2],
    ],
  );
});

test("a tool that the provider runs is one call however often it is announced", () => {
  const run = new RunCalls();
  const announced = run.toolStarted("call_web", "web_search");
  announced[1].toolCall.execution = "provider";
  const ended = run.toolFinished("call_web", "web_search", { output: { hits: SECRET } });
  ended[1].toolCall.execution = "provider";
  const records = mapped([run.started(), announced, announced, ended]);
  assert.equal(events(records, "tool_call.started").length, 1);
  assert.equal(only(records, "tool_call.finished").outcome, "success");
});

const OUTCOMES = [
  // name, tool, result, how it ended, outcome, error_type, more
  ["a list of successes", "read_files", { output: [{ success: true }, { success: true }] }, "ran", "success"],
  ["a text", "ask_question", { output: "Yes" }, "ran", "success"],
  ["nothing", "skills", {}, "ran", "success"],
  ["one failure in a list", "read_files", { output: [{ success: true }, { success: false, error: `Error reading file: ${SECRET}` }] }, "ran", "error", "tool_error"],
  ["an object that failed", "editor", { output: { success: false, error: `Editor operation failed: ${SECRET}` } }, "ran", "error", "tool_error"],
  ["an exit code", "run_commands", { output: [{ success: false, error: "Command exited with code 3", result: SECRET }] }, "ran", "error", "command_failed", { exit_code: 3 }],
  ["a time-out", "run_commands", { output: [{ success: false, error: "Command failed: Command timed out after 30000ms" }] }, "ran", "error", "timeout"],
  ["an abort", "run_commands", { output: [{ success: false, error: "Command failed: Command was aborted" }] }, "ran", "error", "aborted"],
  ["a command that could not start", "run_commands", { output: [{ success: false, error: `Command failed: ${SECRET}` }] }, "ran", "error", "command_failed"],
  ["a thrown error", "editor", { output: { error: SECRET }, isError: true }, "ran", "error", "tool_error"],
  ["the tool's own check of its input", "editor", { output: { error: `\u2716 Invalid input: ${SECRET}` }, isError: true }, "ran", "error", "invalid_input"],
  ["arguments that are no JSON", "editor", { output: { error: `Tool call editor emitted invalid JSON arguments: ${SECRET}` }, isError: true }, "ran", "rejected", "invalid_input"],
  ["a denial", "editor", { output: { error: 'Tool "editor" was denied by user' }, isError: true }, "ran", "rejected", "denied"],
  ["no approval", "editor", { output: { error: 'Tool "editor" was not approved' }, isError: true }, "ran", "rejected", "denied"],
  ["a policy", "editor", { output: { error: 'Tool "editor" is disabled by policy' }, isError: true }, "ran", "rejected", "denied"],
  ["a hook", "editor", { output: { error: "Tool editor was blocked by a runtime hook" }, isError: true }, "ran", "rejected", "denied"],
  ["plan mode", "run_commands", { output: { error: `Command not executed: ${SECRET}` }, isError: true }, "ran", "rejected", "denied"],
  ["an unknown tool", "nope", { output: { error: "Unknown tool: nope" }, isError: true }, "refused", "rejected", "unknown_tool"],
  ["a tool that is not offered", "nope", { output: { error: `Tool call nope was rejected before execution: AI_NoSuchToolError: ${SECRET}` }, isError: true }, "refused", "rejected", "unknown_tool"],
  ["a refusal of another kind", "nope", { output: { error: SECRET }, isError: true }, "refused", "rejected", "rejected"],
  ["an MCP answer", "crm__find", { output: { content: [{ type: "text", text: SECRET }] } }, "ran", "success", undefined, { is_mcp: true }],
  ["an MCP error", "crm__find", { output: { isError: true, content: [{ type: "text", text: SECRET }] } }, "ran", "error", "mcp_error", { is_mcp: true }],
  ["an MCP server that is gone", "crm__find", { output: { error: SECRET }, isError: true }, "ran", "error", "mcp_error", { is_mcp: true }],
  ["a plugin's tool with an MCP-like name", "my__tool", { output: "fine" }, "ran", "success"],
  ["a subagent's answer", "spawn_agent", { output: { text: SECRET, iterations: 2, finishReason: "completed" } }, "ran", "success"],
  ["a subagent that failed", "spawn_agent", { output: { text: SECRET, iterations: 1, finishReason: "error" } }, "ran", "error", "tool_error"],
  ["a subagent that was stopped", "spawn_agent", { output: { text: SECRET, iterations: 1, finishReason: "aborted" } }, "ran", "error", "aborted"],
  ["runs that are listed, one of them failed", "team_await_runs", { output: [{ status: "failed", error: SECRET }] }, "ran", "success"],
];

for (const [name, tool, result, how, outcome, errorType, more = {}] of OUTCOMES) {
  test(`the real outcome of ${name} is ${errorType ?? outcome}`, () => {
    const run = new RunCalls();
    const end = how === "ran" ? run.afterTool("call_a", tool, result) : run.toolFinished("call_a", tool, result);
    const record = only(mapped([run.started(), run.toolStarted("call_a", tool), end]), "tool_call.finished");
    const { outcome: actual, error_type, exit_code, is_mcp } = record;
    assert.deepEqual({ actual, error_type, exit_code, is_mcp }, { actual: outcome, error_type: errorType, exit_code: undefined, is_mcp: undefined, ...more });
  });
}

// ---- joins ----

test("equal tasks are given out in the order of the calls, to children of the agent that called", () => {
  const runCalls = (name, more) => new RunCalls({ agentId: agentIdOf(name), runId: runIdOf(name), ...more });
  const [lead, other] = [runCalls("lead"), runCalls("other")];
  const spawn = (run, id) => run.toolStarted(id, "spawn_agent", { systemPrompt: SECRET, task: `same ${SECRET}` });
  const child = (name, parent) => runCalls(name, { parentAgentId: agentIdOf(parent), task: `same ${SECRET}` }).started();
  const records = mapped([
    setup(),
    lead.started(),
    other.started(),
    lead.beforeModel(),
    other.beforeModel(),
    spawn(other, "call_other_1"),
    spawn(lead, "call_lead_1"),
    spawn(lead, "call_lead_2"),
    child("c1", "lead"),
    child("c2", "other"),
    child("c3", "lead"),
    child("c4", "lead"),
  ]);
  const children = events(records, "run.started").slice(2);
  assert.deepEqual(
    children.map((record) => [record.agent_id, record.parent_agent_id, record.parent_run_id, record.parent_call_id, record.parent_ordinal, record.agent_kind]),
    [
      [agentIdOf("c1"), lead.agentId, lead.runId, "call_lead_1", 0, "subagent"],
      [agentIdOf("c2"), other.agentId, other.runId, "call_other_1", 0, "subagent"],
      [agentIdOf("c3"), lead.agentId, lead.runId, "call_lead_2", 1, "subagent"],
      [agentIdOf("c4"), lead.agentId, lead.runId, undefined, undefined, "subagent"],
    ],
  );
  for (const record of children) assert.equal(record.session_id, SESSION);
});

test("a teammate is joined to the lead's call on each of its runs", () => {
  const lead = new RunCalls();
  const queue = (id, task) => lead.toolStarted(id, "team_run_task", { agentId: SECRET, task });
  const mate = (name, task) => new RunCalls({ agentId: agentIdOf("mate"), runId: runIdOf(name), task });
  const again = mate("2", `second ${SECRET}`);
  again.iteration = 1; // it has answered before
  const records = mapped([
    lead.started(),
    lead.beforeModel(),
    queue("call_q1", `first ${SECRET}`),
    mate("1", `first ${SECRET}`).started(),
    queue("call_q2", `second ${SECRET}`),
    again.started(),
    mate("3", "by itself").started(),
  ]);
  assert.deepEqual(
    events(records, "run.started").map(({ agent_kind, parent_agent_id, parent_run_id, parent_call_id }) => [agent_kind, parent_agent_id, parent_run_id, parent_call_id]),
    [
      ["root", undefined, undefined, undefined],
      ["teammate", AGENT, RUN, "call_q1"],
      ["teammate", AGENT, RUN, "call_q2"],
      ["teammate", AGENT, RUN, undefined],
    ],
  );
});

test("a root's prompt is never taken for a task, even word for word", () => {
  const lead = new RunCalls();
  const next = new RunCalls({ runId: runIdOf("b"), task: "the task" });
  const records = mapped([lead.started(), lead.beforeModel(), lead.toolStarted("call_q", "team_run_task", { task: "the task" }), next.started()]);
  assert.equal(events(records, "run.started")[1].agent_kind, "root");
});

test("a configured agent's tool starts agents, too", () => {
  const lead = new RunCalls();
  const child = new RunCalls({ agentId: agentIdOf("c"), runId: runIdOf("c"), parentAgentId: AGENT, task: "look" });
  const records = mapped([lead.started(), lead.toolStarted("call_s", "subagent_reviewer", { prompt: "look" }), child.started()]);
  assert.equal(events(records, "run.started")[1].parent_call_id, "call_s");
});

test("the task of a call that has ended waits for nobody", () => {
  const lead = new RunCalls();
  const child = new RunCalls({ agentId: agentIdOf("c"), runId: runIdOf("c"), parentAgentId: AGENT, task: "look" });
  const spawn = lead.toolStarted("call_s", "spawn_agent", { task: "look" });
  const records = mapped([lead.started(), spawn, lead.toolFinished("call_s", "spawn_agent"), child.started()]);
  assert.ok(!("parent_call_id" in events(records, "run.started")[1]));
});

// ---- compaction ----

test("compaction notices become records of numbers and short words, other notices none", () => {
  const run = new RunCalls();
  const metadata = { kind: "auto_compaction", reason: SECRET.toUpperCase(), phase: "completed", iteration: 2, tokensBefore: 8310, tokensAfter: 7603.5, messagesBefore: 3, messagesAfter: 1, providerError: SECRET };
  const records = mapped([run.started(), run.notice(metadata), run.notice({ kind: "max_tokens_recovery" }), run.notice({ kind: `compaction ${SECRET}` }), run.notice(undefined)]);
  assert.deepEqual(only(records, "compaction.finished"), {
    v: 1,
    event: "compaction.finished",
    time_unix_ms: 1_800_000_000_001,
    agent_id: AGENT,
    run_id: RUN,
    iteration: 2,
    phase: "completed",
    kind: "auto_compaction",
    tokens_before: 8310,
    messages_before: 3,
    messages_after: 1,
  });
});

// ---- laws ----

/** Any value, some of them hostile; `fill` gives the texts. */
function anything(next, fill, depth = 0) {
  const pick = (...choices) => choices[Math.floor(next() * choices.length)];
  const leaf = () => pick(null, undefined, true, fill(), fill(), 0, -1, 1.5, Number.NaN, 10n, Symbol("s"), () => fill(), new Date(Number.NaN), /x/);
  if (depth > 3 || next() < 0.3) return leaf();
  if (next() < 0.3) return Array.from({ length: Math.floor(next() * 4) }, () => anything(next, fill, depth + 1));
  const keys = ["snapshot", "agentId", "runId", "messages", "content", "type", "text", "toolCall", "toolCallId", "toolName", "input", "task", "result", "output", "error", "isError", "usage", "metrics", "metadata", "kind", "request", "options", "session", "sessionId", "client", "name", "length"];
  const object = next() < 0.1 ? Object.create(null) : {};
  for (let index = Math.floor(next() * 8); index > 0; index -= 1) {
    const key = pick(...keys);
    const roll = next();
    const place = { enumerable: true, configurable: true };
    if (roll < 0.08) {
      place.get = () => {
        throw new Error(fill());
      };
    } else {
      place.value = roll < 0.14 ? object : anything(next, fill, depth + 1); // the first is cyclic
    }
    Object.defineProperty(object, key, place);
  }
  return object;
}

const KINDS = [
  ...new Set([setup(), ...wholeRun()].map(([kind]) => kind)),
  "onEvent:status-notice",
  "onEvent:run-failed",
  "onEvent:assistant-reasoning-delta",
  "onEvent:undefined",
  "beforeTool",
  "toString",
];

/** A copy of a context with some of its parts replaced by anything. */
function damaged(value, next, fill, depth = 0) {
  if (next() < 0.06) return anything(next, fill, 2);
  if (typeof value !== "object" || value === null || depth > 6) return value;
  if (Array.isArray(value)) return value.map((part) => damaged(part, next, fill, depth + 1));
  return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, damaged(part, next, fill, depth + 1)]));
}

test("whatever the contexts are, nothing is thrown and every record is a flat object of small values", () => {
  for (let seed = 1; seed <= 400; seed += 1) {
    const next = random(seed);
    const fill = () => ["", "x", "x".repeat(500), "__proto__", AGENT, RUN, "\ud800"][Math.floor(next() * 7)];
    const mapping = newMapping();
    const calls = Array.from({ length: 30 }, () => {
      const known = [setup(), ...wholeRun()];
      const [kind, context] = known[Math.floor(next() * known.length)];
      return next() < 0.4 ? [KINDS[Math.floor(next() * KINDS.length)], anything(next, fill)] : [kind, damaged(context, next, fill)];
    });
    const records = [...feed(mapping, calls), ...mapping.claims(1), ...mapping.drain()];
    for (const record of records) {
      const line = JSON.stringify(record);
      assert.ok(line.length < 2500 && !line.includes("\n"));
      for (const value of Object.values(record)) assert.ok(["string", "number", "boolean"].includes(typeof value));
    }
  }
});

test("no content comes out, wherever in a context it stands", () => {
  const words = ["please delete", "/home/someone/file", "who@where.example", "https://u:p@host/x", "rm -rf .", "Ünïcode", '{"k":1}', "line\nbreak"];
  let written = 0;
  for (let seed = 1; seed <= 300; seed += 1) {
    const next = random(seed);
    const fill = () => `${words[Math.floor(next() * words.length)]} ${SECRET}`;
    const mapping = newMapping();
    const calls = Array.from({ length: 3 }, () => [setup(), ...wholeRun({ parentAgentId: next() < 0.5 ? "p" : undefined })])
      .flat()
      .map(([kind, context]) => [kind, damaged(context, next, fill)]);
    const output = printed([...feed(mapping, calls), ...mapping.drain()]);
    for (const word of [SECRET, ...words]) assert.ok(!output.includes(word), `${word} (seed ${seed})`);
    written += output.length;
  }
  assert.ok(written > 100_000); // the contexts were not damaged so much that nothing came of them
});

test("ids that nobody's server made become pseudonyms, names that look like something else _OTHER", () => {
  const run = new RunCalls();
  const records = mapped([
    run.started(),
    run.beforeModel(),
    run.afterModel({ requestId: "not an id", finishReason: "Some text", assistantMessage: { modelInfo: { id: "/home/x/model.gguf", provider: "a b" } } }),
    run.toolStarted("call/../x", "cat /etc/passwd"),
  ]);
  const call = only(records, "model_call.finished");
  assert.match(call.response_id, /^[0-9a-f]{32}$/);
  assert.deepEqual([call.model, call.provider, call.finish_reason], ["_OTHER", "_OTHER", "_OTHER"]);
  const tool = only(records, "tool_call.started");
  assert.match(tool.call_id, /^[0-9a-f]{32}$/);
  assert.equal(tool.tool_name, "_OTHER");
});

test("a model is told by its name, and by none that tells of more", () => {
  const run = new RunCalls();
  const modelOf = (id) => only(mapped([run.afterModel({ assistantMessage: { modelInfo: { id } } })]), "model_call.finished").model;
  for (const name of ["gpt-5", "anthropic/claude-sonnet-4.6", "llama3:8b", "claude-opus-4@20250514", "a/b/c/d"]) assert.equal(modelOf(name), name);
  for (const name of ["ft:gpt-4o:someone::id", "arn:aws:bedrock:x:12345:y", "who@where", "a/b/c/d/e/f", "x".repeat(129), ""]) assert.equal(modelOf(name), "_OTHER");
  assert.equal(modelOf(undefined), undefined);
});

// Made up here from their beginnings: what is one in full would be taken for one wherever it stands.
const KEYS = ["sk-proj-", "sk_live_", "sk-ant-", "pk_test_", "rk-", "ghp_", "github_pat_", "glpat-", "AKIA", "AIza", "xoxb-", "npm_", "hf_"]
  .map((beginning) => beginning + "A1B2C3D4E5".repeat(4))
  .map((key) => (key.startsWith("AKIA") ? key.slice(0, 20) : key))
  .concat(["eyJ".padEnd(20, "a"), "eyJ".padEnd(20, "b"), "c"].join("."));

test("what has the shape of a key or token is no id of a provider, no model and no word", () => {
  const run = new RunCalls();
  for (const key of KEYS) {
    const told = { requestId: key, finishReason: key.toLowerCase(), assistantMessage: { modelInfo: { id: key, provider: key } } };
    const plain = { ...PSEUDONYMS, plain_names: true };
    const records = feed(newMapping(undefined, plain), [run.started(), run.afterModel(told), run.toolStarted(key, key), run.toolFinished(key, key)]);
    assert.deepEqual([events(records, "tool_call.started").length, events(records, "model_call.finished").length], [1, 1]);
    assert.ok(!printed(records).includes(key), key);
  }
});

test("the memory stays bounded however much is left open", () => {
  const mapping = newMapping();
  const size = LIMITS.runs * 2;
  for (let index = 0; index < size; index += 1) {
    const run = new RunCalls({ agentId: `agent ${index}`, runId: `run ${index}` });
    feed(mapping, [setup(`session ${index}`), run.started(), run.beforeModel(), run.toolStarted("call_a", "spawn_agent", { task: `${index} ${"x".repeat(9000)}` }), run.afterTool("call_b")]);
  }
  const one = new RunCalls();
  for (let index = 0; index < LIMITS.openCalls * 2; index += 1) feed(mapping, [one.toolStarted(`open_${index}`), one.afterTool(`early_${index}`)]);
  const { state } = mapping;
  assert.ok(state.runs.size <= LIMITS.runs && state.agents.size <= LIMITS.agents && state.sessions.size <= LIMITS.sessions);
  assert.ok(state.tasks.length <= LIMITS.tasks && state.taskCharacters <= LIMITS.taskCharacters);
  for (const run of state.runs.values()) assert.ok(run.calls.size <= LIMITS.openCalls && run.held.size <= LIMITS.openCalls);
});

test("the same calls give the same records, and a state can be handed on", () => {
  const calls = [setup(), ...wholeRun()];
  assert.deepEqual(mapped(calls), mapped(calls));
  const state = createState();
  const split = [...feed(newMapping(state), calls.slice(0, 7)), ...feed(newMapping(state), calls.slice(7), 1_800_000_000_007)];
  assert.deepEqual(split, mapped(calls));
});

test("a context is never changed", () => {
  const freeze = (value) => {
    if (typeof value === "object" && value !== null) Object.values(Object.freeze(value)).forEach(freeze);
    return value;
  };
  const calls = freeze([setup(), ...wholeRun()]);
  const mapping = newMapping();
  assert.ok(feed(mapping, calls).length > 5);
  assert.equal(mapping.state.errors, 0);
});
