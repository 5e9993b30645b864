"""OTLP over HTTP: encoded requests pass through as they are (or as JSON), one POST each.

Source: "OTLP/HTTP" of the OTLP specification; docs/delivery.md has the table of the statuses.
"""

from __future__ import annotations

import asyncio
import os
import re
import zlib
from contextlib import suppress
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

import aiohttp
from google.protobuf.message import DecodeError
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]

from cline_otel.destinations import OtlpDestination
from cline_otel.encode.otlp_json import to_json_line
from cline_otel.export.connections import Connections
from cline_otel.export.interface import (
    IN_THREAD_FROM_BYTES,
    Batch,
    Delivered,
    ExportResult,
    Paused,
    Refused,
    Retry,
    Unreachable,
)
from cline_otel.export.proxies import by_proxy, proxy_for
from cline_otel.export.responses import Repeater, delivered_from_json, delivered_from_protobuf, retry_after_seconds
from cline_otel.export.tls import client_context, files_status
from cline_otel.version import __version__

_RETRYABLE: Final = frozenset({408, 429, 502, 503, 504})
_ABOUT_THE_CONTENT: Final = frozenset({400, 413, 422})
_PAGES: Final = frozenset({"text/html", "application/xhtml+xml"})
_PAGE_BEGINS: Final = re.compile(rb"\s*<(?:!doctype html|html|head|body)[\s>]", re.IGNORECASE)
_RESPONSE_LIMIT_BYTES: Final = 64 * 1024

_REMEDY: Final = "check OTEL_EXPORTER_OTLP_ENDPOINT and OTEL_EXPORTER_OTLP_PROTOCOL"
_REMEDIES: Final[dict[int, str]] = {
    401: "check the credentials in OTEL_EXPORTER_OTLP_HEADERS",
    402: "check the account behind OTEL_EXPORTER_OTLP_ENDPOINT",
    403: "check what the credentials in OTEL_EXPORTER_OTLP_HEADERS may do",
    404: "check the path of OTEL_EXPORTER_OTLP_ENDPOINT: /v1/traces, /v1/metrics or /v1/logs is appended to it",
    407: "check the proxy's credentials in HTTPS_PROXY or HTTP_PROXY",
    405: _REMEDY,
    415: "check OTEL_EXPORTER_OTLP_PROTOCOL and OTEL_EXPORTER_OTLP_COMPRESSION",
    426: _REMEDY,
    431: "check OTEL_EXPORTER_OTLP_HEADERS: they are too long for the server",
    501: _REMEDY,
    505: _REMEDY,
    511: "log in to the network, or set HTTPS_PROXY or HTTP_PROXY if there is a proxy",
}


class OtlpHttpExporter:
    """Posts batches of one signal to one URL."""

    def __init__(self, destination: OtlpDestination) -> None:
        """Prepare, without connecting.

        Raises:
            OSError: a certificate or key file cannot be read or used.
        """
        self._destination = destination
        self._json = destination.protocol == "http/json"
        self._use_headers(destination.headers_now())
        self._proxy = proxy_for(destination.endpoint)
        self._tls = client_context(destination) if destination.endpoint.lower().startswith("https:") else None
        self._files = files_status(destination)
        self._session: aiohttp.ClientSession | None = None
        self._connections = Connections()
        self._closing: set[asyncio.Task[None]] = set()

    @property
    def description(self) -> str:
        """The endpoint and the manner, without secrets."""
        return self._destination.describe() + by_proxy(self._proxy)

    async def export(self, batch: Batch) -> ExportResult:
        """Post the batch once; a stale kept-alive connection gets a second try at once."""
        if self._proxy is not None and urlsplit(self._proxy).scheme not in {"http", "https"}:
            return Paused(f"{self._place}, which is not an http proxy", "check HTTP_PROXY, HTTPS_PROXY and ALL_PROXY")
        try:
            body = await self._body(batch.payload)
        except ValueError as error:
            return Refused(str(error), "unsendable")
        if (headers := self._destination.headers_now()) != self._given_headers:
            self._use_headers(headers)
        await self._renew()
        try:
            try:
                return await self._post(body)
            except aiohttp.ServerDisconnectedError:
                return await self._post(body)
        except aiohttp.ClientConnectorCertificateError:
            return self._hold_for_certificate()
        except aiohttp.ClientConnectorSSLError:
            return Paused(
                f"no TLS connection to {self._place}",
                "check the scheme of OTEL_EXPORTER_OTLP_ENDPOINT and the client certificate and key",
            )
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            return Unreachable(f"cannot reach {self._place} ({self._cause(error)})")
        except TimeoutError:
            return Retry(f"no answer from {self._place} within {self._destination.timeout_seconds:g} s")
        except aiohttp.InvalidURL:
            return Paused(f"{self._place} is not a usable URL", _REMEDY)
        except ValueError:
            return Paused(
                f"{self._place} cannot be used with the settings as they are",
                "check OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_HEADERS, HTTP_PROXY and HTTPS_PROXY",
            )
        except (aiohttp.ClientError, OSError) as error:
            # Somebody was there and broke off, perhaps because of what was sent.
            return Retry(f"no answer from {self._place} ({self._cause(error)})")

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def abort(self) -> None:
        """Cut the connections, in the middle of what is being sent; the next export makes others."""
        self._connections.cut()
        if self._session is not None:
            closing = asyncio.create_task(self._session.close())
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)
            self._session = None

    def _use_headers(self, given: tuple[tuple[str, str], ...]) -> None:
        self._given_headers = given
        self._headers = {
            "content-type": "application/json" if self._json else "application/x-protobuf",
            "user-agent": f"cline-otel/{__version__}",
            **dict(given),
        }
        if self._destination.compression != "none":
            self._headers["content-encoding"] = self._destination.compression
        # Two sets of credentials cannot be sent; the headers say what the user means today.
        endpoint = self._destination.endpoint
        self._url = _without_credentials(endpoint) if "authorization" in self._headers else endpoint
        self._repeat = Repeater.of(self._destination)

    async def _renew(self) -> None:
        """Goes on with new certificates where the files changed; with the former ones while the new are not whole."""
        if self._tls is None or (files := files_status(self._destination)) == self._files:
            return
        with suppress(OSError):
            self._tls = client_context(self._destination)
            self._files = files
            await self.close()

    @property
    def _place(self) -> str:
        return self._destination.shown_endpoint + by_proxy(self._proxy)

    async def _post(self, body: bytes) -> ExportResult:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(
                    total=self._destination.timeout_seconds,
                    # A little less, so that it is known whether anybody was there.
                    sock_connect=self._destination.timeout_seconds * 0.9,
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                connector=aiohttp.TCPConnector(socket_factory=self._connections.new_socket),
            )
        async with self._session.post(
            self._url,
            data=body,
            headers=self._headers,
            ssl=self._tls if self._tls is not None else True,
            allow_redirects=False,
            proxy=self._proxy,
        ) as response:
            try:
                answer = await _read(response.content)
            except (aiohttp.ClientError, TimeoutError, OSError):
                if 200 <= response.status < 300:
                    # It was taken, and sent again it would be doubled, each time that the answer breaks off.
                    return Delivered(message=f"{self._place} took it, but its answer cannot be read")
                answer = b""
            return self._result(response.status, response.headers.get("Retry-After"), response.content_type, answer)

    def _result(self, status: int, retry_after: str | None, content_type: str, body: bytes) -> ExportResult:
        if 200 <= status < 300:
            return self._delivered(content_type, body)
        reason = f"{_named(status)} from {self._place}{self._said(content_type, body)}"
        if status in _RETRYABLE:
            return Retry(reason, retry_after_seconds(retry_after))
        if status in _ABOUT_THE_CONTENT:
            return Refused(reason)
        if status < 200 or 300 <= status < 400:
            return Paused(reason, "redirects are not followed: set OTEL_EXPORTER_OTLP_ENDPOINT to where it leads")
        if remedy := _REMEDIES.get(status):
            return Paused(reason, remedy)
        return Refused(reason, "unclear")

    def _delivered(self, content_type: str, body: bytes) -> Delivered | Paused:
        if body.strip() and (content_type in _PAGES or _PAGE_BEGINS.match(body)):
            return Paused(
                f"a web page from {self._place}, which is no OTLP receiver",
                "check OTEL_EXPORTER_OTLP_ENDPOINT, and whether this network or a proxy wants a login",
            )
        try:
            if content_type == "application/json":
                return delivered_from_json(self._destination.signal, body, self._repeat)
            if content_type in {"application/x-protobuf", "application/protobuf"} or not body:
                return delivered_from_protobuf(self._destination.signal, body, self._repeat)
        except ValueError:
            pass
        # The status says success, so sending again would double it; but somebody should look.
        return Delivered(message=f"{self._place} did not answer in OTLP: check OTEL_EXPORTER_OTLP_ENDPOINT")

    def _said(self, content_type: str, body: bytes) -> str:
        """What the answer says, for a person: the specification has a ``google.rpc.Status`` in it."""
        if len(body) >= _RESPONSE_LIMIT_BYTES:
            # Cut, so a secret at its end would not be known again; and no such page is written for people.
            return ""
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
        text = self._repeat(text)
        return f": {text}" if text else ""

    def _cause(self, error: Exception) -> str:
        if isinstance(error, aiohttp.ClientConnectorError):
            error = error.os_error
        if isinstance(error, OSError) and error.strerror:
            # asyncio's own text names the address instead of the reason; name resolution has codes of its own.
            return os.strerror(error.errno) if error.errno and error.errno > 0 else self._repeat(error.strerror)
        return type(error).__name__

    def _hold_for_certificate(self) -> Paused:
        return Paused(
            f"the certificate of {self._place} is not trusted",
            "set OTEL_EXPORTER_OTLP_CERTIFICATE to the PEM file of the authority that signed it",
        )

    async def _body(self, payload: bytes) -> bytes:
        if not self._json and self._destination.compression == "none":
            return payload
        # Sources are answered while a large body is made.
        if len(payload) > IN_THREAD_FROM_BYTES:
            return await asyncio.to_thread(self._encoded, payload)
        return self._encoded(payload)

    def _encoded(self, payload: bytes) -> bytes:
        if self._json:
            payload = to_json_line(self._destination.signal, payload)
        if self._destination.compression == "none":
            return payload
        # 31: a gzip wrapper; 15: zlib's own, which is what HTTP calls deflate (RFC 9110, 8.4.1).
        compressor = zlib.compressobj(wbits=31 if self._destination.compression == "gzip" else 15)
        return compressor.compress(payload) + compressor.flush()


async def _read(content: aiohttp.StreamReader) -> bytes:
    """The answer, as far as anybody will read it."""
    body = bytearray()
    while len(body) < _RESPONSE_LIMIT_BYTES and (chunk := await content.read(_RESPONSE_LIMIT_BYTES - len(body))):
        body += chunk
    return bytes(body)


def _without_credentials(url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _named(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)
