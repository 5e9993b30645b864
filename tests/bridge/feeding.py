"""Feeds a running bridge: files that grow by arbitrary pieces, OTLP requests that are posted until acknowledged."""

from __future__ import annotations

import asyncio
import random
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path

import grpc
import grpc.aio

from cline_otel.export.otlp_grpc import retry_info_seconds
from cline_otel.signals import GRPC_METHODS, SignalName
from waiting import wait_until

_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def post(
    endpoint: str,
    body: bytes,
    *,
    signal: str = "logs",
    content_type: str = "application/json",
    timeout_seconds: float = 30,
) -> tuple[int, dict[str, str]]:
    """One OTLP/HTTP request; returns the status and the headers of the answer.

    Raises:
        OSError, HTTPException: there was no answer.
    """
    request = urllib.request.Request(f"{endpoint}/v1/{signal}", body, {"Content-Type": content_type})
    try:
        with _OPENER.open(request, timeout=timeout_seconds) as response:
            response.read()
            return response.status, dict(response.headers)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, dict(error.headers)


def export(
    endpoint: str,
    body: bytes,
    *,
    signal: SignalName = "logs",
    compression: grpc.Compression = grpc.Compression.NoCompression,
    metadata: tuple[tuple[str, str], ...] = (),
) -> tuple[grpc.StatusCode, float | None]:
    """One OTLP/gRPC request; returns the status, and after how many seconds to try again if it says so."""

    async def call() -> tuple[grpc.StatusCode, float | None]:
        # Channels of a process share a connection by default, also after the server of one has gone.
        options = [("grpc.use_local_subchannel_pool", 1)]
        async with grpc.aio.insecure_channel(endpoint.removeprefix("http://"), options=options) as channel:
            method = channel.unary_unary(GRPC_METHODS[signal], lambda message: message, lambda message: message)
            try:
                await method(body, timeout=30, compression=compression, metadata=metadata)
            except grpc.aio.AioRpcError as error:
                return error.code(), retry_info_seconds(error)
            return grpc.StatusCode.OK, None

    return asyncio.run(call())


class Poster:
    """Posts bodies one after the other, each again and again until it is acknowledged, as senders of OTLP do.

    Attributes:
        allowed: how many bodies may be posted by now; it may be raised at any time.
        acknowledged: how many bodies were answered 200.
        attempts: how many requests that took.
    """

    def __init__(
        self,
        endpoint: Callable[[], str],
        bodies: tuple[bytes, ...],
        send: Callable[[str, bytes], bool] = lambda endpoint, body: post(endpoint, body)[0] == 200,
    ) -> None:
        """``endpoint`` is asked before each attempt, because a bridge may come back elsewhere; ``send`` says whether a
        body was acknowledged.
        """
        self._send = send
        self.allowed = len(bodies)
        self.acknowledged = 0
        self.attempts = 0
        self._endpoint = endpoint
        self._bodies = bodies
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Poster:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stopped.set()
        self._thread.join()

    @property
    def is_done(self) -> bool:
        """Whether every body was acknowledged."""
        return self.acknowledged == len(self._bodies)

    def _run(self) -> None:
        for body in self._bodies:
            while not self._stopped.is_set():
                if self.acknowledged >= self.allowed:
                    self._stopped.wait(0.001)
                    continue
                self.attempts += 1
                try:
                    is_acknowledged = self._send(self._endpoint(), body)
                except (OSError, HTTPException):
                    # Nobody is there, or it went away before it answered.
                    self._stopped.wait(0.01)
                    continue
                if is_acknowledged:
                    self.acknowledged += 1
                    break


class Growing:
    """Files that grow by pieces of arbitrary size, torn lines included, in turn.

    Attributes:
        written: how many pieces were written.
    """

    def __init__(self, contents: dict[Path, bytes], random: random.Random, piece_bytes: int = 12_000) -> None:
        self.written = 0
        self._pieces: list[tuple[Path, bytes]] = []
        rest = dict(contents)
        while rest:
            for path in list(rest):
                size = random.randint(1, 2 * piece_bytes)
                self._pieces.append((path, rest[path][:size]))
                rest[path] = rest[path][size:]
                if not rest[path]:
                    del rest[path]

    def grow(self, pieces: int) -> None:
        """Writes so many further pieces."""
        for path, piece in self._pieces[self.written : self.written + pieces]:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("ab") as file:
                file.write(piece)
            self.written += 1

    def end_line(self, path: Path) -> None:
        """Writes what is missing of a file's last line."""
        for number in range(self.written, len(self._pieces)):
            if not path.exists() or path.stat().st_size == 0 or path.read_bytes()[-1:] == b"\n":
                return
            owner, piece = self._pieces[number]
            if owner == path:
                line, newline, rest = piece.partition(b"\n")
                with path.open("ab") as file:
                    file.write(line + newline)
                self._pieces[number] = (path, rest)

    def move_on(self, path: Path, to: Path) -> None:
        """What is still to be written into a file goes into another one."""
        self._pieces[self.written :] = [
            (to if each == path else each, piece) for each, piece in self._pieces[self.written :]
        ]

    def share(self, of: int) -> int:
        """As much of a number as is written of the files."""
        return of * self.written // len(self._pieces)

    def grow_to(self, pieces: int, after_each: Callable[[], None]) -> None:
        """Writes a piece after the other, at the pace at which files are watched, until so many are written."""

        def is_written() -> bool:
            self.grow(1)
            after_each()
            return self.written >= pieces

        wait_until(is_written, "all pieces written", interval_seconds=0.02)

    @property
    def pieces(self) -> int:
        """How many pieces there are in all."""
        return len(self._pieces)
