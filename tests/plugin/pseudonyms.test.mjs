// Names that somebody chose, for a tool or in place of an id: what stands for them, and that they themselves are nowhere.

import assert from "node:assert/strict";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { after, test } from "node:test";

import {
  createMapping,
  createPseudonyms,
  createState,
  LIMITS,
  watchPseudonyms,
} from "../../src/cline_otel/plugin/cline-otel.js";
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
  SESSION,
  setup,
  wholeRun,
} from "./hook_calls.mjs";

/** @import { Mapping } from "../../src/cline-plugin/mapping/mapping.js" */
/** @import { SpoolRecord } from "../../src/cline-plugin/mapping/record.js" */
/** @import { HookCall, PseudonymsContent } from "./hook_calls.mjs" */

const ANOTHER_KEY = { ...PSEUDONYMS, key: "11".repeat(32) };
const PLAIN = { ...PSEUDONYMS, plain_names: true };
const PSEUDONYM = /^[0-9a-f]{32}$/;

const folder = fs.mkdtempSync(path.join(os.tmpdir(), "cline-otel-pseudonyms-"));
after(() => fs.rmSync(folder, { recursive: true, force: true }));

/** @param {readonly SpoolRecord[]} records */
const printed = (records) => records.map((record) => JSON.stringify(record)).join("\n");

/**
 * @param {string} name
 * @param {PseudonymsContent} content
 */
const toolOf = (name, content) => createPseudonyms(content).tool(name);

/**
 * @param {Mapping} mapping
 * @param {readonly HookCall[]} calls
 */
const everyRecord = (mapping, calls) => [...feed(mapping, calls), ...mapping.claims(1), ...mapping.drain()];

// ---- what a pseudonym is ----

test("a pseudonym is the beginning of the HMAC-SHA-256 of kind and name", () => {
  // hmac.digest(bytes(32), b"tool\0crm__find_record", "sha256").hex()[:32], and so on, in Python
  const pseudonyms = createPseudonyms(PSEUDONYMS);
  assert.equal(pseudonyms.tool("crm__find_record").tool_name_hash, "8037ad58dd1a34c3dc78f0d299d2ac1f");
  assert.equal(pseudonyms.identifier("Invoice checker 42"), "de161ceb7e14fdc29a1126cb10f1e685");
  assert.equal(pseudonyms.tool("prüfe Rechnung €").tool_name_hash, "cffccf96077b12192ed1926bc2aeb9fc");
});

test("an MCP server has a pseudonym, its name where names are plain, and nothing while there is no key", () => {
  const { mcp_server_hash } = createPseudonyms(PSEUDONYMS).server("crm");
  assert.match(String(mcp_server_hash), PSEUDONYM);
  assert.notEqual(mcp_server_hash, createPseudonyms(PSEUDONYMS).tool("crm").tool_name_hash);
  assert.deepEqual(createPseudonyms({ ...PSEUDONYMS, plain_names: true }).server("crm"), { mcp_server: "crm" });
  assert.deepEqual(createPseudonyms().server("crm"), {});
});

test("one name has one pseudonym under one key, and others of another kind and under another key", () => {
  const one = createPseudonyms(PSEUDONYMS);
  const same = createPseudonyms(PSEUDONYMS);
  const other = createPseudonyms(ANOTHER_KEY);
  for (const name of ["tester", "crm__find", "x".repeat(1024), "\u0000", "_OTHER", "__proto__", "constructor"]) {
    const { tool_name, tool_name_hash } = one.tool(name);
    assert.equal(tool_name, "_OTHER");
    assert.match(String(tool_name_hash), PSEUDONYM);
    assert.match(String(one.identifier(name)), PSEUDONYM);
    assert.equal(tool_name_hash, same.tool(name).tool_name_hash);
    assert.equal(one.identifier(name), same.identifier(name));
    assert.notEqual(tool_name_hash, one.identifier(name));
    assert.notEqual(tool_name_hash, other.tool(name).tool_name_hash);
    assert.notEqual(one.identifier(name), other.identifier(name));
  }
});

test("a built-in tool keeps its name, and needs no pseudonym", () => {
  for (const name of PSEUDONYMS.built_in_tools) assert.deepEqual(toolOf(name, PSEUDONYMS), { tool_name: name });
});

test("an id that Cline or a machine made up stays as it is, a pseudonym among them", () => {
  const { identifier } = createPseudonyms(PSEUDONYMS);
  const generated = [
    "1795358814083_ukyix",
    "agent_1795358814189_2kb1cn",
    "run_-OZ2HV2E",
    "run_1795358829656_lks57x",
    "1795358814083",
    "01ARZ3NDEKTSV4RRFFQ69G5FAV",
    "123e4567-e89b-12d3-a456-426614174000",
    String(identifier("tester")),
  ];
  for (const id of generated) assert.equal(identifier(id), id);
});

test("an id that only resembles one is a name", () => {
  const { identifier } = createPseudonyms(PSEUDONYMS);
  for (const id of [
    "run_short",
    "agent_1",
    "1795358814083_",
    " 1795358814083",
    "1795358814083\n",
    "ab_12345678",
    "alice_1795358814083_abcd",
    "0".repeat(33),
  ])
    assert.match(String(identifier(id)), PSEUDONYM);
});

test("with plain names tools keep their names where they can, and ids are pseudonyms still", () => {
  assert.deepEqual(toolOf("crm__find", PLAIN), { tool_name: "crm__find" });
  assert.deepEqual(toolOf("find a customer", PLAIN), { tool_name: "_OTHER" });
  assert.deepEqual(toolOf("x".repeat(129), PLAIN), { tool_name: "_OTHER" });
  assert.equal(createPseudonyms(PLAIN).identifier("tester"), createPseudonyms(PSEUDONYMS).identifier("tester"));
});

test("without a key tools have no names and no pseudonyms, and only ids that were made up are known", () => {
  const pseudonyms = createPseudonyms();
  for (const name of ["read_files", "crm__find"]) assert.deepEqual(pseudonyms.tool(name), { tool_name: "_OTHER" });
  assert.equal(pseudonyms.identifier("tester"), undefined);
  assert.equal(pseudonyms.identifier(SESSION), SESSION);
});

test("what is no content of pseudonyms.json is refused, and what was learnt before stays", () => {
  const pseudonyms = createPseudonyms(PSEUDONYMS);
  const before = pseudonyms.tool("crm__find");
  const { key } = ANOTHER_KEY;
  for (const content of [
    {},
    { ...ANOTHER_KEY, version: 2 },
    { ...ANOTHER_KEY, key: undefined },
    { ...ANOTHER_KEY, key: [key] },
    { ...ANOTHER_KEY, key: key.slice(1) },
    { ...ANOTHER_KEY, key: `${key}00` },
    { ...ANOTHER_KEY, built_in_tools: "crm__find" },
  ]) {
    assert.throws(() => createPseudonyms(content), TypeError);
    assert.throws(() => pseudonyms.learn(content), TypeError);
    assert.deepEqual(pseudonyms.tool("crm__find"), before);
  }
});

test("a new key is for tools at once and for ids that were not known; those that were stay what they are", () => {
  const pseudonyms = createPseudonyms(PSEUDONYMS);
  const [id, tool] = [pseudonyms.identifier("tester"), pseudonyms.tool("crm__find")];
  pseudonyms.learn(ANOTHER_KEY);
  assert.equal(pseudonyms.identifier("tester"), id);
  assert.notDeepEqual(pseudonyms.tool("crm__find"), tool);
  assert.deepEqual(pseudonyms.tool("crm__find"), toolOf("crm__find", ANOTHER_KEY));
  assert.equal(pseudonyms.identifier("another"), createPseudonyms(ANOTHER_KEY).identifier("another"));
});

test("a model is named by the present key, and by plain names or none as the file says now", () => {
  const pseudonyms = createPseudonyms();
  const named = [PSEUDONYMS, ANOTHER_KEY, { ...ANOTHER_KEY, plain_names: true }].map((content) => {
    const before = [pseudonyms.model("team-gpt"), pseudonyms.model("team-gpt")];
    pseudonyms.learn(content);
    assert.equal(pseudonyms.model("team-gpt"), createPseudonyms(content).model("team-gpt"));
    assert.equal(before[0], before[1]);
    return pseudonyms.model("team-gpt");
  });
  assert.equal(new Set(named).size, 3);
  assert.equal(named[2], "team-gpt");
  assert.equal(pseudonyms.model("gpt-5"), "gpt-5");
});

test("of many ids the newest are remembered, and what is in use is newest", () => {
  const pseudonyms = createPseudonyms(PSEUDONYMS);
  const [used, unused] = [pseudonyms.identifier("used"), pseudonyms.identifier("unused")];
  for (let index = 0; index < LIMITS.idPseudonyms + 10; index += 1) {
    pseudonyms.identifier(`id ${index}`);
    pseudonyms.identifier("used");
  }
  pseudonyms.learn(ANOTHER_KEY);
  assert.equal(pseudonyms.identifier("used"), used);
  assert.notEqual(pseudonyms.identifier("unused"), unused);
});

// ---- records ----

const CHOSEN = {
  sessionId: "Invoice checker 42",
  agentId: "tester",
  runId: "april",
  parentAgentId: "lead",
  toolName: "crm__find",
};

test("every record of a run with chosen names has their pseudonyms in the places of their names", () => {
  const pseudonyms = createPseudonyms(PSEUDONYMS);
  const named = feed(newMapping(), [setup(CHOSEN.sessionId), ...wholeRun(CHOSEN)]);
  const generated = feed(newMapping(), [setup(), ...wholeRun({ parentAgentId: "lead" })]);
  const wanted = {
    session_id: CHOSEN.sessionId,
    agent_id: CHOSEN.agentId,
    run_id: CHOSEN.runId,
    parent_agent_id: CHOSEN.parentAgentId,
  };
  assert.equal(named.length, generated.length);
  named.forEach((record, index) => {
    assert.deepEqual(Object.keys(record), Object.keys(generated[index] ?? {}));
    for (const [field, name] of Object.entries(wanted))
      if (field in record) assert.equal(record[field], pseudonyms.identifier(name));
  });
  const tools = named.filter(({ event, ordinal }) => event === "tool_call.started" && ordinal === 1);
  assert.deepEqual(
    tools.map(({ tool_name, tool_name_hash }) => ({ tool_name, tool_name_hash })),
    [pseudonyms.tool(CHOSEN.toolName)],
  );
});

test("no chosen name of a tool, session, agent or run is in any line, whichever hook has it", () => {
  for (const content of [PSEUDONYMS, ANOTHER_KEY, undefined]) {
    const mapping = content ? newMapping(createState(), content) : createMapping();
    const child = { ...CHOSEN, agentId: "drafter", runId: "may", parentAgentId: "tester" };
    const records = everyRecord(mapping, [
      setup(CHOSEN.sessionId),
      ...wholeRun(CHOSEN),
      setup("march"),
      ...wholeRun(child),
    ]);
    assert.equal(content !== undefined, records.length > 0);
    for (const name of [...Object.values(CHOSEN), "drafter", "may", "march"])
      assert.ok(!printed(records).includes(name), name);
  }
});

/**
 * A copy of a context in which every text, or each with some chance, is another.
 *
 * @param {unknown} value
 * @param {() => string} text
 * @param {() => number} next
 * @returns {unknown}
 */
function rewritten(value, text, next) {
  if (typeof value === "string") return next() < 0.5 ? text() : value;
  if (Array.isArray(value)) return value.map((part) => rewritten(part, text, next));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, rewritten(part, text, next)]));
}

test("no chosen name is in any line, wherever in a context it stands", () => {
  const names = ["find a customer", "Prüferin", "Rechnungen für April", "who@where", "crm → find"];
  let written = 0;
  for (let seed = 1; seed <= 300; seed += 1) {
    const next = random(seed);
    const text = () => pick(next, names);
    for (const content of [PSEUDONYMS, PLAIN]) {
      const calls = [setup(), ...wholeRun(), setup(), ...wholeRun({ parentAgentId: AGENT })];
      const damaged = calls.map(([kind, context]) => call(kind, rewritten(context, text, next)));
      const output = printed(everyRecord(newMapping(createState(), content), damaged));
      for (const name of names) assert.ok(!output.includes(name), `${name} (seed ${seed})`);
      written += output.length;
    }
  }
  assert.ok(written > 100_000);
});

test("with plain names a tool's name is the one name that is written", () => {
  const records = everyRecord(newMapping(createState(), PLAIN), [setup(CHOSEN.sessionId), ...wholeRun(CHOSEN)]);
  const { toolName, ...ids } = CHOSEN;
  const found = records.filter(({ tool_name }) => tool_name === toolName);
  assert.deepEqual(
    found.map(({ event }) => event),
    ["tool_call.started", "tool_call.finished"],
  );
  assert.ok(records.every((record) => !("tool_name_hash" in record)));
  for (const name of Object.values(ids)) assert.ok(!printed(records).includes(name), name);
});

test("an id that is too long for a name, or none at all, names nothing", () => {
  for (const agentId of ["x".repeat(1025), "", 7, null, {}])
    assert.deepEqual(feed(newMapping(), wholeRun({ agentId })), []);
  assert.deepEqual(feed(newMapping(), [setup("x".repeat(1025)), setup("")]), []);
});

test("two runs whose names only together read alike are two runs", () => {
  const mapping = newMapping();
  const records = feed(mapping, [
    new RunCalls({ agentId: "a b", runId: "c" }).started(),
    new RunCalls({ agentId: "a", runId: "b c" }).started(),
  ]);
  assert.equal(records.length, 2);
});

test("agents are joined by what they are called in Cline, also where no name may be written", () => {
  const pseudonyms = createPseudonyms();
  const mapping = createMapping(createState(), pseudonyms);
  const lead = new RunCalls({ agentId: "lead", runId: "april" });
  const spawn = lead.toolStarted("call_1", "spawn_agent", { task: "look" });
  const child = new RunCalls({ parentAgentId: "lead", task: "look" });
  const [started, ...others] = feed(mapping, [setup(), lead.started(), spawn, child.started()]).slice(1);
  assert.deepEqual(others, []);
  const { v, time_unix_ms, ...said } = started ?? {};
  assert.deepEqual(said, {
    event: "run.started",
    session_id: SESSION,
    agent_id: AGENT,
    run_id: RUN,
    parent_iteration: 0,
    parent_ordinal: 0,
    parent_call_id: "call_1",
    agent_kind: "subagent",
  });
});

test("what had no name that may be written has one from the moment when there is a key", () => {
  const pseudonyms = createPseudonyms();
  const mapping = createMapping(createState(), pseudonyms);
  const run = new RunCalls(CHOSEN);
  assert.deepEqual(feed(mapping, [setup(CHOSEN.sessionId), run.started(), run.beforeModel()]), []);
  pseudonyms.learn(PSEUDONYMS);
  const records = [...mapping.claims(1), ...feed(mapping, [run.afterModel(), run.finishedEvent()])];
  assert.deepEqual(
    records.map(({ event }) => event),
    ["session.claimed", "model_call.finished", "run.finished"],
  );
});

test("a run keeps its ids when the key is replaced in its middle", () => {
  const pseudonyms = createPseudonyms(PSEUDONYMS);
  const mapping = createMapping(createState(), pseudonyms);
  const calls = [setup(CHOSEN.sessionId), ...wholeRun(CHOSEN)];
  const before = feed(mapping, calls.slice(0, 6));
  pseudonyms.learn(ANOTHER_KEY);
  const records = [...before, ...feed(mapping, calls.slice(6))];
  for (const field of ["session_id", "agent_id", "run_id", "parent_agent_id"])
    assert.equal(new Set(records.map((record) => record[field]).filter((id) => id !== undefined)).size, 1, field);
  const later = feed(mapping, wholeRun({ ...CHOSEN, runId: "may" }));
  assert.equal(later[0]?.run_id, createPseudonyms(ANOTHER_KEY).identifier("may"));
});

// ---- the file ----

/** @param {string} name */
function watched(name) {
  const file = path.join(folder, `${name}.json`);
  const pseudonyms = createPseudonyms();
  const clock = { ms: 0 };
  return { file, pseudonyms, clock, look: watchPseudonyms(file, pseudonyms, () => clock.ms) };
}

/**
 * @param {string} file
 * @param {unknown} content
 */
const write = (file, content) =>
  fs.writeFileSync(file, typeof content === "string" ? content : JSON.stringify(content));

test("a new key is noticed within a second, and the file is not looked at more often", () => {
  const { file, pseudonyms, clock, look } = watched("rotated");
  write(file, PSEUDONYMS);
  look();
  assert.deepEqual(pseudonyms.tool("crm__find"), toolOf("crm__find", PSEUDONYMS));
  write(`${file}.new`, ANOTHER_KEY);
  fs.renameSync(`${file}.new`, file);
  clock.ms += 999;
  look();
  assert.deepEqual(pseudonyms.tool("crm__find"), toolOf("crm__find", PSEUDONYMS));
  clock.ms += 1;
  look();
  assert.deepEqual(pseudonyms.tool("crm__find"), toolOf("crm__find", ANOTHER_KEY));
});

test("a file that is half written, damaged or gone changes nothing of what was known", () => {
  const { file, pseudonyms, clock, look } = watched("damaged");
  write(file, PSEUDONYMS);
  look();
  for (const content of [JSON.stringify(ANOTHER_KEY).slice(0, -9), "", "[]", { version: 1 }]) {
    write(file, content);
    clock.ms += 1000;
    look();
    assert.deepEqual(pseudonyms.tool("crm__find"), toolOf("crm__find", PSEUDONYMS));
  }
  fs.unlinkSync(file);
  clock.ms += 1000;
  look();
  assert.deepEqual(pseudonyms.tool("crm__find"), toolOf("crm__find", PSEUDONYMS));
  write(file, ANOTHER_KEY);
  clock.ms += 1000;
  look();
  assert.deepEqual(pseudonyms.tool("crm__find"), toolOf("crm__find", ANOTHER_KEY));
});

test("a file that comes later is read when it is there", () => {
  const { file, pseudonyms, clock, look } = watched("later");
  look();
  assert.equal(pseudonyms.identifier("tester"), undefined);
  write(file, PSEUDONYMS);
  clock.ms += 1000;
  look();
  assert.match(String(pseudonyms.identifier("tester")), PSEUDONYM);
});
