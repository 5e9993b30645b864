// A sign of life while an agent works and there is nothing else to tell: how long a call lasted is else not known when all
// of Cline dies at once.

import { keep } from "../mapping/bounded_map.js";
import { record } from "../mapping/record.js";

/** @import { SpoolRecord } from "../mapping/record.js" */

/**
 * @typedef {object} Heartbeat
 * @property {(records: readonly SpoolRecord[]) => void} note what was told: which runs are open, and that the process lives
 */

/**
 * @param {object} given
 * @param {(records: readonly SpoolRecord[]) => void} given.append
 * @param {() => number} given.nowMs
 * @param {() => number} given.monotonicMs
 * @param {{ heartbeatMs: number, agents: number }} given.limits
 * @param {(action: () => void, delayMs: number) => { unref?: () => unknown }} [given.later] a timer, which must not keep
 *   the process alive
 * @returns {Heartbeat}
 */
export function createHeartbeat({ append, nowMs, monotonicMs, limits, later = setTimeout }) {
  /** @type {Map<string, string>} by agent id, the run that it works on */
  const open = new Map();
  let toldAtMs = 0;
  let scheduled = false;

  const beat = () => {
    scheduled = false;
    if (open.size === 0) return;
    if (monotonicMs() - toldAtMs >= limits.heartbeatMs) {
      toldAtMs = monotonicMs();
      append([record("process.alive", nowMs(), {})]);
    }
    schedule();
  };

  const schedule = () => {
    if (scheduled || open.size === 0) return;
    scheduled = true;
    later(beat, Math.max(toldAtMs + limits.heartbeatMs - monotonicMs(), 0)).unref?.();
  };

  return {
    note: (records) => {
      if (records.length === 0) return;
      toldAtMs = monotonicMs();
      for (const { event, agent_id: agentId, run_id: runId } of records) {
        if (typeof agentId !== "string" || typeof runId !== "string") continue;
        if (event !== "run.finished") keep(open, agentId, runId, limits.agents);
        else if (open.get(agentId) === runId) open.delete(agentId);
      }
      schedule();
    },
  };
}
