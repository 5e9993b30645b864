// What goes to the disk together: what was lost before, sessions that must be claimed again, and the lines that waited.

import { record } from "../mapping/record.js";

/** @import { Losses } from "./losses.js" */
/** @import { SpoolWriter } from "./spool_writer.js" */

/**
 * @typedef {object} BatchContext
 * @property {Pick<SpoolWriter, "hasRoomFor" | "write">} writer
 * @property {Losses} losses which the batch reports and to which it adds its own
 * @property {() => readonly object[]} claims gives the session.claimed records again
 * @property {() => number} nowMs
 */

// After a long pause a batch may be larger than a file should get.
const LINES_IN_A_WRITE = 1024;

/**
 * The prototype of all objects, which anybody may have changed, is not asked how a record is written.
 *
 * @param {object} entry
 */
export const lineOf = (entry) => `${JSON.stringify({ __proto__: null, ...entry })}\n`;

/** @param {Pick<BatchContext, "writer" | "losses" | "nowMs">} context */
function writeLosses({ writer, losses, nowMs }) {
  const counts = losses.counts();
  const entries = counts.map(([reason, count]) => record("records.dropped", nowMs(), { count, reason }));
  losses.clear();
  if (entries.length === 0 || writer.write(entries.map(lineOf))) return;
  losses.clear(); // the lines that reported losses are none themselves
  for (const [reason, count] of counts) losses.add(reason, count);
}

/**
 * Writes lines, and before them what the reader of the spool must know of those that were lost.
 *
 * @param {readonly string[]} lines
 * @param {BatchContext} context
 */
export function writeBatch(lines, { writer, losses, claims, nowMs }) {
  if (!writer.hasRoomFor(lines)) {
    losses.add("directory_limit", lines.length);
    return;
  }
  // Whoever reads the spool learns of a session by its claim, which may have been among the lines not written.
  const claimed = losses.any() ? claims() : [];
  writeLosses({ writer, losses, nowMs });
  const all = [...claimed.map(lineOf), ...lines];
  for (let at = 0; at < all.length; at += LINES_IN_A_WRITE) writer.write(all.slice(at, at + LINES_IN_A_WRITE));
}
