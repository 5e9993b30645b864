// The plugin: what Cline's loader wants, and the recorder of this process behind it.

import path from "node:path";

import { SPOOL_VERSION } from "./limits.js";
import { watchProcess } from "./rim/process_end.js";
import { createRecorder } from "./rim/recorder.js";

/** @import { Recorder } from "./rim/recorder.js" */

// The installer writes absolute paths here: the hub daemon runs with an environment of its own.
const SPOOL_DIRECTORY = "@CLINE_OTEL_SPOOL_DIRECTORY@";
const OFF_FILE = "@CLINE_OTEL_OFF_FILE@";
const USER_OFF_FILE = "@CLINE_OTEL_USER_OFF_FILE@"; // empty where there was no home directory
const PSEUDONYMS_FILE = "@CLINE_OTEL_PSEUDONYMS_FILE@";
const CLINE_DIRECTORY = "@CLINE_OTEL_CLINE_DIRECTORY@";

/**
 * The recorder of this process, made at the first hook: a host may load this module more than once.
 *
 * @returns {Recorder}
 */
function processRecorder() {
  const key = Symbol.for(`cline-otel/${SPOOL_VERSION}:${SPOOL_DIRECTORY}`);
  /** @type {Recorder | undefined} */
  const present = Reflect.get(globalThis, key);
  if (present !== undefined) return present;
  const recorder = createRecorder({
    directory: SPOOL_DIRECTORY,
    offFiles: [OFF_FILE, USER_OFF_FILE].filter(path.isAbsolute),
    pseudonymsFile: PSEUDONYMS_FILE,
    clineDirectory: CLINE_DIRECTORY,
  });
  Reflect.set(globalThis, key, recorder);
  watchProcess(recorder);
  return recorder;
}

const installed = path.isAbsolute(SPOOL_DIRECTORY);

/**
 * @param {string} kind
 * @param {unknown} context
 * @returns {object | undefined} what the hook answers
 */
function receive(kind, context) {
  try {
    return installed ? processRecorder().receive(kind, context) : undefined;
  } catch {
    // whatever it is, it is not the agent's concern
    return undefined;
  }
}

const plugin = {
  name: "cline-otel",
  manifest: { capabilities: ["hooks"] },
  /**
   * @param {unknown} _api
   * @param {unknown} context
   */
  setup(_api, context) {
    receive("setup", context);
  },
  hooks: {
    /** @param {unknown} context */
    beforeRun: (context) => receive("beforeRun", context),
    /** @param {unknown} context */
    afterRun: (context) => receive("afterRun", context),
    /** @param {unknown} context */
    beforeModel: (context) => receive("beforeModel", context),
    /** @param {unknown} context */
    afterModel: (context) => receive("afterModel", context),
    // Each hook costs Cline a trip with all messages. This one alone tells how long the user is asked about a tool.
    /** @param {unknown} context */
    beforeTool: (context) => receive("beforeTool", context),
    /** @param {unknown} context */
    afterTool: (context) => receive("afterTool", context),
    /** @param {{ type?: unknown } | null | undefined} event */
    onEvent: (event) => {
      try {
        receive(`onEvent:${event?.type}`, event);
      } catch {
        // a type that cannot be read
      }
    },
  },
};

export { LIMITS, SPOOL_VERSION } from "./limits.js";
export { blake2b } from "./mapping/blake2b.js";
export { createMapping } from "./mapping/mapping.js";
export { createPseudonyms, PATTERNS } from "./mapping/pseudonyms.js";
export { createState } from "./mapping/state.js";
export { createTraceContextOut } from "./mapping/trace_context_out.js";
export { createConsent } from "./rim/consent.js";
export { watchPseudonyms } from "./rim/pseudonyms_file.js";
export { createSpool } from "./rim/spool.js";
export { remoteSpan } from "./rim/trace_context.js";
export { plugin };
export default plugin;
