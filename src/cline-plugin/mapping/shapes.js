// What a value of which nothing is known turns out to be.

/** @import { MessagePart } from "../hook_contexts.js" */

/**
 * @param {unknown} value
 * @returns {value is Record<string, unknown>}
 */
export const isObject = (value) => typeof value === "object" && value !== null;

/**
 * The parts of a message's content; none where it is a text.
 *
 * @param {unknown} content
 * @returns {readonly MessagePart[]}
 */
export const partsOf = (content) => (Array.isArray(content) ? content : []);
