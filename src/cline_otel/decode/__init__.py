"""Payloads to events, one module per kind of payload. Pure."""
