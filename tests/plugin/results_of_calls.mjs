// What the plugin makes of tools' results and edits: a JSON array of calls on stdin, one of answers on stdout.

import fs from "node:fs";

import { changeOf } from "../../src/cline-plugin/mapping/edits.js";
import { outcomeOf } from "../../src/cline-plugin/mapping/outcome.js";

/** @typedef {{ tool: string, input: any, result: { output?: unknown, isError?: unknown }, ran: boolean }} Call */

/** @type {Call[]} */
const calls = JSON.parse(fs.readFileSync(0, "utf8"));
const answers = calls.map(({ tool, input, result, ran }) => ({
  outcome: outcomeOf(tool, result, ran),
  change: changeOf({ toolName: tool, input }, result),
}));
process.stdout.write(JSON.stringify(answers));
