"""Carries ready-made OTLP bytes to a collector by plain HTTP and gRPC, with none of our own code between."""

from __future__ import annotations

import gzip
import urllib.request
from typing import Final, Literal

import grpc

from waiting import PATIENCE_SECONDS

Signal = Literal["traces", "metrics", "logs"]
Transport = Literal["http", "http+gzip", "grpc"]

TRANSPORTS: Final[tuple[Transport, ...]] = ("http", "http+gzip", "grpc")
SIGNALS: Final[tuple[Signal, ...]] = ("traces", "metrics", "logs")


_GRPC_METHODS: Final[dict[Signal, str]] = {
    "traces": "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    "metrics": "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    "logs": "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
}


def carry(transport: Transport, http_endpoint: str, grpc_target: str, signal: Signal, body: bytes) -> None:
    """Sends one export request.

    Raises:
        urllib.error.URLError, grpc.RpcError: it was not accepted.
    """
    if transport == "grpc":
        carry_by_grpc(grpc_target, signal, body)
    else:
        carry_by_http(http_endpoint, signal, body, compressed=transport == "http+gzip")


def carry_by_http(endpoint: str, signal: Signal, body: bytes, *, compressed: bool = False) -> None:
    """POSTs protobuf bytes to ``endpoint``/v1/``signal``."""
    headers = {"Content-Type": "application/x-protobuf"}
    if compressed:
        headers["Content-Encoding"] = "gzip"
        body = gzip.compress(body)
    request = urllib.request.Request(f"{endpoint}/v1/{signal}", body, headers)
    # An environment's HTTP proxy must not come between us and the loopback.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=PATIENCE_SECONDS) as response:
        assert response.status == 200


def carry_by_grpc(target: str, signal: Signal, body: bytes) -> None:
    """Calls the export method of ``signal`` with bytes that are already serialised."""
    with grpc.insecure_channel(target, options=[("grpc.enable_http_proxy", 0)]) as channel:
        export = channel.unary_unary(_GRPC_METHODS[signal], request_serializer=None, response_deserializer=None)
        export(body, timeout=PATIENCE_SECONDS)
