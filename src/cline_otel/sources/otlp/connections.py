"""The connections of the OTLP/HTTP receiver: how many, and how long each may take to send headers and read answers."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable

from aiohttp import web

from cline_otel.sources.otlp.answers import Refusal, RpcCode
from cline_otel.sources.otlp.http_answers import refused

_UNREAD_BYTES = 16 * 1024
"""What the system takes for a sender that does not read; more than any answer."""

_FULL_BODY = b'{"code":14,"message":"Too many connections."}'
_FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\n"
    b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(_FULL_BODY)
) + _FULL_BODY

_STRANGER_BODY = b'{"code":7,"message":"This user may not send here."}'
_STRANGER = (
    b"HTTP/1.1 403 Forbidden\r\nConnection: close\r\n"
    b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(_STRANGER_BODY)
) + _STRANGER_BODY

_silent = logging.getLogger("cline_otel.sources.silent")
_silent.addHandler(logging.NullHandler())
# What aiohttp logs of a broken request repeats parts of it.
_silent.propagate = False


class Connection(web.RequestHandler):
    """One connection: cut when the headers of a request take too long, or its answer is not read."""

    def __init__(
        self,
        server: web.Server,
        loop: asyncio.AbstractEventLoop,
        *,
        header_seconds: float,
        idle_seconds: float,
        linger_seconds: float,
        write_seconds: float,
        on_closed: Callable[[Connection], None],
    ) -> None:
        super().__init__(
            server,
            loop=loop,
            logger=_silent,
            access_log=None,  # type: ignore[arg-type]  # None is how it is turned off
            keepalive_timeout=idle_seconds,
            lingering_time=linger_seconds,
            auto_decompress=False,
        )
        self._event_loop = loop
        self._header_seconds = header_seconds
        self._header_deadline: asyncio.TimerHandle | None = None
        self._write_seconds = write_seconds
        self._write_deadline: asyncio.TimerHandle | None = None
        self._is_in_request = False
        self._on_closed = on_closed

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the clock for the first request."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - tells mypy what asyncio guarantees
        # Any byte that the sender does not take starts the other clock, soon and not after megabytes of answers.
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _UNREAD_BYTES)
        transport.set_write_buffer_limits(high=0)
        self._stream = transport
        super().connection_made(transport)
        self._start_clock()

    def data_received(self, data: bytes) -> None:
        """Start the clock with the first byte of a further request."""
        if not self._is_in_request:
            self._start_clock()
        super().data_received(data)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Stop the clocks and make room for another connection."""
        self._stop_clock()
        self._stop_write_clock()
        self._on_closed(self)
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """An answer waits for the sender to read; a close would wait with it, without end."""
        super().pause_writing()
        self._write_deadline = self._event_loop.call_later(self._write_seconds, self._stream.abort)

    def resume_writing(self) -> None:
        """All was taken."""
        self._stop_write_clock()
        super().resume_writing()

    def begin_request(self) -> None:
        """The headers are complete."""
        self._is_in_request = True
        self._stop_clock()

    def end_request(self) -> None:
        """The request is answered; how long the connection may be idle is up to the base class."""
        self._is_in_request = False

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """Answer what is not HTTP; the base class would repeat part of it."""
        if status == 400:
            refusal = Refusal(400, RpcCode.INVALID_ARGUMENT, "The request is not valid HTTP.", is_final=True)
        else:
            message = "The receiver failed."
            refusal = Refusal(503, RpcCode.UNAVAILABLE, message, retry_after_seconds=5, is_final=True)
        return refused(refusal, "json")

    def _start_clock(self) -> None:
        if self._header_deadline is None:
            self._header_deadline = self._event_loop.call_later(self._header_seconds, self.force_close)

    def _stop_clock(self) -> None:
        if self._header_deadline is not None:
            self._header_deadline.cancel()
            self._header_deadline = None

    def _stop_write_clock(self) -> None:
        if self._write_deadline is not None:
            self._write_deadline.cancel()
            self._write_deadline = None


class _TurnedAway(asyncio.Protocol):
    """A connection too many: answered with an error and closed, without reading what it sends."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)  # noqa: S101 - tells mypy what asyncio guarantees
        transport.write(_FULL)
        transport.close()


class _Door(asyncio.Protocol):
    """Looks who is at the other end, before anything is read; whoever may not send takes nobody's place."""

    def __init__(self, may_send: Callable[[asyncio.Transport], bool], let_in: Callable[[], asyncio.Protocol]) -> None:
        self._may_send = may_send
        self._let_in = let_in

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - tells mypy what asyncio guarantees
        if not self._may_send(transport):
            transport.write(_STRANGER)
            transport.close()
            return
        protocol = self._let_in()
        transport.set_protocol(protocol)
        protocol.connection_made(transport)


class ConnectionFactory:
    """Makes the protocol of each new connection, for ``loop.create_server``."""

    def __init__(
        self,
        handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
        *,
        may_send: Callable[[asyncio.Transport], bool],
        connection_limit: int,
        header_seconds: float,
        idle_seconds: float,
        linger_seconds: float,
        write_seconds: float,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self.server = web.Server(handler)
        # Counted here: the server counts a connection only some turns of the loop after it was accepted.
        self._open: set[Connection] = set()
        self._may_send = may_send
        self._connection_limit = connection_limit
        self._header_seconds = header_seconds
        self._idle_seconds = idle_seconds
        self._linger_seconds = linger_seconds
        self._write_seconds = write_seconds

    def __call__(self) -> asyncio.Protocol:
        """The protocol of one new connection."""
        return _Door(self._may_send, self._next)

    def _next(self) -> asyncio.Protocol:
        if len(self._open) >= self._connection_limit:
            return _TurnedAway()
        connection = Connection(
            self.server,
            self._loop,
            header_seconds=self._header_seconds,
            idle_seconds=self._idle_seconds,
            linger_seconds=self._linger_seconds,
            write_seconds=self._write_seconds,
            on_closed=self._open.discard,
        )
        self._open.add(connection)
        return connection
