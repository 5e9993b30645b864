// A record: what becomes one line of the spool (docs/spool-format.md).

import { SPOOL_VERSION } from "../limits.js";

/**
 * @typedef {string | number | boolean} FieldValue
 * @typedef {{ v: number, event: string, time_unix_ms: number, [field: string]: FieldValue }} SpoolRecord
 */

/**
 * @param {string} event
 * @param {number} timeMs since the Unix epoch
 * @param {Readonly<Record<string, FieldValue | undefined>>} fields of which those that are undefined are left out
 * @returns {SpoolRecord}
 */
export function record(event, timeMs, fields) {
  /** @type {SpoolRecord} */
  const result = { v: SPOOL_VERSION, event, time_unix_ms: timeMs };
  // What somebody has put into the prototype of all objects is no field.
  for (const [key, value] of Object.entries(fields)) if (value !== undefined) result[key] = value;
  return result;
}
