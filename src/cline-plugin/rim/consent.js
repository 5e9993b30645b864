// Whether any opt-out source says no. They are those that the bridge looks at (docs/control.md).

import fs from "node:fs";
import path from "node:path";

import { LIMITS } from "../limits.js";
import { isDictionary, watchedJson } from "./watched_json.js";

/** @import { Dictionary } from "./watched_json.js" */

/**
 * A setting of that type, or undefined where it is not there; throws where it is of another.
 *
 * @template T
 * @param {Dictionary} settings
 * @param {string} key
 * @param {(value: unknown) => value is T} isOfType
 * @returns {T | undefined}
 */
function typed(settings, key, isOfType) {
  const value = settings[key] ?? undefined;
  if (value === undefined || isOfType(value)) return value;
  throw new TypeError(`${key}: of a type that it cannot have`);
}

/**
 * @param {unknown} value
 * @returns {value is boolean}
 */
const isBoolean = (value) => typeof value === "boolean";

/**
 * @param {unknown} value
 * @returns {value is string}
 */
const isText = (value) => typeof value === "string";

/**
 * @param {unknown} value
 * @returns {value is boolean | string}
 */
const isBooleanOrText = (value) => isBoolean(value) || isText(value);

/**
 * An organization's remote config within what Cline keeps of it or its service answers.
 *
 * @param {Dictionary} document
 * @returns {Dictionary}
 */
function remoteConfigIn(document) {
  const envelope = typed(document, "data", isDictionary) ?? document;
  const bundled = typed(envelope, "remoteConfig", isDictionary);
  if (bundled) return bundled;
  const text = typed(envelope, "value", isText);
  if (text === undefined) return envelope;
  if (typed(envelope, "enabled", isBoolean) === false) return {};
  /** @type {unknown} */
  const config = JSON.parse(text);
  if (!isDictionary(config)) throw new TypeError("value: holds no settings");
  return config;
}

// Each gives true for off, and throws on what cannot be understood.

/** @param {Dictionary} settings */
const optedOut = (settings) => typed(settings, "telemetryOptOut", isBoolean) === true;

/** @param {Dictionary} settings */
function settingDisabled(settings) {
  const setting = typed(settings, "telemetrySetting", isBooleanOrText);
  return setting === false || setting === "disabled";
}

/** @param {Dictionary} document */
const organizationOff = (document) => typed(remoteConfigIn(document), "telemetryEnabled", isBoolean) === false;

/** @param {string | undefined} value of a variable */
const isSet = (value) => value !== undefined && !["", "0", "false"].includes(value.trim().toLowerCase());

/**
 * Whether anything has that name, be it a dangling link.
 *
 * @param {string} file
 */
function isThere(file) {
  try {
    return fs.lstatSync(file, { throwIfNoEntry: false }) !== undefined;
  } catch {
    return false;
  }
}

/** @param {string} dataDirectory Cline's */
function cachedConfigs(dataDirectory) {
  const cache = path.join(dataDirectory, "cache");
  /** @type {string[]} */
  let names = [];
  try {
    names = fs.readdirSync(cache).filter((name) => name.startsWith("remote_config_") && name.endsWith(".json"));
  } catch {
    // Cline has kept nothing
  }
  const bundle = path.join(dataDirectory, "remote-config-workspace/.cline/remote-config/cache/bundle.json");
  return [...names.map((name) => path.join(cache, name)), bundle];
}

/**
 * The files of organizations' remote configs, read again at each call, since Cline adds to them.
 *
 * @param {NodeJS.ProcessEnv} environment
 * @param {readonly string[]} dataDirectories Cline's
 */
function organizations(environment, dataDirectories) {
  const ownConfig = environment.CLINE_OTEL_BRIDGE_REMOTE_CONFIG?.replace(/^~(?=\/|$)/, environment.HOME ?? "~");
  /** @type {Map<string, () => boolean | undefined>} */
  let configs = new Map();
  return () => {
    const files = ownConfig ? [ownConfig] : dataDirectories.flatMap(cachedConfigs);
    configs = new Map(files.map((file) => [file, configs.get(file) ?? watchedJson(file, organizationOff)]));
    return [...configs.values()];
  };
}

/**
 * Whether anybody who may has said no, looked up at most once a second; one whose file could never be read counts as a
 * no here.
 *
 * @param {object} given
 * @param {readonly string[]} given.offFiles each of which switches off by being there
 * @param {string} given.clineDirectory
 * @param {NodeJS.ProcessEnv} given.environment
 * @param {() => number} given.monotonicMs
 * @returns {() => boolean} which says true for no
 */
export function createConsent({ offFiles, clineDirectory, environment, monotonicMs }) {
  /** @param {string} variable */
  const named = (variable) => environment[variable]?.trim() || [];
  const dataDirectories = [named("CLINE_DATA_DIR"), path.join(clineDirectory, "data")].flat();
  /** @param {string} place */
  const inData = (place) => dataDirectories.map((directory) => path.join(directory, place));
  const settings = [named("CLINE_GLOBAL_SETTINGS_PATH"), inData("settings/global-settings.json")].flat();
  const saysNo = isSet(environment.DO_NOT_TRACK) || isSet(environment.OTEL_SDK_DISABLED);
  const userSettings = [
    ...settings.map((file) => watchedJson(file, optedOut)),
    ...inData("globalState.json").map((file) => watchedJson(file, settingDisabled)),
  ];
  const ofOrganizations = organizations(environment, dataDirectories);
  let refused = false;
  let askedAtMs = Number.NEGATIVE_INFINITY;
  return () => {
    const nowMs = monotonicMs();
    if (nowMs - askedAtMs < LIMITS.checkIntervalMs) return refused;
    askedAtMs = nowMs;
    const isOff = [...userSettings, ...ofOrganizations()].map((look) => look());
    refused = saysNo || offFiles.some(isThere) || isOff.some((each) => each !== false);
    return refused;
  };
}
