"""Whatever a backend can sum equals the source: a real Prometheus, stand-ins for vendors (`make test-backends`)."""
