// The types of the built file are those of what it is made from.
export * from "../../cline-plugin/index.js";
export { default } from "../../cline-plugin/index.js";
