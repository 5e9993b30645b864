// Messages, read for the mode and for the join of an agent to the call that made it.

import { LIMITS } from "../limits.js";
import { partsOf } from "./shapes.js";

/** @import { Message, ToolCall } from "../hook_contexts.js" */
/** @import { OpenCall, Run, State, Task } from "./state.js" */

/**
 * @param {Message} message
 * @returns {readonly string[]}
 */
function textsOf(message) {
  const content = message?.content;
  if (typeof content === "string") return [content];
  const texts = partsOf(content)
    .filter((part) => part?.type === "text")
    .map((part) => part?.text)
    .filter((text) => typeof text === "string");
  const [first] = texts;
  return first !== undefined && texts.length > 1 ? [first, texts.join("")] : texts;
}

/**
 * The message that began a run: the newest of the user's that Cline did not insert by itself.
 *
 * @param {unknown} given a snapshot's messages
 */
export function promptOf(given) {
  /** @type {readonly Message[]} */
  const messages = Array.isArray(given) ? given : [];
  return messages.findLast((message) => message?.role === "user" && message?.metadata?.userRunSpan !== 0);
}

/**
 * The texts of the newest user message, and of the first one while no model has answered yet.
 *
 * @param {unknown} given a snapshot's messages
 * @returns {readonly string[]}
 */
export function promptTexts(given) {
  if (!Array.isArray(given)) return [];
  /** @type {readonly Message[]} */
  const messages = given;
  const newest = textsOf(messages.findLast((message) => message?.role === "user"));
  const beginning = messages.find((message) => message?.role === "user" || message?.role === "assistant");
  const first = beginning?.role === "user" ? textsOf(beginning) : [];
  const answered = first.length > 0 && messages.some((message) => message?.role === "assistant");
  return answered ? newest : [...newest, ...first];
}

const MODE = /^\s*<user_input mode="(act|plan|yolo)"/;
const WRAPPED = /^\s*<user_input [^>]{0,80}>([\s\S]*)<\/user_input>\s*$/;

/** @param {readonly string[]} texts */
export const modeOf = (texts) => texts.map((text) => MODE.exec(text)?.[1]).find((mode) => mode !== undefined);

/**
 * The text by which a tool call starts an agent, or undefined for any other tool.
 *
 * @param {ToolCall} toolCall
 */
function taskOf(toolCall) {
  const name = toolCall?.toolName;
  if (name === "spawn_agent" || name === "team_run_task") return toolCall?.input?.task;
  return typeof name === "string" && name.startsWith("subagent_") ? toolCall?.input?.prompt : undefined;
}

/**
 * Remembers the text by which a tool call starts an agent, if it does.
 *
 * @param {State} state
 * @param {Run} run
 * @param {OpenCall} call
 * @param {ToolCall} toolCall
 */
export function rememberTask(state, run, call, toolCall) {
  const text = taskOf(toolCall);
  if (typeof text !== "string" || text.trim() === "" || text.length > LIMITS.taskCharacters) return;
  const team = toolCall?.toolName === "team_run_task";
  state.tasks.push({ text: text.trim(), team, agentId: run.agentId, runId: run.runId, call });
  state.taskCharacters += text.length;
  while (state.tasks.length > LIMITS.tasks || state.taskCharacters > LIMITS.taskCharacters)
    forgetTask(state, state.tasks[0]);
}

/**
 * @param {State} state
 * @param {Task | undefined} task which may have been forgotten before
 */
export function forgetTask(state, task) {
  const at = task === undefined ? -1 : state.tasks.indexOf(task);
  if (at < 0) return;
  state.tasks.splice(at, 1);
  state.taskCharacters = state.tasks.reduce((total, { text }) => total + text.length, 0);
}

/**
 * The oldest waiting call with one of these texts, word for word, as its task: the parent's, else a team's.
 *
 * @param {State} state
 * @param {readonly string[]} texts
 * @param {string} agentId of the agent that begins
 * @param {string | undefined} parentAgentId
 */
export function claimTask(state, texts, agentId, parentAgentId) {
  if (state.tasks.length === 0) return undefined;
  const wanted = new Set(texts.flatMap((text) => [text.trim(), WRAPPED.exec(text)?.[1]?.trim()]));
  const task = state.tasks.find(
    (candidate) =>
      wanted.has(candidate.text) &&
      (parentAgentId === undefined
        ? candidate.team && candidate.agentId !== agentId
        : candidate.agentId === parentAgentId),
  );
  forgetTask(state, task);
  return task;
}
