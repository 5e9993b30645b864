"""A small OTLP/HTTP endpoint that answers as a test wants and keeps what it took."""

from __future__ import annotations

import gzip
import socket
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final, Self, cast

from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from waiting import PATIENCE_SECONDS

Answer = tuple[int, bytes]
"""Status and body."""

REQUESTS: Final[dict[str, type[Message]]] = {
    "traces": ExportTraceServiceRequest,
    "metrics": ExportMetricsServiceRequest,
    "logs": ExportLogsServiceRequest,
}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: object, client_address: object) -> None:
        # A killed sender resets its connections; anything else is a defect of this endpoint.
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class Endpoint:
    """Bound at once, so its address is its own; before ``listen`` every connection is refused.

    Attributes:
        answer: says what to answer to a signal's request; only what gets a 200 is kept.
        taken: the requests by signal, as the official messages.
        asked: how many requests came, by signal.
    """

    def __init__(self, answer: Callable[[str, Message], Answer] | None = None) -> None:
        self.answer = answer or (lambda signal, request: (200, b""))
        self.taken: dict[str, list[Message]] = {signal: [] for signal in REQUESTS}
        self.asked = dict.fromkeys(REQUESTS, 0)
        self._lock = threading.Lock()
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._socket.bind(("127.0.0.1", 0))

    @property
    def url(self) -> str:
        """What ``OTEL_EXPORTER_OTLP_ENDPOINT`` takes."""
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._thread.join()
        self._socket.close()

    def hold(self) -> tuple[threading.Event, threading.Event]:
        """From now on a request is answered by 503, and only when it is let go: set when one came; to be set."""
        asked, end = threading.Event(), threading.Event()

        def held(signal: str, request: Message) -> Answer:
            asked.set()
            end.wait(PATIENCE_SECONDS)
            return 503, b""

        self.answer = held
        return asked, end

    def listen(self) -> Self:
        """From now on requests are answered."""
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                endpoint._serve(self)

            def log_message(self, *arguments: object) -> None:
                pass

        self._socket.listen()
        server = _Server(self._socket.getsockname(), Handler, bind_and_activate=False)
        server.socket.close()
        server.socket = self._socket
        self._server = server
        self._thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()
        return self

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        size = int(handler.headers["Content-Length"])
        try:
            body = handler.rfile.read(size)
        except ConnectionError:
            body = b""
        if len(body) < size:
            handler.close_connection = True  # the sender was killed
            return
        if handler.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        signal = handler.path.rpartition("/")[2]
        request = REQUESTS[signal]()
        request.ParseFromString(body)
        with self._lock:
            self.asked[signal] += 1
        status, answer = self.answer(signal, request)
        with self._lock:
            if status == 200:
                self.taken[signal].append(request)
        try:
            handler.send_response(status)
            handler.send_header("Content-Type", "application/x-protobuf")
            handler.send_header("Content-Length", str(len(answer)))
            handler.end_headers()
            handler.wfile.write(answer)
        except OSError:
            handler.close_connection = True  # the sender went away, as a killed one does

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
