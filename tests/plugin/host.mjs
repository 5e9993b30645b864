// A stand-in for Cline's plugin process: loads a plugin file as Cline does and calls the hooks it is told to.
//
//   host.mjs PLUGIN sandbox|in-process      messages: [kind, context] a hook call, "done" answers "done"

import { pathToFileURL } from "node:url";

const [, , file, mode] = process.argv;
if (mode === "sandbox") {
  globalThis.__clinePluginHost = { emitEvent() {} };
  process.once("disconnect", () => process.exit(0));
}
const { default: plugin } = await import(pathToFileURL(file).href);

process.on("message", (message) => {
  if (message === "done") {
    process.send("done");
    return;
  }
  const [kind, context] = message;
  const answer = kind === "setup" ? plugin.setup({}, context) : plugin.hooks[kind.split(":")[0]]?.(context);
  if (answer !== undefined) process.send(`a hook answered ${typeof answer}`);
});
process.send("ready");
