"""``import``: shows what there is, sends each prompt of the past once, and goes on where it was broken off."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from google.protobuf.message import Message

from bridge.endpoint import Endpoint
from bridge.process import EXECUTABLE, Bridge, Home, is_one_clear_line
from bridge.received import Received
from compressed_copies import all_json, compressed
from conversations import SESSION, START_MS, answer, ask, gave, text, user, write_session
from loopback_server import Answer
from waiting import PATIENCE_SECONDS

SESSIONS: Final = 3
PROMPTS: Final = 4
SPANS_OF_A_PROMPT: Final = 4
SPANS: Final = SESSIONS * PROMPTS * SPANS_OF_A_PROMPT
USAGE: Final = {"aggregateUsage": {"inputTokens": 800, "outputTokens": 80, "totalCost": 2.0}}


def write_history(directory: Path, prompts: int = PROMPTS) -> None:
    """Sessions, an hour apart, as a manifest of Cline's command line would have them."""
    for number in range(SESSIONS):
        messages = []
        for at in range(0, prompts * 1_000, 1_000):
            messages += [
                user(at, text("x")),
                answer(at + 100, ask(f"c{at}", "read_files")),
                user(at + 200, gave(f"c{at}", "ok")),
                answer(at + 300, text("done")),
            ]
        folder = write_session(directory, messages, metadata=USAGE, ended_at="2026-09-22T00:00:00.000Z")
        shift_ms = number * 3_600_000
        session_id = f"{START_MS + shift_ms}_{number:05}"
        target = directory / session_id
        target.mkdir()
        for path in sorted(folder.iterdir()):
            document = json.loads(path.read_text().replace(SESSION, session_id).replace("msg_", f"m{number}_"))
            for message in document.get("messages", ()):
                message["ts"] += shift_ms
            (target / path.name.replace(SESSION, session_id)).write_text(json.dumps(document))
            path.unlink()
        folder.rmdir()
        for path in target.iterdir():
            os.utime(path, (1_790_010_000, 1_790_010_000))


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with Endpoint() as endpoint:
        yield endpoint.listen()


@pytest.fixture
def home(tmp_path: Path, endpoint: Endpoint) -> Home:
    home = Home(tmp_path / "home", {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint.url})
    sessions = home.cline / "data" / "sessions"
    sessions.mkdir(parents=True)
    write_history(sessions)
    return home


def received(endpoint: Endpoint) -> Received:
    return Received(endpoint.traces(), endpoint.metrics(), endpoint.logs())


def test_a_dry_run_shows_what_there_is_and_sends_nothing(home: Home, endpoint: Endpoint) -> None:
    shown = home.run("import", "--dry-run")
    assert shown.returncode == 0, shown.stderr
    for part in ("cline-cli", " 3 ", "2026-09-21", "2026-09-22", "2.6k", "$6.00", "kB", "Nothing was sent"):
        assert part in shown.stdout
    assert sum(endpoint.asked.values()) == 0
    assert not home.journal.exists()


def test_each_span_is_sent_once_however_often_it_is_imported(home: Home, endpoint: Endpoint) -> None:
    first = home.run("import")
    assert first.returncode == 0, first.stderr
    assert f"Imported 3 sessions: {SESSIONS * PROMPTS} prompts, {SPANS} spans" in first.stdout
    assert "Metrics are not sent" in first.stdout
    assert endpoint.span_count() == len(received(endpoint).spans) == SPANS
    assert not endpoint.metrics()
    second = home.run("import")
    assert second.returncode == 0, second.stderr
    assert "3 sessions imported before" in second.stdout
    assert "Nothing to import" in second.stdout
    assert endpoint.span_count() == SPANS


def test_an_import_that_was_killed_goes_on_and_every_span_is_there(home: Home, endpoint: Endpoint) -> None:
    asked, end = endpoint.hold()
    environment = home.environment
    process = subprocess.Popen(
        [EXECUTABLE, "import"], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        assert asked.wait(PATIENCE_SECONDS)
    finally:
        process.kill()
        process.wait(PATIENCE_SECONDS)
        end.set()
    endpoint.answer = lambda signal, request: (200, b"")
    again = home.run("import")
    assert again.returncode == 0, again.stderr
    found = received(endpoint)
    assert len(found.spans) == endpoint.span_count() == SPANS
    assert all(len(versions) == 1 for versions in found.spans.values())
    assert home.pending() == 0


def test_ctrl_c_says_how_to_go_on(home: Home, endpoint: Endpoint) -> None:
    asked, end = endpoint.hold()
    process = subprocess.Popen(
        [EXECUTABLE, "import"],
        env=home.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    try:
        assert asked.wait(PATIENCE_SECONDS)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=PATIENCE_SECONDS)
    finally:
        process.kill()
        end.set()
    assert process.returncode == 130
    assert said.splitlines()[-1].startswith("stopped: ")
    assert "import again to go on" in said


def test_metrics_are_points_of_the_past_in_series_of_their_own(home: Home, endpoint: Endpoint) -> None:
    imported = home.run("import", "--metrics")
    assert imported.returncode == 0, imported.stderr
    assert "metric data points" in imported.stdout
    found = received(endpoint)
    sums: dict[str, float] = {}
    for (name, _), (value, _, _) in found.totals.items():
        sums[name] = sums.get(name, 0) + value
    assert sums["cline.cost"] == SESSIONS * PROMPTS * 2 * 0.25
    assert sums["cline.sessions"] == SESSIONS
    times = [
        point.time_unix_nano
        for request in endpoint.metrics()
        for part in request.resource_metrics
        for scope in part.scope_metrics
        for metric in scope.metrics
        for point in metric.sum.data_points
        if metric.name == "cline.sessions"
    ]
    assert times == sorted(times)
    assert times[0] // 1_000_000 <= START_MS <= times[-1] // 1_000_000
    instances = {
        name: {each["service.instance.id"] for each in found.resources[name]} for name in ("traces", "metrics")
    }
    assert instances["traces"].isdisjoint(instances["metrics"])
    assert home.run("import", "--metrics").returncode == 0
    assert len(endpoint.metrics()) == len(found.snapshots)
    assert home.pending() == 0


def test_a_destination_that_takes_no_points_of_the_past_is_named(home: Home, endpoint: Endpoint) -> None:
    def refuse(signal: str, request: Message) -> Answer:
        return (400, b"") if signal == "metrics" else (200, b"")

    endpoint.answer = refuse
    imported = home.run("import", "--metrics")
    assert imported.returncode == 0, imported.stderr
    assert "refused" in imported.stdout
    assert "many backends take no metrics of the past" in imported.stdout
    assert endpoint.span_count() == SPANS
    assert home.pending() == 0


def test_what_is_off_is_not_imported(home: Home, endpoint: Endpoint) -> None:
    assert home.run("off").returncode == 0
    answer = home.run("import")
    assert is_one_clear_line(answer.stderr, "nothing was imported", "off")
    assert answer.returncode == 1
    assert sum(endpoint.asked.values()) == 0


def test_beside_a_bridge_it_says_how_to_go_on(home: Home) -> None:
    with Bridge(home, listen=None) as bridge:
        answer = home.run("import")
        assert is_one_clear_line(answer.stderr, "a bridge runs", "stop it, import, and start it again")
        bridge.stop()


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (("nowhere",), ("nowhere: no such folder",)),
        (("--surface", "emacs"), ("no sessions of emacs", "3 sessions are of another time or surface")),
        (("--since", "2031-01-01"), ("3 sessions are of another time or surface",)),
        (("--since", "soon"), ("soon",)),
    ],
)
def test_what_cannot_be_imported_is_one_clear_line(
    home: Home, arguments: tuple[str, ...], parts: tuple[str, ...]
) -> None:
    answer = home.run("import", *arguments)
    assert answer.returncode == 2
    assert is_one_clear_line(answer.stderr, *parts)


def test_without_an_endpoint_nothing_is_taken(home: Home) -> None:
    del home.environment["OTEL_EXPORTER_OTLP_ENDPOINT"]
    answer = home.run("import")
    assert answer.returncode == 2
    assert is_one_clear_line(answer.stderr, "OTEL_EXPORTER_OTLP_ENDPOINT")
    assert not home.journal.exists()


def test_a_compressed_backup_is_imported_and_nothing_is_written_beside_it(home: Home, endpoint: Endpoint) -> None:
    backup = (home.cline / "data").rename(home.directory / "backup")
    for path in all_json(backup):
        compressed(path, ".zst" if path.name.endswith("0.messages.json") else ".gz")
    before = sorted(home.directory.rglob("*"))
    shown = home.run("import", "--dry-run", backup)
    assert "cline-cli" in shown.stdout
    assert "$6.00" in shown.stdout
    imported = home.run("import", backup)
    assert imported.returncode == 0, imported.stderr
    assert endpoint.span_count() == SPANS
    assert "Nothing to import" in home.run("import", backup).stdout
    ours = {home.state, home.directory / ".cline-otel"}
    assert [path for path in sorted(home.directory.rglob("*")) if not ours & {path, *path.parents}] == before


@pytest.mark.skipif(sys.platform != "linux", reason="others count otherwise")
def test_a_large_session_is_imported_in_bounded_memory(home: Home, endpoint: Endpoint, tmp_path: Path) -> None:
    body = "word " * 1_600
    messages = []
    for at in range(0, 2_500_000, 1_000):
        messages += [
            user(at, text("x")),
            answer(at + 100, text(body), ask(f"c{at}", "read_files")),
            user(at + 200, gave(f"c{at}", body)),
            answer(at + 300, text(body)),
        ]
    folder = write_session(tmp_path / "large", messages)
    assert sum(path.stat().st_size for path in folder.iterdir()) > 50e6
    del messages
    used = subprocess.run(
        [sys.executable, "-c", _PEAK, EXECUTABLE, "import", folder],
        env=home.environment,
        stdout=subprocess.PIPE,
        check=True,
        timeout=PATIENCE_SECONDS,
    )
    assert endpoint.span_count() == 2_500 * SPANS_OF_A_PROMPT
    assert int(used.stdout.split()[-1]) < 130 * 1024, "kibibytes"


_PEAK: Final = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
"""A process of its own, for what a process forked has been as large as who forked it."""


def test_what_is_no_folder_of_sessions_is_refused_with_the_command_that_takes_it(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    (home.directory / "cline.log.gz").write_bytes(b"")
    home.state.mkdir()
    home.journal.touch()
    for path, part in ((home.directory / "cline.log.gz", "cline-otel replay --send"), (home.state, "state directory")):
        answer = home.run("import", path)
        assert answer.returncode == 2
        assert is_one_clear_line(answer.stderr, str(path), part), answer.stderr
