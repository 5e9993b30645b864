// The files of one process's spool: `<pid>-<process start ms>-<sequence>.jsonl`, each no longer than a limit.

import fs from "node:fs";
import path from "node:path";

import { hasTrustedOwner } from "./owners.js";
import { codeOf } from "./watched_json.js";

/**
 * @typedef {object} SpoolFiles
 * @property {(bytes: Uint8Array) => number} append writes at the end of the newest file, or of a new one where that would
 *   pass its limit; gives how many bytes were written, and never throws. After a failure the next bytes go to a new file
 * @property {() => void} leaveIfGone has the next bytes go to a new file if somebody has deleted this one
 * @property {() => void} close
 */

/**
 * @param {object} given
 * @param {string} given.directory made when it is needed, for its owner alone
 * @param {number} given.pid
 * @param {number} given.startMs
 * @param {number} given.fileBytes the limit
 * @returns {SpoolFiles}
 */
export function createSpoolFiles({ directory, pid, startMs, fileBytes }) {
  /** @type {{ descriptor: number, file: string, bytes: number } | undefined} */
  let current;
  let sequence = 0;

  const open = () => {
    fs.mkdirSync(directory, { recursive: true, mode: 0o700 });
    if (!hasTrustedOwner(fs.statSync(directory))) throw new Error("another user's spool");
    for (;;) {
      const file = path.join(directory, `${pid}-${startMs}-${sequence}.jsonl`);
      sequence += 1;
      try {
        return { descriptor: fs.openSync(file, "ax", 0o600), file, bytes: 0 };
      } catch (error) {
        if (codeOf(error) !== "EEXIST") throw error;
      }
    }
  };

  const close = () => {
    if (current === undefined) return;
    const { descriptor } = current;
    current = undefined;
    fs.closeSync(descriptor);
  };

  return {
    append: (bytes) => {
      let done = 0;
      try {
        if (current !== undefined && current.bytes > 0 && current.bytes + bytes.length > fileBytes) close();
        current ??= open();
        while (done < bytes.length) done += fs.writeSync(current.descriptor, bytes, done);
        current.bytes += done;
      } catch {
        try {
          close(); // what was torn must stay the last of its file
        } catch {
          // the descriptor is gone either way
        }
      }
      return done;
    },
    leaveIfGone: () => {
      if (current !== undefined && !fs.existsSync(current.file)) close();
    },
    close,
  };
}
