// The pure mapping: what holds for all contexts, and what never gets into a record.

import assert from "node:assert/strict";
import { test } from "node:test";

import { createState, LIMITS } from "../../src/cline_otel/plugin/cline-otel.js";
import {
  AGENT,
  call,
  feed,
  newMapping,
  PSEUDONYMS,
  pick,
  RUN,
  RunCalls,
  random,
  SECRET,
  setup,
  wholeRun,
} from "./hook_calls.mjs";
import { events, mapped, only, printed } from "./records.mjs";

/** @typedef {ReturnType<typeof random>} Random */

/**
 * Any value, some of them hostile.
 *
 * @param {Random} next
 * @param {() => string} fill gives the texts
 * @returns {unknown}
 */
function anything(next, fill, depth = 0) {
  /** @returns {unknown} */
  const leaf = () => {
    const texts = [fill(), fill(), () => fill()];
    return pick(next, [
      null,
      undefined,
      true,
      ...texts,
      0,
      -1,
      1.5,
      Number.NaN,
      10n,
      Symbol("s"),
      new Date(Number.NaN),
      /x/,
    ]);
  };
  if (depth > 3 || next() < 0.3) return leaf();
  if (next() < 0.3) return Array.from({ length: Math.floor(next() * 4) }, () => anything(next, fill, depth + 1));
  const keys = [
    "snapshot",
    "agentId",
    "runId",
    "messages",
    "content",
    "type",
    "text",
    "toolCall",
    "toolCallId",
    "toolName",
    "input",
    "task",
    "result",
    "output",
    "error",
    "isError",
    "usage",
    "metrics",
    "metadata",
    "kind",
    "request",
    "options",
    "session",
    "sessionId",
    "client",
    "name",
    "length",
  ];
  const object = next() < 0.1 ? Object.create(null) : {};
  for (let index = Math.floor(next() * 8); index > 0; index -= 1) {
    const key = pick(next, keys);
    const roll = next();
    /** @type {PropertyDescriptor} */
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

/**
 * A copy of a context with some of its parts replaced by anything.
 *
 * @param {unknown} value
 * @param {Random} next
 * @param {() => string} fill
 * @returns {unknown}
 */
function damaged(value, next, fill, depth = 0) {
  if (next() < 0.06) return anything(next, fill, 2);
  if (typeof value !== "object" || value === null || depth > 6) return value;
  if (Array.isArray(value)) return value.map((part) => damaged(part, next, fill, depth + 1));
  return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, damaged(part, next, fill, depth + 1)]));
}

test("whatever the contexts are, nothing is thrown and every record is a flat object of small values", () => {
  for (let seed = 1; seed <= 400; seed += 1) {
    const next = random(seed);
    const fill = () => pick(next, ["", "x", "x".repeat(500), "__proto__", AGENT, RUN, "\ud800"]);
    const mapping = newMapping();
    const calls = Array.from({ length: 30 }, () => {
      const known = [setup(), ...wholeRun()];
      const [kind, context] = pick(next, known);
      return next() < 0.4 ? call(pick(next, KINDS), anything(next, fill)) : call(kind, damaged(context, next, fill));
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
  const words = [
    "please delete",
    "/home/someone/file",
    "who@where.example",
    "https://u:p@host/x",
    "rm -rf .",
    "Ünïcode",
    '{"k":1}',
    "line\nbreak",
  ];
  let written = 0;
  for (let seed = 1; seed <= 300; seed += 1) {
    const next = random(seed);
    const fill = () => `${pick(next, words)} ${SECRET}`;
    const mapping = newMapping();
    const calls = Array.from({ length: 3 }, () => [
      setup(),
      ...wholeRun({ parentAgentId: next() < 0.5 ? "p" : undefined }),
    ])
      .flat()
      .map(([kind, context]) => call(kind, damaged(context, next, fill)));
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
    run.afterModel({
      requestId: "not an id",
      finishReason: "Some text",
      assistantMessage: { modelInfo: { id: "/home/x/model.gguf", provider: "a b" } },
    }),
    run.toolStarted("call/../x", "cat /etc/passwd"),
  ]);
  const ended = only(records, "model_call.finished");
  assert.match(String(ended.response_id), /^[0-9a-f]{32}$/);
  assert.match(String(ended.model), /^custom-[0-9a-f]{12}$/);
  assert.deepEqual([ended.provider, ended.finish_reason], ["_OTHER", "_OTHER"]);
  const tool = only(records, "tool_call.started");
  assert.match(String(tool.call_id), /^[0-9a-f]{32}$/);
  assert.equal(tool.tool_name, "_OTHER");
});

test("a model is told by its name, and by none that tells of more", () => {
  const run = new RunCalls();
  /** @param {string | undefined} id */
  const modelOf = (id) =>
    only(mapped([run.afterModel({ assistantMessage: { modelInfo: { id } } })]), "model_call.finished").model;
  for (const name of ["gpt-5", "anthropic/claude-sonnet-4.6", "llama3:8b", "claude-opus-4@20250514"])
    assert.equal(modelOf(name), name);
  for (const name of [
    "ft:gpt-4o:someone::id",
    "arn:aws:bedrock:x:12345:y",
    "who@where",
    "a/b/c/d/e/f",
    "x".repeat(129),
  ])
    assert.match(String(modelOf(name)), /^custom-[0-9a-f]{12}$/);
  for (const nothing of ["", "undefined", undefined]) assert.equal(modelOf(nothing), undefined);
  assert.equal(modelOf("x".repeat(1025)), "_OTHER");
});

// Made up here from their beginnings: what is one in full would be taken for one wherever it stands.
const KEYS = [
  "sk-proj-",
  "sk_live_",
  "sk-ant-",
  "pk_test_",
  "rk-",
  "ghp_",
  "github_pat_",
  "glpat-",
  "AKIA",
  "AIza",
  "xoxb-",
  "npm_",
  "hf_",
]
  .map((beginning) => beginning + "A1B2C3D4E5".repeat(4))
  .map((key) => (key.startsWith("AKIA") ? key.slice(0, 20) : key))
  .concat(["eyJ".padEnd(20, "a"), "eyJ".padEnd(20, "b"), "c"].join("."));

test("what has the shape of a key or token is no id of a provider, no model and no word", () => {
  const run = new RunCalls();
  for (const key of KEYS) {
    const told = {
      requestId: key,
      finishReason: key.toLowerCase(),
      assistantMessage: { modelInfo: { id: key, provider: key } },
    };
    const plain = { ...PSEUDONYMS, plain_names: true };
    const records = feed(newMapping(undefined, plain), [
      run.started(),
      run.afterModel(told),
      run.toolStarted(key, key),
      run.toolFinished(key, key),
    ]);
    assert.deepEqual(
      [events(records, "tool_call.started").length, events(records, "model_call.finished").length],
      [1, 1],
    );
    assert.ok(!printed(records).includes(key), key);
  }
});

test("the memory stays bounded however much is left open", () => {
  const mapping = newMapping();
  const size = LIMITS.runs * 2;
  for (let index = 0; index < size; index += 1) {
    const run = new RunCalls({ agentId: `agent ${index}`, runId: `run ${index}` });
    feed(mapping, [
      setup(`session ${index}`),
      run.started(),
      run.beforeModel(),
      run.toolStarted("call_a", "spawn_agent", { task: `${index} ${"x".repeat(9000)}` }),
      run.afterTool("call_b"),
    ]);
  }
  const one = new RunCalls();
  for (let index = 0; index < LIMITS.openCalls * 2; index += 1)
    feed(mapping, [one.toolStarted(`open_${index}`), one.afterTool(`early_${index}`)]);
  const { state } = mapping;
  assert.ok(
    state.runs.size <= LIMITS.runs && state.agents.size <= LIMITS.agents && state.sessions.size <= LIMITS.sessions,
  );
  assert.ok(state.tasks.length <= LIMITS.tasks && state.taskCharacters <= LIMITS.taskCharacters);
  for (const run of state.runs.values())
    assert.ok(run.calls.size <= LIMITS.openCalls && run.held.size <= LIMITS.openCalls);
});

test("the same calls give the same records, and a state can be handed on", () => {
  const calls = [setup(), ...wholeRun()];
  assert.deepEqual(mapped(calls), mapped(calls));
  const state = createState();
  const split = [
    ...feed(newMapping(state), calls.slice(0, 7)),
    ...feed(newMapping(state), calls.slice(7), 1_800_000_000_007),
  ];
  assert.deepEqual(split, mapped(calls));
});

test("a context is never changed", () => {
  /**
   * @template T
   * @param {T} value
   * @returns {T}
   */
  const freeze = (value) => {
    if (typeof value === "object" && value !== null) Object.values(Object.freeze(value)).forEach(freeze);
    return value;
  };
  const calls = freeze([setup(), ...wholeRun()]);
  const mapping = newMapping();
  assert.ok(feed(mapping, calls).length > 5);
  assert.equal(mapping.state.errors, 0);
});
