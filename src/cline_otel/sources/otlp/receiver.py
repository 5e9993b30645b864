"""The OTLP/HTTP receiver: POST /v1/logs, /v1/metrics and /v1/traces, in JSON and protobuf.

It answers as the OTLP specification 1.x says ("OTLP/HTTP Response"), and acknowledges log records
only after the pipeline has committed them. Requests of metrics and traces are accepted, counted and
dropped undecoded.

Every request passes the same gates, cheapest first: form, Origin and Host, token, path, method,
Content-Type, then the body within its bounds. What is refused at a gate never reaches the pipeline.
"""

from __future__ import annotations

import asyncio
import errno
import os
import re
import socket
from collections import Counter
from collections.abc import Callable

import msgspec
from aiohttp import HttpVersion10, HttpVersion11, web

from cline_otel.sources.intake import Busy, Unavailable
from cline_otel.sources.interface import Intake, MalformedPayload, Payload, ReceiverRefused
from cline_otel.sources.otlp.access import is_allowed_host, is_authorized, is_loopback
from cline_otel.sources.otlp.answers import (
    MEDIA_TYPES,
    ContentType,
    Refusal,
    RpcCode,
    accepted_and_dropped,
    refused,
    retry_later,
    success,
)
from cline_otel.sources.otlp.connections import Connection, ConnectionFactory
from cline_otel.sources.otlp.request_body import BodyReader, MemoryBudget

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 4319
_UNSUPPORTED_PATHS: dict[str, str] = {"/v1/metrics": "metrics", "/v1/traces": "traces"}
_LOGS_PATH = "/v1/logs"
_ORIGIN_FORM = re.compile(r"/(?!/)")


class ReceiverLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What a sender may use.

    Attributes:
        compressed_bytes: the size of a compressed body as sent.
        body_bytes: the size of a body when decompressed, or sent without compression.
        held_bytes: all bodies that are being received or committed at once.
        connections: open connections.
        header_seconds: from the first byte of a request to the end of its headers.
        body_seconds: from there to the end of its body.
        idle_seconds: between two requests of one connection.
        write_seconds: for which an answer may wait for a sender that does not read.
        linger_seconds: for which the rest of a refused body is thrown away, so that its sender sees the answer.
    """

    compressed_bytes: int = 4 * 1024 * 1024
    body_bytes: int = 8 * 1024 * 1024
    held_bytes: int = 64 * 1024 * 1024
    connections: int = 64
    header_seconds: float = 10
    body_seconds: float = 30
    idle_seconds: float = 75
    write_seconds: float = 10
    linger_seconds: float = 2


class OtlpHttpReceiver:
    """Listens for OTLP/HTTP and hands log records to the pipeline.

    Args:
        intake: takes the requests.
        source: the source's name.
        host: a name or an address; without a token only one that leads to this machine alone.
        port: 0 for any free one.
        bearer_token: if set, every request must carry it.
        further_hosts: names, besides its own, by which senders reach the receiver.
        limits: what a sender may use.
        report: takes one line about a defect that a request ran into, without anything of the request.
    """

    def __init__(
        self,
        intake: Intake,
        source: str,
        *,
        host: str = DEFAULT_HOST,
        port: int = DEFAULT_PORT,
        bearer_token: str | None = None,
        further_hosts: frozenset[str] = frozenset(),
        limits: ReceiverLimits | None = None,
        report: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.host = host
        self.port = port
        self.refusals: Counter[int] = Counter()
        """Refused requests by HTTP status, since the start."""
        self._intake = intake
        self._source = source
        self._bearer_token = bearer_token
        self._further_hosts = frozenset(name.lower() for name in further_hosts)
        self._limits = limits or ReceiverLimits()
        self._budget = MemoryBudget(self._limits.held_bytes)
        self._report = report
        self._factory: ConnectionFactory | None = None
        self._listeners: list[asyncio.Server] = []

    @property
    def endpoint(self) -> str:
        """The base URL; its port is the bound one once the receiver has started."""
        return f"http://{_authority(self.host, self.port)}"

    async def start(self) -> None:
        """Listen.

        Raises:
            ReceiverRefused: it would be open to others without a token, or the address can't be used.
        """
        addresses = await self._resolve()
        if self._bearer_token is not None and not self._bearer_token.strip():
            raise self._refuse("its bearer token is empty", "set a token, or none at all")
        if self._bearer_token is None and not all(is_loopback(address) for address in addresses):
            raise self._refuse(
                "others could reach it and no bearer token is set",
                f"set CLINE_OTEL_BRIDGE_LISTEN_TOKEN to a token that senders must show, or listen on {DEFAULT_HOST}",
            )
        self._factory = ConnectionFactory(
            self._handle,
            connection_limit=self._limits.connections,
            header_seconds=self._limits.header_seconds,
            idle_seconds=self._limits.idle_seconds,
            write_seconds=self._limits.write_seconds,
            linger_seconds=self._limits.linger_seconds,
        )
        try:
            for address in addresses:
                listener = await asyncio.get_running_loop().create_server(self._factory, address, self.port)
                self._listeners.append(listener)
                self.port = listener.sockets[0].getsockname()[1]
        except OSError as error:
            await self.stop(0)
            raise self._refuse(*_reason_and_remedy(error)) from None

    async def stop(self, grace_seconds: float = 5) -> None:
        """Accept no more, let what is in progress finish within that time, then close every connection."""
        for listener in self._listeners:
            listener.close()
        self._listeners = []
        if self._factory is not None:
            # It waits so long twice, for answers and for connections, and for ever if asked not to wait.
            await self._factory.server.shutdown(max(grace_seconds / 2, 0.01))
            self._factory = None

    async def _resolve(self) -> list[str]:
        try:
            found = await asyncio.get_running_loop().getaddrinfo(
                self.host, self.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )
        except (OSError, UnicodeError, OverflowError):
            raise self._refuse("the name is not known", f"listen on an address, for example {DEFAULT_HOST}") from None
        return list(dict.fromkeys(str(entry[4][0]) for entry in found))

    def _refuse(self, reason: str, remedy: str) -> ReceiverRefused:
        return ReceiverRefused(
            f"the OTLP receiver cannot listen on {_authority(self.host, self.port)}: {reason}; {remedy}"
        )

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        connection = request.protocol
        assert isinstance(connection, Connection)  # noqa: S101 - our factory makes no other
        connection.begin_request()
        content_type = MEDIA_TYPES.get(request.content_type)
        try:
            response = await self._answer(request, content_type)
        except Refusal as refusal:
            response = self._turn_down(refusal, content_type)
        except ConnectionError:
            # The sender went away; nobody is left to answer.
            raise
        except Exception as error:
            # 500 would make the sender give up its records (OTLP specification, "Retryable Response Codes").
            self._report(f"the OTLP receiver at {self.endpoint} failed on a request: {type(error).__name__}")
            response = self._turn_down(retry_later(503, "The receiver failed.", 5), content_type)
        finally:
            connection.end_request()
        response.headers["Server"] = "cline-otel"
        return response

    def _turn_down(self, refusal: Refusal, content_type: ContentType | None) -> web.Response:
        self.refusals[refusal.status] += 1
        return refused(refusal, content_type or "json")

    async def _answer(self, request: web.BaseRequest, content_type: ContentType | None) -> web.Response:
        self._let_in(request)
        signal = _UNSUPPORTED_PATHS.get(request.path)
        if signal is None and request.path != _LOGS_PATH:
            message = "There are only /v1/logs, /v1/metrics and /v1/traces."
            raise Refusal(404, RpcCode.NOT_FOUND, message, is_final=True)
        if request.method != "POST":
            message = "The method must be POST."
            raise Refusal(405, RpcCode.UNIMPLEMENTED, message, {"Allow": "POST"}, is_final=True)
        if content_type is None:
            message = "Content-Type must be application/json or application/x-protobuf."
            raise Refusal(415, RpcCode.INVALID_ARGUMENT, message, is_final=True)
        reader = BodyReader(self._limits.compressed_bytes, self._limits.body_bytes, self._budget)
        try:
            body = await reader.read(request, self._limits.body_seconds)
            return await self._hand_over(signal, body, content_type)
        finally:
            reader.release()

    def _let_in(self, request: web.BaseRequest) -> None:
        # RFC 9112, section 3.2: other forms of the target are for proxies, and would name a host besides Host.
        if request.version not in (HttpVersion10, HttpVersion11) or not _ORIGIN_FORM.match(request.raw_path):
            message = "The request must be HTTP/1.1, with a path as its target."
            raise Refusal(400, RpcCode.INVALID_ARGUMENT, message, is_final=True)
        if len(request.headers.getall("Authorization", [])) > 1:
            message = "There must be one Authorization header at most."
            raise Refusal(400, RpcCode.INVALID_ARGUMENT, message, is_final=True)
        if "Origin" in request.headers:
            message = "Requests from web pages are not accepted."
            raise Refusal(403, RpcCode.PERMISSION_DENIED, message, is_final=True)
        hosts = request.headers.getall("Host", [])
        if len(hosts) != 1 or not is_allowed_host(hosts[0], self.host, self._further_hosts):
            message = "The Host header does not name this receiver."
            raise Refusal(403, RpcCode.PERMISSION_DENIED, message, is_final=True)
        if self._bearer_token is not None and not is_authorized(
            request.headers.get("Authorization"), self._bearer_token
        ):
            message = "A valid bearer token is needed in the Authorization header."
            raise Refusal(401, RpcCode.UNAUTHENTICATED, message, {"WWW-Authenticate": "Bearer"}, is_final=True)

    async def _hand_over(self, signal: str | None, body: bytes, content_type: ContentType) -> web.Response:
        try:
            if signal is not None:
                await self._intake.count_unsupported(self._source, signal)
                return accepted_and_dropped(content_type)
            return success(await self._intake.receive(Payload(self._source, [body], content_type)), content_type)
        except MalformedPayload:
            raise Refusal(400, RpcCode.INVALID_ARGUMENT, "The body is not a valid request of log records.") from None
        except Busy as busy:
            raise retry_later(429, "Too much is waiting.", busy.retry_after_seconds) from None
        except Unavailable as unavailable:
            raise retry_later(503, "Nothing can be stored.", unavailable.retry_after_seconds) from None


def _authority(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _reason_and_remedy(error: OSError) -> tuple[str, str]:
    if error.errno == errno.EADDRINUSE:
        return "the address is in use", "stop the program that uses it, perhaps another bridge, or choose another port"
    # The event loop of Python 3.13 and newer passes such an address over, and its error has no number.
    if error.errno is None or error.errno == errno.EADDRNOTAVAIL:
        return "this machine does not have that address", f"listen on an address it has, for example {DEFAULT_HOST}"
    if error.errno in (errno.EACCES, errno.EPERM):
        return "permission denied", "choose a port above 1023"
    return os.strerror(error.errno), "choose another address or port"
