"""``exec``: a command runs as it does by itself, whatever becomes of the bridge beside it, and is told at its end."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from bridge.endpoint import Endpoint
from bridge.process import EXECUTABLE, Bridge, Home
from bridge.workload import EXAMPLE as EXAMPLE_FOLDER
from bridge.workload import WritingProcess
from waiting import PATIENCE_SECONDS, wait_until

TRACE_ID, SPAN_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
HUB = "--cline-hub-daemon"
EXAMPLE = next((EXAMPLE_FOLDER / "spool").glob("*.jsonl"))

CLINE = """
import os, sys, time
from pathlib import Path

spool, recorded, exit_code = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
spool.mkdir(mode=0o700, parents=True, exist_ok=True)
name = f"{os.getpid()}-{time.time_ns() // 1_000_000}-0.jsonl"
(spool / name).write_bytes(recorded.read_bytes())
sys.exit(exit_code)
"""
"""A stand-in: it leaves what the plugin once wrote, and ends."""

TRAPPING = """
import signal, sys
from pathlib import Path

numbers = {signal.SIGTERM, signal.SIGINT, signal.SIGUSR1}
signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
log = Path(sys.argv[1])
log.write_text("ready ")
while True:
    name = signal.Signals(signal.sigwait(numbers)).name
    with log.open("a") as file:
        file.write(f"{name} ")
    if name == "SIGUSR1":
        sys.exit(5)
"""
"""Writes down the signals that it gets, until SIGUSR1."""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    home.cline.mkdir()
    return home


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """The bundled run, moved to now: what began before a command is not its own."""
    path = tmp_path / "recorded.jsonl"
    lines = [json.loads(line) for line in EXAMPLE.read_text().splitlines()]
    shift_ms = time.time_ns() // 1_000_000 + 60_000 - lines[0]["time_unix_ms"]
    for line in lines:
        for name in ("time_unix_ms", "started_at_ms", "ended_at_ms", "first_chunk_at_ms"):
            if name in line:
                line[name] += shift_ms
        if line["event"] == "run.started" and line["agent_kind"] == "root":
            line |= {"remote_trace_id": TRACE_ID, "remote_span_id": SPAN_ID, "remote_relation": "child"}
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return path


def as_cline(home: Home, recorded: Path, exit_code: int = 0) -> list[str]:
    return [sys.executable, "-c", CLINE, str(home.spool), str(recorded), str(exit_code)]


def executed(
    home: Home, *command: str, options: Sequence[str] = (), environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return home.run("exec", *options, "--", *command, environment=environment)


def said(answer: subprocess.CompletedProcess[str]) -> list[str]:
    return re.findall(r"^cline-otel: (.*)$", answer.stderr, re.MULTILINE)


@contextmanager
def executing(
    home: Home, *command: str, environment: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    """A command of ``exec`` in a process group of its own, as a CI system runs a step."""
    process = subprocess.Popen(
        [EXECUTABLE, "exec", "--", *command],
        env=home.environment | dict(environment or {}),
        cwd=home.directory,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


# --- the command is left alone --------------------------------------------------------------------------------


def test_streams_arguments_and_exit_code_are_the_commands_own(home: Home) -> None:
    script = "import sys; print(sys.argv[1:]); print(sys.stdin.read(), file=sys.stderr); sys.exit(3)"
    answer = executed(home, sys.executable, "-c", script, "--json", "--drain", "a b")
    assert answer.returncode == 3
    assert answer.stdout == "['--json', '--drain', 'a b']\n"


def test_what_an_exporter_prints_is_not_the_commands(home: Home, recorded: Path) -> None:
    printing = {"OTEL_TRACES_EXPORTER": "console"}
    answer = executed(home, *as_cline(home, recorded), environment=printing)
    assert answer.stdout == ""
    assert f"0x{TRACE_ID}" in answer.stderr


def test_a_command_that_a_signal_ends_gives_128_and_its_number(home: Home) -> None:
    assert executed(home, "sh", "-c", "kill -9 $$").returncode == 128 + signal.SIGKILL
    assert executed(home, "sh", "-c", "kill -15 $$").returncode == 128 + signal.SIGTERM


def test_a_command_that_cannot_run_gives_what_a_shell_gives(home: Home) -> None:
    not_found = executed(home, "no-such-command-anywhere")
    assert not_found.returncode == 127
    assert any("no-such-command-anywhere" in line for line in said(not_found))
    plain_file = home.directory / "plain"
    plain_file.touch()
    assert executed(home, str(plain_file)).returncode == 126


def test_without_a_command_nothing_runs(home: Home) -> None:
    answer = home.run("exec")
    assert answer.returncode == 2
    assert not home.state.exists()


def has_written(log: Path, text: str) -> bool:
    return log.exists() and log.read_text() == text


@pytest.mark.parametrize("to_group", [False, True], ids=["to exec alone", "to its group"])
def test_a_signal_reaches_the_command_once(home: Home, to_group: bool) -> None:
    log = home.directory / "log"
    expected = "ready "
    with executing(home, sys.executable, "-c", TRAPPING, str(log)) as process:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
            wait_until(partial(has_written, log, expected), f"the command to write {expected}")
            (os.killpg if to_group else os.kill)(process.pid, number)
            expected += f"{number.name} "
        process.communicate(timeout=PATIENCE_SECONDS)
    assert log.read_text() == expected
    assert process.returncode == 5


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        (
            {"CLINE_OTEL_BRIDGE_CLAIM_WAIT_SECONDS": "never"},
            "nothing is reported: CLINE_OTEL_BRIDGE_CLAIM_WAIT_SECONDS",
        ),
        ({"CLINE_OTEL_TRACE_URL": "https://traces.example/"}, "nothing is reported: CLINE_OTEL_TRACE_URL"),
        ({"CLINE_OTEL_BRIDGE_STATE_DIR": "/dev/null/none"}, "/dev/null/none"),
        ({"OTEL_TRACES_EXPORTER": "nobody"}, "nobody"),
    ],
)
def test_a_command_runs_though_no_bridge_can(home: Home, environment: dict[str, str], says: str) -> None:
    answer = executed(home, "sh", "-c", "echo ran; exit 4", environment=environment)
    assert (answer.returncode, answer.stdout) == (4, "ran\n")
    assert len([line for line in said(answer) if says in line]) == 1


def test_a_command_knows_that_the_pipelines_span_is_its_parent_and_has_time_for_the_plugin(home: Home) -> None:
    names = "CLINE_OTEL_TRACEPARENT_AS", "CLINE_PLUGIN_IMPORT_TIMEOUT_MS", "TRACEPARENT", "CLINE_OTEL_BRIDGE_LISTEN"
    command = [sys.executable, "-c", f"import os; print(*(os.environ.get(name) for name in {names}))"]
    assert executed(home, *command).stdout.split() == ["None", "60000", "None", "None"]
    own = {"TRACEPARENT": "00-a-b-01"}
    assert executed(home, *command, environment=own).stdout.split() == ["parent", "60000", "00-a-b-01", "None"]
    own |= {"CLINE_OTEL_TRACEPARENT_AS": "link", "CLINE_PLUGIN_IMPORT_TIMEOUT_MS": "1"}
    assert executed(home, *command, environment=own).stdout.split() == ["link", "1", "00-a-b-01", "None"]


# --- what it did is told --------------------------------------------------------------------------------------


def test_what_a_command_did_is_delivered_when_it_ends(home: Home, recorded: Path, tmp_path: Path) -> None:
    summary = tmp_path / "summary.md"
    summary.write_text("before\n")
    with Endpoint() as endpoint:
        environment = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint.listen().url,
            "CLINE_OTEL_TRACE_URL": "https://traces.example/t/{trace_id}",
            "GITHUB_STEP_SUMMARY": str(summary),
        }
        answer = executed(home, *as_cline(home, recorded, 7), environment=environment)
        assert answer.returncode == 7
        assert endpoint.taken["traces"]
        assert endpoint.taken["metrics"]
    assert [line for line in said(answer) if line.startswith("trace")] == [
        f"trace {TRACE_ID} https://traces.example/t/{TRACE_ID}"
    ]
    text = summary.read_text()
    assert text.startswith("before\n### Cline\n")
    assert "| Command | exit code 7, " in text
    assert f"[{TRACE_ID}](https://traces.example/t/{TRACE_ID})" in text
    assert home.pending() == 0


def test_what_began_before_a_command_is_delivered_and_is_not_its_own(home: Home) -> None:
    home.spool.mkdir(parents=True)
    (home.spool / "1-1-0.jsonl").write_bytes(EXAMPLE.read_bytes())
    answer = executed(home, "true")
    assert "no prompt was reported" in said(answer)
    assert home.delivered("traces") > 5


def test_what_cannot_be_sent_in_time_waits_and_is_said(home: Home, recorded: Path) -> None:
    with Endpoint() as endpoint:
        _, end = endpoint.hold()
        environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint.listen().url}
        answer = executed(home, *as_cline(home, recorded), options=["--drain", "5"], environment=environment)
        end.set()
    assert answer.returncode == 0
    assert any("could not be sent in time" in line for line in said(answer))
    assert home.pending() > 5


def test_a_signal_after_the_end_of_the_command_ends_the_wait(home: Home, recorded: Path) -> None:
    with Endpoint() as endpoint:
        asked, end = endpoint.hold()
        environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint.listen().url, "CLINE_OTEL_BRIDGE_LISTEN": "none"}
        command = [EXECUTABLE, "exec", "--drain", "600", "--", *as_cline(home, recorded, 2)]
        process = subprocess.Popen(
            command, env=home.environment | environment, cwd=home.directory, stderr=subprocess.PIPE, encoding="utf-8"
        )
        wait_until(asked.is_set, "the bridge to send")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=PATIENCE_SECONDS)
        end.set()
    assert process.returncode == 2


def test_beside_a_bridge_that_runs_a_command_is_told_of_by_that(home: Home, recorded: Path) -> None:
    with Bridge(home) as bridge:
        answer = executed(home, *as_cline(home, recorded))
        assert bridge.is_running
    assert "a bridge runs already, and reports this where its own settings say" in said(answer)
    assert f"trace {TRACE_ID}" in said(answer)


# --- telemetry is off -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["DO_NOT_TRACK", "off"])
def test_while_telemetry_is_off_a_command_runs_and_nothing_of_it_is_ever_sent(
    home: Home, recorded: Path, tmp_path: Path, how: str
) -> None:
    with Endpoint() as endpoint:
        environment = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint.listen().url,
            "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md"),
        }
        off = {"DO_NOT_TRACK": "1"} if how == "DO_NOT_TRACK" else {}
        if how == "off":
            assert home.run("off").returncode == 0
        answer = executed(home, *as_cline(home, recorded, 6), environment=environment | off)
        assert answer.returncode == 6
        assert len(said(answer)) == 1 + ("the plugin is not installed" in answer.stderr)
        assert not (tmp_path / "summary.md").exists()
        assert home.run("on").returncode == 0
        executed(home, "true", environment=environment)
        assert endpoint.asked["traces"] == 0


# --- the hub ----------------------------------------------------------------------------------------------------


def test_of_all_hubs_the_one_that_the_command_started_is_ended(home: Home) -> None:
    sleeping = ["-c", "import time; time.sleep(600)", HUB]
    other = subprocess.Popen([sys.executable, *sleeping], env=home.environment)
    pid_file = home.directory / "pid"
    starting = f"""
import subprocess
from pathlib import Path
hub = subprocess.Popen({[sys.executable, *sleeping]!r}, start_new_session=True)
Path({str(pid_file)!r}).write_text(str(hub.pid))
"""
    try:
        executed(home, sys.executable, "-c", starting)
        hub = Path("/proc", pid_file.read_text())
        assert not hub.exists() or "Z" in (hub / "stat").read_text().rpartition(")")[2].split()[0]
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


# --- what is open at the end --------------------------------------------------------------------------------------


@pytest.mark.parametrize("in_job", [True, False], ids=["in a job", "elsewhere"])
def test_a_run_that_nobody_will_end_is_closed_in_a_job_and_waits_elsewhere(
    home: Home, recorded: Path, in_job: bool
) -> None:
    with WritingProcess() as alive:
        cut = [line for line in recorded.read_text().splitlines() if '"run.finished"' not in line]
        open_run = home.directory / "open.jsonl"
        open_run.write_text("".join(f"{line}\n" for line in cut if '"process.exited"' not in line))
        home.spool.mkdir(mode=0o700, parents=True)
        command = ["cp", str(open_run), str(home.spool / alive.spool_name())]
        environment = {"GITLAB_CI": "true"} if in_job else {}
        executed(home, *command, options=["--drain", "4"], environment=environment)
    answer = home.run("preview", "--last", "100", "--json")
    spans = [json.loads(line).get("span", {}) for line in answer.stdout.splitlines()]
    agents = [span for span in spans if span.get("name", "").startswith("invoke_agent")]
    assert bool(agents) == in_job
    assert all({"key": "cline.incomplete", "value": {"boolValue": True}} in span["attributes"] for span in agents)
