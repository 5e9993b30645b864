// Hooks to records: the pure mapping. No clock, no file, no random; all it remembers is in `state` and in `pseudonyms`.

import { onStatusNotice } from "./compaction.js";
import { onAfterModel, onBeforeModel, onChunk } from "./model_calls.js";
import { createPseudonyms, published } from "./pseudonyms.js";
import { record } from "./record.js";
import { finish, onAfterRun, onRunEnded, onRunStarted } from "./runs.js";
import { onSetup } from "./sessions.js";
import { createState } from "./state.js";
import { onAfterTool, onBeforeTool, onToolFinished, onToolStarted } from "./tool_calls.js";

/** @import { HookContext } from "../hook_contexts.js" */
/** @import { SpoolRecord } from "./record.js" */
/** @import { State } from "./state.js" */

/** @typedef {(state: State, context: HookContext, nowMs: number) => SpoolRecord[]} Mapper */

/** @type {ReadonlyMap<string, Mapper>} */
const MAPPERS = new Map(
  /** @type {[string, Mapper][]} */ ([
    ["setup", onSetup],
    ["beforeRun", onRunStarted],
    ["onEvent:run-started", onRunStarted],
    ["beforeModel", onBeforeModel],
    ["onEvent:assistant-text-delta", onChunk],
    ["onEvent:assistant-reasoning-delta", onChunk],
    ["afterModel", onAfterModel],
    ["beforeTool", onBeforeTool],
    ["onEvent:tool-started", onToolStarted],
    ["afterTool", onAfterTool],
    ["onEvent:tool-finished", onToolFinished],
    ["onEvent:status-notice", onStatusNotice],
    ["afterRun", onAfterRun],
    ["onEvent:run-finished", onRunEnded()],
    ["onEvent:run-failed", onRunEnded("failed")],
  ]),
);

/**
 * Whatever the context is, nothing here throws.
 *
 * @typedef {object} Mapping
 * @property {State} state
 * @property {(kind: string, context: unknown, nowMs: number) => SpoolRecord[]} map gives the records of one hook call;
 *   the kind is the hook's name, for events `onEvent:<type>`
 * @property {(nowMs: number) => SpoolRecord[]} claims gives the session.claimed records again
 * @property {() => SpoolRecord[]} drain gives what is held back at the end of the process
 */

/** @returns {Mapping} */
export function createMapping(state = createState(), pseudonyms = createPseudonyms()) {
  /** @param {() => SpoolRecord[]} produce */
  const guarded = (produce) => {
    try {
      const records = produce();
      if (records.length === 0) return records;
      return records.map((entry) => published(entry, pseudonyms)).filter((entry) => entry !== undefined);
    } catch {
      state.errors += 1;
      return [];
    }
  };
  return {
    state,
    map: (kind, context, nowMs) => {
      const mapper = MAPPERS.get(kind);
      return mapper ? guarded(() => mapper(state, /** @type {HookContext} */ (context), nowMs)) : [];
    },
    claims: (nowMs) =>
      guarded(() => [...state.sessions.values()].map((fields) => record("session.claimed", nowMs, fields))),
    drain: () => guarded(() => [...state.runs.values()].flatMap((run) => finish(state, run))),
  };
}
