// Gates: the only ways from a context into a record. Each takes anything and gives what may be written, or undefined.

import { LIMITS } from "../limits.js";
import { ERROR_CLASSES, FINISH_REASONS, PROVIDERS, REASONS } from "./known_words.js";

const TOOL_NAME = /^[A-Za-z0-9_.:-]{1,128}$/;
const PLAIN_NAME = /^[A-Za-z0-9][A-Za-z0-9_.:/+-]{0,127}$/;
export const CLIENT_VERSION = new RegExp(
  "^[0-9]{1,6}(?:\\.[0-9]{1,6}){1,2}" +
    "(?:-(?:alpha|beta|rc|nightly|next|canary|dev|pre|preview|insiders?)(?:[.-]?[0-9]{1,14}){0,3})?$",
);
export const OTHER = "_OTHER";

/**
 * @param {...string} shapes sources of regular expressions
 * @returns {RegExp} which matches what one of them does
 */
export const anyOf = (...shapes) => new RegExp(shapes.join("|"));

// Keys and tokens.
export const KEY_SHAPE = anyOf(
  "(?<![A-Za-z0-9])[SsPpRr][Kk][-_.](?:live|test|proj|ant|or|svcacct)?[-_]?[A-Za-z0-9_.-]{16,}", // OpenAI, Stripe
  "gh[oprsu]_[A-Za-z0-9]{12,}|github_pat_\\w{20,}|glpat-[\\w-]{16,}", // GitHub, GitLab
  "(?:AKIA|ASIA)[A-Z0-9]{16}|AIza[\\w-]{30,}", // AWS, Google
  "xox[abeoprs]-[\\w-]{10,}|npm_[A-Za-z0-9]{30,}|hf_[A-Za-z0-9]{30,}", // Slack, npm, Hugging Face
  "glrt-[\\w-]{16,}|dckr_pat_[\\w-]{16,}|shp(?:at|ss|ca|pa)_[A-Za-z0-9]{16,}", // GitLab, Docker, Shopify
  "(?<![A-Za-z0-9])(?:xai|gsk|pplx|tgp_v1|fw|r8|csk|dop_v1|pcsk|tvly)[-_][A-Za-z0-9]{20,}", // model providers
  "(?<![A-Za-z0-9])nvapi-[\\w-]{20,}",
  "SG\\.[\\w-]{16,}\\.[\\w-]{16,}|(?<![A-Za-z0-9])hv[sb]\\.[\\w-]{16,}|ya29\\.[\\w-]{16,}", // SendGrid, Vault, Google
  "eyJ[\\w-]{8,}\\.[\\w-]{8,}\\.[\\w-]*", // JSON Web Token
);

/** @type {(pattern: RegExp) => (value: unknown) => string | undefined} */
const matching = (pattern) => (value) =>
  typeof value === "string" && value.length <= LIMITS.nameCharacters && pattern.test(value) && !KEY_SHAPE.test(value)
    ? value
    : undefined;
export const plainToolName = matching(TOOL_NAME);
export const plainName = matching(PLAIN_NAME);
export const clientVersion = matching(CLIENT_VERSION);

/** @type {(words: ReadonlySet<string>) => (value: unknown) => string | undefined} */
const among = (words) => (value) => (typeof value === "string" && words.has(value) ? value : undefined);
export const errorClass = among(ERROR_CLASSES);
const finishReason = among(FINISH_REASONS);
const provider = among(PROVIDERS);
export const reason = among(REASONS);

/** @param {unknown} value */
export const finishReasonOrOther = (value) =>
  value === undefined || value === null ? undefined : (finishReason(value) ?? OTHER);

/** @param {unknown} value */
export const providerOrOther = (value) => (typeof value === "string" ? (provider(value) ?? OTHER) : undefined);

/**
 * A name or id as it is, which must not get into a record but by way of `published`.
 *
 * @param {unknown} value
 */
export const chosen = (value) =>
  typeof value === "string" && value !== "" && value.length <= LIMITS.nameCharacters ? value : undefined;

/**
 * The same; `OTHER` for what is too long to be one, and nothing for a missing value that was written as a text.
 *
 * @param {unknown} value
 */
export function chosenOrOther(value) {
  if (value === "undefined" || value === "null") return undefined;
  return typeof value === "string" && value.length > LIMITS.nameCharacters ? OTHER : chosen(value);
}

/** @param {unknown} value */
export const runStatus = (value) =>
  value === "completed" || value === "failed" || value === "aborted" ? value : undefined;

/** @param {unknown} value */
export const amount = (value) =>
  typeof value === "number" && Number.isFinite(value) && value >= 0 ? value : undefined;

/** @param {unknown} value */
export const integer = (value) =>
  typeof value === "number" && Number.isSafeInteger(value) && value >= 0 ? value : undefined;

/**
 * Milliseconds since the epoch from a Date (same process), its ISO text (through JSON) or a number.
 *
 * @param {unknown} value
 */
export function instantMs(value) {
  if (typeof value === "number") return integer(Math.round(value));
  if (typeof value === "string") return integer(Date.parse(value));
  return value instanceof Date ? integer(value.getTime()) : undefined;
}
