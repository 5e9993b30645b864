// How much room there is in the spool's directory, which all processes share.

import fs from "node:fs";
import path from "node:path";

import { LIMITS } from "../limits.js";

/** @param {string} directory */
function bytesIn(directory) {
  try {
    const names = fs.readdirSync(directory).filter((entry) => entry.endsWith(".jsonl"));
    // Of very many files some stand for all: to ask for the size of each would keep Cline waiting.
    const every = Math.max(1, Math.ceil(names.length / LIMITS.sizedFiles));
    const asked = names.filter((_, at) => at % every === 0);
    let total = 0;
    for (const name of asked) total += fs.statSync(path.join(directory, name), { throwIfNoEntry: false })?.size ?? 0;
    return total * (names.length / Math.max(1, asked.length));
  } catch {
    return 0; // no directory yet: nothing in it
  }
}

/**
 * @typedef {object} SpoolRoom
 * @property {() => boolean} measure looks at the directory if that was too long or too many bytes ago; says whether
 * @property {(bytes: number) => boolean} hasRoomFor
 * @property {(bytes: number) => void} used counts what this process has written since
 */

/**
 * @param {object} given
 * @param {string} given.directory
 * @param {() => number} given.monotonicMs
 * @param {{ directoryBytes: number, directoryCheckBytes: number, checkIntervalMs: number }} given.limits
 * @returns {SpoolRoom}
 */
export function createSpoolRoom({ directory, monotonicMs, limits }) {
  let measuredBytes = Number.POSITIVE_INFINITY;
  let measuredAtMs = Number.NEGATIVE_INFINITY;
  let sinceBytes = 0;
  return {
    measure: () => {
      const isFresh = monotonicMs() - measuredAtMs < limits.checkIntervalMs && sinceBytes <= limits.directoryCheckBytes;
      if (isFresh) return false;
      measuredBytes = bytesIn(directory);
      sinceBytes = 0;
      measuredAtMs = monotonicMs();
      return true;
    },
    hasRoomFor: (bytes) => measuredBytes + sinceBytes + bytes <= limits.directoryBytes,
    used: (bytes) => {
      sinceBytes += bytes;
    },
  };
}
