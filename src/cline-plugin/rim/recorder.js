// A recorder: hooks' contexts in, spool lines out, for one process.

import { createMapping } from "../mapping/mapping.js";
import { createPseudonyms } from "../mapping/pseudonyms.js";
import { record } from "../mapping/record.js";
import { createState } from "../mapping/state.js";
import { createConsent } from "./consent.js";
import { watchPseudonyms } from "./pseudonyms_file.js";
import { createSpool } from "./spool.js";
import { remoteSpan } from "./trace_context.js";

/**
 * @typedef {object} Recorder
 * @property {(kind: string, context: unknown) => void} receive
 * @property {() => void} flush
 * @property {(reason: "disconnected" | "exit" | "terminated") => void} end after which nothing is written any more
 */

/**
 * @param {object} given
 * @param {string} given.directory of the spool
 * @param {string} given.offFile
 * @param {string} given.pseudonymsFile
 * @param {string} given.clineDirectory
 * @param {NodeJS.ProcessEnv} [given.environment]
 * @returns {Recorder}
 */
export function createRecorder({ directory, offFile, pseudonymsFile, clineDirectory, environment = process.env }) {
  const nowMs = () => Date.now();
  const monotonicMs = () => performance.now();
  const pseudonyms = createPseudonyms();
  const renewPseudonyms = watchPseudonyms(pseudonymsFile, pseudonyms, monotonicMs);
  const mapping = createMapping(createState(remoteSpan(environment)), pseudonyms);
  const spool = createSpool({
    directory,
    pid: process.pid,
    startMs: Math.round(performance.timeOrigin),
    refused: createConsent({ offFile, clineDirectory, environment, monotonicMs }),
    claims: () => mapping.claims(nowMs()),
    nowMs,
    monotonicMs,
  });
  let errors = 0;
  let ended = false;
  return {
    receive: (kind, context) => {
      renewPseudonyms();
      spool.append(mapping.map(kind, context, nowMs()));
      if (mapping.state.errors > errors) spool.drop("internal_error", mapping.state.errors - errors);
      errors = mapping.state.errors;
    },
    flush: () => spool.flush(),
    end: (reason) => {
      if (ended) return;
      ended = true;
      spool.append(mapping.drain());
      spool.close(record("process.exited", nowMs(), { reason }));
    },
  };
}
