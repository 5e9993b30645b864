// Records of hook calls, for tests: made, found and printed.

import assert from "node:assert/strict";

import { feed, newMapping } from "./hook_calls.mjs";

/** @import { SpoolRecord } from "../../src/cline-plugin/mapping/record.js" */
/** @import { HookCall } from "./hook_calls.mjs" */

/** @param {readonly SpoolRecord[]} records */
export const printed = (records) => records.map((record) => `${JSON.stringify(record)}\n`).join("");

/**
 * @param {readonly SpoolRecord[]} records
 * @param {string} event
 */
export const events = (records, event) => records.filter((record) => record.event === event);

/**
 * @param {readonly SpoolRecord[]} records
 * @param {string} event
 */
export const only = (records, event) => {
  const [found, ...others] = events(records, event);
  assert.ok(found !== undefined && others.length === 0, `one ${event}`);
  return found;
};

/** @param {readonly HookCall[]} calls */
export const mapped = (calls) => feed(newMapping(), calls);
