// What class an error is of, by its text, of which nothing is kept: as src/cline_otel/catalogue/attributes.toml has it.

import { errorClass, OTHER } from "./gates.js";
import { errorText } from "./outcome.js";

/** @import { Snapshot } from "../hook_contexts.js" */

/** @type {readonly (readonly [string, RegExp])[]} */
export const CLASSES = [
  [
    "search_not_found",
    /SEARCH block|no replacement performed|could not find (?:the |matching )?(?:old|search|text|context)|hunks? did not match|no match(?:es)? found|patch could not be applied/i,
  ],
  ["rate_limit", /rate.?limit|too many requests|throttl|resource.?exhausted|per.?minute|\b429\b/i],
  [
    "context_window_exceeded",
    /context.?(?:window|length|limit)|(?:prompt|input) is too long|too many (?:input )?tokens|maximum context|(?:input|tokens?) (?:token )?(?:count|length).{0,40}exceeds|reduce the length of the messages/i,
  ],
  [
    "billing",
    /credit balance|(?:insufficient|not enough|more).?(?:credits?|funds|balance)|payment required|not subscribed|billing is|\b402\b/i,
  ],
  ["quota", /quota|(?:usage|spend) limit|limit reached for/i],
  ["content_filter", /content.?(?:filter|policy|management)|safety system|due to safety/i],
  [
    "permission_denied",
    /permission denied|access denied|EACCES|EPERM|forbidden|not authorized to|(?<!or you do )not have access|\b403\b/i,
  ],
  [
    "auth",
    /api.?key|unauthori[sz]ed|authenticat|oauth|credentials|(?:invalid|expired|security|auth|refresh\w*|codex) ?token|token exchange|\b401\b|not logged in|(?:log|sign)(?:ing)? ?in\b/i,
  ],
  ["overloaded", /overloaded|(?:at|available) capacity|\b529\b|\b503\b|service unavailable/i],
  ["timeout", /timed? ?out|ETIMEDOUT|deadline exceeded|\b504\b/i],
  ["unknown_tool", /NoSuchTool|unknown tool|unavailable tool/i],
  [
    "not_found",
    /not found|no such|ENOENT|does not exist|missing file|cannot find module|model \S+ is unavailable|\b404\b/i,
  ],
  [
    "network",
    /ECONN|ENOTFOUND|EAI_AGAIN|EPIPE|socket|fetch failed|network|getaddrinfo|connection (?:error|refused|reset|closed)|side closed|TLS|certificate/i,
  ],
  ["mistake_limit", /mistakes? (?:limit )?reached|consecutive mistakes/i],
  ["aborted", /cancel|abort|cli_run_shutdown|interrupt/i],
  [
    "parse_error",
    /^(?:Invalid|Unknown) (?:Add File )?line|invalid patch text|JSON|unexpected (?:token|end)|pars(?:e|ing)|malformed/i,
  ],
  ["server_error", /server (?:error|had an error)|internalserver|bad gateway|\b50[0-4]\b/i],
  ["invalid_request", /invalid|bad request|required|unsupported|not supported|\b4(?:00|22)\b/i],
];

// What Cline says of an error that it has no class for.
const UNCLASSED = "unknown";

/**
 * Why a model call or a run failed: Cline's class of it, else that of its text.
 *
 * @param {unknown} said Cline's class of it
 * @param {Snapshot} snapshot
 */
export function failureOf(said, snapshot) {
  const classes = [errorClass(said), errorClass(snapshot?.lastErrorClass)];
  const known = classes.find((found) => found !== undefined && found !== UNCLASSED);
  return known ?? errorClassOf(errorText(snapshot?.lastError)) ?? OTHER;
}

/**
 * The first class whose pattern is found; undefined where none is.
 *
 * @param {string} text
 */
const errorClassOf = (text) => CLASSES.find(([, pattern]) => pattern.test(text))?.[0];
