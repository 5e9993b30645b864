// Makes the one file that `cline-otel install` puts among Cline's plugins out of the modules here.
//
// It is their text as it stands, so that whoever finds the file can read it: what is taken out is imports between them,
// also those of types alone, which Cline would take for packages that it has to install.

const HEAD = `\
// cline-otel plugin for Cline. Put here by "cline-otel install"; "cline-otel uninstall" removes it.
//
// It turns Cline's plugin hooks into an append-only spool of JSON lines (docs/spool-format.md): ids, names, times,
// usage, status and sizes. Never content: no prompt, argument, output, path or error text gets into a record, because
// a record is built only from values that passed one of the gates below. Nor a name that somebody chose, for a tool or
// in place of an id: where records leave the mapping, a pseudonym takes its place.
//
// Two rooms: a pure mapping (hook and context in, records out), and a writer at the rim. Nothing here throws into
// Cline, and every hook answers at once: records reach the disk after the answer, in the same turn of the event loop.
//
// Made from the modules in src/cline-plugin by \`make plugin\`: change those.
`;

const TYPE_IMPORT = /^\/\*\*\s(?:\s*\*\s)?\s*@import \{[^}]*\} from "[^"]*"\s*\*\/\n+/gm;

/** @type {import("rollup").RollupOptions} */
export default {
  input: "index.js",
  external: /^node:/,
  treeshake: false,
  output: { format: "es", banner: HEAD, generatedCode: "es2015" },
  plugins: [{ name: "without-imports-of-types", renderChunk: (code) => code.replace(TYPE_IMPORT, "") }],
};
