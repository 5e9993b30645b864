// Pseudonyms: what stands for a name that somebody chose, for a tool or in place of an id.

import { createHmac } from "node:crypto";

import { LIMITS } from "../limits.js";
import { keep } from "./bounded_map.js";
import { knownClient } from "./client_names.js";
import { anyOf, CLIENT_VERSION, KEY_SHAPE, OTHER, plainName, plainToolName } from "./gates.js";
import { publicModelName } from "./model_names.js";

/** @import { SpoolRecord } from "./record.js" */

// Ids that a machine made up. Any other is a name.
const GENERATED_ID = anyOf(
  "(?:(?:agent|run|conv|session|subagent|teammate|task)_)?1[6-9][0-9]{11}(?:_[a-z0-9]{4,8}(?:c[0-9]{1,3})?)?", // with the time
  "(?:run|msg)_[A-Za-z0-9_-](?=[a-z_-]*[A-Z0-9])[A-Za-z0-9_-]{7}", // a word is none
  "msg_[k-p][a-z0-9]{7}_[a-z0-9]{1,5}", // prompts in editors, with the time
  "[0-9A-HJKMNP-TV-Z]{26}", // ULID
  "(?:error_)?[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", // UUID, also of what stands for an answer that failed
  "[0-9a-f]{32}", // a UUID without dashes, or a pseudonym
);
const ONE_PROVIDER_ID =
  "(?:(?:call|fc|toolu|toolu_bdrk|tooluse|srvtoolu|msg|msg_bdrk|resp|rs|req|gen|chatcmpl|chatcmpl-tool|cmpl)" +
  "[_-](?!(?:[A-Za-z0-9]*[_-]){0,9}[A-Za-z]?[a-z]{5,}(?![A-Za-z0-9]))" +
  "(?!(?:[A-Za-z0-9]*[_-]){0,9}[A-Za-z]{3,}[_-](?:[A-Za-z0-9]*[_-]){0,9}[A-Za-z]{3,}(?![A-Za-z0-9]))" + // no two words
  "(?=[A-Za-z_-]*[0-9]|[A-Za-z]{1,2}(?![A-Za-z0-9_-]))[A-Za-z0-9_-]{1,72}|[a-z]{2,12}-0[0-9]{3,7})";
const PROVIDER_ID = new RegExp(`${ONE_PROVIDER_ID}(?:\\|${ONE_PROVIDER_ID})?`); // of answers and calls
const WHOLE_ID = new RegExp(`^(?:${GENERATED_ID.source})$`);
const WHOLE_PROVIDER_ID = new RegExp(`^(?:${PROVIDER_ID.source})$`);
const KEY = /^[0-9a-f]{64}$/i;

/** The bridge has the same in its catalogue's patterns, privacy/pseudonyms.py and privacy/secret_detectors.py. */
export const PATTERNS = {
  version: CLIENT_VERSION,
  generatedId: WHOLE_ID,
  providerId: WHOLE_PROVIDER_ID,
  key: KEY_SHAPE,
};

const PSEUDONYM_DIGITS = 32;
const CUSTOM_DIGITS = 12;
const CUSTOM_NAME = new RegExp(`^custom-[0-9a-f]{${CUSTOM_DIGITS}}$`);

/**
 * @param {Buffer} key
 * @param {"client" | "id" | "mcp_server" | "model" | "repository" | "tool"} kind
 * @param {string} name
 */
const pseudonymOf = (key, kind, name) =>
  createHmac("sha256", key).update(`${kind}\0${name}`).digest("hex").slice(0, PSEUDONYM_DIGITS);

/**
 * What `pseudonyms.json` holds, to be checked.
 *
 * @typedef {{ version?: unknown, key?: unknown, built_in_tools?: unknown, plain_names?: unknown }} PseudonymsContent
 *
 * @typedef {object} Pseudonyms
 * @property {(content: PseudonymsContent) => void} learn takes what `pseudonyms.json` holds and throws if that is not
 *   what it should be
 * @property {(id: string) => string | undefined} identifier gives an id that a machine made up as it is; of any other
 *   the pseudonym, or undefined while there is no key
 * @property {(name: string) => { tool_name: string, tool_name_hash?: string }} tool gives the fields that name a tool
 * @property {(name: string) => string} client gives the known name of what runs Cline; of any other the pseudonym
 * @property {(name: string) => string} model gives the public part of a model's name; of any other name the pseudonym
 * @property {(name: string) => { mcp_server?: string, mcp_server_hash?: string }} server gives the fields that name an
 *   MCP server
 * @property {(name: string) => { repository_hash?: string }} repository gives the field that tells a repository from others
 */

/**
 * The pseudonyms of one installation: HMAC-SHA-256 of a name's kind and the name, under the installation's key.
 *
 * Until they have learnt once, nobody's names are known and none has a pseudonym. An id keeps its pseudonym for as long
 * as this process remembers it, so that a new key does not tear apart what is open; a tool takes that of the new key at
 * once.
 *
 * @param {PseudonymsContent} [content] learnt at once; throws like `learn`
 * @returns {Pseudonyms}
 */
export function createPseudonyms(content) {
  /** @type {Buffer | undefined} */
  let key;
  /** @type {Set<unknown>} */
  let builtInTools = new Set();
  let plainNames = false;
  /** @type {Map<string, string>} */
  const ids = new Map();
  /** @type {Map<string, string>} */
  const tools = new Map();
  /** @type {Map<string, string>} */
  const servers = new Map();
  /** @type {Map<string, string>} */
  const models = new Map();

  /**
   * @param {Map<string, string>} known those of the kind that were made of what was learnt last
   * @param {string} name
   * @param {() => string} make
   */
  const remembered = (known, name, make) => {
    const shown = known.get(name) ?? make();
    keep(known, name, shown, LIMITS.toolPseudonyms);
    return shown;
  };

  /**
   * @param {"client" | "model"} kind
   * @param {string} name
   */
  const custom = (kind, name) => {
    if (key === undefined || name === OTHER) return OTHER;
    if (CUSTOM_NAME.test(name)) return name;
    return (
      (plainNames ? plainName(name) : undefined) ?? `custom-${pseudonymOf(key, kind, name).slice(0, CUSTOM_DIGITS)}`
    );
  };

  /** @type {Pseudonyms} */
  const pseudonyms = {
    learn: (given) => {
      const { version, key: digits, built_in_tools: names, plain_names: plain } = given;
      if (version !== 1 || typeof digits !== "string" || !KEY.test(digits) || !Array.isArray(names))
        throw new TypeError("not what pseudonyms.json holds");
      key = Buffer.from(digits, "hex");
      builtInTools = new Set(names);
      plainNames = plain === true;
      tools.clear();
      servers.clear();
      models.clear();
    },
    identifier: (id) => {
      if (WHOLE_ID.test(id)) return id;
      const known = ids.get(id) ?? (key && pseudonymOf(key, "id", id));
      if (known !== undefined) keep(ids, id, known, LIMITS.idPseudonyms);
      return known;
    },
    tool: (name) => {
      if (builtInTools.has(name)) return { tool_name: name };
      if (plainNames) return { tool_name: plainToolName(name) ?? OTHER };
      const ofKey = key;
      if (ofKey === undefined || name === "") return { tool_name: OTHER };
      return { tool_name: OTHER, tool_name_hash: remembered(tools, name, () => pseudonymOf(ofKey, "tool", name)) };
    },
    model: (name) => remembered(models, name, () => publicModelName(name) ?? custom("model", name)),
    client: (name) => knownClient(name) ?? custom("client", name),
    server: (name) => {
      if (plainNames) return { mcp_server: plainToolName(name) ?? OTHER };
      const ofKey = key;
      if (ofKey === undefined) return {};
      return { mcp_server_hash: remembered(servers, name, () => pseudonymOf(ofKey, "mcp_server", name)) };
    },
    repository: (name) => (key === undefined ? {} : { repository_hash: pseudonymOf(key, "repository", name) }),
  };
  if (content !== undefined) pseudonyms.learn(content);
  return pseudonyms;
}

/**
 * An id of those that who serves models makes, of calls and answers, and of the messages that hold them.
 *
 * @type {PublishName}
 */
function providerId(pseudonyms, id) {
  if (!WHOLE_PROVIDER_ID.test(id)) return pseudonyms.identifier(id);
  return KEY_SHAPE.test(id) ? undefined : id;
}

/**
 * @typedef {(pseudonyms: Pseudonyms, name: string) => Record<string, string> | string | undefined} PublishName gives what
 *   is written of it, under the same name or others
 */

/** @type {PublishName} */
const ownId = (pseudonyms, id) => pseudonyms.identifier(id);

const PUBLISHED_NAMES = new Map(
  /** @type {[string, PublishName][]} */ ([
    ["session_id", ownId],
    ["agent_id", ownId],
    ["run_id", ownId],
    ["parent_agent_id", ownId],
    ["parent_run_id", ownId],
    ["parent_call_id", providerId],
    ["call_id", providerId],
    ["response_id", providerId],
    ["prompt_id", providerId],
    ["message_id", providerId],
    ["tool_name", (pseudonyms, name) => pseudonyms.tool(name)],
    ["mcp_server", (pseudonyms, name) => pseudonyms.server(name)],
    ["client_name", (pseudonyms, name) => pseudonyms.client(name)],
    ["model", (pseudonyms, name) => pseudonyms.model(name)],
    ["repository", (pseudonyms, name) => pseudonyms.repository(name)],
  ]),
);

/**
 * A record as it may be written; undefined for one whose subject has no name that may be.
 *
 * @param {SpoolRecord} entry
 * @param {Pseudonyms} pseudonyms
 * @returns {SpoolRecord | undefined}
 */
export function published(entry, pseudonyms) {
  /** @type {SpoolRecord} */
  const result = { v: entry.v, event: entry.event, time_unix_ms: entry.time_unix_ms };
  for (const [field, value] of Object.entries(entry)) {
    const publish = PUBLISHED_NAMES.get(field);
    if (publish === undefined) {
      result[field] = value;
      continue;
    }
    const shown = publish(pseudonyms, String(value));
    if (typeof shown === "string") result[field] = shown;
    else if (shown !== undefined) Object.assign(result, shown);
    else if (field === "agent_id" || field === "run_id" || entry.event === "session.claimed") return undefined;
  }
  return result;
}
