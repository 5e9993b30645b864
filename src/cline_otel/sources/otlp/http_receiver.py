"""The OTLP/HTTP receiver: POST /v1/logs, /v1/metrics and /v1/traces, in JSON and protobuf.

It answers as the OTLP specification 1.x says ("OTLP/HTTP Response"), and acknowledges log records
only after the pipeline has committed them. Requests of metrics and traces are accepted, counted and
dropped undecoded.

Every request passes the same gates, cheapest first: form, Origin and Host, token, path, method,
Content-Type, then the body within its bounds. What is refused at a gate never reaches the pipeline.
"""

from __future__ import annotations

import asyncio
import re
from typing import Final

from aiohttp import HttpVersion10, HttpVersion11, web

from cline_otel.operating_system.peers import Endpoint
from cline_otel.signals import SignalName
from cline_otel.sources.otlp.access import is_allowed_host
from cline_otel.sources.otlp.answers import ContentType, Refusal, RpcCode
from cline_otel.sources.otlp.connections import Connection, ConnectionFactory
from cline_otel.sources.otlp.http_answers import MEDIA_TYPES, refused, success
from cline_otel.sources.otlp.http_body import body_of
from cline_otel.sources.otlp.listening import cannot_listen
from cline_otel.sources.otlp.receiver import OtlpReceiver

_SIGNALS: Final[dict[str, SignalName]] = {"/v1/logs": "logs", "/v1/metrics": "metrics", "/v1/traces": "traces"}
_ORIGIN_FORM = re.compile(r"/(?!/)")


class OtlpHttpReceiver(OtlpReceiver):
    """Listens for OTLP/HTTP."""

    protocol = "http"

    _factory: ConnectionFactory | None = None
    _listeners: tuple[asyncio.Server, ...] = ()

    async def _listen(self, addresses: list[str]) -> None:
        self._factory = ConnectionFactory(
            self._handle,
            may_send=self._may_send,
            connection_limit=self._limits.connections,
            header_seconds=self._limits.header_seconds,
            idle_seconds=self._limits.idle_seconds,
            write_seconds=self._limits.write_seconds,
            linger_seconds=self._limits.linger_seconds,
        )
        try:
            for address in addresses:
                listener = await asyncio.get_running_loop().create_server(self._factory, address, self.port)
                self._listeners += (listener,)
                self.port = listener.sockets[0].getsockname()[1]
        except OSError as error:
            await self.stop(0)
            raise cannot_listen(self.protocol, self.host, self.port, error) from None

    def _may_send(self, transport: asyncio.Transport) -> bool:
        peer, here = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
        if not peer or not here:
            # It is gone already.
            return False
        if self._senders.may_send(Endpoint(*peer[:2]), Endpoint(*here[:2])):
            return True
        self.refusals[403] += 1
        return False

    async def stop(self, grace_seconds: float = 5) -> None:
        """Accept no more, finish what is in progress within that time, then close every connection."""
        for listener in self._listeners:
            listener.close()
        self._listeners = ()
        if self._factory is not None:
            # It waits so long twice, for answers and for connections, and for ever if asked not to wait.
            await self._factory.server.shutdown(max(grace_seconds / 2, 0.01))
            self._factory = None

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
            response = self._turn_down(self._requests.failed(self.endpoint, error), content_type)
        finally:
            connection.end_request()
        response.headers["Server"] = "cline-otel"
        return response

    def _turn_down(self, refusal: Refusal, content_type: ContentType | None) -> web.Response:
        self.refusals[refusal.status] += 1
        return refused(refusal, content_type or "json")

    async def _answer(self, request: web.BaseRequest, content_type: ContentType | None) -> web.Response:
        self._let_in(request)
        signal = _SIGNALS.get(request.path)
        if signal is None:
            message = "There are only /v1/logs, /v1/metrics and /v1/traces."
            raise Refusal(404, RpcCode.NOT_FOUND, message, is_final=True)
        if request.method != "POST":
            message = "The method must be POST."
            raise Refusal(405, RpcCode.UNIMPLEMENTED, message, {"Allow": "POST"}, is_final=True)
        if content_type is None:
            message = "Content-Type must be application/json or application/x-protobuf."
            raise Refusal(415, RpcCode.INVALID_ARGUMENT, message, is_final=True)
        async with body_of(request, self._limits, self._budget) as body:
            return success(await self._requests.take(signal, body, content_type), content_type)

    def _let_in(self, request: web.BaseRequest) -> None:
        # RFC 9112, section 3.2: other forms of the target are for proxies, and would name a host besides Host.
        if request.version not in (HttpVersion10, HttpVersion11) or not _ORIGIN_FORM.match(request.raw_path):
            message = "The request must be HTTP/1.1, with a path as its target."
            raise Refusal(400, RpcCode.INVALID_ARGUMENT, message, is_final=True)
        hosts = request.headers.getall("Host", [])
        if len(hosts) != 1 or not is_allowed_host(hosts[0], self.host, self._further_hosts):
            message = "The Host header does not name this receiver."
            raise Refusal(403, RpcCode.PERMISSION_DENIED, message, is_final=True)
        self._requests.let_in(request.headers.getall("Authorization", []), request.headers.getall("Origin", []))
