"""``pipe``: a stream goes through byte for byte, whatever becomes of the bridge beside it."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import pytest

from bridge.endpoint import Endpoint
from bridge.process import EXECUTABLE, Home
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
