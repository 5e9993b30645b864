// A stand-in for an editor: what Cline's extension does with Cline's SDK, without the editor. It hands over prompts, is
// asked about tools, and goes from one mode to another by a new host for the same session.
//
//   node asking_host.mjs SETTINGS
//
// SETTINGS is JSON: `core` (the file of @cline/core), `baseUrl` and `model` of the model server, `client` (the name of
// the program), `witness` (a file), and `steps`, each with a `prompt`, a `mode`, and `answers`: how the user answers
// what is asked about tools, in order, as `waitMs`, `approved` and perhaps a `reason`. A question without an answer
// is left open. Each question is a line of JSON in the witness: when it was asked, and how and when it was answered.

import fs from "node:fs";
import { pathToFileURL } from "node:url";

/** @typedef {{ waitMs: number, approved: boolean, reason?: string }} Answer */

/**
 * @type {{
 *   core: string, baseUrl: string, model: string, client: string, witness: string,
 *   steps: { prompt: string, mode: string, answers: Answer[] }[],
 * }}
 */
const { core: coreFile, baseUrl, model, client, witness, steps } = JSON.parse(process.argv[2] ?? "");
const { ClineCore } = await import(pathToFileURL(coreFile).href);

/** @type {Answer[]} */
let answers = [];

/** @param {{ toolCallId: string, toolName: string }} request */
async function askUser(request) {
  const asked = { call_id: request.toolCallId, tool: request.toolName, asked_at_ms: Date.now() };
  const answer = answers.shift();
  if (answer === undefined) {
    fs.appendFileSync(witness, `${JSON.stringify(asked)}\n`);
    return new Promise(() => {});
  }
  await new Promise((resolve) => setTimeout(resolve, answer.waitMs));
  const { approved, reason } = answer;
  fs.appendFileSync(witness, `${JSON.stringify({ ...asked, answered_at_ms: Date.now(), approved })}\n`);
  return { approved, reason };
}

const newHost = () => ClineCore.create({ backendMode: "local", capabilities: { requestToolApproval: askUser } });

/**
 * @param {any} host
 * @param {string} mode
 * @param {{ sessionId: string, messages: unknown }} [earlier] the session that is gone on with
 * @returns {Promise<{ sessionId: string }>}
 */
async function startSession(host, mode, earlier) {
  const cwd = process.cwd();
  return host.start({
    interactive: true,
    source: "vscode",
    initialMessages: earlier?.messages,
    toolPolicies: { "*": { autoApprove: false }, read_files: { autoApprove: true } },
    config: {
      sessionId: earlier?.sessionId,
      providerId: "openai-compatible",
      modelId: model,
      apiKey: "none",
      baseUrl,
      cwd,
      workspaceRoot: cwd,
      systemPrompt: "You help.",
      mode,
      enableTools: true,
      enableSpawnAgent: false,
      enableAgentTeams: false,
      checkpoint: { enabled: false },
      extensionContext: { client: { name: client, version: "4.1.13" } },
    },
  });
}

let host = await newHost();
let mode = steps[0]?.mode ?? "act";
let { sessionId } = await startSession(host, mode);
for (const step of steps) {
  if (step.mode !== mode) {
    const messages = await host.readMessages(sessionId);
    await host.dispose("mode_switch");
    host = await newHost();
    mode = step.mode;
    ({ sessionId } = await startSession(host, mode, { sessionId, messages }));
  }
  answers = [...step.answers];
  await host.send({ sessionId, prompt: `<user_input mode="${mode}">${step.prompt}</user_input>` });
}
await host.dispose("done");
process.exit(0);
