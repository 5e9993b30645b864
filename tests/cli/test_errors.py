"""What goes wrong is told in one line that names the thing and the remedy; the exit code is not zero."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from bridge.endpoint import Endpoint
from bridge.process import Bridge, Home, command, is_one_clear_line, without_file_override
from bridge.received import Received
from bridge.test_lifecycle import give_log
from bridge.workload import EXAMPLE, log_copies
from cline_otel.journal import Journal
from waiting import PATIENCE_SECONDS, wait_until


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["run", "--speed"], ["--speed", "cline-otel run --help"]),
        (["bogus"], ["bogus", "cline-otel --help"]),
        (["replay"], ["PATH", "cline-otel replay --help"]),
        (["replay", "--only", "hooks", str(EXAMPLE)], ["--only", "hooks", "plugin", "cline-log", "otlp"]),
        (["replay", "--metrics", str(EXAMPLE)], ["--metrics", "--send"]),
        (["replay", "no/such/file"], ["no/such/file", "no such file", "name a cline.log"]),
        (["replay", "."], [".", "nothing to replay"]),
        (["replay", str(EXAMPLE), "--only", "otlp"], [str(EXAMPLE), "nothing to replay", "otlp"]),
        (["replay", str(Path(__file__))], [Path(__file__).name, "not a recording of a known source"]),
        (["replay", "--send", str(EXAMPLE)], ["no endpoint", "OTEL_EXPORTER_OTLP_ENDPOINT"]),
        (["explain", "task.token"], ["task.token", "task.tokens"]),
        (["explain", "quite-unlike-anything"], ["quite-unlike-anything", "cline-otel explain"]),
        (["run", "--listen", "nowhere"], ["CLINE_OTEL_BRIDGE_LISTEN", "nowhere", "127.0.0.1:4319"]),
        (["run", "--listen", "0.0.0.0:4319"], ["CLINE_OTEL_BRIDGE_LISTEN", "0.0.0.0", "127.0.0.1"]),
    ],
    ids=lambda value: " ".join(Path(each).name for each in value) if "-" in str(value) else "",
)
def test_a_mistake_in_the_command_line_is_told_in_one_line(home: Home, arguments: list[str], parts: list[str]) -> None:
    answer = home.run(*arguments)
    assert answer.returncode == 2
    assert is_one_clear_line(answer.stderr, *parts), answer.stderr


@pytest.mark.parametrize(
    ("variable", "value", "part"),
    [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "localhost:4318", "http://localhost:4318"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http", "http/protobuf"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "planted-secret-a81", "name=value"),
        ("OTEL_SDK_DISABLED", "yes", "true or false"),
        ("OTEL_TRACES_EXPORTER", "zipkin_of_the_future", "zipkin_of_the_future"),
        ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "sum", "cumulative, delta or lowmemory"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/no/such/authority.pem", "/no/such/authority.pem"),
        ("CLINE_OTEL_BRIDGE_JOURNAL_LIMIT_BYTES", "12", "8388608"),
    ],
)
def test_a_variable_that_cannot_be_used_is_named_with_what_would_do(
    home: Home, variable: str, value: str, part: str
) -> None:
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": "https://127.0.0.1:9", variable: value}
    answer = home.run("run", "--no-listen", environment=environment)
    assert answer.returncode in {1, 2}
    assert is_one_clear_line(answer.stderr, variable, part), answer.stderr
    assert "planted-secret" not in answer.stderr


def corrupt(path: Path) -> None:
    path.write_bytes(b"no database at all, but long enough to be looked at" * 100)


def from_the_future(path: Path) -> None:
    Journal.open(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 9999")
    connection.close()


def of_something_else(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE bookmarks (url TEXT)")
    connection.close()


@pytest.mark.parametrize(
    ("spoil", "part"),
    [(corrupt, "damaged"), (from_the_future, "newer release"), (of_something_else, "another program")],
)
def test_a_journal_that_cannot_be_used_is_refused_and_left_as_it_is(
    home: Home, spoil: Callable[[Path], None], part: str
) -> None:
    home.state.mkdir()
    spoil(home.journal)
    before = home.journal.read_bytes()
    for arguments in (["run", "--listen", "127.0.0.1:0"], ["status"], ["status", "--json"]):
        answer = home.run(*arguments)
        assert answer.returncode == 1
        assert is_one_clear_line(answer.stderr, str(home.journal), part), answer.stderr
        assert ("elemetry" in answer.stdout) == (arguments[0] == "status")
    assert home.journal.read_bytes() == before


def test_status_without_a_journal_answers_what_it_can(home: Home) -> None:
    give_log(home, log_copies(1))
    assert home.run("off").returncode == 0
    answer = home.run("status")
    assert (answer.returncode, answer.stderr) == (0, "")
    assert "does not run; start it with `cline-otel run`" in answer.stdout
    assert re.search(r"Telemetry +off: .*cline-otel off", answer.stdout)
    assert str(home.cline_log) in answer.stdout.replace("~", str(home.directory))
    document = home.status()
    assert document["telemetry"]["state"] == "off"
    assert (document["path"], document["instance_id"], document["signals"]) == (str(home.journal), None, {})
    assert "cline-otel run" in document["problem"]
    log = next(each for each in document["sources"] if each["source"] == "cline-log")
    assert log["unread_bytes"] == home.cline_log.stat().st_size
    assert not home.journal.exists()


@pytest.mark.parametrize("arguments", [["run", "--no-listen"], ["demo"], ["status"], ["install"]], ids=" ".join)
def test_a_state_directory_that_cannot_be_made_is_named(home: Home, arguments: list[str]) -> None:
    home.state.write_text("a file in the way")
    answer = home.run(*arguments)
    assert answer.returncode in {1, 2}
    assert is_one_clear_line(answer.stderr, str(home.state)), answer.stderr


@pytest.mark.parametrize("arguments", [["run", "--no-listen"], ["demo"], ["status"], ["install"]], ids=" ".join)
def test_a_state_directory_of_somebody_else_is_named(home: Home, arguments: list[str]) -> None:
    before_exec = without_file_override()
    if before_exec is None:
        pytest.skip("root passes over file modes here")
    home.state.mkdir()
    home.state.chmod(0o000)
    try:
        answer = home.run(*arguments, before_exec=before_exec)
    finally:
        home.state.chmod(0o700)
    assert answer.returncode in {1, 2}
    assert is_one_clear_line(answer.stderr, str(home.state)), answer.stderr


def test_a_recording_that_may_not_be_read_is_named(home: Home) -> None:
    before_exec = without_file_override()
    if before_exec is None:
        pytest.skip("root passes over file modes here")
    log = home.directory / "cline.log"
    log.write_bytes((EXAMPLE / "cline.log").read_bytes())
    log.chmod(0o000)
    answer = home.run("replay", log, before_exec=before_exec)
    assert answer.returncode == 2
    assert is_one_clear_line(answer.stderr, str(log), "Permission denied", "check its permissions"), answer.stderr


def test_an_output_folder_that_cannot_be_made_is_named(home: Home) -> None:
    (home.directory / "file").touch()
    answer = home.run("replay", EXAMPLE, "--output", home.directory / "file" / "folder")
    assert answer.returncode == 2
    assert is_one_clear_line(answer.stderr, str(home.directory / "file"), "name another folder"), answer.stderr


@pytest.mark.parametrize("arguments", [["replay", "--send", str(EXAMPLE)], ["demo"]], ids=["replay --send", "demo"])
def test_an_endpoint_that_nobody_serves_is_named(home: Home, arguments: list[str]) -> None:
    with Endpoint() as endpoint:
        answer = home.run(*arguments, environment={"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint.url})
        url = endpoint.url
    assert answer.returncode == 1
    assert is_one_clear_line(answer.stderr, "traces", url, "OTEL_EXPORTER_OTLP_ENDPOINT"), answer.stderr


@pytest.mark.parametrize(("status", "part"), [(401, "OTEL_EXPORTER_OTLP_HEADERS"), (400, "does not take")])
def test_an_endpoint_that_refuses_is_named_with_its_answer(home: Home, status: int, part: str) -> None:
    with Endpoint(lambda signal, request: (status, b"")) as endpoint:
        environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint.listen().url}
        answer = home.run("replay", "--send", EXAMPLE, environment=environment)
        assert answer.returncode == 1
        assert is_one_clear_line(answer.stderr, f"{status} ", endpoint.url, part), answer.stderr


def test_a_foreign_file_in_the_plugin_s_place_is_named(home: Home) -> None:
    plugin = home.cline / "plugins" / "cline-otel.js"
    plugin.parent.mkdir(parents=True)
    plugin.write_text("// mine")
    for verb in ("install", "uninstall"):
        answer = home.run(verb)
        assert answer.returncode == 1
        assert is_one_clear_line(answer.stderr, str(plugin), "move it away"), answer.stderr
    assert plugin.read_text() == "// mine"


@pytest.mark.parametrize(
    "arguments", [["replay", str(EXAMPLE)], ["demo"], ["explain"], ["explain", "task.tokens"], ["--help"]], ids=" ".join
)
def test_a_reader_that_leaves_ends_it_quietly(home: Home, arguments: list[str]) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    try:
        process = subprocess.run(
            command(*arguments),
            env=home.environment,
            stdin=subprocess.DEVNULL,
            stdout=write_end,
            stderr=subprocess.PIPE,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
    finally:
        os.close(write_end)
    assert process.stderr == b""


def test_a_bridge_goes_on_when_nobody_reads_its_words_any_more(home: Home) -> None:
    read_end, write_end = os.pipe()
    process = subprocess.Popen(
        command("run", "--listen", "127.0.0.1:0"),
        env=home.environment,
        stdin=subprocess.DEVNULL,
        stdout=write_end,
        stderr=write_end,
    )
    os.close(write_end)
    try:
        with os.fdopen(read_end, "rb") as said:
            while b"state directory" not in said.readline():
                pass
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_SECONDS) == 0
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("arguments", [[], ["key"]], ids=["cline-otel", "cline-otel key"])
def test_without_a_command_the_help_is_shown_as_it_is_and_the_exit_code_says_that_none_was_given(
    home: Home, arguments: list[str]
) -> None:
    answer = home.run(*arguments)
    assert answer.returncode == 2
    assert answer.stdout == ""
    assert answer.stderr == home.run(*arguments, "--help").stdout


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1, 2)], ids=str)
def test_a_bridge_runs_as_well_when_it_was_started_without_standard_streams(
    home: Home, closed: tuple[int, ...]
) -> None:
    redirections = " ".join(f"{number}>&-" for number in closed)
    process = subprocess.Popen(
        ["sh", "-c", f'exec "$0" "$@" {redirections}', *command("run", "--listen", "127.0.0.1:0")], env=home.environment
    )
    try:
        give_log(home, log_copies(1))
        wait_until(lambda: len(Received.in_files(home.telemetry).spans) > 0, lambda: f"{process.poll()}")
        for descriptor in Path(f"/proc/{process.pid}/fd").glob("[012]") if sys.platform == "linux" else ():
            assert home.directory not in descriptor.resolve().parents
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_SECONDS) == 0
    finally:
        process.kill()
        process.wait()


def test_a_defect_is_told_by_its_place_and_never_by_its_data(home: Home) -> None:
    script = (
        "import cline_otel.cli.demo as demo, cline_otel.cli.main as cli\n"
        "def run_demo():\n"
        "    raise KeyError('planted-secret-4f1')\n"
        "demo.run_demo = run_demo\n"
        "cli.main(['demo'])\n"
    )
    python = Path(command()[0]).with_name("python")
    answer = subprocess.run(
        [python, "-c", script], env=home.environment, capture_output=True, encoding="utf-8", check=False
    )
    assert answer.returncode == 1
    assert is_one_clear_line(answer.stderr, "KeyError", "<string>:3"), answer.stderr
    assert "planted" not in answer.stderr


def test_ctrl_c_during_a_command_is_quiet(home: Home) -> None:
    fifo = home.directory / "never-ending"
    os.mkfifo(fifo)
    process = subprocess.Popen(
        command("replay", fifo), env=home.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        # It is reading once the pipe has a reader.
        descriptor = os.open(fifo, os.O_WRONLY)
        # A signal that comes right before a read begins does not end that read, whatever the program does.
        for _ in range(10):
            process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                process.wait(PATIENCE_SECONDS / 10)
                break
        assert process.returncode == 130
        os.close(descriptor)
        assert process.stderr is not None
        assert process.stderr.read() == b"\n"
    finally:
        process.kill()
        process.communicate()


def test_a_running_bridge_is_not_disturbed_by_other_commands(home: Home) -> None:
    with Bridge(home) as bridge:
        assert home.run("status").returncode == 0
        assert home.run("demo").returncode == 0
        assert home.run("replay", EXAMPLE).returncode == 0
        assert bridge.is_running()
        assert not (home.telemetry / "traces.jsonl").exists()
        assert bridge.stop() == 0
