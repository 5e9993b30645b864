"""Events to spans, log records and metric deltas, over a keyed state. Pure."""
