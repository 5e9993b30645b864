// Lines that did not get into the spool: how many and why, until the spool has been told of them.

/**
 * @typedef {"directory_limit" | "internal_error" | "memory_limit" | "write_error"} LossReason
 *
 * @typedef {object} Losses
 * @property {(reason: LossReason, count: number) => void} add
 * @property {() => void} addUntold notes that lines were thrown away of which nobody shall be told how many
 * @property {() => readonly [LossReason, number][]} counts of which the spool has not been told
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
    addUntold: () => {
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
