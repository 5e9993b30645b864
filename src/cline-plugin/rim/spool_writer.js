// Puts lines on the disk as far as there is room and the disk works, and counts those that did not get there.

import { createPause } from "./pause.js";
import { createSpoolFiles } from "./spool_files.js";
import { createSpoolRoom } from "./spool_room.js";

/** @import { Limits } from "../limits.js" */
/** @import { Losses } from "./losses.js" */

/**
 * @typedef {object} SpoolWriter
 * @property {() => number} pauseMs how long the disk is to be left alone from now on; zero or less for not at all
 * @property {(lines: readonly string[]) => boolean} hasRoomFor
 * @property {(lines: readonly string[]) => boolean} write says whether all lines got to the disk; never throws
 * @property {() => boolean} hasWritten whether a write ever succeeded
 * @property {() => void} close
 */

/**
 * @param {object} given
 * @param {string} given.directory
 * @param {number} given.pid
 * @param {number} given.startMs
 * @param {() => number} given.monotonicMs
 * @param {Limits} given.limits
 * @param {Losses} losses gets the lines that could not be written
 * @returns {SpoolWriter}
 */
export function createSpoolWriter({ directory, pid, startMs, monotonicMs, limits }, losses) {
  const files = createSpoolFiles({ directory, pid, startMs, fileBytes: limits.fileBytes });
  const room = createSpoolRoom({ directory, monotonicMs, limits });
  const pause = createPause(monotonicMs, limits);
  let hasWritten = false;
  return {
    pauseMs: pause.remainingMs,
    hasRoomFor: (lines) => {
      // The bridge deletes what it has read, and a person may delete all: then lines must go to a file that exists.
      if (room.measure()) files.leaveIfGone();
      return room.hasRoomFor(lines.reduce((total, { length }) => total + length, 0));
    },
    write: (lines) => {
      const bytes = Buffer.from(lines.join(""));
      const startedAtMs = monotonicMs();
      const done = files.append(bytes);
      room.used(done);
      const isWhole = done === bytes.length;
      if (isWhole) {
        hasWritten = true;
      } else {
        const wholeLines = bytes.subarray(0, done).toString().split("\n").length - 1;
        losses.add("write_error", lines.length - wholeLines);
        pause.afterFailure();
      }
      pause.afterWrite(monotonicMs() - startedAtMs);
      return isWhole;
    },
    hasWritten: () => hasWritten,
    close: files.close,
  };
}
