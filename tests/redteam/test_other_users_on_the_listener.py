"""On this machine only the bridge's own user, root and who is named may send to a receiver without a token."""

from __future__ import annotations

import asyncio
import os
import socket
import sys

import pytest

from cline_otel.sources.otlp.grpc_receiver import OtlpGrpcReceiver
from cline_otel.sources.otlp.http_receiver import OtlpHttpReceiver
from cline_otel.sources.otlp.limits import ReceiverLimits
from cline_otel.sources.otlp.senders import Senders
from http2_sender import DATA, END_HEADERS, END_STREAM, HEADERS, PREFACE, SETTINGS, frame, request_headers
from other_users import as_user
from receiving import Pipeline
from waiting import patience

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="only Linux tells, and only root can be another user"
)

OTHER = 54321
LOOPBACKS = ["127.0.0.1", "::1"]
RECEIVERS = {"http": OtlpHttpReceiver, "grpc": OtlpGrpcReceiver}
REQUESTS = {
    "http": (
        b"POST /v1/logs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-protobuf\r\n"
        b"Content-Length: 0\r\nConnection: close\r\n\r\n"
    ),
    "grpc": PREFACE
    + frame(SETTINGS)
    + frame(HEADERS, request_headers(), END_HEADERS, 1)
    + frame(DATA, bytes(5), END_STREAM, 1),
}


def exchange(host: str, port: int, request: bytes) -> str:
    """What a receiver answers within a moment."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as sender:
        sender.settimeout(60)
        sender.connect((host, port))
        sender.sendall(request)
        said = b""
        while b"grpc-message" not in said and (piece := sender.recv(65536)):
            said += piece
            if b"grpc-status" in said:
                break
    return said.decode("latin-1")


async def sent_by(uid: int, host: str, port: int, protocol: str) -> str:
    async with patience():
        return await asyncio.to_thread(as_user, uid, lambda: exchange(host, port, REQUESTS[protocol]))


@pytest.mark.parametrize("host", LOOPBACKS)
@pytest.mark.parametrize("protocol", RECEIVERS)
async def test_another_user_is_refused_counted_and_named_and_nothing_is_taken(protocol: str, host: str) -> None:
    pipeline, lines = Pipeline(), list[str]()
    receiver = RECEIVERS[protocol](pipeline, "otlp", host=host, port=0, report=lines.append)
    await receiver.start()
    try:
        for _ in range(2):
            said = await sent_by(OTHER, host, receiver.port, protocol)
            # Over HTTP the answer is lost where the request, which nobody reads, was quicker than the close.
            assert "This user may not send here." in said or (protocol, "reset by peer" in said) == ("http", True)
        assert pipeline.taken == []
        (line,) = lines
        assert f"name {OTHER} in CLINE_OTEL_BRIDGE_LISTEN_UIDS" in line
        assert receiver.turned_away() == (f"{line} (2 times so far)",)
        assert "may not" not in await sent_by(0, host, receiver.port, protocol)
        assert len(pipeline.taken) == 1
    finally:
        await receiver.stop()


@pytest.mark.parametrize("protocol", RECEIVERS)
async def test_a_user_who_is_named_or_shows_a_token_may_send(protocol: str) -> None:
    for given in (
        {"senders": Senders(are_asked_for_a_token=False, uids=frozenset({OTHER}))},
        {"bearer_token": "a token of sixteen and more"},
    ):
        pipeline = Pipeline()
        receiver = RECEIVERS[protocol](pipeline, "otlp", host="127.0.0.1", port=0, **given)  # type: ignore[arg-type]
        await receiver.start()
        try:
            said = await sent_by(OTHER, "127.0.0.1", receiver.port, protocol)
        finally:
            await receiver.stop()
        assert "may not" not in said
        assert len(pipeline.taken) == ("senders" in given)


async def test_connections_that_another_user_holds_take_nobodys_place() -> None:
    pipeline = Pipeline()
    receiver = OtlpHttpReceiver(pipeline, "otlp", host="127.0.0.1", port=0, limits=ReceiverLimits(connections=2))
    await receiver.start()

    def hold() -> str:
        held = [socket.create_connection(("127.0.0.1", receiver.port)) for _ in range(20)]
        answers = [each.recv(12) for each in held]
        return str(set(answers))

    try:
        async with patience():
            assert await asyncio.to_thread(as_user, OTHER, hold) == "{b'HTTP/1.1 403'}"
        assert "200 OK" in await sent_by(0, "127.0.0.1", receiver.port, "http")
    finally:
        await receiver.stop()


async def test_one_that_closed_before_it_was_looked_at_is_not_taken_for_root() -> None:
    lines: list[str] = []
    senders = Senders(are_asked_for_a_token=False, report=lines.append)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        sender = socket.create_connection(listener.getsockname())
        accepted, peer = listener.accept()
        from cline_otel.operating_system.peers import Endpoint

        ends = (Endpoint(*peer), Endpoint(*listener.getsockname()))
        with accepted:
            assert senders.may_send(*ends)
            sender.close()
            assert not senders.may_send(*ends)
    assert (senders.turned_away[None], lines) == (1, [])
