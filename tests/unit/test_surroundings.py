"""Whoever runs the suite, and wherever: what a test and the processes that it starts find is the same."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from waiting import PATIENCE_SECONDS

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no process inherits signals or a umask there")

ROOT = Path(__file__).parents[2]
IGNORED = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT")
HOSTILE = {
    "ALL_PROXY": "http://127.0.0.1:9",
    "CLINE_DIR": "/nonexistent",
    "CLINE_OTEL_BRIDGE_STATE_DIR": "/nonexistent",
    "COLUMNS": "20",
    "DO_NOT_TRACK": "1",
    "FORCE_COLOR": "1",
    "GIT_DIR": "/nonexistent",
    "HTTPS_PROXY": "http://127.0.0.1:9",
    "HTTP_PROXY": "http://127.0.0.1:9",
    "LC_ALL": "C",
    "LINES": "5",
    "NO_COLOR": "1",
    "NODE_OPTIONS": "--no-such-option",
    "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9",
    "OTEL_SDK_DISABLED": "true",
    "OTEL_TRACES_EXPORTER": "console",
    "TERM": "dumb",
    "TZ": "Pacific/Kiritimati",
    "XDG_STATE_HOME": "/nonexistent",
}
SENSITIVE = (
    "tests/unit/test_surroundings.py::test_a_process_that_a_test_starts_finds_plain_surroundings",
    "tests/cli/test_errors.py::test_ctrl_c_during_a_command_is_quiet",
)
"""Tests that do not hold where what is set or ignored around the suite reaches them."""


def test_a_process_that_a_test_starts_finds_plain_surroundings() -> None:
    script = (
        "import json, os, signal, time\n"
        "umask = os.umask(0)\n"
        "ignored = [n for n in signal.valid_signals() if signal.getsignal(n) == signal.SIG_IGN]\n"
        "blocked = list(signal.pthread_sigmask(signal.SIG_BLOCK, ()))\n"
        "home = os.listdir(os.environ['HOME'])\n"
        "print(json.dumps([sorted(os.environ), ignored, blocked, umask, home, time.timezone]))\n"
    )
    answer = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, check=True)
    variables, ignored, blocked, umask, home, west_of_utc_seconds = json.loads(answer.stdout)
    assert [name for name in variables if name in HOSTILE.keys() - {"LC_ALL"}] == []
    # Python itself ignores these two.
    assert sorted(ignored) == sorted([signal.SIGPIPE, signal.SIGXFSZ])
    assert (blocked, umask, home, west_of_utc_seconds) == ([], 0o022, [], 0)


def test_a_suite_that_is_started_in_the_background_of_a_hostile_shell_passes(tmp_path: Path) -> None:
    def be_hostile() -> None:
        for name in IGNORED:
            signal.signal(signal.Signals[name], signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
        os.umask(0o077)
        os.close(0)

    answer = subprocess.run(
        [sys.executable, "-m", "pytest", "-n0", "-q", "-p", "no:cacheprovider", f"--basetemp={tmp_path}/t", *SENSITIVE],
        cwd=ROOT,
        env=os.environ | HOSTILE,
        preexec_fn=be_hostile,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert answer.returncode == 0, answer.stdout
