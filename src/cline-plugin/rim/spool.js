// One process's spool: records wait in memory until the turn of the event loop is over, then go to the disk together.

import { LIMITS } from "../limits.js";
import { createLosses } from "./losses.js";
import { lineOf, writeBatch } from "./spool_batch.js";
import { createSpoolWriter } from "./spool_writer.js";

/** @import { Limits } from "../limits.js" */
/** @import { LossReason } from "./losses.js" */

/**
 * None of it throws.
 *
 * @typedef {object} Spool
 * @property {(reason: LossReason, count: number) => void} drop counts records that were lost before they got here
 * @property {(records: readonly object[]) => void} append
 * @property {() => void} flush writes what waits now, even while the disk is left alone
 * @property {(entry: object) => void} close writes a last record, unless there would be no other
 */

/**
 * One process's spool: records in, files `<pid>-<process start ms>-<sequence>.jsonl` out.
 *
 * @param {object} given
 * @param {string} given.directory
 * @param {number} given.pid
 * @param {number} given.startMs
 * @param {() => boolean} given.refused whether nothing may be written now
 * @param {() => readonly object[]} given.claims gives the session.claimed records again
 * @param {() => number} given.nowMs
 * @param {() => number} given.monotonicMs
 * @param {Limits} [given.limits]
 * @returns {Spool}
 */
export function createSpool({ directory, pid, startMs, refused, claims, nowMs, monotonicMs, limits = LIMITS }) {
  const losses = createLosses();
  const writer = createSpoolWriter({ directory, pid, startMs, monotonicMs, limits }, losses);
  /** @type {string[]} */
  let waiting = [];
  let scheduled = false;

  const takeWaiting = () => {
    const lines = waiting;
    waiting = [];
    return lines;
  };

  /**
   * Runs an action of which nothing may be thrown: where something is, what waits is lost.
   *
   * @param {() => void} action
   */
  const quietly = (action) => {
    try {
      action();
    } catch {
      losses.add("internal_error", takeWaiting().length);
    }
  };

  const writeWaiting = () => {
    scheduled = false;
    if (refused()) {
      waiting = [];
      losses.addUncounted();
      return;
    }
    const lines = takeWaiting();
    if (lines.length > 0) writeBatch(lines, { writer, losses, claims, nowMs });
  };

  const onTurn = () => {
    scheduled = false;
    const pauseMs = writer.pauseMs();
    if (pauseMs > 0) schedule(pauseMs);
    else writeWaiting();
  };

  /** @param {number} delayMs zero for the end of this turn of the event loop */
  const schedule = (delayMs) => {
    if (scheduled) return;
    scheduled = true;
    if (delayMs > 0) setTimeout(() => quietly(onTurn), delayMs).unref?.();
    else setImmediate(() => quietly(onTurn));
  };

  /** @param {readonly object[]} records */
  const append = (records) => {
    if (records.length === 0) return;
    const room = Math.max(0, limits.waitingLines - waiting.length);
    if (records.length > room) losses.add("memory_limit", records.length - room);
    for (const entry of records.slice(0, room)) waiting.push(lineOf(entry));
    schedule(0);
  };

  /** @param {object} entry */
  const close = (entry) => {
    if (writer.hasWritten() || waiting.length > 0) waiting.push(lineOf(entry));
    writeWaiting();
    writer.close();
  };

  return {
    drop: losses.add,
    append: (records) => quietly(() => append(records)),
    flush: () => quietly(writeWaiting),
    close: (entry) => quietly(() => close(entry)),
  };
}
