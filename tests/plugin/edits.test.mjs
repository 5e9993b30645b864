// What edits changed, in numbers, against what git counts in the same files; and nothing but numbers.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { test } from "node:test";

import { RunCalls, random, SECRET } from "./hook_calls.mjs";
import { mapped, only } from "./records.mjs";

const FIELDS = ["lines_added", "lines_removed", "files_created", "files_modified", "files_deleted", "files_moved"];
const PLACE = `/home/${SECRET}/app.py`;

/**
 * The fields of a tool call that ended, as far as they are about an edit.
 *
 * @param {string} toolName
 * @param {unknown} input
 * @param {object} result
 */
function changeOf(toolName, input, result) {
  const run = new RunCalls();
  const [kind, context] = run.afterTool("call_a", toolName, result);
  const calls = [run.started(), run.toolStarted("call_a", toolName)];
  const record = only(
    mapped([...calls, [kind, { ...context, toolCall: { ...context.toolCall, input } }]]),
    "tool_call.finished",
  );
  assert.ok(!JSON.stringify(record).includes(SECRET));
  return Object.fromEntries(FIELDS.filter((field) => field in record).map((field) => [field, record[field]]));
}

/** @param {string} result */
const answered = (result) => ({ output: { query: `edit:${PLACE}`, result, success: true } });
const EDITED = answered(`Edited ${PLACE}\n\`\`\`diff\n-2: ${SECRET}\n+2: ${SECRET}\n\`\`\``);
const CREATED = answered(`File created successfully at: ${PLACE}`);
const INSERTED = answered(`Inserted content at line 2 in ${PLACE}.`);

/**
 * @param {string} oldText
 * @param {string} newText
 */
const replaced = (oldText, newText) =>
  changeOf("editor", { path: PLACE, old_text: oldText, new_text: newText }, EDITED);

test("a replaced line is one that went and one that came", () => {
  assert.deepEqual(replaced("return a + b", "return int(a) + int(b)"), {
    lines_added: 1,
    lines_removed: 1,
    files_modified: 1,
  });
});

test("a file that is created has the lines that it is made of, whatever text it was to replace", () => {
  for (const text of ["one\ntwo\n", "one\ntwo", "one\r\ntwo\r\n"])
    for (const old of [{}, { old_text: "x" }, { old_text: null }])
      assert.deepEqual(changeOf("editor", { path: PLACE, new_text: text, ...old }, CREATED), {
        lines_added: 2,
        lines_removed: 0,
        files_created: 1,
      });
});

test("inserted lines are added, as many as Cline puts there", () => {
  const inserted = changeOf("editor", { path: PLACE, new_text: `${SECRET}\nb`, insert_line: 2 }, INSERTED);
  assert.deepEqual(inserted, { lines_added: 2, lines_removed: 0, files_modified: 1 });
});

test("a patch is counted by its lines and files", () => {
  const patch = [
    "*** Begin Patch",
    `*** Add File: ${SECRET}`,
    "+one",
    "+two",
    `*** Update File: ${SECRET}`,
    `*** Move to: ${SECRET}`,
    "@@ def f():",
    " same",
    "-old",
    "+new",
    "+newer",
    "*** Update File: b.py",
    "-gone",
    `*** Delete File: ${SECRET}`,
    "*** End Patch",
  ].join("\n");
  const answer = { output: { query: "apply_patch", result: SECRET, success: true } };
  const expected = {
    lines_added: 4,
    lines_removed: 2,
    files_created: 1,
    files_modified: 1,
    files_deleted: 1,
    files_moved: 1,
  };
  assert.deepEqual(changeOf("apply_patch", { input: patch }, answer), expected);
  assert.deepEqual(changeOf("apply_patch", patch, answer), expected);
});

test("an edit that failed or was denied, and a tool that edits nothing, have no numbers", () => {
  const input = { path: PLACE, old_text: "a", new_text: "b" };
  assert.deepEqual(changeOf("editor", input, { output: { success: false, error: SECRET } }), {});
  assert.deepEqual(
    changeOf("editor", input, { output: { error: "User denied the tool execution" }, isError: true }),
    {},
  );
  assert.deepEqual(changeOf("read_files", input, EDITED), {});
});

test("an input that is none of the tool's gives no numbers and no defect", () => {
  for (const input of [
    undefined,
    null,
    7,
    "text",
    [],
    {},
    { new_text: 7 },
    { new_text: "a" },
    { new_text: "a", old_text: 7 },
  ])
    assert.deepEqual(changeOf("editor", input, EDITED), {});
  for (const input of [undefined, null, 7, [], {}, { input: 7 }])
    assert.deepEqual(changeOf("apply_patch", input, EDITED), {});
});

test("what an edit removes and adds is what git counts", () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "cline-otel-edits-"));
  const [before, after] = [path.join(folder, "before"), path.join(folder, "after")];
  try {
    for (let seed = 0; seed < 40; seed++) {
      const next = random(seed);
      const text = () =>
        Array.from({ length: 1 + Math.floor(next() * 12) }, () => "abcd"[Math.floor(next() * 4)]).join("\n");
      const [oldText, newText] = [text(), text()];
      fs.writeFileSync(before, `head\n${oldText}\ntail\n`);
      fs.writeFileSync(after, `head\n${newText}\ntail\n`);
      const git = spawnSync("git", ["diff", "--no-index", "--minimal", "--numstat", before, after], {
        encoding: "utf8",
      });
      const [added, removed] = git.stdout === "" ? [0, 0] : git.stdout.split("\t").map(Number);
      assert.deepEqual(replaced(oldText, newText), { lines_added: added, lines_removed: removed, files_modified: 1 });
    }
  } finally {
    fs.rmSync(folder, { recursive: true });
  }
});

/**
 * @param {number} count
 * @param {(at: number) => string} line
 */
const lines = (count, line) => Array.from({ length: count }, (_, at) => line(at)).join("\n");

test("a text of which every second line is rewritten is compared, however long", () => {
  const texts = ["a", "b"].map((word) => lines(4_000, (at) => (at % 2 === 1 ? "common" : `${word} ${at}`)));
  assert.deepEqual(replaced(texts[0] ?? "", texts[1] ?? ""), {
    lines_added: 2_000,
    lines_removed: 2_000,
    files_modified: 1,
  });
});

test("of an edit that would take long to count, its files are known and its lines are not", () => {
  const [next, other] = [random(1), random(2)];
  /** @type {[string, string][]} */
  const texts = [
    [lines(250_000, (at) => `${at}`), lines(250_000, (at) => `${at + 1}`)],
    [lines(250_000, String), "one"],
    ["one", lines(250_000, String)],
    ["x".repeat(1_000_000), "y"],
    ["y", `${"x".repeat(1_000_000)}\nz`],
    [lines(3_000, () => `${Math.floor(next() * 50)}`), lines(3_000, () => `${Math.floor(other() * 50)}`)],
  ];
  for (const [before, after] of texts) assert.deepEqual(replaced(before, after), { files_modified: 1 });
  for (const text of [lines(250_000, String), "x".repeat(1_000_000)]) {
    assert.deepEqual(changeOf("editor", { new_text: text }, CREATED), { files_created: 1 });
    assert.deepEqual(changeOf("editor", { new_text: text, insert_line: 1 }, INSERTED), { files_modified: 1 });
    assert.deepEqual(changeOf("apply_patch", `*** Update File: a\n+${text}`, EDITED), {});
  }
});

test("a file that a patch moves was moved, whether lines of it changed or not", () => {
  const moves = [
    "*** Update File: a.py",
    "*** Move to: b.py",
    "*** Update File: c.py",
    "*** Move to: d.py",
    "@@",
    "-old",
    "+new",
    "*** Update File: e.py",
    "+more",
    " *** Move to: f.py",
  ].join("\n");
  const expected = { lines_added: 2, lines_removed: 1, files_modified: 1, files_moved: 2 };
  assert.deepEqual(changeOf("apply_patch", moves, EDITED), expected);
  assert.deepEqual(changeOf("apply_patch", "*** Update File: a\n*** Move to: b", EDITED), {
    lines_added: 0,
    lines_removed: 0,
    files_moved: 1,
  });
  // Neither is a move: one follows no header, one a file that is added.
  assert.deepEqual(changeOf("apply_patch", "*** Move to: b\n*** Add File: c\n*** Move to: d", EDITED), {
    lines_added: 0,
    lines_removed: 0,
    files_created: 1,
  });
});
