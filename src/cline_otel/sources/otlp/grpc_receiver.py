"""The OTLP/gRPC receiver: the ``Export`` methods of the services of logs, metrics and traces, one unary call each.

A body takes the same way as one that comes over HTTP, with the same limits; an error is told as the OTLP
specification 1.x has it ("OTLP/gRPC Response"), with a ``RetryInfo`` where the sender may try again. Who sends is
looked at before any of the body is received.

gRPC checks no Host, and neither is it checked here: web pages, which could come by a rebound domain name, cannot
speak HTTP/2 without TLS.
"""

from __future__ import annotations

import asyncio
import errno
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Final, NoReturn, cast
from urllib.parse import unquote

import grpc
import grpc.aio
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo  # type: ignore[import-untyped]
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]

from cline_otel.operating_system.peers import Endpoint
from cline_otel.operating_system.ports import bindable_port
from cline_otel.signals import GRPC_METHODS, SignalName
from cline_otel.sources.otlp.answers import Refusal, RpcCode, success_body
from cline_otel.sources.otlp.listening import authority_of, cannot_listen
from cline_otel.sources.otlp.receiver import OtlpReceiver
from cline_otel.sources.otlp.request_body import RequestBody

_STREAMS: Final = 16
"""Calls at once on one connection; more of them wait at the sender."""
_METADATA_BYTES: Final = 16 * 1024
_SHORTEST_PING_INTERVAL_MS: Final = 10_000
"""Senders that keep their connection alive more often are cut; gRPC's own limit, five minutes, cuts ordinary ones."""
_IDENTITY_AND_GZIP: Final = 0b101
"""A bit for each of ``grpc_compression_algorithm``."""
_GZIP: Final = b"\x1f\x8b"
"""What gzip begins with (RFC 1952), and no protobuf message: 0x1f would be a field of a wire type that there is not."""

_STATUSES: Final = {RpcCode(status.value[0]): status for status in grpc.StatusCode if status.value[0] in set(RpcCode)}

_PEER: Final = re.compile(r"(?:ipv4:(?P<ipv4>[0-9.]+)|ipv6:\[(?P<ipv6>[0-9a-fA-F:.]+)(?:%\w+)?\]):(?P<port>[0-9]+)")

_Context = grpc.aio.ServicerContext[bytes, bytes]


class OtlpGrpcReceiver(OtlpReceiver):
    """Listens for OTLP/gRPC; a token comes as the metadata ``authorization``."""

    protocol = "grpc"

    _server: grpc.aio.Server | None = None

    async def _listen(self, addresses: list[str]) -> None:
        # A message is in gRPC's own memory until it is whole: no more of the largest than may be held.
        self._receiving = asyncio.Semaphore(max(1, self._limits.held_bytes // self._limits.body_bytes))
        self._server = grpc.aio.server(
            handlers=[_service(signal, self._answer) for signal in GRPC_METHODS], options=self._options()
        )
        self._addresses = addresses
        try:
            for address in addresses:
                self.port = bindable_port(address, self.port)
                self._server.add_insecure_port(authority_of(address, self.port))
        except OSError as error:
            await self.stop(0)
            raise cannot_listen(self.protocol, self.host, self.port, error) from None
        except RuntimeError:
            # It was free a moment ago.
            await self.stop(0)
            raise cannot_listen(self.protocol, self.host, self.port, OSError(errno.EADDRINUSE, "")) from None
        await self._server.start()

    async def stop(self, grace_seconds: float = 5) -> None:
        """Accept no more, finish what is in progress within that time, then close every connection."""
        if self._server is not None:
            await self._server.stop(grace_seconds)
            self._server = None

    def _options(self) -> list[tuple[str, int]]:
        limits = self._limits
        return [
            # Otherwise two programs could listen on one port, each with some of the connections.
            ("grpc.so_reuseport", 0),
            ("grpc.max_receive_message_length", limits.body_bytes),
            # It would decompress before anybody could look at the size as sent.
            ("grpc.per_message_decompression", 0),
            ("grpc.compression_enabled_algorithms_bitset", _IDENTITY_AND_GZIP),
            ("grpc.max_metadata_size", _METADATA_BYTES),
            ("grpc.absolute_max_metadata_size", _METADATA_BYTES),
            ("grpc.max_concurrent_streams", _STREAMS),
            ("grpc.max_allowed_incoming_connections", limits.connections),
            ("grpc.server_handshake_timeout_ms", _milliseconds(limits.header_seconds)),
            ("grpc.max_connection_idle_ms", _milliseconds(limits.idle_seconds)),
            # Who reads nothing does not answer a ping either.
            ("grpc.keepalive_time_ms", _milliseconds(limits.write_seconds)),
            ("grpc.keepalive_timeout_ms", _milliseconds(limits.write_seconds)),
            ("grpc.http2.ping_timeout_ms", _milliseconds(limits.write_seconds)),
            ("grpc.keepalive_permit_without_calls", 1),
            ("grpc.http2.min_ping_interval_without_data_ms", _SHORTEST_PING_INTERVAL_MS),
        ]

    async def _answer(self, signal: SignalName, context: _Context) -> bytes:
        try:
            async with self._body(context) as body:
                return success_body(await self._requests.take(signal, body, "protobuf"), "protobuf")
        except Refusal as refusal:
            return await self._turn_down(refusal, context)
        except Exception as error:
            return await self._turn_down(self._requests.failed(self.endpoint, error), context)

    def _look_at(self, peer: str) -> None:
        """Who sends: at each call, for gRPC does not tell one connection of a port from the next.

        Raises:
            Refusal: 403.
        """
        match = _PEER.fullmatch(unquote(peer))
        if match is None:
            return
        end = Endpoint(match["ipv6"] or match["ipv4"], int(match["port"]))
        # Where it arrived gRPC does not tell; of the addresses on which we listen it is one of the sender's kind.
        here = next((each for each in self._addresses if (":" in each) == (":" in end.address)), end.address)
        if not self._senders.may_send(end, Endpoint(here, self.port)):
            raise Refusal(403, RpcCode.PERMISSION_DENIED, "This user may not send here.", is_final=True)

    @asynccontextmanager
    async def _body(self, context: _Context) -> AsyncIterator[bytes]:
        self._look_at(context.peer())
        metadata = cast("Iterable[tuple[str, str | bytes]]", context.invocation_metadata() or ())
        named = [(name, value) for name, value in metadata if isinstance(value, str)]
        self._requests.let_in(
            [value for name, value in named if name == "authorization"],
            [value for name, value in named if name == "origin"],
        )
        message = await self._received(context)
        body = RequestBody("gzip" if message.startswith(_GZIP) else None, self._limits, self._budget)
        try:
            body.add(message)
            del message
            yield body.whole()
        finally:
            body.release()

    async def _received(self, context: _Context) -> bytes:
        """The call's one message as it was sent, received when there is room for the largest that is allowed."""
        try:
            async with asyncio.timeout(self._limits.body_seconds), self._receiving:
                message = await context.read()
        except TimeoutError:
            raise Refusal(408, RpcCode.DEADLINE_EXCEEDED, "The request's body came too slowly.") from None
        if not isinstance(message, bytes):
            # What is too large does not come either; that gRPC has answered by itself.
            raise Refusal(400, RpcCode.INVALID_ARGUMENT, "There must be a message.")
        return message

    async def _turn_down(self, refusal: Refusal, context: _Context) -> NoReturn:
        self.refusals[refusal.code] += 1
        await context.abort(_STATUSES[refusal.code], refusal.message, _details(refusal))


def _service(
    signal: SignalName, answer: Callable[[SignalName, _Context], Awaitable[bytes]]
) -> grpc.GenericRpcHandler[bytes, bytes]:
    async def behavior(requests: object, context: _Context) -> bytes:
        return await answer(signal, context)

    service, method = GRPC_METHODS[signal].removeprefix("/").split("/")
    # On the wire a unary call is a stream of one message; of a stream the sender is seen before its message.
    return grpc.method_handlers_generic_handler(service, {method: grpc.stream_unary_rpc_method_handler(behavior)})


def _details(refusal: Refusal) -> tuple[tuple[str, bytes], ...]:
    """The trailing metadata that asks the sender to try again, if it may."""
    if refusal.retry_after_seconds is None:
        return ()
    delay = Duration()
    delay.FromNanoseconds(round(max(refusal.retry_after_seconds, 1) * 1e9))
    detail = AnyMessage()
    detail.Pack(RetryInfo(retry_delay=delay))
    status = Status(code=refusal.code, message=refusal.message, details=[detail])
    return (("grpc-status-details-bin", status.SerializeToString()),)


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))
