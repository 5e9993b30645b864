// When the disk is left alone: for a while after a failure, and for longer the slower it is.

/**
 * @typedef {object} Pause
 * @property {() => number} remainingMs until the next write; zero or less when it may be now
 * @property {() => void} afterFailure
 * @property {(tookMs: number) => void} afterWrite
 */

/**
 * @param {() => number} monotonicMs
 * @param {{ checkIntervalMs: number, slowWriteMs: number, slowWritePauseMs: number }} limits
 * @returns {Pause}
 */
export function createPause(monotonicMs, limits) {
  let untilMs = 0;
  return {
    remainingMs: () => untilMs - monotonicMs(),
    afterFailure: () => {
      untilMs = monotonicMs() + limits.checkIntervalMs;
    },
    afterWrite: (tookMs) => {
      if (tookMs > limits.slowWriteMs) untilMs = monotonicMs() + Math.min(tookMs * 100, limits.slowWritePauseMs);
    },
  };
}
