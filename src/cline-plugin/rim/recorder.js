// A recorder: hooks' contexts in, spool lines out, for one process.

import { LIMITS } from "../limits.js";
import { createMapping } from "../mapping/mapping.js";
import { createPseudonyms } from "../mapping/pseudonyms.js";
import { record } from "../mapping/record.js";
import { createState } from "../mapping/state.js";
import { createTraceContextOut } from "../mapping/trace_context_out.js";
import { createConsent } from "./consent.js";
import { createHeartbeat } from "./heartbeat.js";
import { watchPseudonyms } from "./pseudonyms_file.js";
import { createSpool } from "./spool.js";
import { remoteSpan, tracesCommands } from "./trace_context.js";

/** @import { HookContext } from "../hook_contexts.js" */

// Cline's own limit, after which it ends a process that it has not called.
const IDLE_MS = 1_800_000;

/**
 * @typedef {object} Recorder
 * @property {(kind: string, context: unknown) => object | undefined} receive gives what the hook is to answer
 * @property {() => void} flush
 * @property {(reason: "disconnected" | "exit" | "terminated") => void} end after which nothing is written any more
 */

/**
 * @param {object} given
 * @param {string} given.directory of the spool
 * @param {readonly string[]} given.offFiles
 * @param {string} given.pseudonymsFile
 * @param {string} given.clineDirectory
 * @param {NodeJS.ProcessEnv} [given.environment]
 * @returns {Recorder}
 */
export function createRecorder({ directory, offFiles, pseudonymsFile, clineDirectory, environment = process.env }) {
  const nowMs = () => Date.now();
  const monotonicMs = () => performance.now();
  const pseudonyms = createPseudonyms();
  const renewPseudonyms = watchPseudonyms(pseudonymsFile, pseudonyms, monotonicMs);
  const mapping = createMapping(createState(remoteSpan(environment)), pseudonyms);
  const refused = createConsent({ offFiles, clineDirectory, environment, monotonicMs });
  const outgoing = tracesCommands(environment) ? createTraceContextOut(pseudonyms) : undefined;
  const spool = createSpool({
    directory,
    pid: process.pid,
    startMs: Math.round(performance.timeOrigin),
    refused,
    claims: () => mapping.claims(nowMs()),
    nowMs,
    monotonicMs,
  });
  const heartbeat = createHeartbeat({ append: (records) => spool.append(records), nowMs, monotonicMs, limits: LIMITS });
  const idleMs = Number(environment.CLINE_PLUGIN_IDLE_TIMEOUT_MS) || IDLE_MS;
  let errors = 0;
  let ended = false;
  let calledAtMs = monotonicMs();
  return {
    receive: (kind, context) => {
      calledAtMs = monotonicMs();
      renewPseudonyms();
      const whole = outgoing?.restored(/** @type {HookContext} */ (context)) ?? context;
      const records = mapping.map(kind, whole, nowMs());
      spool.append(records);
      heartbeat.note(records);
      if (mapping.state.errors > errors) spool.drop("internal_error", mapping.state.errors - errors);
      errors = mapping.state.errors;
      outgoing?.note(records);
      if (kind === "beforeTool" && !refused()) return outgoing?.before(/** @type {HookContext} */ (context));
      // The model is to see what its command gave, and not what was put before it.
      if (kind === "afterTool" && whole !== context) return { result: /** @type {HookContext} */ (whole)?.result };
      return undefined;
    },
    flush: () => spool.flush(),
    end: (reason) => {
      if (ended) return;
      ended = true;
      spool.append(mapping.drain());
      const isIdle = reason === "terminated" && monotonicMs() - calledAtMs >= idleMs;
      spool.close(record("process.exited", nowMs(), { reason: isIdle ? "idle" : reason }));
    },
  };
}
