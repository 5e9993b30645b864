// Sessions: which of them this plugin reports.

import { LIMITS } from "../limits.js";
import { keep } from "./bounded_map.js";
import { chosen, chosenOrOther, clientVersion } from "./gates.js";
import { record } from "./record.js";
import { repositoryOf } from "./repositories.js";

/** @import { SetupContext } from "../hook_contexts.js" */
/** @import { SpoolRecord } from "./record.js" */
/** @import { State } from "./state.js" */

/**
 * @param {State} state
 * @param {SetupContext} context
 * @param {number} nowMs
 * @returns {SpoolRecord[]}
 */
export function onSetup(state, context, nowMs) {
  const sessionId = chosen(context?.session?.sessionId);
  if (sessionId === undefined) return []; // a load without a session, to list the plugin's commands
  const fields = {
    session_id: sessionId,
    client_name: chosenOrOther(context?.client?.name),
    client_version: clientVersion(context?.client?.version),
    repository: repositoryOf(context?.workspaceInfo),
  };
  keep(state.sessions, sessionId, fields, LIMITS.sessions);
  return [record("session.claimed", nowMs, fields)];
}
