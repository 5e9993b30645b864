// The spool lines that the plugin would have written, from a recording of the hooks it was called with.
//
//   node spool_from_capture.mjs PSEUDONYMS_FILE [--plain-names] < plugin.jsonl
//
// A recording has one JSON object a line: `kind` (the hook's name, for events `onEvent:<type>`), `t_ns` (when it was
// called, nanoseconds since the Unix epoch), `pid` and `ctx` (its argument, where an array of messages may be cut to
// `{n, last}`). Each pid is a process with a memory of its own. A line that is none of this is counted on stderr.
// PSEUDONYMS_FILE is the `pseudonyms.json` of a state directory: names that people chose get the pseudonyms it says.

import fs from "node:fs";
import { pathToFileURL } from "node:url";

import { createMapping, createPseudonyms, createState, SPOOL_VERSION } from "../src/cline_otel/plugin/cline-otel.js";

const MOST_MESSAGES = 100_000;
const PLAIN_NAMES = "--plain-names";

/** @typedef {{ kind: string, timeMs: number, pid: unknown, context: unknown }} RecordedCall */
/** @typedef {ReturnType<ReturnType<typeof createMapping>["map"]>} SpoolRecords */

/**
 * @template T
 * @param {number} count
 * @param {T} value
 * @returns {T[]}
 */
const times = (count, value) => new Array(Math.min(Math.max(count, 0), MOST_MESSAGES)).fill(value);

/**
 * Undoes the recorder's cut: an array as long as the real one, with the one message that was kept at its end.
 *
 * @param {string} key
 * @param {any} value as `JSON.parse` gives it
 */
function uncut(key, value) {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  if (key === "messages" && Number.isInteger(value.n))
    return value.n < 1 ? [] : [...times(value.n - 1, { role: "assistant", content: [] }), value.last];
  if (key === "request" && Number.isInteger(value.nmsg))
    return { ...value, messages: times(value.nmsg, null), tools: times(value.ntools ?? 0, null) };
  return value;
}

/**
 * @param {string} line
 * @returns {RecordedCall | undefined}
 */
function parse(line) {
  try {
    const { kind, t_ns: timeNs, pid, ctx } = JSON.parse(line, uncut);
    return typeof kind === "string"
      ? { kind, timeMs: Number(BigInt(timeNs) / 1_000_000n), pid, context: ctx }
      : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Spool records from a recording's lines, in the order of the recording; a process ends with its last line.
 *
 * @param {string[]} lines
 * @param {ReturnType<typeof createPseudonyms>} pseudonyms
 * @returns {{ records: SpoolRecords, malformed: number }}
 */
export function spoolFromCapture(lines, pseudonyms) {
  const calls = lines.filter((line) => line.trim() !== "").map(parse);
  const lastOf = new Map(calls.map((call, index) => [call?.pid, index]));
  const processes = new Map();
  /** @type {SpoolRecords} */
  const records = [];
  calls.forEach((call, index) => {
    if (call === undefined) return;
    const process = processes.get(call.pid) ?? { mapping: createMapping(createState(), pseudonyms), wrote: false };
    processes.set(call.pid, process);
    const made = process.mapping.map(call.kind, call.context, call.timeMs);
    const last = lastOf.get(call.pid) === index;
    if (last) made.push(...process.mapping.drain());
    process.wrote ||= made.length > 0;
    if (last && process.wrote) made.push({ v: SPOOL_VERSION, event: "process.exited", time_unix_ms: call.timeMs });
    records.push(...made);
  });
  return { records, malformed: calls.filter((call) => call === undefined).length };
}

/** @param {string} message */
function fail(message) {
  process.stderr.write(`${message}\n`);
  process.exitCode = 2;
}

/** Reads a recording on stdin and prints the spool lines. */
export function main() {
  const [, , file, plain, ...more] = process.argv;
  if (file === undefined || (plain ?? PLAIN_NAMES) !== PLAIN_NAMES || more.length > 0) {
    fail(`usage: node spool_from_capture.mjs PSEUDONYMS_FILE [${PLAIN_NAMES}] < plugin.jsonl`);
    return;
  }
  let pseudonyms;
  try {
    const content = JSON.parse(fs.readFileSync(file, "utf8"));
    pseudonyms = createPseudonyms({ ...content, plain_names: plain !== undefined });
  } catch {
    fail(`spool_from_capture: ${file} is no pseudonyms.json that can be read; \`cline-otel install\` makes one`);
    return;
  }
  const { records, malformed } = spoolFromCapture(fs.readFileSync(0, "utf8").split("\n"), pseudonyms);
  process.stdout.write(records.map((entry) => `${JSON.stringify(entry)}\n`).join(""));
  if (malformed > 0) process.stderr.write(`spool_from_capture: ${malformed} lines are no recorded hook calls\n`);
}

const script = process.argv[1];
if (script !== undefined && import.meta.url === pathToFileURL(fs.realpathSync(script)).href) main();
