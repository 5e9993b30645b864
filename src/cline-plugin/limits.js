// How much of the plugin's is kept, written and waited for, at most.

export const SPOOL_VERSION = 1;
export const LIMITS = Object.freeze({
  fileBytes: 4 * 1024 * 1024,
  directoryBytes: 64 * 1024 * 1024,
  // How far this process may write before it measures the directory again.
  directoryCheckBytes: 256 * 1024,
  checkIntervalMs: 1000,
  // A write slower than this makes the next one wait a hundred times as long: at most 1 % of the time is spent waiting.
  slowWriteMs: 100,
  slowWritePauseMs: 60_000,
  waitingLines: 8192,
  // How long nothing is told at most while an agent works.
  heartbeatMs: 5000,
  sessions: 64,
  agents: 1024,
  runs: 1024,
  openCalls: 1024,
  tasks: 256,
  taskCharacters: 1024 * 1024,
  // What is longer is no name.
  nameCharacters: 1024,
  // More than the runs that are remembered can have, so that none of them changes its ids.
  idPseudonyms: 8192,
  toolPseudonyms: 1024,
  settingsBytes: 16 * 1024 * 1024,
  // Of an argument or a result, to know its size.
  sizedValues: 100_000,
  // Of the spool's files, to know the size of all.
  sizedFiles: 1000,
});

/** @typedef {Readonly<Record<keyof typeof LIMITS, number>>} Limits */
