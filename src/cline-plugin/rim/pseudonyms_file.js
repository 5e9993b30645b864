// Keeps pseudonyms as their file says.

import { LIMITS } from "../limits.js";
import { watchedJson } from "./watched_json.js";

/** @import { Pseudonyms } from "../mapping/pseudonyms.js" */

/**
 * Looks at the file once a second at most; one that is gone changes nothing.
 *
 * @param {string} file
 * @param {Pseudonyms} pseudonyms
 * @param {() => number} monotonicMs
 * @returns {() => void} which looks
 */
export function watchPseudonyms(file, pseudonyms, monotonicMs) {
  const look = watchedJson(file, pseudonyms.learn);
  let lookedAtMs = Number.NEGATIVE_INFINITY;
  return () => {
    const nowMs = monotonicMs();
    if (nowMs - lookedAtMs < LIMITS.checkIntervalMs) return;
    lookedAtMs = nowMs;
    look();
  };
}
