// A stand-in for Cline's plugin process: loads a plugin file as Cline does and calls the hooks it is told to.
//
//   host.mjs PLUGIN sandbox|in-process      messages: [kind, context] a hook call, "done" answers "done"

import { pathToFileURL } from "node:url";

/** @import { HookCall } from "./hook_calls.mjs" */

const [, , file = "", mode] = process.argv;
if (mode === "sandbox") {
  Reflect.set(globalThis, "__clinePluginHost", { emitEvent() {} });
  process.once("disconnect", () => process.exit(0));
}
const { default: plugin } = await import(pathToFileURL(file).href);

/** @param {string} text */
const say = (text) => process.send?.(text);

/** @param {"done" | HookCall} message */
function onMessage(message) {
  if (message === "done") {
    say("done");
    return;
  }
  const [kind, context] = message;
  const answer = kind === "setup" ? plugin.setup({}, context) : plugin.hooks[kind.replace(/:.*/, "")]?.(context);
  if (answer !== undefined) say(`a hook answered ${typeof answer}`);
}

process.on("message", onMessage);
say("ready");
