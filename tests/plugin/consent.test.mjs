// Who may say no to the plugin: the same table of files and variables as the bridge is asked about.

import assert from "node:assert/strict";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterEach, beforeEach, test } from "node:test";

import { createConsent } from "../../src/cline_otel/plugin/cline-otel.js";

/**
 * @typedef {object} Case
 * @property {string} name
 * @property {Record<string, string>} environment
 * @property {{ files: Record<string, unknown>, expect: "off" | "on" | "unknown" }[]} steps
 */

/** @type {Case[]} */
const LAW = JSON.parse(fs.readFileSync(new URL("./consent_law.json", import.meta.url), "utf8"));

/** @type {string} */
let root;
/** @type {number} */
let clockMs;

beforeEach(() => {
  root = fs.mkdtempSync(path.join(os.tmpdir(), "cline-otel-consent-"));
  clockMs = 0;
});

afterEach(() => fs.rmSync(root, { recursive: true, force: true }));

/** @param {Record<string, string>} [environment] */
function consentOf(environment = {}) {
  return createConsent({
    offFiles: [path.join(root, "state", "off"), path.join(root, "home", ".cline-otel", "off")],
    clineDirectory: path.join(root, "cline"),
    environment: Object.fromEntries(
      Object.entries(environment).map(([name, value]) => [name, value.replace("{root}", root)]),
    ),
    monotonicMs: () => clockMs,
  });
}

/**
 * Writes a text or an object's JSON to a file, makes a folder where the place ends with a slash, or takes either away.
 *
 * @param {string} place
 * @param {unknown} content
 */
function put(place, content) {
  const file = path.join(root, place);
  fs.mkdirSync(path.dirname(file), { recursive: true });
  if (place.endsWith("/")) fs.mkdirSync(file);
  else if (content === null) fs.rmSync(file, { recursive: true });
  else fs.writeFileSync(file, typeof content === "string" ? content : JSON.stringify(content));
}

for (const { name, environment, steps } of LAW) {
  test(`the plugin writes only where the bridge would be on: ${name}`, () => {
    const refused = consentOf(environment);
    steps.forEach(({ files, expect }, number) => {
      for (const [place, content] of Object.entries(files)) put(place, content);
      clockMs += 1000;
      assert.equal(refused(), expect !== "on", `step ${number}: ${expect}`);
      clockMs += 1000;
      assert.equal(refused(), expect !== "on", `step ${number}, a second later`);
    });
  });
}

test("a change is seen within a second, and not looked for more often", () => {
  const refused = consentOf();
  assert.equal(refused(), false);
  put("state/off", "");
  clockMs += 999;
  assert.equal(refused(), false);
  clockMs += 1;
  assert.equal(refused(), true);
  put("state/off", null);
  clockMs += 1000;
  assert.equal(refused(), false);
});

test("anything that has the off file's name says no, a link to nowhere too", () => {
  fs.mkdirSync(path.join(root, "state"));
  fs.symlinkSync(path.join(root, "nowhere"), path.join(root, "state", "off"));
  assert.equal(consentOf()(), true);
});

test("text that is no UTF-8 is not read by guessing", () => {
  put("cline/data/globalState.json", "{}");
  fs.writeFileSync(
    path.join(root, "cline/data/globalState.json"),
    Buffer.from('{"telemetrySetting": "\xff"}', "latin1"),
  );
  assert.equal(consentOf()(), true);
});

test("a file whose status stays is not read again", (t) => {
  put("cline/data/globalState.json", "{}");
  const read = t.mock.method(fs, "readFileSync");
  const refused = consentOf();
  for (let second = 0; second < 5; second += 1) {
    clockMs += 1000;
    assert.equal(refused(), false);
  }
  assert.equal(read.mock.callCount(), 1);
});
