"""OTLP/HTTP against real servers on free ports."""

from __future__ import annotations

import asyncio
import gzip
import socket
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from cline_otel import __version__
from cline_otel.destinations import OtlpDestination
from cline_otel.export.interface import Batch, Delivered, EncodedRequest, Paused, Refused, Retry, Unreachable
from cline_otel.export.otlp_http import OtlpHttpExporter
from cline_otel.export.responses import retry_after_seconds
from waiting import PATIENCE_SECONDS

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
PROTOBUF = {"Content-Type": "application/x-protobuf"}


@dataclass
class Received:
    path: str
    headers: dict[str, str]
    body: bytes


class Server:
    """Answers with ``answer`` and keeps what came, bodies as they were on the wire."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.answer: Callable[[], web.StreamResponse] = lambda: web.Response(headers=PROTOBUF)
        self.url = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.received.append(Received(request.path_qs, headers, await request.read()))
        return self.answer()


@asynccontextmanager
async def serving(handler: Handler, port: int = 0) -> AsyncIterator[str]:
    # auto_decompress would hide what was on the wire.
    runner = web.ServerRunner(web.Server(handler, auto_decompress=False))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    host, bound_port = runner.addresses[0][:2]
    try:
        yield f"http://{host}:{bound_port}"
    finally:
        await runner.cleanup()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    async with serving(server.handle) as url:
        server.url = url
        yield server


def request_bytes(*names: str) -> bytes:
    message = ExportTraceServiceRequest()
    for name in names:
        span = message.resource_spans.add().scope_spans.add().spans.add()
        span.name = name
        span.trace_id = b"\x01" * 16
        span.span_id = b"\x02" * 8
    return message.SerializeToString()


def batch(*payloads: bytes) -> Batch:
    return Batch([EncodedRequest(payload, 1, number) for number, payload in enumerate(payloads)])


def destination(url: str, **settings: Any) -> OtlpDestination:
    usual = {"protocol": "http/protobuf", "endpoint": f"{url}/v1/traces", "timeout_seconds": PATIENCE_SECONDS}
    return OtlpDestination(**{"signal": "traces", **usual, **settings})


@asynccontextmanager
async def exporter_to(destination: OtlpDestination) -> AsyncIterator[OtlpHttpExporter]:
    exporter = OtlpHttpExporter(destination)
    try:
        yield exporter
    finally:
        await exporter.close()


async def test_rows_arrive_as_one_request_with_everything_in_it(server: Server) -> None:
    async with exporter_to(destination(server.url)) as exporter:
        assert await exporter.export(batch(request_bytes("a", "b"), request_bytes("c"))) == Delivered()
    (received,) = server.received
    assert received.path == "/v1/traces"
    assert received.headers["content-type"] == "application/x-protobuf"
    assert received.headers["user-agent"] == f"cline-otel/{__version__}"
    assert "content-encoding" not in received.headers
    message = ExportTraceServiceRequest.FromString(received.body)
    assert [entry.scope_spans[0].spans[0].name for entry in message.resource_spans] == ["a", "b", "c"]


@pytest.mark.parametrize("size", [1, 3000], ids=["small", "compressed in a thread"])
@pytest.mark.parametrize(("compression", "expand"), [("gzip", gzip.decompress), ("deflate", zlib.decompress)])
async def test_compressed_bodies_say_so_and_expand_to_the_same(
    server: Server, compression: str, expand: Callable[[bytes], bytes], size: int
) -> None:
    payload = request_bytes(*[f"span {number}" for number in range(size)])
    async with exporter_to(destination(server.url, compression=compression)) as exporter:
        assert await exporter.export(batch(payload)) == Delivered()
    (received,) = server.received
    assert received.headers["content-encoding"] == compression
    assert expand(received.body) == payload


async def test_headers_are_sent_and_never_shown(server: Server) -> None:
    secret = "planted-" + "0f" * 12
    given = destination(server.url, headers=(("authorization", f"Bearer {secret}"), ("x-tenant", "a b")))
    async with exporter_to(given) as exporter:
        await exporter.export(batch(b""))
        assert secret not in exporter.description + repr(given) + str(given)
    assert server.received[0].headers["authorization"] == f"Bearer {secret}"
    assert server.received[0].headers["x-tenant"] == "a b"


async def test_json_is_sent_where_it_is_asked_for(server: Server) -> None:
    server.answer = lambda: web.json_response({"partialSuccess": {"rejectedSpans": "2", "errorMessage": "too old"}})
    async with exporter_to(destination(server.url, protocol="http/json")) as exporter:
        assert await exporter.export(batch(request_bytes("a"), request_bytes("b"))) == Delivered(2, "too old")
    (received,) = server.received
    assert received.headers["content-type"] == "application/json"
    decoded = msgspec.json.decode(received.body)
    assert [entry["scopeSpans"][0]["spans"][0]["name"] for entry in decoded["resourceSpans"]] == ["a", "b"]


async def test_partial_success_is_delivered_with_its_count_and_message(server: Server) -> None:
    answer = ExportTraceServiceResponse()
    answer.partial_success.rejected_spans = 3
    answer.partial_success.error_message = "3 were\ntoo old"
    server.answer = lambda: web.Response(body=answer.SerializeToString(), headers=PROTOBUF)
    async with exporter_to(destination(server.url)) as exporter:
        assert await exporter.export(batch(b"")) == Delivered(3, "3 were too old")


async def test_each_signal_reads_its_own_kind_of_partial_success(server: Server) -> None:
    answer = ExportLogsServiceResponse()
    answer.partial_success.rejected_log_records = 4
    server.answer = lambda: web.Response(body=answer.SerializeToString(), headers=PROTOBUF)
    async with exporter_to(destination(server.url, signal="logs")) as exporter:
        assert await exporter.export(batch(b"")) == Delivered(4)


@pytest.mark.parametrize(
    "response",
    [
        {"body": b"\xff\xff\xff", "headers": PROTOBUF},
        {"text": "[]", "content_type": "application/json"},
    ],
    ids=["broken protobuf", "other JSON"],
)
async def test_success_in_no_otlp_is_delivered_with_a_warning(server: Server, response: dict[str, Any]) -> None:
    server.answer = lambda: web.Response(**response)
    async with exporter_to(destination(server.url)) as exporter:
        result = await exporter.export(batch(b""))
    assert isinstance(result, Delivered)
    assert "OTEL_EXPORTER_OTLP_ENDPOINT" in result.message


@pytest.mark.parametrize(
    "response",
    [
        {"text": "<html>welcome</html>", "content_type": "text/html"},
        {"text": "  <!DOCTYPE html><html>", "content_type": "text/plain"},
        {"text": "please log in", "content_type": "application/xhtml+xml"},
    ],
    ids=["a page", "a page by another name", "by its type alone"],
)
async def test_a_web_page_is_no_collectors_answer_and_holds_the_queue(server: Server, response: dict[str, Any]) -> None:
    server.answer = lambda: web.Response(**response)
    async with exporter_to(destination(server.url)) as exporter:
        result = await exporter.export(batch(b""))
    assert isinstance(result, Paused)
    assert "web page" in result.reason
    assert "OTEL_EXPORTER_OTLP_ENDPOINT" in result.remedy


@pytest.mark.parametrize(
    ("status", "kind"), [(200, Delivered), (429, Retry), (400, Refused)], ids=["taken", "not now", "refused"]
)
@pytest.mark.parametrize(
    "body",
    [
        b"Content-Length: 100\r\n\r\ncut",
        b"Content-Encoding: gzip\r\nContent-Length: 3\r\n\r\nnot",
    ],
    ids=["cut off", "no gzip"],
)
async def test_the_status_is_the_answer_where_the_body_cannot_be_read(body: bytes, status: int, kind: type) -> None:
    requests = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal requests
        await reader.readuntil(b"\r\n\r\n")
        requests += 1
        writer.write(b"HTTP/1.1 %d Some\r\n" % status + body)
        await writer.drain()
        writer.close()

    tcp = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = tcp.sockets[0].getsockname()[1]
    async with tcp, exporter_to(destination(f"http://127.0.0.1:{port}")) as exporter:
        assert type(await exporter.export(batch(b""))) is kind
    assert requests == 1


STATUSES = {
    Delivered: [200, 202, 204],
    Retry: [408, 429, 502, 503, 504],
    Refused: [400, 409, 413, 422, 451, 500, 507, 521, 529],
    Paused: [301, 307, 308, 401, 402, 403, 404, 405, 407, 415, 426, 431, 501, 505, 511],
}


@pytest.mark.parametrize(
    ("status", "kind"), [(status, kind) for kind, statuses in STATUSES.items() for status in statuses]
)
async def test_every_status_leads_to_its_outcome(server: Server, status: int, kind: type) -> None:
    body = None if status == 204 else "some words"
    server.answer = lambda: web.Response(status=status, text=body)
    async with exporter_to(destination(server.url)) as exporter:
        result = await exporter.export(batch(request_bytes("a")))
    assert type(result) is kind
    assert len(server.received) == 1, "redirects are not followed and nothing is retried behind the loop's back"
    if not isinstance(result, Delivered):
        assert str(status) in result.reason
        assert "some words" in result.reason
    if isinstance(result, Paused):
        assert "OTEL_EXPORTER_OTLP" in result.remedy or "PROXY" in result.remedy
    if isinstance(result, Refused):
        assert result.grounds == ("content" if status in {400, 413, 422} else "unclear")


async def test_what_the_server_says_of_a_refusal_is_kept_in_one_bounded_line(server: Server) -> None:
    said = Status(code=3, message="span name\n is " + "x" * 10_000).SerializeToString()
    server.answer = lambda: web.Response(status=400, body=said, headers=PROTOBUF)
    async with exporter_to(destination(server.url)) as exporter:
        result = await exporter.export(batch(b""))
    assert isinstance(result, Refused)
    assert "span name is xxx" in result.reason
    assert len(result.reason) < 400


async def test_an_endless_answer_is_not_read_to_its_end(server: Server) -> None:
    server.answer = lambda: web.Response(body=b"\x00" * 5_000_000)
    async with exporter_to(destination(server.url)) as exporter:
        assert isinstance(await exporter.export(batch(b"")), Delivered)


@pytest.mark.parametrize(("value", "seconds"), [("7", 7.0), ("0", 0.0), ("soon", None), (None, None)])
async def test_retry_after_in_seconds_is_passed_on(server: Server, value: str | None, seconds: float | None) -> None:
    server.answer = lambda: web.Response(status=429, headers={"Retry-After": value} if value else {})
    async with exporter_to(destination(server.url)) as exporter:
        result = await exporter.export(batch(b""))
    assert isinstance(result, Retry)
    assert result.after_seconds == seconds


def test_retry_after_as_a_date_is_the_time_until_then() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert retry_after_seconds(format_datetime(now + timedelta(seconds=90), usegmt=True), now) == 90
    assert retry_after_seconds(format_datetime(now - timedelta(seconds=90), usegmt=True), now) == 0
    for nonsense in ("", "inf", "nan", "-5", "Thu, 99 Foo 2026"):
        assert retry_after_seconds(nonsense, now) in {None, 0.0}


async def test_a_server_that_is_away_and_comes_back_gets_the_data(server: Server) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    async with exporter_to(destination(f"http://127.0.0.1:{port}")) as exporter:
        result = await exporter.export(batch(b""))
        assert isinstance(result, Unreachable)
        assert f"cannot reach http://127.0.0.1:{port}" in result.reason
        async with serving(server.handle, port):
            assert await exporter.export(batch(request_bytes("a"))) == Delivered()
        assert isinstance(await exporter.export(batch(b"")), Retry | Unreachable)
        async with serving(server.handle, port):
            assert await exporter.export(batch(request_bytes("b"))) == Delivered()
    assert len(server.received) == 2


async def test_a_kept_connection_that_the_server_closed_costs_no_wait() -> None:
    connections = 0

    async def serve_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            int(line.split(b":")[1]) for line in head.splitlines() if line.lower().startswith(b"content-length")
        )
        await reader.readexactly(length)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        # The answer promised to keep the connection; the next request on it is met by its end.
        await reader.read(1)
        writer.close()

    tcp = await asyncio.start_server(serve_once, "127.0.0.1", 0)
    port = tcp.sockets[0].getsockname()[1]
    async with tcp, exporter_to(destination(f"http://127.0.0.1:{port}")) as exporter:
        assert await exporter.export(batch(request_bytes("a"))) == Delivered()
        assert await exporter.export(batch(request_bytes("b"))) == Delivered()
    assert connections == 2


async def test_a_server_that_does_not_answer_is_left_after_the_timeout() -> None:
    released = asyncio.Event()

    async def stall(_: web.Request) -> web.StreamResponse:
        await released.wait()
        return web.Response()

    async with serving(stall) as url, exporter_to(destination(url, timeout_seconds=0.05)) as exporter:
        result = await exporter.export(batch(b""))
        released.set()
    assert isinstance(result, Retry)
    assert "within 0.05 s" in result.reason


@pytest.fixture
def no_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only addresses resolve, and nobody outside is asked."""
    resolve = socket.getaddrinfo

    def numeric_only(host: str, *arguments: Any, **named: Any) -> Any:
        if not host.replace(".", "").isdigit():
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return resolve(host, *arguments, **named)

    monkeypatch.setattr(socket, "getaddrinfo", numeric_only)


@pytest.mark.usefixtures("no_names")
async def test_a_name_that_does_not_resolve_is_tried_again() -> None:
    async with exporter_to(destination("http://no-such-host.invalid:4318")) as exporter:
        result = await exporter.export(batch(b""))
    assert isinstance(result, Unreachable)
    assert "no-such-host.invalid" in result.reason


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
@pytest.mark.usefixtures("no_names")
async def test_a_proxy_from_the_environment_is_used_and_no_proxy_honoured(
    server: Server, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, server.url.replace("http://", "http://somebody:pass@"))
    given = destination("http://collector.invalid:4318")
    async with exporter_to(given) as exporter:
        assert await exporter.export(batch(b"")) == Delivered()
    assert server.received[0].headers["host"] == "collector.invalid:4318"
    assert server.received[0].headers["proxy-authorization"].startswith("Basic ")
    server.answer = lambda: web.Response(status=502)
    async with exporter_to(given) as exporter:
        result = await exporter.export(batch(b""))
        assert isinstance(result, Retry)
        for shown in (exporter.description, result.reason):
            assert f"by the proxy {server.url}" in shown
            assert "somebody" not in shown
    monkeypatch.setenv("no_proxy", "collector.invalid")
    async with exporter_to(given) as exporter:
        assert isinstance(await exporter.export(batch(b"")), Unreachable)


@pytest.mark.usefixtures("no_names")
async def test_a_proxy_of_another_kind_holds_the_queue_with_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv("http_proxy", "socks5://127.0.0.1:1080")
    async with exporter_to(destination("http://collector.invalid:4318")) as exporter:
        result = await exporter.export(batch(b""))
    assert isinstance(result, Paused)
    assert "HTTP_PROXY" in result.remedy


async def test_credentials_come_from_the_url_or_the_headers_never_from_netrc(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login somebody password pass\n")
    monkeypatch.setenv("NETRC", str(netrc))
    with_user = server.url.replace("http://", "http://user:pass@")
    for given in (
        destination(server.url),
        destination(with_user),
        destination(with_user, headers=(("authorization", "Bearer x"),)),
    ):
        async with exporter_to(given) as exporter:
            assert await exporter.export(batch(b"")) == Delivered()
    sent = [received.headers.get("authorization") for received in server.received]
    assert sent == [None, "Basic dXNlcjpwYXNz", "Bearer x"]


def test_a_description_shows_neither_credentials_nor_query() -> None:
    secret = "planted-" + "1e" * 12
    given = destination("x", endpoint=f"https://user:{secret}@collector.example:4318/v1/traces?key={secret}#x")
    assert given.describe() == "OTLP http/protobuf to https://collector.example:4318/v1/traces"
