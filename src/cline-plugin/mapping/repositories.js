// Repositories: what a workspace is called, the same in every clone of it.

import { chosen } from "./gates.js";

/** @import { WorkspaceInfo } from "../hook_contexts.js" */

const REMOTE_NAME = /^\S{1,100}: /;
const SCP_ADDRESS = /^(?:[^@/\s]{1,256}@)?([^:/\s]{2,256}):([^\s]+)$/; // git's short form; a drive has one letter

/**
 * Host and path of a remote, without who asks, a key, the port or the ending; undefined for one that is no address.
 *
 * @param {string} remote
 */
function addressOf(remote) {
  const short = SCP_ADDRESS.exec(remote);
  if (!remote.includes("://") && short === null) return undefined;
  const { hostname, pathname } = new URL(remote.includes("://") ? remote : `ssh://${short?.[1]}/${short?.[2]}`);
  const path = pathname.replace(/^\/{1,9}|\/{1,9}$/g, "").replace(/\.git$/, "");
  return hostname === "" || path === "" ? undefined : `${hostname}/${path}`.toLowerCase();
}

/**
 * The repository of a workspace by its remote, `origin` before any other; the workspace's own path where it has none.
 * Must not get into a record but by way of `published`.
 *
 * @param {WorkspaceInfo} workspace
 */
export function repositoryOf(workspace) {
  const remotes = Array.isArray(workspace?.associatedRemoteUrls) ? workspace.associatedRemoteUrls : [];
  const named = remotes.slice(0, 20).filter((remote) => chosen(remote) !== undefined);
  const remote = named.find((text) => text.startsWith("origin: ")) ?? named[0];
  try {
    return (remote && addressOf(remote.replace(REMOTE_NAME, ""))) ?? chosen(workspace?.rootPath);
  } catch {
    return chosen(workspace?.rootPath); // a remote that is no URL
  }
}
