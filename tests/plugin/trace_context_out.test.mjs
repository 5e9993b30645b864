// Commands that get the span of their tool call, which ids that is, and that nobody sees the difference but they.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import {
  createMapping,
  createPseudonyms,
  createState,
  createTraceContextOut,
} from "../../src/cline_otel/plugin/cline-otel.js";
import { resultWithout, withoutPrefix, withPrefix } from "../../src/cline-plugin/mapping/commands.js";
import { toolCallSpanId, traceId } from "../../src/cline-plugin/mapping/span_ids.js";
import { PSEUDONYMS } from "./hook_calls.mjs";

/** @import { BeforeToolContext, ToolStartedContext } from "../../src/cline-plugin/hook_contexts.js" */
/** @import { SpoolRecord } from "../../src/cline-plugin/mapping/record.js" */

const PREFIX = `export TRACEPARENT=00-${"a".repeat(32)}-${"b".repeat(16)}-01; `;
const AGENT = "agent_1795358814189_2kb1cn";
const CHILD = "agent_1795358814199_3kb1cn";
const RUN = "run_-OZ2HV2E";
const CHILD_RUN = "run_-OZ2HV2F";
const SHELL = { description: "Run non-interactive shell commands from the root of the workspace." };

/**
 * @typedef {NonNullable<BeforeToolContext & ToolStartedContext>} Called
 *
 * @param {unknown} input
 * @param {Record<string, unknown>} [changes]
 */
function call(input, changes = {}) {
  const calls = ["call_1", "call_2"].map((toolCallId) => ({ type: "tool-call", toolCallId }));
  const messages = [{ role: "user" }, { role: "assistant", content: [{ type: "text" }, ...calls] }];
  const toolCall = { toolCallId: "call_2", toolName: "run_commands", input };
  const snapshot = { agentId: AGENT, runId: RUN, iteration: 3, messages };
  return /** @type {Called} */ ({ snapshot, tool: SHELL, toolCall, input, ...changes });
}

/** @param {Record<string, string>} [fields] */
function begun(fields = {}) {
  const out = createTraceContextOut(createPseudonyms(PSEUDONYMS));
  out.note([{ v: 1, event: "run.started", time_unix_ms: 1, agent_id: AGENT, run_id: RUN, ...fields }]);
  return out;
}

/** @param {string} trace */
const expected = (trace, agent = AGENT, run = RUN) =>
  `export TRACEPARENT=00-${trace}-${toolCallSpanId(agent, run, 3, 1)}-01; make`;

test("a command gets the trace of its root and the span that the bridge will give to its call", () => {
  assert.deepEqual(begun().before(call({ commands: ["make"] })), {
    input: { commands: [expected(traceId(AGENT, RUN))] },
  });
});

test("within the trace of a pipeline it gets that trace, and with a link its own", () => {
  const remote = { remote_trace_id: "c".repeat(32), remote_span_id: "d".repeat(16) };
  for (const [remote_relation, trace] of [
    ["child", "c".repeat(32)],
    ["link", traceId(AGENT, RUN)],
  ]) {
    const out = begun({ ...remote, remote_relation: `${remote_relation}` });
    assert.deepEqual(out.before(call("make")), { input: expected(`${trace}`) });
  }
});

test("a subagent's command is in the trace of its root, and in none if that is not known", () => {
  const run = { v: 1, event: "run.started", time_unix_ms: 2, agent_id: CHILD, run_id: CHILD_RUN };
  const context = call("make");
  context.snapshot = { ...context.snapshot, agentId: CHILD, runId: CHILD_RUN };
  for (const parent of [{ parent_agent_id: AGENT, parent_run_id: RUN }, { parent_agent_id: AGENT }]) {
    const out = begun();
    out.note([/** @type {SpoolRecord} */ ({ ...run, ...parent })]);
    assert.deepEqual(out.before(context), { input: expected(traceId(AGENT, RUN), CHILD, CHILD_RUN) });
  }
  const out = begun();
  out.note([{ ...run, parent_agent_id: "agent_1795358814189_xxxxxx", parent_run_id: RUN }]);
  assert.equal(out.before(context), undefined);
});

test("ids that somebody chose are hashed as they are written", () => {
  const pseudonyms = createPseudonyms(PSEUDONYMS);
  const out = createTraceContextOut(pseudonyms);
  const context = call("make");
  context.snapshot = { ...context.snapshot, agentId: "the boss", runId: "first" };
  const records = createMapping(createState(), pseudonyms).map("beforeRun", context, 1);
  const [agent, run] = [`${records[0]?.agent_id}`, `${records[0]?.run_id}`];
  assert.match(agent + run, /^[0-9a-f]{64}$/);
  out.note(records);
  assert.deepEqual(out.before(context), { input: expected(traceId(agent, run), agent, run) });
});

test("what is not certain, or not a POSIX shell's, is left alone", () => {
  const twice = call("make");
  const content = [0, 1].map(() => ({ type: "tool-call", toolCallId: "call_2" }));
  twice.snapshot = { ...twice.snapshot, messages: [{ role: "assistant", content }] };
  const unchanged = [
    call("make", { tool: { description: "Commands run through Windows PowerShell (powershell.exe)" } }),
    call("make", { tool: { description: "Commands run through cmd.exe" } }),
    call("make", { tool: undefined }),
    call("make", { toolCall: { toolCallId: "call_2", toolName: "read_files" } }),
    call("make", { toolCall: { toolCallId: "call_9", toolName: "run_commands" } }),
    call("make", { snapshot: { agentId: AGENT, runId: "run_-OZ2HV2X", iteration: 3 } }),
    call("make", { snapshot: undefined }),
    twice,
    undefined,
    null,
  ];
  for (const context of unchanged) assert.equal(begun().before(context), undefined);
});

test("every form in which Cline takes commands of a shell gets the prefix, and programs do not", () => {
  const program = { command: "make", args: ["x"] };
  for (const [input, given] of [
    ["a", `${PREFIX}a`],
    [
      ["a", "b"],
      [`${PREFIX}a`, `${PREFIX}b`],
    ],
    [{ commands: ["a", program] }, { commands: [`${PREFIX}a`, program] }],
    [{ commands: "a" }, { commands: `${PREFIX}a` }],
    [{ command: "a" }, { command: `${PREFIX}a` }],
    [
      { cmd: "a", other: 1 },
      { cmd: `${PREFIX}a`, other: 1 },
    ],
    [["cat <<E\nx\nE"], [`${PREFIX}cat <<E\nx\nE`]],
  ]) {
    assert.deepEqual(withPrefix(input, PREFIX), given);
    assert.deepEqual(withoutPrefix(given, PREFIX), input);
  }
});

test("what the prefix could change is left alone", () => {
  const program = { command: "make", args: [] };
  for (const input of [
    "TRACEPARENT=mine make",
    "export TRACEPARENT=mine",
    "env TRACEPARENT=mine make",
    "  ",
    ["cat <<E", "line", "E"],
    { commands: ["make", "cat <<E", "line", "E"] },
    program,
    { commands: [program] },
    {},
    7,
    null,
    undefined,
  ]) {
    assert.equal(withPrefix(input, PREFIX), undefined);
  }
});

const SHELLS = ["/bin/sh", "/bin/bash", "/bin/dash", "/usr/bin/zsh", "/usr/bin/ksh"];

test("a command gives and returns the same with the prefix, but for the variable", () => {
  const commands = [
    "echo a; exit 3",
    "# comment\necho b",
    "! true",
    "false",
    "cat <<E\nx $((1+1))\nE",
    "(exit 4)",
    "nothing-of-this-name 2>&1",
  ];
  for (const shell of SHELLS.filter((each) => readable(each))) {
    for (const command of commands) {
      const [plain, given] = [command, `${withPrefix(command, PREFIX)}`].map((text) => ran(shell, text));
      assert.deepEqual(given, plain, `${shell}: ${command}`);
    }
    assert.equal(ran(shell, `${withPrefix("echo $TRACEPARENT", PREFIX)}`).out.trim(), PREFIX.slice(19, -2));
  }
});

/** @param {string} file */
function readable(file) {
  try {
    readFileSync(file);
    return true;
  } catch {
    return false;
  }
}

/**
 * @param {string} shell
 * @param {string} command
 */
function ran(shell, command) {
  try {
    return { out: execFileSync(shell, ["-c", command], { encoding: "utf8", stdio: "pipe" }), code: 0 };
  } catch (error) {
    const failed = /** @type {{ stdout: string, status: number }} */ (error);
    return { out: failed.stdout, code: failed.status };
  }
}

test("what a command gave is as if nothing had been put before it", () => {
  const long = `echo ${"x".repeat(300)}`;
  /** @param {string} command */
  const shown = (command) =>
    command.length <= 200
      ? command
      : `${command.slice(0, 200)} ... [command truncated: ${command.length - 200} more chars; full command is in the tool call input]`;
  for (const command of ["make", "y".repeat(150), "z".repeat(200), long]) {
    const of = (/** @type {string} */ text) => ({
      output: [{ query: shown(text), result: `line 1: \`${text}'`, error: "e", success: false }, 7, null],
    });
    const result = resultWithout(of(PREFIX + command), PREFIX, { commands: [command] });
    assert.deepEqual(result, of(command));
  }
});

test("the records of a call are the same with the prefix and without", () => {
  const out = begun();
  const context = call({ commands: ["make"] });
  const input = out.before(context)?.input;
  const started = /** @type {Called} */ ({ ...context, toolCall: { ...context.toolCall, input } });
  assert.deepEqual(out.restored(started)?.toolCall, context.toolCall);
  const other = call({ commands: ["make"] }, { toolCall: { toolCallId: "call_1" } });
  assert.equal(out.restored(other), other);
});
