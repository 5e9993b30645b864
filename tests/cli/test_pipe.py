"""``pipe``: a stream goes through byte for byte, whatever becomes of the bridge beside it."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import threading
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bridge.endpoint import Endpoint
from bridge.process import EXECUTABLE, Bridge, Home
from corpus import DATA
from waiting import PATIENCE_SECONDS, wait_until

from .test_exec import EXAMPLE, TRACE_ID, as_cline
from .test_exec import home as home
from .test_exec import recorded as recorded

BYTES = random.Random(7).randbytes(3_000_000) + b"\n\r\n\0 no newline at the end"


def piped(home: Home, content: bytes, *options: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [EXECUTABLE, "pipe", *options],
        input=content,
        capture_output=True,
        env=home.environment | environment,
        timeout=PATIENCE_SECONDS,
        check=False,
    )


def started(environment: Mapping[str, str], *options: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [EXECUTABLE, "pipe", *options],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"DO_NOT_TRACK": "1"},
        {"CLINE_OTEL_BRIDGE_CLAIM_WAIT_SECONDS": "never"},
        {"CLINE_OTEL_BRIDGE_STATE_DIR": "/dev/null/none"},
        {"OTEL_TRACES_EXPORTER": "nobody"},
        {"OTEL_TRACES_EXPORTER": "console", "OTEL_METRICS_EXPORTER": "console"},
    ],
    ids=["on", "off", "a bad setting", "no state directory", "no exporter", "an exporter that prints"],
)
def test_every_byte_goes_through(home: Home, environment: dict[str, str]) -> None:
    home.spool.mkdir(parents=True)
    (home.spool / "1-1-0.jsonl").write_bytes(EXAMPLE.read_bytes())
    answer = piped(home, BYTES, **environment)
    assert answer.stdout == BYTES
    assert answer.returncode == 0


def breaks(pipe: int) -> bool:
    try:
        os.write(pipe, BYTES)
    except BrokenPipeError:
        return True
    return False


def test_what_was_written_is_there_before_the_stream_ends(home: Home) -> None:
    process = subprocess.Popen(
        [EXECUTABLE, "pipe"],
        env=home.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    for line in (b"one", b"two\n"):
        process.stdin.write(line)
        process.stdin.flush()
        assert os.read(process.stdout.fileno(), 100) == line
    process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0


def test_what_the_writer_did_is_delivered_when_the_stream_ends(home: Home, recorded: Path) -> None:
    with Endpoint() as endpoint:
        environment = home.environment | {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint.listen().url}
        pipe = started(environment)
        subprocess.run(as_cline(home, recorded), stdout=pipe.stdin, check=True)
        _, errors = pipe.communicate(timeout=PATIENCE_SECONDS)
        assert endpoint.taken["traces"]
        assert endpoint.taken["metrics"]
    assert re.findall("cline-otel: trace (.*)", errors.decode()) == [TRACE_ID]
    assert home.pending() == 0


def test_a_writer_learns_that_nobody_reads(home: Home) -> None:
    process = started(home.environment, "--drain", "0")
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdout.close()
    wait_until(partial(breaks, process.stdin.fileno()), "the pipe to break")
    process.stdin.close()
    process.wait(PATIENCE_SECONDS)
    assert process.returncode == 128 + signal.SIGPIPE
    assert process.stderr is not None
    process.stderr.close()


def test_ctrl_c_is_for_the_writer_and_sigterm_for_us(home: Home) -> None:
    process = subprocess.Popen(
        [EXECUTABLE, "pipe"],
        env=home.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    wait_until((home.state / "bridge.json").exists, "the bridge to run")
    process.send_signal(signal.SIGINT)
    process.stdin.write(b"how it ended")
    process.stdin.flush()
    assert os.read(process.stdout.fileno(), 100) == b"how it ended"
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE_SECONDS) == 128 + signal.SIGTERM
    process.communicate()


def stream_of_now(name: str = "plugin_basic") -> bytes:
    """A recorded stream, moved to begin in a minute: what began before the command is not its own."""
    lines = [json.loads(line) for line in (DATA / "streams" / f"{name}.jsonl").read_bytes().splitlines()]
    shift = datetime.now(UTC) + timedelta(minutes=1) - datetime.fromisoformat(lines[0]["ts"])
    for line in lines:
        line["ts"] = (datetime.fromisoformat(line["ts"]) + shift).isoformat().replace("+00:00", "Z")
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def spans_in(home: Home) -> list[dict[str, Any]]:
    requests = [json.loads(line) for path in home.telemetry.glob("traces*") for line in path.read_bytes().splitlines()]
    return [
        span
        for request in requests
        for resource in request["resourceSpans"]
        for scope in resource["scopeSpans"]
        for span in scope["spans"]
    ]


def test_where_nothing_else_tells_of_cline_its_stream_does(home: Home) -> None:
    stream = stream_of_now()
    answer = piped(home, stream)
    assert answer.stdout == stream
    assert len(re.findall("cline-otel: trace ", answer.stderr.decode())) == 1
    names = [span["name"].partition(" ")[0] for span in spans_in(home)]
    assert [names.count(name) for name in ("invoke_agent", "chat", "execute_tool")] == [1, 8, 7]
    assert list((home.state / "streams").iterdir()) == []


def test_a_bridge_that_runs_already_takes_the_stream_in(home: Home) -> None:
    with Bridge(home) as bridge:
        answer = piped(home, stream_of_now())
        wait_until(lambda: len(spans_in(home)) == 16, lambda: bridge.said + answer.stderr.decode())
        assert bridge.stop() == 0


def test_nothing_of_the_stream_is_kept_while_telemetry_is_off(home: Home) -> None:
    stream = stream_of_now()
    answer = piped(home, stream, DO_NOT_TRACK="1")
    assert answer.stdout == stream
    assert not (home.state / "streams").exists()


def test_a_stream_that_is_told_to_end_is_told_as_far_as_it_went(home: Home) -> None:
    process = started(home.environment)
    assert process.stdin is not None
    assert process.stdout is not None
    stream = stream_of_now("plugin_cancel_sigint_cmd")
    process.stdin.write(stream)
    process.stdin.flush()
    read = b""
    while len(read) < len(stream):
        read += os.read(process.stdout.fileno(), 65_536)
    wait_until((home.state / "bridge.json").exists, "the bridge to run")
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE_SECONDS) == 128 + signal.SIGTERM
    process.communicate()
    piped(home, b"")
    assert len(spans_in(home)) == 5


def test_ends_that_do_not_block_are_waited_for(home: Home) -> None:
    """Whoever shares a pipe, or a terminal, may have made it so."""
    (input_read, input_write), (output_read, output_write) = os.pipe(), os.pipe()
    for descriptor in (input_read, output_write):
        os.set_blocking(descriptor, False)
    process = subprocess.Popen(
        [EXECUTABLE, "pipe", "--drain", "0"],
        env=home.environment,
        stdin=input_read,
        stdout=output_write,
        stderr=subprocess.DEVNULL,
    )
    os.close(input_read)
    os.close(output_write)
    received: list[bytes] = []

    def receive() -> None:
        with os.fdopen(output_read, "rb") as file:
            received.append(file.read())

    receiving = threading.Thread(target=receive)
    receiving.start()
    with os.fdopen(input_write, "wb") as file:
        file.write(BYTES)
    receiving.join(PATIENCE_SECONDS)
    assert received == [BYTES]
    assert process.wait(PATIENCE_SECONDS) == 0


def test_without_a_standard_input_it_ends(home: Home) -> None:
    answer = subprocess.run(
        ["/bin/sh", "-c", 'exec "$0" pipe --drain 0 <&-', EXECUTABLE],
        env=home.environment,
        capture_output=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert (answer.returncode, answer.stdout) == (0, b"")
