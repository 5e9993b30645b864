// The span of somebody else in which Cline was started: a pipeline's, for example. From the environment alone.

// W3C Trace Context, level 2: version, trace id, parent id, flags; later versions may append more.
const TRACEPARENT = /^(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;
const SAMPLED = 1;

/**
 * @typedef {{ remote_trace_id: string, remote_span_id: string, remote_relation: "child" | "link" }} RemoteSpan
 */

/**
 * What a root run says of that span: that it is its child, if that is asked for and the span is one that is kept, else
 * that it has a link to it.
 *
 * @param {NodeJS.ProcessEnv} environment
 * @returns {RemoteSpan | undefined}
 */
export function remoteSpan(environment) {
  const [, traceId, spanId, flags, more] = TRACEPARENT.exec(environment.TRACEPARENT ?? "") ?? [];
  if (traceId === undefined || spanId === undefined || flags === undefined) return undefined;
  if (more !== undefined && environment.TRACEPARENT?.startsWith("00")) return undefined;
  const relation = environment.CLINE_OTEL_TRACEPARENT_AS;
  if (relation === "none") return undefined;
  const isKept = (Number.parseInt(flags, 16) & SAMPLED) === SAMPLED;
  return {
    remote_trace_id: traceId,
    remote_span_id: spanId,
    remote_relation: relation === "parent" && isKept ? "child" : "link",
  };
}

/**
 * Whether commands are to know the span of the tool call that runs them.
 *
 * @param {NodeJS.ProcessEnv} environment
 */
export const tracesCommands = (environment) => environment.CLINE_OTEL_TRACEPARENT_TO_COMMANDS === "true";
