// Which span of somebody else a root run names, and what it says that it is to it.

import assert from "node:assert/strict";
import { test } from "node:test";

import { createMapping, createPseudonyms, createState, remoteSpan } from "../../src/cline_otel/plugin/cline-otel.js";
import { feed, PSEUDONYMS, setup, wholeRun } from "./hook_calls.mjs";
import { events, only } from "./records.mjs";

const TRACE = "0af7651916cd43dd8448eb211c80319c";
const SPAN = "b7ad6b7169203331";
const SAMPLED = `00-${TRACE}-${SPAN}-01`;

/**
 * @param {string | undefined} traceparent
 * @param {string} [relation]
 */
const of = (traceparent, relation) =>
  remoteSpan({
    ...(traceparent === undefined ? {} : { TRACEPARENT: traceparent }),
    ...(relation === undefined ? {} : { CLINE_OTEL_TRACEPARENT_AS: relation }),
  });

const link = { remote_trace_id: TRACE, remote_span_id: SPAN, remote_relation: "link" };

test("a traceparent is a link, unless it is asked for as the parent", () => {
  assert.deepEqual(of(SAMPLED), link);
  assert.deepEqual(of(SAMPLED, "link"), link);
  assert.deepEqual(of(SAMPLED, "parent"), { ...link, remote_relation: "child" });
  assert.equal(of(SAMPLED, "none"), undefined);
});

test("nobody is the child of a span that is not kept", () => {
  assert.deepEqual(of(`00-${TRACE}-${SPAN}-00`, "parent"), link);
  assert.deepEqual(of(`00-${TRACE}-${SPAN}-03`, "parent"), { ...link, remote_relation: "child" });
});

test("a later version of a traceparent may say more, and its first four parts count", () => {
  assert.deepEqual(of(`cc-${TRACE}-${SPAN}-01-what-comes-later`), link);
});

test("what is no traceparent names no span", () => {
  const others = [
    undefined,
    "",
    "b7ad6b7169203331",
    `ff-${TRACE}-${SPAN}-01`,
    `00-${TRACE}-${SPAN}-01-more`,
    `00-${TRACE}-${SPAN}-1`,
    `00-${TRACE.toUpperCase()}-${SPAN}-01`,
    `00-${"0".repeat(32)}-${SPAN}-01`,
    `00-${TRACE}-${"0".repeat(16)}-01`,
    `00-${TRACE}-${SPAN}-01\n`,
    ` ${SAMPLED}`,
  ];
  for (const other of others) assert.equal(of(other, "parent"), undefined, JSON.stringify(other));
});

test("every root run names the span, and nothing else does", () => {
  const mapping = createMapping(createState(of(SAMPLED)), createPseudonyms(PSEUDONYMS));
  const records = feed(mapping, [setup(), ...wholeRun()]);
  const { remote_trace_id, remote_span_id, remote_relation } = only(records, "run.started");
  assert.deepEqual({ remote_trace_id, remote_span_id, remote_relation }, link);
  const rest = records.filter((entry) => entry.event !== "run.started");
  assert.ok(rest.length > 3);
  assert.ok(!JSON.stringify(rest).includes(TRACE));
  assert.equal(events(records, "run.started").length, 1);
});
