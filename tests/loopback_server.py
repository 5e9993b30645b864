"""An HTTP server on loopback that keeps its address while it is down."""

from __future__ import annotations

import gzip
import socket
import sys
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

import msgspec

Answer = tuple[int, bytes] | tuple[int, bytes, Mapping[str, str]]
"""Status and body, and headers where there are any; a ``Content-Length`` among them is told as it is."""


class HttpRequest(msgspec.Struct, frozen=True):
    """What was posted.

    Attributes:
        path: of the URL.
        headers: by lower-case name.
        body: as it came, compressed if it is.
    """

    path: str
    headers: Mapping[str, str]
    body: bytes

    def unpacked(self) -> bytes:
        """The body without compression."""
        return gzip.decompress(self.body) if self.headers.get("content-encoding") == "gzip" else self.body


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: object, client_address: object) -> None:
        # A killed sender resets its connections; anything else is a defect of this server.
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class LoopbackServer:
    """Bound at once, so its address is its own; before ``listen`` and after ``go_down`` connections are refused."""

    def __init__(self, answer: Callable[[HttpRequest], Answer | None]) -> None:
        """``answer`` says what to answer; None closes the connection without a word."""
        self._answer = answer
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None
        self._socket = self._bound_to(0)

    @property
    def url(self) -> str:
        """What ``OTEL_EXPORTER_OTLP_ENDPOINT`` takes."""
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    @property
    def is_listening(self) -> bool:
        """Whether requests are answered."""
        return self._server is not None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop()
        self._socket.close()

    def listen(self) -> Self:
        """From now on requests are answered."""
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                outer._serve(self)

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

    def go_down(self) -> None:
        """From now on connections are refused, and those that are open are closed; ``listen`` ends it."""
        port = self._socket.getsockname()[1]
        self._stop()
        self._socket.close()
        self._socket = self._bound_to(port)

    @staticmethod
    def _bound_to(port: int) -> socket.socket:
        bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        # Connections of before may still be on their way out.
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(("127.0.0.1", port))
        return bound

    def _stop(self) -> None:
        server, self._server = self._server, None
        if server is not None and self._thread is not None:
            server.shutdown()
            self._thread.join()

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        size = int(handler.headers["Content-Length"])
        try:
            body = handler.rfile.read(size)
        except ConnectionError:
            body = b""
        answer = None
        if len(body) == size and handler.server is self._server:  # else the sender was killed, or we are down
            headers = {name.lower(): value for name, value in handler.headers.items()}
            answer = self._answer(HttpRequest(handler.path, headers, body))
        if answer is None:
            handler.close_connection = True
            return
        try:
            handler.send_response(answer[0])
            usual = {"Content-Type": "application/x-protobuf", "Content-Length": str(len(answer[1]))}
            for name, value in {**usual, **(answer[2] if len(answer) > 2 else {})}.items():
                handler.send_header(name, value)
            handler.end_headers()
            handler.wfile.write(answer[1])
        except OSError:
            handler.close_connection = True  # the sender went away, as a killed one does
