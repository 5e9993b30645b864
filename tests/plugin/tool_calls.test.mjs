// The pure mapping: tool calls, what became of them, and which agent a call made.

import assert from "node:assert/strict";
import fs from "node:fs";
import { test } from "node:test";

import { AGENT, agentIdOf, RUN, RunCalls, runIdOf, SECRET, SESSION, setup } from "./hook_calls.mjs";
import { events, mapped, only } from "./records.mjs";

/** @import { RunGiven, ToolResult } from "./hook_calls.mjs" */

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
  /** @param {string} event */
  const keys = (event) =>
    events(records, event).map(({ iteration, ordinal, call_id }) => `${iteration}.${ordinal}.${call_id}`);
  assert.deepEqual(keys("tool_call.started"), ["1.0.call_a", "1.1.call_b", "1.2.call_c", "2.0.call_d"]);
  assert.deepEqual(keys("tool_call.finished"), ["1.1.call_b", "1.0.call_a", "1.2.call_c", "2.0.call_d"]);
});

test("calls that share one id are still two calls", () => {
  const run = new RunCalls();
  for (const order of [
    [
      run.toolStarted("call_x"),
      run.toolStarted("call_x"),
      run.afterTool("call_x"),
      run.toolFinished("call_x"),
      run.afterTool("call_x"),
      run.toolFinished("call_x"),
    ],
    [
      run.toolStarted("call_x"),
      run.afterTool("call_x"),
      run.toolFinished("call_x"),
      run.toolStarted("call_x"),
      run.afterTool("call_x"),
      run.toolFinished("call_x"),
    ],
    [
      run.toolStarted("call_x"),
      run.toolFinished("call_x"),
      run.toolStarted("call_x"),
      run.afterTool("call_x"),
      run.toolFinished("call_x"),
    ],
  ]) {
    const finished = events(mapped([run.started(), ...order]), "tool_call.finished");
    assert.deepEqual(
      finished.map(({ ordinal }) => ordinal),
      [0, 1],
    );
  }
});

test("a call's end carries Cline's own clock", () => {
  const run = new RunCalls();
  const record = only(
    mapped([run.started(), run.toolStarted("call_a"), run.afterTool("call_a"), run.toolFinished("call_a")]),
    "tool_call.finished",
  );
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
  const records = mapped([
    run.started(),
    run.toolStarted("call_a"),
    run.afterTool("call_b"),
    run.toolStarted("call_b"),
    run.toolFinished("call_b"),
    run.afterTool("call_a"),
  ]);
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
  assert.ok(Number(early?.time_unix_ms) <= Number(finished?.started_at_ms));
});

test("an end whose start never comes is written when the run ends", () => {
  const run = new RunCalls();
  const records = mapped([run.started(), run.afterTool("call_a"), run.finishedEvent()]);
  assert.deepEqual(
    records.map(({ event }) => event),
    ["run.started", "tool_call.finished", "run.finished"],
  );
  assert.ok(!("ordinal" in only(records, "tool_call.finished")));
});

test("an end that comes after the run's end is written still", () => {
  const run = new RunCalls();
  const records = mapped([
    run.started(),
    run.toolStarted("call_a"),
    run.finishedEvent("aborted"),
    run.afterTool("call_a"),
    run.toolFinished("call_a"),
  ]);
  assert.deepEqual(
    records.map(({ event }) => event),
    ["run.started", "tool_call.started", "run.finished", "tool_call.finished"],
  );
});

test("a process that takes over in the middle of an iteration counts on from the answer's order", () => {
  const run = new RunCalls();
  run.iteration = 3;
  run.calls = ["call_a", "call_b", "call_c"];
  const records = mapped([
    setup(),
    run.afterTool("call_b"),
    run.toolFinished("call_b"),
    run.toolStarted("call_c"),
    run.afterTool("call_c"),
    run.toolFinished("call_c"),
  ]);
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

/**
 * @typedef {object} OutcomeCase
 * @property {string} name
 * @property {string} tool
 * @property {ToolResult} result
 * @property {boolean} ran
 * @property {Record<string, unknown>} expected
 */

// The bridge reads the same results in Cline's files: tests/plugin/test_one_result_of_calls.py.
/** @type {OutcomeCase[]} */
const OUTCOMES = JSON.parse(fs.readFileSync(new URL("outcomes.json", import.meta.url), "utf8"));

for (const { name, tool, result, ran, expected } of OUTCOMES) {
  test(`the real outcome of ${name} is ${expected.error_type ?? expected.outcome}`, () => {
    const run = new RunCalls();
    const end = ran ? run.afterTool("call_a", tool, result) : run.toolFinished("call_a", tool, result);
    const record = only(mapped([run.started(), run.toolStarted("call_a", tool), end]), "tool_call.finished");
    const { outcome, error_type, exit_code, is_mcp } = record;
    assert.deepEqual(JSON.parse(JSON.stringify({ outcome, error_type, exit_code, is_mcp })), expected);
  });
}

// ---- joins ----

test("equal tasks are given out in the order of the calls, to children of the agent that called", () => {
  /**
   * @param {string} name
   * @param {RunGiven} [more]
   */
  const runCalls = (name, more) => new RunCalls({ agentId: agentIdOf(name), runId: runIdOf(name), ...more });
  const [lead, other] = [runCalls("lead"), runCalls("other")];
  /**
   * @param {RunCalls} run
   * @param {string} id
   */
  const spawn = (run, id) => run.toolStarted(id, "spawn_agent", { systemPrompt: SECRET, task: `same ${SECRET}` });
  /**
   * @param {string} name
   * @param {string} parent
   */
  const child = (name, parent) =>
    runCalls(name, { parentAgentId: agentIdOf(parent), task: `same ${SECRET}` }).started();
  const records = mapped([
    setup(),
    lead.started(),
    other.started(),
    lead.beforeModel(),
    other.beforeModel(),
    spawn(other, "call_othr_1"),
    spawn(lead, "call_lead_1"),
    spawn(lead, "call_lead_2"),
    child("c1", "lead"),
    child("c2", "other"),
    child("c3", "lead"),
    child("c4", "lead"),
  ]);
  const children = events(records, "run.started").slice(2);
  assert.deepEqual(
    children.map((record) => [
      record.agent_id,
      record.parent_agent_id,
      record.parent_run_id,
      record.parent_call_id,
      record.parent_ordinal,
      record.agent_kind,
    ]),
    [
      [agentIdOf("c1"), lead.agentId, lead.runId, "call_lead_1", 0, "subagent"],
      [agentIdOf("c2"), other.agentId, other.runId, "call_othr_1", 0, "subagent"],
      [agentIdOf("c3"), lead.agentId, lead.runId, "call_lead_2", 1, "subagent"],
      [agentIdOf("c4"), lead.agentId, lead.runId, undefined, undefined, "subagent"],
    ],
  );
  for (const record of children) assert.equal(record.session_id, SESSION);
});

test("a teammate is joined to the lead's call on each of its runs", () => {
  const lead = new RunCalls();
  /**
   * @param {string} id
   * @param {string} task
   */
  const queue = (id, task) => lead.toolStarted(id, "team_run_task", { agentId: SECRET, task });
  /**
   * @param {string} name
   * @param {string} task
   */
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
    events(records, "run.started").map(({ agent_kind, parent_agent_id, parent_run_id, parent_call_id }) => [
      agent_kind,
      parent_agent_id,
      parent_run_id,
      parent_call_id,
    ]),
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
  const records = mapped([
    lead.started(),
    lead.beforeModel(),
    lead.toolStarted("call_q", "team_run_task", { task: "the task" }),
    next.started(),
  ]);
  assert.equal(events(records, "run.started")[1]?.agent_kind, "root");
});

test("a configured agent's tool starts agents, too", () => {
  const lead = new RunCalls();
  const child = new RunCalls({ agentId: agentIdOf("c"), runId: runIdOf("c"), parentAgentId: AGENT, task: "look" });
  const records = mapped([
    lead.started(),
    lead.toolStarted("call_s", "subagent_reviewer", { prompt: "look" }),
    child.started(),
  ]);
  assert.equal(events(records, "run.started")[1]?.parent_call_id, "call_s");
});

test("the task of a call that has ended waits for nobody", () => {
  const lead = new RunCalls();
  const child = new RunCalls({ agentId: agentIdOf("c"), runId: runIdOf("c"), parentAgentId: AGENT, task: "look" });
  const spawn = lead.toolStarted("call_s", "spawn_agent", { task: "look" });
  const records = mapped([lead.started(), spawn, lead.toolFinished("call_s", "spawn_agent"), child.started()]);
  const [, started] = events(records, "run.started");
  assert.ok(started !== undefined && !("parent_call_id" in started));
});
