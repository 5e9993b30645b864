"""A small OTLP/HTTP endpoint that answers as a test wants and keeps what it took."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final, cast

from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from loopback_server import Answer, HttpRequest, LoopbackServer
from waiting import PATIENCE_SECONDS

REQUESTS: Final[dict[str, type[Message]]] = {
    "traces": ExportTraceServiceRequest,
    "metrics": ExportMetricsServiceRequest,
    "logs": ExportLogsServiceRequest,
}


class Endpoint(LoopbackServer):
    """An endpoint for all three signals.

    Attributes:
        answer: says what to answer to a signal's request; only what gets a 200 is kept.
        taken: the requests by signal, as the official messages.
        asked: how many requests came, by signal.
    """

    def __init__(self, answer: Callable[[str, Message], Answer | None] | None = None) -> None:
        super().__init__(self._take)
        self.answer = answer or (lambda signal, request: (200, b""))
        self.taken: dict[str, list[Message]] = {signal: [] for signal in REQUESTS}
        self.asked = dict.fromkeys(REQUESTS, 0)
        self._lock = threading.Lock()

    def hold(self) -> tuple[threading.Event, threading.Event]:
        """From now on a request is answered by 503, and only when it is let go: set when one came; to be set."""
        asked, end = threading.Event(), threading.Event()

        def held(signal: str, request: Message) -> Answer:
            asked.set()
            end.wait(PATIENCE_SECONDS)
            return 503, b""

        self.answer = held
        return asked, end

    def forget(self) -> None:
        """Drops what it took."""
        with self._lock:
            for requests in self.taken.values():
                requests.clear()

    def _take(self, http_request: HttpRequest) -> Answer | None:
        signal = http_request.path.rpartition("/")[2]
        request = REQUESTS[signal]()
        request.ParseFromString(http_request.unpacked())
        with self._lock:
            self.asked[signal] += 1
        answer = self.answer(signal, request)
        with self._lock:
            if answer is not None and answer[0] == 200:
                self.taken[signal].append(request)
        return answer

    def traces(self) -> list[ExportTraceServiceRequest]:
        """The trace requests it took."""
        return cast("list[ExportTraceServiceRequest]", list(self.taken["traces"]))

    def span_count(self) -> int:
        """How many spans it took, those that were sent again included."""
        return sum(
            len(scope.spans)
            for request in self.traces()
            for resource in request.resource_spans
            for scope in resource.scope_spans
        )

    def logs(self) -> list[ExportLogsServiceRequest]:
        """The log requests it took."""
        return cast("list[ExportLogsServiceRequest]", list(self.taken["logs"]))

    def metrics(self) -> list[ExportMetricsServiceRequest]:
        """The metric requests it took."""
        return cast("list[ExportMetricsServiceRequest]", list(self.taken["metrics"]))
