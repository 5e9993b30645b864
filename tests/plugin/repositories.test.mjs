// A repository has one name in every clone, and nothing of how it is reached is in it.

import assert from "node:assert/strict";
import test from "node:test";

import { createMapping } from "../../src/cline-plugin/mapping/mapping.js";
import { createPseudonyms } from "../../src/cline-plugin/mapping/pseudonyms.js";
import { repositoryOf } from "../../src/cline-plugin/mapping/repositories.js";
import { createState } from "../../src/cline-plugin/mapping/state.js";

const KEY = "0b".repeat(32);
const KEYED = { version: 1, key: KEY, built_in_tools: [] };

/** @type {(...remotes: unknown[]) => string | undefined} */
const named = (...remotes) => repositoryOf({ associatedRemoteUrls: remotes, rootPath: "/home/someone/tool" });

test("the ways to reach one repository give one name", () => {
  for (const address of [
    "https://git.example/Team/tool.git",
    "https://git.example/team/tool",
    "https://someone:secret@git.example/team/tool.git/",
    "ssh://git@git.example:2222/team/tool.git",
    "git@git.example:team/tool.git",
    "git.example:team/tool",
  ])
    assert.equal(named(`origin: ${address}`), "git.example/team/tool", address);
});

test("origin goes before other remotes, the first of these before the path", () => {
  assert.equal(named("fork: https://a.example/x/y", "origin: https://b.example/x/y"), "b.example/x/y");
  assert.equal(named("fork: https://a.example/x/y", "other: https://b.example/x/y"), "a.example/x/y");
  assert.equal(named(), "/home/someone/tool");
});

test("whatever is no address leaves the path, or nothing", () => {
  for (const odd of [
    7,
    null,
    "",
    "origin: ",
    "origin: /srv/git/tool",
    "origin: C:\\git\\tool",
    "origin: https://",
    "x".repeat(5000),
  ])
    assert.equal(named(odd), "/home/someone/tool", String(odd).slice(0, 40));
  for (const odd of [undefined, null, 7, {}, { rootPath: 7 }, { associatedRemoteUrls: "origin: https://a.example/b" }])
    assert.equal(repositoryOf(/** @type {never} */ (odd)), undefined);
});

test("a record has the pseudonym alone, and none without a key", () => {
  const context = {
    session: { sessionId: "1795358456453_m6555" },
    workspaceInfo: {
      rootPath: "/home/someone/tool",
      associatedRemoteUrls: ["origin: https://me:secret@git.example/team/tool.git"],
    },
  };
  const [keyed] = createMapping(createState(), createPseudonyms(KEYED)).map("setup", context, 1);
  assert.match(String(keyed?.repository_hash), /^[0-9a-f]{32}$/);
  const [keyless] = createMapping(createState(), createPseudonyms()).map("setup", context, 1);
  assert.equal(keyless?.repository_hash, undefined);
  for (const written of [keyed, keyless]) assert.doesNotMatch(JSON.stringify(written), /secret|example|tool/);
});
