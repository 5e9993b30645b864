// Lines that did not get into the spool: how many and why, until they are reported in the spool.

/**
 * @typedef {"directory_limit" | "internal_error" | "memory_limit" | "write_error"} LossReason
 *
 * @typedef {object} Losses
 * @property {(reason: LossReason, count: number) => void} add
 * @property {() => void} addUncounted notes that lines were thrown away whose number is never reported
 * @property {() => readonly [LossReason, number][]} counts that are not reported in the spool yet
 * @property {() => boolean} any whether any lines were lost at all, those of no count too
 * @property {() => void} clear
 */

/** @returns {Losses} */
export function createLosses() {
  /** @type {Map<LossReason, number>} */
  const byReason = new Map();
  let any = false;
  return {
    add: (reason, count) => {
      byReason.set(reason, (byReason.get(reason) ?? 0) + count);
      any = true;
    },
    addUncounted: () => {
      any = true;
    },
    counts: () => [...byReason],
    any: () => any,
    clear: () => {
      byReason.clear();
      any = false;
    },
  };
}
