// How large a value is, without making the text of it: an argument may have fifty million characters.

import { LIMITS } from "../limits.js";

// JSON.stringify of a text so short is quick, and counts what has to be escaped.
const ESCAPED_CHARACTERS = 65_536;

class TooMany extends Error {}

/** @param {string} text */
function textBytes(text) {
  if (text.length <= ESCAPED_CHARACTERS) return Buffer.byteLength(JSON.stringify(text));
  return Buffer.byteLength(text) + 2; // without what its escapes add
}

/** @typedef {{ values: number }} Budget */

/**
 * @param {unknown} value
 * @param {Budget} budget
 * @returns {number | undefined} undefined for what JSON leaves out
 */
function jsonBytes(value, budget) {
  budget.values -= 1;
  if (budget.values < 0) throw new TooMany();
  if (value === null) return 4;
  switch (typeof value) {
    case "string":
      return textBytes(value);
    case "number":
      return Number.isFinite(value) ? String(value).length : 4;
    case "boolean":
      return value ? 4 : 5;
    case "object":
      return Array.isArray(value) ? arrayBytes(value, budget) : objectBytes(value, budget);
    case "bigint":
      throw new TooMany();
    default:
      return undefined;
  }
}

/**
 * @param {readonly unknown[]} values
 * @param {Budget} budget
 */
function arrayBytes(values, budget) {
  let bytes = 2 + Math.max(0, values.length - 1);
  for (const value of values) bytes += jsonBytes(value, budget) ?? 4;
  return bytes;
}

/**
 * @param {object} value
 * @param {Budget} budget
 */
function objectBytes(value, budget) {
  if ("toJSON" in value) throw new TooMany(); // it says itself what it is, which might be anything
  let bytes = 1;
  for (const key of Object.keys(value)) {
    const of = jsonBytes(Reflect.get(value, key), budget);
    if (of !== undefined) bytes += textBytes(key) + 2 + of;
  }
  return Math.max(bytes, 2);
}

/**
 * The size in bytes of a value as JSON (of a string: its own), or undefined when it has none or too many parts.
 *
 * A text of more than 65,536 characters counts without the escapes that JSON would add.
 *
 * @param {unknown} value
 */
export function sizeBytes(value) {
  if (value === undefined || value === null) return undefined;
  try {
    return typeof value === "string" ? Buffer.byteLength(value) : jsonBytes(value, { values: LIMITS.sizedValues });
  } catch {
    return undefined; // cyclic, a bigint, a getter that throws, too many parts
  }
}
