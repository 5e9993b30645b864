// Whose a file is: what is trusted, or written to, is this user's or root's.

/**
 * Whether the owner of what was looked at is this user, root, or one whom the environment names; on Windows always.
 *
 * @param {{ uid: number }} found
 */
export function hasTrustedOwner({ uid }) {
  const ours = process.geteuid?.();
  if (ours === undefined || uid === ours || uid === 0) return true;
  return (process.env.CLINE_OTEL_BRIDGE_TRUSTED_UIDS ?? "").split(",").some((each) => each.trim() === String(uid));
}

/**
 * The same, and that not everybody may write to it.
 *
 * @param {{ uid: number, mode: number }} found
 */
export const isTrusted = (found) => hasTrustedOwner(found) && (process.platform === "win32" || !(found.mode & 0o002));
