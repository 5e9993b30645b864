"""OTLP over HTTP: encoded requests pass through as they are (or as JSON), one POST each.

Source: "OTLP/HTTP" of the OTLP specification; docs/delivery.md has the table of the statuses.
"""

from __future__ import annotations

import asyncio
import zlib
from http import HTTPStatus
from typing import Final

import aiohttp
from google.protobuf.message import DecodeError
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]

from cline_otel import __version__
from cline_otel.encode.otlp_json import to_json_line
from cline_otel.export.outcome import Batch, Delivered, Hold, Outcome, Refused, Retry
from cline_otel.export.responses import clipped, delivered_from_json, delivered_from_protobuf, retry_after_seconds
from cline_otel.export.targets import OtlpTarget
from cline_otel.export.tls import client_context

_RETRYABLE: Final = frozenset({408, 429, 502, 503, 504})
_ABOUT_THE_CONTENT: Final = frozenset({400, 413, 422, 500})
_RESPONSE_LIMIT_BYTES: Final = 64 * 1024
_COMPRESS_IN_THREAD_BYTES: Final = 64 * 1024

_REMEDIES: Final[dict[int, str]] = {
    401: "check the credentials in OTEL_EXPORTER_OTLP_HEADERS",
    403: "check what the credentials in OTEL_EXPORTER_OTLP_HEADERS may do",
    404: "check the path of OTEL_EXPORTER_OTLP_ENDPOINT: /v1/traces, /v1/metrics or /v1/logs is appended to it",
    407: "check the proxy's credentials in HTTPS_PROXY or HTTP_PROXY",
    415: "check OTEL_EXPORTER_OTLP_PROTOCOL and OTEL_EXPORTER_OTLP_COMPRESSION",
}
_REMEDY: Final = "check OTEL_EXPORTER_OTLP_ENDPOINT and OTEL_EXPORTER_OTLP_PROTOCOL"


class OtlpHttpSender:
    """Posts batches of one signal to one URL."""

    def __init__(self, target: OtlpTarget) -> None:
        """Prepare, without connecting.

        Raises:
            OSError: a certificate or key file cannot be read or used.
        """
        self._target = target
        self._json = target.protocol == "http/json"
        self._headers = {
            "content-type": "application/json" if self._json else "application/x-protobuf",
            "user-agent": f"cline-otel/{__version__}",
            **dict(target.headers),
        }
        if target.compression != "none":
            self._headers["content-encoding"] = target.compression
        self._tls = client_context(target) if target.endpoint.lower().startswith("https:") else None
        self._session: aiohttp.ClientSession | None = None

    @property
    def description(self) -> str:
        """The endpoint and the manner, without secrets."""
        return self._target.describe()

    async def send(self, batch: Batch) -> Outcome:
        """Post the batch once; a stale kept-alive connection gets a second try at once."""
        body = await self._body(batch.payload)
        try:
            try:
                return await self._post(body)
            except aiohttp.ServerDisconnectedError:
                return await self._post(body)
        except TimeoutError:
            return Retry(f"no answer from {self._place} within {self._target.timeout_seconds:g} s")
        except aiohttp.ClientConnectorCertificateError:
            return self._hold_for_certificate()
        except aiohttp.ClientConnectorSSLError:
            return Hold(
                f"no TLS connection to {self._place}",
                "check the scheme of OTEL_EXPORTER_OTLP_ENDPOINT and the client certificate and key",
            )
        except aiohttp.InvalidURL:
            return Hold(f"{self._place} is no usable URL", _REMEDY)
        except (aiohttp.ClientError, OSError) as error:
            return Retry(f"cannot reach {self._place} ({_cause(error)})")

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    @property
    def _place(self) -> str:
        return self._target.shown_endpoint

    async def _post(self, body: bytes) -> Outcome:
        if self._session is None:
            # trust_env: proxies by HTTP_PROXY, HTTPS_PROXY and NO_PROXY, as the official exporters take them.
            self._session = aiohttp.ClientSession(
                trust_env=True,
                timeout=aiohttp.ClientTimeout(total=self._target.timeout_seconds),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        async with self._session.post(
            self._target.endpoint,
            data=body,
            headers=self._headers,
            ssl=self._tls if self._tls is not None else True,
            allow_redirects=False,
        ) as response:
            answer = await _read(response.content)
            return self._outcome(response.status, response.headers.get("Retry-After"), response.content_type, answer)

    def _outcome(self, status: int, retry_after: str | None, content_type: str, body: bytes) -> Outcome:
        if 200 <= status < 300:
            return self._delivered(content_type, body)
        reason = f"{_named(status)} from {self._place}{_said(content_type, body)}"
        if status in _RETRYABLE:
            return Retry(reason, retry_after_seconds(retry_after))
        if status in _ABOUT_THE_CONTENT:
            return Refused(reason)
        if 300 <= status < 400:
            return Hold(reason, "redirects are not followed: set OTEL_EXPORTER_OTLP_ENDPOINT to where it leads")
        return Hold(reason, _REMEDIES.get(status, _REMEDY))

    def _delivered(self, content_type: str, body: bytes) -> Delivered:
        try:
            if content_type == "application/json":
                return delivered_from_json(self._target.signal, body)
            if content_type in {"application/x-protobuf", "application/protobuf"} or not body:
                return delivered_from_protobuf(self._target.signal, body)
        except ValueError:
            pass
        # The status says success, so sending again would double it; but somebody should look.
        return Delivered(message=f"{self._place} did not answer in OTLP: check OTEL_EXPORTER_OTLP_ENDPOINT")

    def _hold_for_certificate(self) -> Hold:
        return Hold(
            f"the certificate of {self._place} is not trusted",
            "set OTEL_EXPORTER_OTLP_CERTIFICATE to the PEM file of the authority that signed it",
        )

    async def _body(self, payload: bytes) -> bytes:
        if self._json:
            payload = to_json_line(self._target.signal, payload)
        if self._target.compression == "none":
            return payload
        # 31: a gzip wrapper; 15: zlib's own, which is what HTTP calls deflate (RFC 9110, 8.4.1).
        window_bits = 31 if self._target.compression == "gzip" else 15
        if len(payload) > _COMPRESS_IN_THREAD_BYTES:
            return await asyncio.to_thread(_compressed, payload, window_bits)
        return _compressed(payload, window_bits)


def _compressed(payload: bytes, window_bits: int) -> bytes:
    compressor = zlib.compressobj(wbits=window_bits)
    return compressor.compress(payload) + compressor.flush()


async def _read(content: aiohttp.StreamReader) -> bytes:
    """The answer, as far as anybody will read it."""
    body = bytearray()
    while len(body) < _RESPONSE_LIMIT_BYTES and (chunk := await content.read(_RESPONSE_LIMIT_BYTES - len(body))):
        body += chunk
    return bytes(body)


def _named(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def _said(content_type: str, body: bytes) -> str:
    """What the answer says, for a person: the specification has a ``google.rpc.Status`` in it."""
    text = ""
    if content_type in {"application/x-protobuf", "application/protobuf"}:
        status = Status()
        try:
            status.ParseFromString(body)
        except DecodeError:
            return ""
        text = status.message
    elif content_type in {"application/json", "text/plain"}:
        text = body.decode("utf-8", "replace")
    text = clipped(text)
    return f": {text}" if text else ""


def _cause(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientConnectorError):
        error = error.os_error
    if isinstance(error, OSError) and error.strerror:
        return clipped(error.strerror)
    return type(error).__name__
