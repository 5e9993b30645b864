"""OTLP over gRPC: encoded requests pass through as they are, one unary call each.

Source: "OTLP/gRPC" of the OTLP specification; docs/delivery.md has the table of the codes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final, cast

import grpc
import grpc.aio
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import RetryInfo  # type: ignore[import-untyped]
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]

from cline_otel.destinations import OtlpDestination
from cline_otel.export.interface import Batch, Delivered, ExportResult, Paused, Refused, Retry, Unreachable
from cline_otel.export.proxies import by_proxy, grpc_proxy_for
from cline_otel.export.responses import Repeater, delivered_from_protobuf
from cline_otel.export.tls import client_context, files_status, system_authorities
from cline_otel.signals import GRPC_METHODS
from cline_otel.version import __version__

_RETRYABLE: Final = frozenset(
    {
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.OUT_OF_RANGE,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DATA_LOSS,
    }
)
_NOBODY_THERE: Final = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED})
"""Codes that the channel itself gives where it has no connection."""
_REMEDIES: Final[dict[grpc.StatusCode, str]] = {
    grpc.StatusCode.UNAUTHENTICATED: "check the credentials in OTEL_EXPORTER_OTLP_HEADERS",
    grpc.StatusCode.PERMISSION_DENIED: "check what the credentials in OTEL_EXPORTER_OTLP_HEADERS may do",
    grpc.StatusCode.UNIMPLEMENTED: "check OTEL_EXPORTER_OTLP_ENDPOINT: the server does not accept OTLP of this signal",
    grpc.StatusCode.NOT_FOUND: "check OTEL_EXPORTER_OTLP_ENDPOINT",
}
_ABOUT_THE_CONTENT: Final = frozenset({grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.ALREADY_EXISTS})
_TOO_LARGE: Final = "larger than max"
"""What servers of every language say of a message beyond their limit, under the code for exhaustion."""
_CHANNEL_OPTIONS: Final = (
    ("grpc.primary_user_agent", f"cline-otel/{__version__}"),
    # The delivery loop does the backing off; the channel's own would only hide that the server is back.
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 1000),
)
_COMPRESSIONS: Final = {"none": grpc.Compression.NoCompression, "gzip": grpc.Compression.Gzip}


class OtlpGrpcExporter:
    """Calls the ``Export`` method of one signal's service."""

    def __init__(self, destination: OtlpDestination) -> None:
        """Prepare, without connecting.

        Raises:
            OSError: a certificate or key file cannot be read or used.
        """
        self._destination = destination
        self._headers = destination.headers_now()
        self._repeat = Repeater.of(destination)
        self._files = files_status(destination)
        self._credentials = None if destination.insecure else _credentials(destination)
        self._proxy = grpc_proxy_for(destination.endpoint)
        self._place = destination.shown_endpoint + by_proxy(self._proxy)
        self._channel: grpc.aio.Channel | None = None
        self._closing: set[asyncio.Task[None]] = set()

    @property
    def description(self) -> str:
        """The endpoint and the manner, without secrets."""
        return self._destination.describe() + by_proxy(self._proxy)

    async def export(self, batch: Batch) -> ExportResult:
        """Call ``Export`` once."""
        if (headers := self._destination.headers_now()) != self._headers:
            self._headers, self._repeat = headers, Repeater.of(self._destination)
        await self._renew()
        if self._channel is None:
            self._channel = self._connect()
        call = self._channel.unary_unary(
            GRPC_METHODS[self._destination.signal], request_serializer=_unchanged, response_deserializer=_unchanged
        )
        try:
            answer: bytes = await call(batch.payload, timeout=self._destination.timeout_seconds, metadata=self._headers)
        except grpc.aio.AioRpcError as error:
            return self._result(error)
        try:
            return delivered_from_protobuf(self._destination.signal, answer, self._repeat)
        except ValueError:
            return Delivered(message=f"{self._place} did not answer in OTLP")

    async def close(self) -> None:
        """Close the channel."""
        if self._channel is not None:
            await self._channel.close(None)
            self._channel = None

    def abort(self) -> None:
        """Break off the call and close the channel, which would go on dialling; the next export makes another."""
        if self._channel is not None:
            closing = asyncio.create_task(self._channel.close(None))
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)
            self._channel = None

    async def _renew(self) -> None:
        """Goes on with new certificates where the files changed; with the former ones while the new are not whole."""
        if self._credentials is None or (files := files_status(self._destination)) == self._files:
            return
        with suppress(OSError):
            self._credentials = _credentials(self._destination)
            self._files = files
            await self.close()

    def _connect(self) -> grpc.aio.Channel:
        # A channel belongs to the event loop it is made in, so it is made at the first call.
        options: list[tuple[str, str | int]] = [*_CHANNEL_OPTIONS]
        options.append(("grpc.enable_http_proxy", 0) if self._proxy is None else ("grpc.http_proxy", self._proxy))
        compression = _COMPRESSIONS[self._destination.compression]
        if self._credentials is None:
            return grpc.aio.insecure_channel(self._destination.endpoint, options=options, compression=compression)
        return grpc.aio.secure_channel(
            self._destination.endpoint, self._credentials, options=options, compression=compression
        )

    def _result(self, error: grpc.aio.AioRpcError) -> ExportResult:
        code = error.code()
        details = self._repeat(error.details() or "")
        reason = f"{code.name} from {self._place}" + (f": {details}" if details else "")
        wait_seconds = retry_info_seconds(error)
        if code in _RETRYABLE or (code is grpc.StatusCode.RESOURCE_EXHAUSTED and wait_seconds is not None):
            if "CERTIFICATE_VERIFY_FAILED" in (error.details() or ""):
                return Paused(
                    f"the certificate of {self._place} is not trusted",
                    "set OTEL_EXPORTER_OTLP_CERTIFICATE to the PEM file of the authority that signed it",
                )
            if wait_seconds is None and code in _NOBODY_THERE and not self._is_connected():
                return Unreachable(reason)
            return Retry(reason, wait_seconds)
        if code in _REMEDIES:
            return Paused(reason, _REMEDIES[code])
        is_about_content = code in _ABOUT_THE_CONTENT or _TOO_LARGE in (error.details() or "")
        return Refused(reason, "content" if is_about_content else "unclear")

    def _is_connected(self) -> bool:
        return self._channel is not None and self._channel.get_state() is grpc.ChannelConnectivity.READY


def retry_info_seconds(error: grpc.aio.AioRpcError) -> float | None:
    """The wait that a ``google.rpc.RetryInfo`` in the trailing metadata asks for, in seconds.

    It stands among the details of ``grpc-status-details-bin``; some servers send it by itself.
    """
    for key, value in cast("Iterable[tuple[str, str | bytes]]", error.trailing_metadata() or ()):
        if not isinstance(value, bytes):
            continue
        info = RetryInfo()
        try:
            if key == "grpc-status-details-bin":
                status = Status()
                status.ParseFromString(value)
                if not any(detail.Unpack(info) for detail in status.details):
                    continue
            elif key == "google.rpc.retryinfo-bin":
                info.ParseFromString(value)
            else:
                continue
        except DecodeError:
            continue
        return max(float(info.retry_delay.seconds + info.retry_delay.nanos / 1e9), 0.0)
    return None


def _unchanged(message: bytes) -> bytes:
    return message


def _credentials(destination: OtlpDestination) -> grpc.ChannelCredentials:
    # gRPC takes any bytes and fails at every call; this says at once what is wrong with the files.
    client_context(destination)
    return grpc.ssl_channel_credentials(
        root_certificates=_content(destination.certificate_file) or system_authorities(),
        private_key=_content(destination.client_key_file or destination.client_certificate_file),
        certificate_chain=_content(destination.client_certificate_file),
    )


def _content(path: str | None) -> bytes | None:
    return Path(path).read_bytes() if path else None
