// What the writer is made of, each part by itself: files, room, pauses, losses, batches.

import assert from "node:assert/strict";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterEach, beforeEach, test } from "node:test";

import { createLosses } from "../../src/cline-plugin/rim/losses.js";
import { createPause } from "../../src/cline-plugin/rim/pause.js";
import { lineOf, writeBatch } from "../../src/cline-plugin/rim/spool_batch.js";
import { createSpoolFiles } from "../../src/cline-plugin/rim/spool_files.js";
import { createSpoolRoom } from "../../src/cline-plugin/rim/spool_room.js";
import { watchedJson } from "../../src/cline-plugin/rim/watched_json.js";

/** @type {string} */
let root;
/** @type {string} */
let directory;

beforeEach(() => {
  root = fs.mkdtempSync(path.join(os.tmpdir(), "cline-otel-spool-parts-"));
  directory = path.join(root, "spool");
});

afterEach(() => fs.rmSync(root, { recursive: true, force: true }));

const contents = () =>
  Object.fromEntries(
    fs.readdirSync(directory).map((name) => [name, fs.readFileSync(path.join(directory, name), "utf8")]),
  );

// ---- files ----

const filesOf = (fileBytes = 10) => createSpoolFiles({ directory, pid: 7, startMs: 1, fileBytes });

test("a file takes bytes up to its limit, and what is larger than any limit is alone in its file", () => {
  const files = filesOf();
  for (const text of ["12345", "67890", "x", "longer than a file\n", "y"]) files.append(Buffer.from(text));
  files.close();
  assert.deepEqual(contents(), {
    "7-1-0.jsonl": "1234567890",
    "7-1-1.jsonl": "x",
    "7-1-2.jsonl": "longer than a file\n",
    "7-1-3.jsonl": "y",
  });
});

test("nothing is written to another user's spool", {
  skip: process.geteuid?.() !== 0 && "only root gives files away",
}, () => {
  fs.mkdirSync(directory);
  fs.chmodSync(directory, 0o777);
  fs.chownSync(directory, 54321, 54321);
  const files = filesOf();
  assert.equal(files.append(Buffer.from("ours")), 0);
  files.close();
  assert.deepEqual(fs.readdirSync(directory), []);
});

test("settings of another user, or that everybody may write, say nothing", {
  skip: process.geteuid?.() !== 0 && "only root gives files away",
}, () => {
  const file = path.join(root, "settings.json");
  fs.writeFileSync(file, "{}");
  for (const [uid, mode] of /** @type {const} */ ([
    [54321, 0o600],
    [0, 0o666],
  ])) {
    fs.chownSync(file, uid, uid);
    fs.chmodSync(file, mode);
    assert.equal(watchedJson(file, () => true)(), undefined);
  }
  fs.chmodSync(file, 0o600);
  assert.equal(watchedJson(file, () => true)(), true);
});

test("a file of that name that is there already is left as it is", () => {
  fs.mkdirSync(directory);
  fs.writeFileSync(path.join(directory, "7-1-0.jsonl"), "of another");
  const files = filesOf();
  assert.equal(files.append(Buffer.from("ours")), 4);
  files.close();
  assert.deepEqual(contents(), { "7-1-0.jsonl": "of another", "7-1-1.jsonl": "ours" });
});

test("a write that fails half-way says how far it came, and the next one goes to a new file", (t) => {
  const { writeSync } = fs;
  const files = filesOf();
  const mocked = t.mock.method(
    fs,
    "writeSync",
    /** @type {(descriptor: number, bytes: Uint8Array, offset: number) => number} */
    (descriptor, bytes, offset) => {
      if (offset > 0) throw new Error("no space");
      return writeSync(descriptor, bytes, offset, 2);
    },
  );
  assert.equal(files.append(Buffer.from("torn")), 2);
  mocked.mock.restore();
  assert.equal(files.append(Buffer.from("whole")), 5);
  files.close();
  assert.deepEqual(contents(), { "7-1-0.jsonl": "to", "7-1-1.jsonl": "whole" });
});

test("where no directory can be made nothing is written and nothing thrown", () => {
  fs.writeFileSync(directory, "a file");
  assert.equal(filesOf().append(Buffer.from("x")), 0);
});

test("a file that somebody has deleted is left for a new one, one that is there is kept", () => {
  const files = filesOf(100);
  files.append(Buffer.from("a"));
  files.leaveIfGone();
  files.append(Buffer.from("b"));
  assert.deepEqual(contents(), { "7-1-0.jsonl": "ab" });
  fs.unlinkSync(path.join(directory, "7-1-0.jsonl"));
  files.leaveIfGone();
  files.append(Buffer.from("c"));
  files.close();
  assert.deepEqual(contents(), { "7-1-1.jsonl": "c" });
});

// ---- room ----

test("room is what the directory's lines leave of its limit, measured again after a time or after so many bytes", () => {
  fs.mkdirSync(directory);
  fs.writeFileSync(path.join(directory, "8-1-0.jsonl"), "x".repeat(60));
  fs.writeFileSync(path.join(directory, "something.else"), "x".repeat(1000));
  let clockMs = 0;
  const limits = { directoryBytes: 100, directoryCheckBytes: 30, checkIntervalMs: 1000 };
  const room = createSpoolRoom({ directory, monotonicMs: () => clockMs, limits });
  assert.equal(room.hasRoomFor(1), false); // nothing is known yet
  assert.equal(room.measure(), true);
  assert.deepEqual([room.hasRoomFor(40), room.hasRoomFor(41)], [true, false]);
  room.used(30);
  assert.equal(room.measure(), false);
  assert.deepEqual([room.hasRoomFor(10), room.hasRoomFor(11)], [true, false]);
  room.used(1);
  assert.equal(room.measure(), true); // the 31 bytes are in no file that ends with .jsonl
  assert.equal(room.hasRoomFor(40), true);
  clockMs += 999;
  assert.equal(room.measure(), false);
  clockMs += 1;
  assert.equal(room.measure(), true);
});

test("a directory that is not there has all its room", () => {
  const limits = { directoryBytes: 100, directoryCheckBytes: 0, checkIntervalMs: 1000 };
  const room = createSpoolRoom({ directory, monotonicMs: () => 0, limits });
  room.measure();
  assert.deepEqual([room.hasRoomFor(100), room.hasRoomFor(101)], [true, false]);
});

// ---- pauses ----

test("a slow write is followed by a pause a hundred times as long, within a limit; a fast one by none", () => {
  let clockMs = 50;
  const pause = createPause(() => clockMs, { checkIntervalMs: 1000, slowWriteMs: 100, slowWritePauseMs: 60_000 });
  pause.afterWrite(100);
  assert.ok(pause.remainingMs() <= 0);
  pause.afterWrite(101);
  assert.equal(pause.remainingMs(), 10_100);
  clockMs += 10_100;
  assert.equal(pause.remainingMs(), 0);
  pause.afterWrite(5000);
  assert.equal(pause.remainingMs(), 60_000);
  pause.afterFailure();
  assert.equal(pause.remainingMs(), 1000);
});

// ---- losses and batches ----

test("losses add up by their reason until they are cleared", () => {
  const losses = createLosses();
  assert.equal(losses.any(), false);
  losses.add("write_error", 2);
  losses.add("memory_limit", 1);
  losses.add("write_error", 3);
  assert.deepEqual(losses.counts(), [
    ["write_error", 5],
    ["memory_limit", 1],
  ]);
  losses.clear();
  losses.addUncounted();
  assert.deepEqual([losses.any(), losses.counts()], [true, []]);
});

/** @param {{ hasRoom?: boolean, works?: (number: number) => boolean }} given */
function batchContext({ hasRoom = true, works = () => true } = {}) {
  /** @type {string[][]} */
  const written = [];
  const losses = createLosses();
  const writer = {
    hasRoomFor: () => hasRoom,
    /** @param {readonly string[]} lines */
    write: (lines) => {
      written.push([...lines]);
      const worked = works(written.length);
      if (!worked) losses.add("write_error", lines.length);
      return worked;
    },
  };
  return { written, losses, context: { writer, losses, claims: () => [{ event: "session.claimed" }], nowMs: () => 5 } };
}

test("a batch tells of losses and claims the sessions anew before its lines, once", () => {
  const { written, losses, context } = batchContext();
  losses.add("memory_limit", 3);
  writeBatch(["a\n"], context);
  writeBatch(["b\n"], context);
  assert.deepEqual(written, [
    ['{"v":1,"event":"records.dropped","time_unix_ms":5,"count":3,"reason":"memory_limit"}\n'],
    ['{"event":"session.claimed"}\n', "a\n"],
    ["b\n"],
  ]);
});

test("after lines of which nobody is told how many, sessions are claimed and no loss is told of", () => {
  const { written, losses, context } = batchContext();
  losses.addUncounted();
  writeBatch(["a\n"], context);
  assert.deepEqual(written, [['{"event":"session.claimed"}\n', "a\n"]]);
});

test("a batch for which there is no room is lost and counted", () => {
  const { written, losses, context } = batchContext({ hasRoom: false });
  writeBatch(["a\n", "b\n"], context);
  assert.deepEqual([written, losses.counts()], [[], [["directory_limit", 2]]]);
});

test("losses that could not be told stay as they were, the lines that told of them no loss of their own", () => {
  const { losses, context } = batchContext({ works: (number) => number > 1 });
  losses.add("memory_limit", 3);
  writeBatch(["a\n"], context);
  assert.deepEqual([losses.any(), losses.counts()], [true, [["memory_limit", 3]]]);
});

test("a large batch is written in pieces, in order", () => {
  const { written, context } = batchContext();
  const lines = Array.from({ length: 2500 }, (_, number) => lineOf({ number }));
  writeBatch(lines, context);
  assert.deepEqual(
    written.map(({ length }) => length),
    [1024, 1024, 452],
  );
  assert.deepEqual(written.flat(), lines);
});
