// Names of models that are public, told from names that somebody chose: the bridge has the same in
// privacy/model_names.py, and tests/plugin/model_ids.json has the one result of both.

import { MODEL_FAMILIES, MODEL_NAMES, MODEL_OWNERS, MODEL_WORDS } from "./model_words.js";

const LONGEST_MODEL_NAME = 160; // What is longer is no public name, and no pattern sees it.

const HOSTS = ["hf.co/", "huggingface.co/", "registry.ollama.ai/", "modelscope.cn/", "www.modelscope.cn/"];
const ARN_RESOURCES = [":foundation-model/", ":inference-profile/"];
const CHARACTERS = /^[a-z0-9 ._:/@+~()[\]-]+$/;
const MODEL_WORD = /[a-z]+|[0-9]+/g;
const DATE = /(?<![0-9])(?:20[0-9]{2}-?|2[0-9])(?:0[1-9]|1[0-2])-?(?:0[1-9]|[12][0-9]|3[01])(?![0-9])/;
const ADDRESS = /[0-9]{1,3}(?:\.[0-9]{1,3}){3}|::|(?:[0-9a-f]{1,4}:){3}/;
const NOT_ASCII = /[^\0-\x7f]/;
const SIZE = /(?<![0-9])[0-9]{1,4}[bkm](?![a-z])/g;
const MOST_SIZES = 3;
const MOST_DIGITS = 7;
const LONGEST_NUMBER = 4;

/** @param {string} value */
function publicPart(value) {
  const lower = value.toLowerCase();
  if (lower.includes("arn:")) {
    const mark = ARN_RESOURCES.find((resource) => lower.includes(resource));
    return mark === undefined ? "" : value.slice(lower.indexOf(mark) + mark.length);
  }
  if (lower.includes("projects/")) {
    const at = value.lastIndexOf("/publishers/");
    const path = at < 0 ? "" : value.slice(at + "/publishers/".length);
    const end = path.indexOf("/models/");
    return end >= 0 && MODEL_OWNERS.has(path.slice(0, end).toLowerCase()) ? path.slice(end + "/models/".length) : "";
  }
  const start = lower.startsWith("https://") ? "https://".length : 0;
  const host = HOSTS.find((known) => lower.startsWith(known, start));
  if (host === undefined) return value;
  const name = value.slice(start + host.length);
  return name.startsWith("library/") ? name.slice("library/".length) : name;
}

/** @param {string} name */
function isMadeOfWords(name) {
  const undated = name.replace(DATE, "");
  const sizes = undated.match(SIZE)?.length ?? 0;
  const parts = undated.replace(SIZE, " b ").match(MODEL_WORD) ?? [];
  const words = parts.filter((part) => part >= "a");
  const lengths = parts.filter((part) => part < "a").map((number) => number.length);
  return (
    words.some((part) => MODEL_FAMILIES.has(part)) &&
    words.every((part) => MODEL_FAMILIES.has(part) || MODEL_WORDS.has(part)) &&
    sizes <= MOST_SIZES &&
    areFew(lengths, undated !== name)
  );
}

/**
 * Whether numbers are fewer than a telephone's or a card's, which has more digits or more groups of them.
 *
 * @param {readonly number[]} lengths
 * @param {boolean} isDated
 */
function areFew(lengths, isDated) {
  /** @param {number} digits */
  const having = (digits) => lengths.filter((length) => length >= digits).length;
  return (
    lengths.reduce((sum, length) => sum + length, 0) <= MOST_DIGITS &&
    lengths.every((length) => length <= LONGEST_NUMBER) &&
    having(1) <= 5 &&
    having(2) <= 2 &&
    having(3) <= (isDated ? 0 : 1)
  );
}

/** @param {string} lower */
function isPublic(lower) {
  if (!CHARACTERS.test(lower) || ADDRESS.test(lower)) return false;
  const parts = lower.split("/");
  for (const [start, part] of parts.entries()) {
    if (MODEL_NAMES.has(parts.slice(start).join("/"))) return true;
    if (start === parts.length - 1) return isMadeOfWords(part);
    if (!MODEL_OWNERS.has(part)) return false;
  }
  return false;
}

/**
 * The public part of a model's name: all of it, or what a public ARN, path or registry names.
 *
 * @param {string} value
 * @returns {string | undefined} nothing where no part is public
 */
export function publicModelName(value) {
  if (value.length > LONGEST_MODEL_NAME || NOT_ASCII.test(value)) return undefined;
  const name = publicPart(value);
  return name !== "" && isPublic(name.toLowerCase()) ? name : undefined;
}
