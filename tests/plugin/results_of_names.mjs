// What the plugin writes of models' and clients' names on standard input, and the longest text that a pattern saw.

import { call, feed, newMapping, PSEUDONYMS, RunCalls, SESSION } from "./hook_calls.mjs";

/** @import { HookCall } from "./hook_calls.mjs" */

let longest = 0;
const exec = RegExp.prototype.exec;
RegExp.prototype.exec = function (text) {
  longest = Math.max(longest, String(text).length);
  return exec.call(this, text);
};

/** @type {{ key: string, models: string[], clients: string[] }} */
const { key, models, clients } = JSON.parse(await new Response(process.stdin).text());

/** @param {HookCall} given */
const recordOf = (given) => feed(newMapping(undefined, { ...PSEUDONYMS, key }), [given])[0];
/** @param {string} id */
const modelOf = (id) => recordOf(new RunCalls().afterModel({ assistantMessage: { modelInfo: { id } } }))?.model;
/** @param {string} name */
const clientOf = (name) => recordOf(call("setup", { session: { sessionId: SESSION }, client: { name } }))?.client_name;

const results = {
  models: models.map((id) => modelOf(id) ?? null),
  clients: clients.map((name) => clientOf(name) ?? null),
};
console.log(JSON.stringify({ ...results, longest }));
