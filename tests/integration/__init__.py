"""Tests against a real OpenTelemetry Collector."""
