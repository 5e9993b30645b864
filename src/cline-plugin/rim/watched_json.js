// Files that others write, as JSON: read again when they have changed.

import fs from "node:fs";

import { LIMITS } from "../limits.js";
import { isTrusted } from "./owners.js";

/** @typedef {Record<string, unknown>} Dictionary */

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * @param {unknown} value
 * @returns {value is Dictionary}
 */
export const isDictionary = (value) => typeof value === "object" && value !== null && !Array.isArray(value);

/** @param {unknown} error */
export const codeOf = (error) => (error instanceof Error && "code" in error ? error.code : undefined);

/** @param {string} file */
function statOf(file) {
  try {
    return fs.statSync(file, { throwIfNoEntry: false });
  } catch (error) {
    if (codeOf(error) === "ENOTDIR") return undefined;
    throw error;
  }
}

/**
 * @param {string} file
 * @param {fs.Stats} found
 */
function readDictionary(file, found) {
  if (!isTrusted(found)) throw new TypeError("another user's settings");
  if (!found.isFile() || found.size > LIMITS.settingsBytes) throw new TypeError("not a file of settings");
  /** @type {unknown} */
  const value = JSON.parse(utf8.decode(fs.readFileSync(file)));
  if (!isDictionary(value)) throw new TypeError("no settings");
  return value;
}

/**
 * What `read` makes of the JSON object in a file, `{}` while there is none; looked up at each call, which costs a stat
 * where nothing changed. While the file is half written or `read` throws, it is what it was; undefined if it never was.
 *
 * @template T
 * @param {string} file
 * @param {(content: Dictionary) => T} read
 * @returns {() => T | undefined}
 */
export function watchedJson(file, read) {
  /** @type {string | null | undefined} */
  let status = null; // of what was read; undefined of no file, null of nothing
  /** @type {T | undefined} */
  let answer;
  return () => {
    try {
      const found = statOf(file);
      const now = found && [found.dev, found.ino, found.size, found.mtimeMs, found.ctimeMs, found.mode].join();
      if (now === status) return answer;
      status = now;
      answer = read(found ? readDictionary(file, found) : {});
    } catch {
      status = null; // being written, or not for us to read: again at the next look
    }
    return answer;
  };
}
