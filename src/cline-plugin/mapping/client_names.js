// Names of the programs that run Cline: the bridge has the same in privacy/client_names.py and its catalogue, and
// tests/plugin/client_names.json has the one result of both.

const LONGEST_CLIENT_NAME = 80;
const CLIENTS = new Set(
  "cline-cli cline-vscode cline-hub cline-hub-daemon cline-acp cline-code cline-platform cli hub kanban cline-sdk vscode jetbrains".split(
    " ",
  ),
);
const FILLERS = new Set(["cline", "for", "the", "extension", "plugin", "ide", "ides", "client", "insiders"]);
const ALIASES = new Map([
  ["vscode", "vscode"],
  ["vscodeinsiders", "vscode"],
  ["visualstudiocode", "vscode"],
  ["jetbrains", "jetbrains"],
  ["intellij", "jetbrains"],
  ["intellijidea", "jetbrains"],
  ["cli", "cli"],
  ["hub", "hub"],
  ["kanban", "kanban"],
]);

/**
 * The known client that a name means, whatever its case, spaces and suffixes.
 *
 * @param {string} name
 * @returns {string | undefined} nothing for an unknown one
 */
export function knownClient(name) {
  if (CLIENTS.has(name)) return name;
  if (name.length > LONGEST_CLIENT_NAME || /[^\0-\x7f]/.test(name)) return undefined;
  const lower = name.toLowerCase();
  if (CLIENTS.has(lower)) return lower;
  const words = lower.match(/[a-z0-9]+/g) ?? [];
  return ALIASES.get(words.filter((word) => !FILLERS.has(word)).join(""));
}
