"""Records to OTLP: one module per signal for protobuf bytes, ``otlp_json`` for JSON lines. Pure.

The bytes decode to the messages that the official encoder makes of the same data; why this package
has an encoder of its own is explained in ``docs/encoding.md``.
"""
