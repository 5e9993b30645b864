// How much room there is in the spool's directory, which all processes share.

import fs from "node:fs";
import path from "node:path";

/** @param {string} directory */
function bytesIn(directory) {
  let total = 0;
  try {
    for (const name of fs.readdirSync(directory).filter((entry) => entry.endsWith(".jsonl")))
      total += fs.statSync(path.join(directory, name), { throwIfNoEntry: false })?.size ?? 0;
  } catch {
    // no directory yet: nothing in it
  }
  return total;
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
