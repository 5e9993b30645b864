// The writer: files and limits. Real files in a directory of the test's own; the clock is the test's.

import assert from "node:assert/strict";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterEach, beforeEach, test } from "node:test";

import { createSpool, LIMITS } from "../../src/cline_otel/plugin/cline-otel.js";

/** @import { TestContext } from "node:test" */

/** @typedef {Parameters<typeof createSpool>[0]} SpoolGiven */

/** @type {string} */
let root;
/** @type {string} */
let directory;
/** @type {number} */
let clockMs;
/** @type {ReturnType<typeof createSpool>[]} */
const spools = [];

beforeEach(() => {
  root = fs.mkdtempSync(path.join(os.tmpdir(), "cline-otel-spool-"));
  directory = path.join(root, "state", "spool");
  clockMs = 0;
});

afterEach(() => {
  for (const spool of spools.splice(0)) spool.close({ event: "closed by the test" });
  fs.rmSync(root, { recursive: true, force: true });
});

/** @param {Partial<Omit<SpoolGiven, "limits">> & { limits?: Partial<SpoolGiven["limits"]> }} given */
function spoolOf(given = {}) {
  const spool = createSpool({
    directory,
    pid: 7,
    startMs: 1_800_000_000_000,
    refused: () => false,
    claims: () => [],
    nowMs: () => 1_800_000_000_000 + clockMs,
    monotonicMs: () => clockMs,
    ...given,
    limits: { ...LIMITS, ...given.limits },
  });
  spools.push(spool);
  return spool;
}

const files = () => (fs.existsSync(directory) ? fs.readdirSync(directory) : []).toSorted();
/** @param {string} name */
const linesIn = (name) =>
  fs
    .readFileSync(path.join(directory, name), "utf8")
    .split("\n")
    .filter((line) => line !== "");
const records = () =>
  files()
    .flatMap(linesIn)
    .map((line) => JSON.parse(line));
function onlyFile() {
  const [name, ...others] = files();
  assert.ok(name !== undefined && others.length === 0);
  return name;
}
const numbers = () =>
  records()
    .filter(({ event }) => event === "n")
    .map(({ n }) => n);
/** @param {number} n */
const numbered = (n, padding = 0) => ({ v: 1, event: "n", n, padding: "p".repeat(padding) });
/**
 * What the disk does to writes during a test, instead of writing all bytes at once.
 *
 * @param {TestContext} t
 * @param {(write: (length?: number) => number, bytes: Uint8Array) => number} disk
 */
function onWrite(t, disk) {
  const { writeSync } = fs;
  return t.mock.method(
    fs,
    "writeSync",
    /** @type {(descriptor: number, bytes: Uint8Array, offset: number) => number} */
    (descriptor, bytes, offset) => disk((length) => writeSync(descriptor, bytes, offset, length), bytes),
  );
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

test("lines are on the disk one turn of the event loop after they were given", async () => {
  const spool = spoolOf();
  spool.append([numbered(1), numbered(2)]);
  assert.deepEqual(files(), []);
  await turn();
  await turn();
  assert.deepEqual(numbers(), [1, 2]);
});

test("directory and file are the user's alone, and the name is pid, start and sequence", () => {
  const spool = spoolOf();
  spool.append([numbered(1)]);
  spool.flush();
  assert.deepEqual(files(), ["7-1800000000000-0.jsonl"]);
  assert.equal(fs.statSync(directory).mode & 0o777, 0o700);
  assert.equal(fs.statSync(path.join(directory, onlyFile())).mode & 0o777, 0o600);
});

test("nothing given, nothing made", () => {
  const spool = spoolOf();
  spool.append([]);
  spool.flush();
  spool.close({ event: "process.exited" });
  assert.deepEqual(files(), []);
});

test("a file is rolled before it would pass its limit, and no line is lost or torn", () => {
  const spool = spoolOf({ limits: { fileBytes: 1000 } });
  for (let n = 0; n < 100; n += 1) {
    spool.append([numbered(n, 50)]);
    spool.flush();
  }
  assert.ok(files().length > 5);
  for (const name of files()) assert.ok(fs.statSync(path.join(directory, name)).size <= 1000);
  assert.deepEqual(
    numbers().toSorted((a, b) => a - b),
    [...Array(100).keys()],
  );
  /** @param {string} name */
  const sequenceOf = (name) => Number(/-(\d+)\.jsonl$/.exec(name)?.[1]);
  const bySequence = files().toSorted((a, b) => sequenceOf(a) - sequenceOf(b));
  assert.deepEqual(
    bySequence.flatMap(linesIn).map((line) => JSON.parse(line).n),
    [...Array(100).keys()],
  );
});

test("two writers with one name never share a file", () => {
  const [one, two] = [spoolOf(), spoolOf()];
  for (let n = 0; n < 10; n += 1) {
    one.append([numbered(n)]);
    two.append([numbered(100 + n)]);
    one.flush();
    two.flush();
  }
  assert.equal(files().length, 2);
  assert.deepEqual(
    numbers().toSorted((a, b) => a - b),
    [...Array(10).keys(), ...Array.from({ length: 10 }, (_, n) => 100 + n)],
  );
});

test("at the directory's limit it stops, and when there is room again it says how many are missing", () => {
  const claims = () => [{ v: 1, event: "session.claimed" }];
  const spool = spoolOf({ claims, limits: { directoryBytes: 5000, directoryCheckBytes: 0 } });
  for (let n = 0; n < 100; n += 1) {
    spool.append([numbered(n, 100)]);
    spool.flush();
  }
  const written = numbers().length;
  assert.ok(written > 10 && written < 100);
  assert.ok(fs.statSync(path.join(directory, onlyFile())).size <= 5000);

  for (const name of files()) fs.unlinkSync(path.join(directory, name)); // as the bridge does
  clockMs += LIMITS.checkIntervalMs;
  spool.append([numbered(1000)]);
  spool.flush();
  assert.deepEqual(
    records().map(({ event, count, reason, n }) => [event, count ?? n, reason]),
    [
      ["records.dropped", 100 - written, "directory_limit"],
      ["session.claimed", undefined, undefined],
      ["n", 1000, undefined],
    ],
  );
  spool.append([numbered(1001)]);
  spool.flush();
  assert.equal(records().filter(({ event }) => event === "records.dropped").length, 1);
});

test("the limit counts what other processes have written", () => {
  fs.mkdirSync(directory, { recursive: true });
  fs.writeFileSync(path.join(directory, "8-1-0.jsonl"), "x".repeat(5000));
  const spool = spoolOf({ limits: { directoryBytes: 5100 } });
  spool.append([numbered(1, 200)]);
  spool.flush();
  assert.deepEqual(files(), ["8-1-0.jsonl"]);
});

test("when its file is taken away it goes on in a new one", () => {
  const spool = spoolOf();
  spool.append([numbered(1)]);
  spool.flush();
  fs.unlinkSync(path.join(directory, onlyFile()));
  clockMs += LIMITS.checkIntervalMs;
  spool.append([numbered(2)]);
  spool.flush();
  assert.deepEqual(files(), ["7-1800000000000-1.jsonl"]);
  assert.deepEqual(numbers(), [2]);
});

test("when the whole directory is taken away it is made again", () => {
  const spool = spoolOf();
  spool.append([numbered(1)]);
  spool.flush();
  fs.rmSync(directory, { recursive: true });
  clockMs += LIMITS.checkIntervalMs;
  spool.append([numbered(2)]);
  spool.flush();
  assert.deepEqual(numbers(), [2]);
});

test("a directory that cannot be written costs lines, not the agent, and is told when it works again", () => {
  fs.mkdirSync(path.dirname(directory), { recursive: true });
  fs.writeFileSync(directory, "a file where the directory should be");
  const spool = spoolOf();
  spool.append([numbered(1), numbered(2)]);
  spool.flush();
  fs.unlinkSync(directory);
  clockMs += LIMITS.checkIntervalMs;
  spool.append([numbered(3)]);
  spool.flush();
  assert.deepEqual(
    records().map(({ event, count, reason, n }) => [event, count ?? n, reason]),
    [
      ["records.dropped", 2, "write_error"],
      ["n", 3, undefined],
    ],
  );
});

test("after a failure the disk is left alone for a while, and lines wait in bounded memory", async () => {
  fs.mkdirSync(path.dirname(directory), { recursive: true });
  fs.writeFileSync(directory, "");
  const spool = spoolOf({ limits: { waitingLines: 5 } });
  spool.append([numbered(0)]);
  spool.flush();
  fs.unlinkSync(directory);
  for (let n = 1; n <= 8; n += 1) spool.append([numbered(n)]);
  await turn();
  await turn();
  assert.deepEqual(files(), []);
  spool.flush(); // the process ends: now or never
  assert.deepEqual(numbers(), [1, 2, 3, 4, 5]);
  const losses = records().filter(({ event }) => event === "records.dropped");
  assert.deepEqual(
    losses.map(({ count, reason }) => [reason, count]),
    [
      ["write_error", 1],
      ["memory_limit", 3],
    ],
  );
});

test("a slow disk is waited for at most one hundredth of the time", async (t) => {
  const monotonicMs = () => clockMs;
  const claims = () => [];
  const spool = spoolOf({ monotonicMs, claims });
  const { mock } = onWrite(t, (write) => {
    clockMs += 2 * LIMITS.slowWriteMs;
    return write();
  });
  spool.append([numbered(1)]);
  await turn();
  await turn();
  assert.equal(mock.callCount(), 1);
  for (let n = 2; n < 10; n += 1) {
    spool.append([numbered(n)]);
    await turn();
  }
  assert.equal(mock.callCount(), 1);
  spool.flush();
  assert.deepEqual(numbers(), [1, 2, 3, 4, 5, 6, 7, 8, 9]);
});

test("a line that was torn by a full disk stays the last of its file", (t) => {
  const spool = spoolOf();
  let calls = 0;
  onWrite(t, (write, bytes) => {
    calls += 1;
    if (calls === 1) return write(bytes.length - 5); // all but the end of the second line
    if (calls === 2) throw Object.assign(new Error("no space"), { code: "ENOSPC" });
    return write();
  });
  spool.append([numbered(1), numbered(2)]);
  spool.flush();
  clockMs += LIMITS.checkIntervalMs;
  spool.append([numbered(3)]);
  spool.flush();
  assert.equal(files().length, 2);
  const [first = "", second = ""] = files().map((name) => fs.readFileSync(path.join(directory, name), "utf8"));
  assert.equal(JSON.parse(first.split("\n")[0] ?? "").n, 1);
  assert.ok(!first.endsWith("\n"));
  assert.deepEqual(
    second
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line).n ?? JSON.parse(line).count),
    [1, 3],
  );
});

test("a record that cannot be printed costs itself only", () => {
  const spool = spoolOf();
  /** @type {Record<string, unknown>} */
  const cyclic = {};
  cyclic.self = cyclic;
  spool.append([cyclic]);
  spool.append([numbered(1)]);
  spool.flush();
  assert.deepEqual(numbers(), [1]);
});

test("while the user has said no nothing is written, and afterwards sessions are claimed anew", () => {
  let refused = true;
  const claims = () => [{ v: 1, event: "session.claimed", session_id: "s" }];
  const spool = spoolOf({ refused: () => refused, claims });
  spool.append([numbered(1)]);
  spool.flush();
  assert.deepEqual(files(), []);
  refused = false;
  spool.append([numbered(2)]);
  spool.flush();
  assert.deepEqual(
    records().map(({ event }) => event),
    ["session.claimed", "n"],
  );
  refused = true;
  spool.append([numbered(3)]);
  spool.close({ event: "process.exited" });
  assert.deepEqual(numbers(), [2]);
});
