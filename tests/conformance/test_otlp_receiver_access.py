"""Who the receiver lets in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import aiohttp
import pytest

from cline_otel.sources.interface import Payload, ReceiveResult
from cline_otel.sources.otlp.access import is_allowed_host, is_authorized, is_loopback
from cline_otel.sources.otlp.http_receiver import OtlpHttpReceiver


class Pipeline:
    def __init__(self) -> None:
        self.requests = 0

    async def receive(self, payload: Payload) -> ReceiveResult:
        self.requests += 1
        return ReceiveResult(1)

    async def count_unsupported(self, source: str, signal: str) -> None:
        self.requests += 1


Post = Callable[..., Awaitable[tuple[int, str | None]]]


@pytest.fixture
def pipeline() -> Pipeline:
    return Pipeline()


@pytest.fixture
async def post(pipeline: Pipeline) -> AsyncIterator[Post]:
    receivers: list[OtlpHttpReceiver] = []

    async def send(
        headers: dict[str, str], path: str = "/v1/logs", **options: str | frozenset[str]
    ) -> tuple[int, str | None]:
        receiver = OtlpHttpReceiver(pipeline, "otlp", port=0, **options)  # type: ignore[arg-type]
        await receiver.start()
        receivers.append(receiver)
        sent = {"Content-Type": "application/json", **headers}
        url = receiver.endpoint + path
        async with aiohttp.request("POST", url, data=b"{}", headers=sent) as response:
            return response.status, response.headers.get("WWW-Authenticate")

    yield send
    for receiver in receivers:
        await receiver.stop(0)


@pytest.mark.parametrize("path", ["/v1/logs", "/v1/traces"])
@pytest.mark.parametrize("origin", ["http://127.0.0.1", "https://example.com", "null", ""])
async def test_a_request_of_a_web_page_is_403(post: Post, pipeline: Pipeline, path: str, origin: str) -> None:
    assert await post({"Origin": origin}, path) == (403, None)
    assert pipeline.requests == 0


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200),
        ("127.0.0.1:4319", 200),
        ("LocalHost:4319", 200),
        ("[::1]:4319", 200),
        ("collector.internal:1", 200),
        ("rebound.example", 403),
        ("127.0.0.1.rebound.example", 403),
        ("198.51.100.7", 403),
        ("", 403),
        ("localhost@rebound.example", 403),
    ],
)
async def test_a_host_that_is_not_the_receiver_is_403(post: Post, pipeline: Pipeline, host: str, status: int) -> None:
    further_hosts = frozenset({"Collector.internal"})
    assert await post({"Host": host}, further_hosts=further_hosts) == (status, None)
    assert pipeline.requests == (status == 200)


@pytest.mark.parametrize("path", ["/v1/logs", "/v1/metrics"])
@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        ("Bearer right", 200),
        ("bearer right", 200),
        ("Bearer wrong", 401),
        ("Bearer", 401),
        ("Basic right", 401),
        ("right", 401),
        ("Bearer righ\xfc", 401),
        (None, 401),
    ],
)
async def test_with_a_token_every_request_must_carry_it(
    post: Post, pipeline: Pipeline, path: str, authorization: str | None, status: int
) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    answered = await post(headers, path, bearer_token="right")
    assert answered == (status, None if status == 200 else "Bearer")
    assert pipeline.requests == (status == 200)


async def test_no_host_or_two_of_them_are_refused(pipeline: Pipeline) -> None:
    receiver = OtlpHttpReceiver(pipeline, "otlp", port=0)
    await receiver.start()
    for hosts in ("", "Host: 127.0.0.1\r\nHost: rebound.example\r\n"):
        reader, writer = await asyncio.open_connection("127.0.0.1", receiver.port)
        head = f"POST /v1/logs HTTP/1.0\r\n{hosts}Content-Type: application/json\r\nContent-Length: 0\r\n\r\n"
        writer.write(head.encode())
        assert (await reader.readline()).split()[1] in (b"400", b"403")
        writer.close()
    assert pipeline.requests == 0
    await receiver.stop(0)


async def status_of(receiver: OtlpHttpReceiver, line: str, *headers: str) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", receiver.port)
    given = (line, "Host: 127.0.0.1", "Content-Type: application/json", "Content-Length: 2", *headers)
    writer.write("\r\n".join(given).encode("latin-1") + b"\r\n\r\n{}")
    answer = await reader.readline()
    writer.close()
    return int(answer.split()[1])


@pytest.mark.parametrize(
    "line",
    [
        "POST http://127.0.0.1/v1/logs HTTP/1.1",
        "POST http://rebound.example/v1/logs HTTP/1.1",
        "POST http://rebound.example:1@127.0.0.1/v1/logs HTTP/1.1",
        "POST //rebound.example/v1/logs HTTP/1.1",
        "POST //v1/logs HTTP/1.1",
        "POST v1/logs HTTP/1.1",
        "POST * HTTP/1.1",
        "OPTIONS * HTTP/1.1",
        "CONNECT rebound.example:443 HTTP/1.1",
        "POST /v1/logs HTTP/0.9",
        "POST /v1/logs HTTP/1.2",
        "POST /v1/logs HTTP/2.0",
        "POST /v1/logs HTTP/3.0",
        "PRI * HTTP/2.0",
        "POST /v1/logs",
    ],
)
async def test_a_request_for_a_proxy_or_of_another_version_is_400(pipeline: Pipeline, line: str) -> None:
    receiver = OtlpHttpReceiver(pipeline, "otlp", port=0)
    await receiver.start()
    assert await status_of(receiver, line) == 400
    assert await status_of(receiver, "POST /v1/logs?a=//b HTTP/1.1") == 200
    assert await status_of(receiver, "POST /v1/logs HTTP/1.0") == 200
    assert pipeline.requests == 2
    await receiver.stop(0)


@pytest.mark.parametrize("token", [None, "right"])
@pytest.mark.parametrize("second", ["Bearer right", "Bearer wrong", "Basic x", ""])
async def test_two_authorizations_are_400(pipeline: Pipeline, token: str | None, second: str) -> None:
    receiver = OtlpHttpReceiver(pipeline, "otlp", port=0, bearer_token=token)
    await receiver.start()
    for both in (("Bearer right", second), (second, "Bearer right")):
        headers = [f"Authorization: {value}" for value in both]
        assert await status_of(receiver, "POST /v1/logs HTTP/1.1", *headers) == 400
    assert pipeline.requests == 0
    await receiver.stop(0)


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"])
def test_loopback_addresses_lead_to_this_machine_alone(address: str) -> None:
    assert is_loopback(address)


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "192.168.1.1", "::ffff:10.0.0.1", "localhost", "127.1", ""])
def test_other_addresses_do_not(address: str) -> None:
    assert not is_loopback(address)


@pytest.mark.parametrize("bound", ["0.0.0.0", "::"])
def test_bound_to_every_address_it_goes_by_any_of_them_but_by_no_name(bound: str) -> None:
    assert is_allowed_host("198.51.100.7:4319", bound)
    assert is_allowed_host("[2001:db8::1]:4319", bound)
    assert not is_allowed_host("rebound.example", bound)


def test_bound_to_one_address_or_name_it_goes_by_that() -> None:
    assert is_allowed_host("198.51.100.7", "198.51.100.7")
    assert is_allowed_host("[2001:DB8:0::1]", "2001:db8::1")
    assert is_allowed_host("Bridge.internal.", "bridge.internal")
    assert not is_allowed_host("198.51.100.8", "198.51.100.7")


def test_a_token_is_compared_as_bytes_whatever_they_are() -> None:
    assert is_authorized("Bearer t\xf6ken", "t\xf6ken")
    assert not is_authorized("Bearer \udcff", "t")
