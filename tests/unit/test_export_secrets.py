"""What destinations are told in confidence is shown nowhere, whatever they answer and however it is spelled."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import quote

import grpc.aio
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from cline_otel.destinations import OtlpDestination, OtlpProtocol
from cline_otel.export.interface import Batch, Delivered, EncodedRequest, ExportResult, Paused, Refused, Retry
from cline_otel.export.otlp_grpc import OtlpGrpcExporter
from cline_otel.export.otlp_http import OtlpHttpExporter
from cline_otel.export.responses import (
    Repeater,
    delivered_from_json,
    delivered_from_protobuf,
    retry_after_seconds,
)

BATCH = Batch([EncodedRequest(b"", 1)])
TOKEN = "planted/" + "5a+" * 8
PASSWORD = "planted-" + "9c" * 8


def destination(endpoint: str, protocol: OtlpProtocol = "http/protobuf", **headers: str) -> OtlpDestination:
    named = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return OtlpDestination(signal="logs", protocol=protocol, endpoint=endpoint, headers=named, insecure=True)


def said(result: ExportResult) -> str:
    return result.message if isinstance(result, Delivered) else result.reason


# --- answers -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 503])
@pytest.mark.parametrize("content_type", ["application/json", "text/plain"])
async def test_an_answer_that_repeats_what_it_was_asked_with_is_told_without_it(status: int, content_type: str) -> None:
    async def echo(request: web.BaseRequest) -> web.StreamResponse:
        asked = f"no: {request.raw_path} {request.headers['authorization']} {request.headers['x-key']}"
        body = {"partialSuccess": {"errorMessage": asked}} if status == 200 else {"code": 16, "message": asked}
        return web.json_response(body, status=status, content_type=content_type)

    runner = web.ServerRunner(web.Server(echo))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    url = f"http://127.0.0.1:{port}/tenants/{PASSWORD}/v1/logs?key={PASSWORD}x"
    exporter = OtlpHttpExporter(destination(url, authorization=f"Bearer {TOKEN}", x_key=f"{PASSWORD}y"))
    result = await exporter.export(BATCH)
    await exporter.close()
    await runner.cleanup()
    assert isinstance(result, {200: Delivered, 400: Refused, 503: Retry}.get(status, Paused))
    text = f"{result!r} {exporter.description}"
    assert TOKEN not in text
    assert PASSWORD not in text
    if (status, content_type) != (200, "text/plain"):
        assert "no: /***/*** *** ***" in said(result)


async def test_an_answer_too_long_to_be_read_to_its_end_is_not_repeated() -> None:
    async def echo(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(text=" " * (64 * 1024 - 6) + request.headers["x-key"], status=401)

    runner = web.ServerRunner(web.Server(echo))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    exporter = OtlpHttpExporter(destination(f"http://127.0.0.1:{runner.addresses[0][1]}/v1/logs", x_key=PASSWORD))
    result = await exporter.export(BATCH)
    await exporter.close()
    await runner.cleanup()
    assert said(result).endswith("/v1/logs")


async def test_a_status_of_grpc_is_told_without_what_it_was_asked_with() -> None:
    async def refuse(request: bytes, context: Any) -> bytes:
        asked = dict(context.invocation_metadata() or ())
        await context.abort(grpc.StatusCode.UNAUTHENTICATED, f"not by {asked['authorization']!r} {asked['x-key']!r}")
        raise AssertionError

    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    handler = grpc.unary_unary_rpc_method_handler(refuse)
    service = "opentelemetry.proto.collector.logs.v1.LogsService"
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {"Export": handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    exporter = OtlpGrpcExporter(
        destination(f"127.0.0.1:{port}", "grpc", authorization=f"Bearer {TOKEN}", x_key=PASSWORD)
    )
    result = await exporter.export(BATCH)
    await exporter.close()
    await server.stop(None)
    assert said(result) == f"UNAUTHENTICATED from 127.0.0.1:{port}: not by '***' '***'"


async def test_an_endpoint_of_grpc_that_cannot_be_reached_is_told_without_its_secrets() -> None:
    exporter = OtlpGrpcExporter(destination(f"user:{PASSWORD}@nowhere.invalid:1?key={PASSWORD}", "grpc"))
    result = await exporter.export(BATCH)
    await exporter.close()
    assert PASSWORD not in repr(result)


def test_the_credentials_of_a_proxy_are_not_repeated_either(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://user:{PASSWORD}@proxy.example:3128")
    repeat = Repeater.of(destination("https://collector.example"))
    encoded = base64.b64encode(f"user:{PASSWORD}".encode()).decode()
    assert repeat(f"407 for {PASSWORD}, Basic {encoded}") == "407 for ***, Basic ***"


@given(
    st.text(st.characters(codec="utf-8", exclude_characters="*"), min_size=4).filter(
        lambda secret: len("".join(secret.split())) >= 4 and secret.isprintable()
    ),
    st.sampled_from(["", "Bearer ", "Token token="]),
    st.sampled_from([str, lambda text: json.dumps(text)[1:-1], lambda text: quote(text, safe=""), str.upper]),
)
def test_no_spelling_of_a_header_is_repeated(secret: str, scheme: str, spell: type[str]) -> None:
    repeat = Repeater.of(destination("https://collector.example", authorization=f"{scheme}{secret}"))
    spelled = spell(secret)
    text = repeat(f"<{spelled}>")
    assert secret not in text
    assert spelled not in text or spelled.lower() != secret.lower()


def test_basic_credentials_are_known_again_when_decoded() -> None:
    encoded = base64.b64encode(f"user:{PASSWORD}".encode()).decode()
    repeat = Repeater.of(destination("https://collector.example", authorization=f"Basic {encoded}"))
    assert repeat(f"{PASSWORD} is no password") == "*** is no password"


@pytest.mark.parametrize("shown", ["{}", "{}...", "{:.12}", "x{}x", "a\n {}\tb"])
def test_a_token_is_hidden_wherever_it_stands_and_also_its_beginning(shown: str) -> None:
    text = Repeater([TOKEN])(shown.format(TOKEN))
    assert TOKEN[:8] not in text


def test_a_secret_is_never_cut_before_it_is_hidden() -> None:
    for before in range(180, 201):
        text = Repeater([PASSWORD])("a" * before + PASSWORD)
        assert PASSWORD[:1] not in text
        assert len(text) <= 200


def test_a_very_short_value_is_hidden_where_it_stands_alone() -> None:
    assert Repeater(["1"])("tenant 1 of 10: v1.1") == "tenant *** of 10: v1.***"


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"partialSuccess":' + b'{"a":' * 100_000,
        b'{"partialSuccess":{"rejectedLogRecords":1e308}}',
        b'{"partialSuccess":{"rejectedLogRecords":"' + b"9" * 5_000 + b'"}}',
        b'{"partialSuccess":{"rejectedLogRecords":1' + b"0" * 400 + b"}}",
        b'{"partialSuccess":7}',
        b"\xff",
    ],
    ids=lambda body: body[:40].decode("latin-1"),
)
def test_a_monstrous_answer_is_no_more_than_no_answer_in_otlp(body: bytes) -> None:
    for read in (delivered_from_json, delivered_from_protobuf):
        try:
            assert read("logs", body, Repeater()).rejected >= 0
        except ValueError as error:
            assert str(error) == "not an OTLP response"  # noqa: PT017 - either way is right
    assert retry_after_seconds("Mon, 01 Jan 99999999999999999999 00:00:00 GMT") is None


# --- endpoints -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("endpoint", "shown"),
    [
        ("https://collector.example:4318/v1/traces", "https://collector.example:4318/v1/traces"),
        ("https://collector.example/otlp/v1/logs", "https://collector.example/otlp/v1/logs"),
        ("https://intake.example/api/intake/v1/metrics/", "https://intake.example/api/intake/v1/metrics/"),
        ("https://{s}@collector.example", "https://collector.example"),
        ("https://user:{s}@collector.example/v1/logs", "https://collector.example/v1/logs"),
        ("https://collector.example/{s}/v1/logs", "https://collector.example/***/v1/logs"),
        ("https://collector.example/v1/{s}", "https://collector.example/v1/***"),
        ("https://collector.example/v1%2F{s}", "https://collector.example/***"),
        ("https://collector.example/v1/logs;{s}", "https://collector.example/v1/***"),
        ("https://collector.example/v1/logs?api_key={s}", "https://collector.example/v1/logs"),
        ("https://collector.example?{s}", "https://collector.example"),
        ("https://collector.example/v1/logs#{s}", "https://collector.example/v1/logs"),
        ("https://[2001:db8::1]:4318/{s}", "https://[2001:db8::1]:4318/***"),
    ],
)
def test_of_a_url_only_what_is_known_to_be_harmless_is_shown(endpoint: str, shown: str) -> None:
    secret = "planted" + "7d" * 8
    given = destination(endpoint.replace("{s}", secret))
    assert given.shown_endpoint == shown
    assert secret not in given.describe() + repr(given)
    assert secret not in Repeater.of(given)(f"cannot {given.endpoint} it")


@pytest.mark.parametrize(
    ("endpoint", "shown"),
    [
        ("collector.example:4317", "collector.example:4317"),
        ("[2001:db8::1]:4317", "[2001:db8::1]:4317"),
        ("localhost", "localhost"),
        ("user:{s}@collector.example:4317", "collector.example:4317"),
        ("collector.example:4317/{s}", "collector.example:4317"),
        ("collector.example:4317?api={s}", "collector.example:4317"),
        ("collector.example:4317#{s}", "collector.example:4317"),
        ("user:a/{s}@collector.example:4317", "***"),
        ("collector.example:4317?a@{s}", "***"),
        ("unix:/run/{s}/socket", "unix:***"),
        ("dns:///{s}.example:4317", "dns:***"),
        ("", "***"),
    ],
)
def test_of_an_endpoint_of_grpc_only_host_and_port_are_shown(endpoint: str, shown: str) -> None:
    secret = "planted" + "7d" * 8
    given = destination(endpoint.replace("{s}", secret), "grpc")
    assert given.shown_endpoint == shown
    assert secret not in given.describe() + repr(given)
