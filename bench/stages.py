"""What one commit spends on each stage, in CPU time: the process that ``bench.against`` starts for either commit.

Run as ``python -m bench.stages FUNCTION SRC`` in an empty folder, with ``SRC``, the commit's ``src``, first on
``PYTHONPATH``. Each line of the standard input is an order, JSON with the fields of ``Order``; each is answered by a
line with a JSON object: events and CPU seconds by stage. So two such processes can take turns in small steps.

Two stages go through what is stable between commits, the command line, and stand for the whole:

- ``bridge``: ``cline-otel run`` takes OTLP requests over HTTP: decode, translate, encode and commit, durable before
  each answer. What the process spends from the first request to the last answer counts, without the client's share.
- ``replay``: ``cline-otel replay --output`` reads a plugin's spool and ``cline.log`` and writes OTLP JSON lines.

The others are parts of the first, by the registry of sources and the entry points named in ``_ENTRY_POINTS``, of which
the first that exists counts. Where a commit has none of them, or takes other arguments, the stage is left out of what
it prints.
Every order has ids of its own, so that no cache of ids makes anything look faster.
"""

from __future__ import annotations

import gc
import http.client
import importlib
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Final, NoReturn

import msgspec

from bench.workload import record_count, requests, write_recording

_ENTRY_POINTS: Final = {
    "decode": ("cline_otel.sources.otlp.decode:decode_request", "cline_otel.decode.otlp:decode_request"),
    "translate": ("cline_otel.translate.step:Translator", "cline_otel.translate.translator:Translator"),
}
_CLOSED_PORT: Final = 9
"""Discard: nobody listens there, so what the bridge has waits in its journal."""

_START_TIMEOUT_SECONDS: Final = 60


class Order(msgspec.Struct, frozen=True):
    """What to measure: so many runs, numbered from ``first``."""

    runs: int
    first: int


class Spent(msgspec.Struct, frozen=True):
    """Events that went through a stage, and the CPU time that they took in seconds."""

    events: int
    seconds: float


class NotMeasurableError(Exception):
    """This commit has no entry point for a stage that takes what is given here."""


def _found(name: str) -> Any:
    for entry_point in _ENTRY_POINTS[name]:
        module, _, attribute = entry_point.partition(":")
        with suppress(ImportError, AttributeError):
            return getattr(importlib.import_module(module), attribute)
    raise NotMeasurableError(name)


def _decoder() -> Callable[[bytes, Any], Iterable[Any]]:
    """Takes a request in protobuf and the catalogue."""
    with suppress(ImportError):
        interface, registry = map(
            importlib.import_module, ("cline_otel.sources.interface", "cline_otel.sources.registry")
        )
        return lambda body, catalogue: registry.SOURCES.decode(
            interface.Payload("otlp", [body], "protobuf"), catalogue, {}
        )
    decode = _found("decode")
    return lambda body, catalogue: decode(body, "protobuf", catalogue, {})


def _timed(work: Callable[[], Any]) -> tuple[float, Any]:
    gc.collect()
    started = time.process_time()
    result = work()
    return time.process_time() - started, result


def _orders() -> Iterator[Order]:
    for line in sys.stdin:
        yield msgspec.json.decode(line, type=Order)


def _answer(spent: dict[str, Spent]) -> None:
    print(json.dumps(msgspec.to_builtins(spent)), file=sys.__stdout__, flush=True)


# --- the command line -----------------------------------------------------------------------------


def _command(*arguments: str) -> None:
    from cline_otel.cli.main import main

    with suppress(SystemExit):
        main(list(arguments))


def replay() -> None:
    """A recording through the command."""
    for order in _orders():
        recording, output = Path(f"recording-{order.first}"), Path(f"output-{order.first}")
        lines = write_recording(recording, order.runs, order.first)
        seconds, _ = _timed(partial(_command, "replay", str(recording), "--output", str(output)))
        if not (output / "traces.jsonl").stat().st_size:
            raise NotMeasurableError("replay made no spans")
        _answer({"replay": Spent(lines, seconds)})


def bridge() -> None:
    """OTLP requests over HTTP into the bridge's journal; it runs in the main thread, for the sake of its signals."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    threading.Thread(target=_feed, args=(port,), daemon=True).start()
    _command("run", "--listen", f"127.0.0.1:{port}")
    raise NotMeasurableError("the bridge ended by itself")


def _feed(port: int) -> NoReturn:
    """Posts what is ordered; in the end it ends the process, since a shutdown would wait for the endpoint."""
    try:
        connection = _connected(port)
        for order in _orders():
            bodies = requests(order.runs, order.first)
            gc.collect()
            started = time.process_time() - time.thread_time()
            for body in bodies:
                _post(connection, body)
            seconds = time.process_time() - time.thread_time() - started
            _answer({"bridge": Spent(record_count(order.runs, order.first), seconds)})
    except (OSError, http.client.HTTPException, NotMeasurableError) as error:
        print(f"not measured: {error}", file=sys.stderr)
    finally:
        os._exit(0)


def _connected(port: int) -> http.client.HTTPConnection:
    give_up_at = time.monotonic() + _START_TIMEOUT_SECONDS
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_START_TIMEOUT_SECONDS)
        try:
            connection.connect()
        except OSError:
            if time.monotonic() > give_up_at:
                raise
            time.sleep(0.05)
        else:
            return connection


def _post(connection: http.client.HTTPConnection, body: bytes) -> None:
    connection.request("POST", "/v1/logs", body, {"Content-Type": "application/x-protobuf"})
    answer = connection.getresponse()
    answer.read()
    if answer.status != 200:
        raise NotMeasurableError(f"the bridge answered {answer.status}")


# --- the parts --------------------------------------------------------------------------------------


def parts() -> None:
    """Decode, translate, encode and commit one after the other; as many as this commit's interfaces allow."""
    for order in _orders():
        spent: dict[str, Spent] = {}
        try:
            for stage, seconds in _parts(requests(order.runs, order.first), Path(f"journal-{order.first}")):
                spent[stage] = Spent(record_count(order.runs, order.first), seconds)
        except (NotMeasurableError, ImportError, AttributeError, TypeError) as error:
            print(f"not measured: {type(error).__name__}: {error}", file=sys.stderr)
        _answer(spent)


def _parts(bodies: list[bytes], folder: Path) -> Iterator[tuple[str, float]]:
    from cline_otel.catalogue.load import load
    from cline_otel.encode.logs import encode_logs
    from cline_otel.encode.resource_and_scope import ResourceAndScope
    from cline_otel.encode.traces import encode_traces
    from cline_otel.journal.records import Commit, OutboxItem
    from cline_otel.journal.store import Journal

    catalogue, decode = load(), _decoder()
    resource_and_scope = ResourceAndScope((("service.name", "cline"),), "cline-otel", "bench", "")
    seconds, decoded = _timed(lambda: [list(decode(body, catalogue)) for body in bodies])
    yield "decode", seconds
    translator = _found("translate")(catalogue, claim_wait_ns=0)
    taken: list[tuple[Any, dict[str, bytes | None]]] = []

    def translate() -> None:
        for events in decoded:
            for event in events:
                translator.step(event)
            taken.append((translator.take(), translator.state.changes()))

    seconds, _ = _timed(translate)
    yield "translate", seconds
    seconds, encoded = _timed(
        lambda: [
            (encode_traces(out.spans, resource_and_scope), encode_logs(out.logs, resource_and_scope))
            for out, _ in taken
        ]
    )
    yield "encode", seconds
    commits = [
        Commit(
            state=changes,
            outbox=[
                *([OutboxItem("traces", traces, len(out.spans))] if traces else ()),
                *([OutboxItem("logs", logs, len(out.logs))] if logs else ()),
            ],
        )
        for (out, changes), (traces, logs) in zip(taken, encoded, strict=True)
    ]
    folder.mkdir()
    journal = Journal.open(folder / "journal.db")

    def commit_all() -> None:
        for commit in commits:
            journal.commit(commit)

    seconds, _ = _timed(commit_all)
    journal.close()
    yield "commit", seconds


STAGES: Final = (bridge, replay, parts)


def isolated_environment(folder: Path, path: Iterable[Path]) -> dict[str, str]:
    """The environment of a measuring process: a home of its own, an endpoint that is not there, ``PYTHONPATH``."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "PYTHONPATH": os.pathsep.join(map(str, path)),
        "PYTHONHASHSEED": "0",
        "CLINE_OTEL_BRIDGE_STATE_DIR": str(folder / "state"),
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{_CLOSED_PORT}",
        "LC_ALL": "C.UTF-8",
        "NO_PROXY": "*",
    }


def main() -> None:
    """Obeys orders by the stage function that argument 1 names; ``cline_otel`` must come from argument 2."""
    stage = next(stage for stage in STAGES if stage.__name__ == sys.argv[1])
    found = importlib.import_module("cline_otel").__file__ or ""
    if not Path(found).is_relative_to(sys.argv[2]):
        sys.exit(f"error: cline_otel came from {found}, not from {sys.argv[2]}")
    # What the commands print is no answer.
    sys.stdout = sys.stderr
    try:
        stage()
    except NotMeasurableError as error:
        sys.exit(f"not measured: {error}")


if __name__ == "__main__":
    main()
