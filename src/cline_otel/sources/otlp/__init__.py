"""The OTLP source: log records that Cline sends itself, in JSON or protobuf over HTTP."""
