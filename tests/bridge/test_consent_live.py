"""A real bridge that is switched off and on by everyone who may: it reads, stores and sends nothing meanwhile."""

from __future__ import annotations

import json
import signal
import sqlite3
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cline_otel.consent import OffFile
from cline_otel.journal import Journal
from cline_otel.settings.pseudonyms_file import ensure_pseudonyms
from cline_otel.sources.files import tailing
from cline_otel.sources.files.lines import tail_key
from cline_otel.sources.files.tailing import decode_position
from cline_otel.sources.plugin.spool import KEY_PREFIX
from waiting import wait_until

from .endpoint import Endpoint
from .feeding import post
from .process import Bridge, Home
from .workload import Recording, WritingProcess, example_copies, log_copies, otlp_copies

Switch = Callable[[Home], object]


def write(path: Path, fields: Mapping[str, object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(fields))


def user_off(home: Home) -> None:
    answer = home.run("off")
    assert answer.returncode == 0, answer.stderr


def user_on(home: Home) -> None:
    answer = home.run("on")
    assert answer.returncode == 0, answer.stderr


def cline_settings(home: Home, fields: Mapping[str, object]) -> None:
    write(home.cline / "data" / "settings" / "global-settings.json", fields)


def classic_state(home: Home, fields: Mapping[str, object]) -> None:
    write(home.cline / "data" / "globalState.json", fields)


def remote_config(home: Home, fields: Mapping[str, object]) -> None:
    write(home.cline / "data" / "cache" / "remote_config_org_1.json", {"version": "v1", **fields})


LIVE: dict[str, tuple[Switch, Switch, str]] = {
    "off file": (user_off, user_on, "switched off with `cline-otel off`"),
    "telemetryOptOut": (
        lambda home: cline_settings(home, {"telemetryOptOut": True}),
        lambda home: cline_settings(home, {"telemetryOptOut": False}),
        "telemetryOptOut is true",
    ),
    "telemetrySetting": (
        lambda home: classic_state(home, {"telemetrySetting": "disabled"}),
        lambda home: classic_state(home, {"telemetrySetting": "enabled"}),
        "telemetrySetting is disabled",
    ),
    "telemetryEnabled": (
        lambda home: remote_config(home, {"telemetryEnabled": False}),
        lambda home: remote_config(home, {"telemetryEnabled": True}),
        "telemetryEnabled is false in the organization's remote config",
    ),
}
"""Those who can change their mind while the bridge runs: how they switch off, on, and what is said of it."""


class Life:
    """What a Cline writes and sends, a part at a time; each part has ids of its own."""

    def __init__(self, home: Home, process: WritingProcess) -> None:
        self._home = home
        self._spool = home.spool / process.spool_name()
        self._parts = 0

    def part(self) -> Recording:
        """Writes one part and returns it; its OTLP is not sent."""
        self._parts += 1
        recording = example_copies(self._parts)
        recording = Recording(
            recording.spool[-len(recording.spool) // self._parts :],
            recording.cline_log[-len(recording.cline_log) // self._parts :],
            otlp_copies(1, 500 + self._parts).otlp_logs,
        )
        for path, lines in ((self._spool, recording.spool), (self._home.cline_log, recording.cline_log)):
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("ab") as file:
                file.write(b"".join(line + b"\n" for line in lines))
        return recording


def unread_bytes(home: Home) -> int:
    """How far the bridge lags behind the files, by what it has committed."""
    with Journal.open_read_only(home.journal) as journal:
        positions = {key: decode_position(cursor) for key, cursor in journal.cursors().items()}
    files = {KEY_PREFIX + path.name: path for path in home.spool.glob("*.jsonl")}
    files[tail_key("cline-log", home.cline_log)] = home.cline_log
    return sum(tailing.unread_bytes(path, positions.get(key)) for key, path in files.items())


def counted(home: Home, kind: str) -> int:
    with Journal.open_read_only(home.journal) as journal:
        return sum(each.count for each in journal.status().counts if each.kind == kind)


def events(home: Home) -> int:
    return counted(home, "events")


def waiting(home: Home) -> int:
    with Journal.open_read_only(home.journal) as journal:
        signals = journal.status().signals
    return signals["traces"].pending_items + signals["logs"].pending_items


def rows(home: Home) -> dict[str, list[tuple[object, ...]]]:
    """Everything that the journal holds, except places in files and the count of what was dropped."""
    connection = sqlite3.connect(f"{home.journal.as_uri()}?mode=ro", uri=True)
    try:
        tables = ("state", "outbox", "seen_requests", "dead_letters")
        held = {table: connection.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall() for table in tables}
        held["counts"] = connection.execute(
            "SELECT * FROM counts WHERE kind != 'switched_off' ORDER BY 1, 2, 3"
        ).fetchall()
    finally:
        connection.close()
    return held


@pytest.mark.parametrize("name", LIVE)
def test_off_and_on_again_without_a_restart(tmp_path: Path, name: str) -> None:
    off, on, reason = LIVE[name]
    with Endpoint() as endpoint, WritingProcess() as cline:
        home = Home(
            tmp_path, {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint.listen().url, "OTEL_METRIC_EXPORT_INTERVAL": "100"}
        )
        life = Life(home, cline)
        with Bridge(home) as bridge:
            life.part()
            wait_until(lambda: endpoint.taken["traces"] and endpoint.taken["metrics"], lambda: bridge.said)
            wait_until(lambda: unread_bytes(home) == 0, lambda: bridge.said)
            off(home)
            bridge.wait_for_line(f"telemetry is off: {reason}")
            status = home.status()
            assert status["telemetry"]["state"] == "off"
            assert reason in status["telemetry"]["reasons"][0]
            before = rows(home)
            life.part()
            wait_until(lambda: unread_bytes(home) == 0, lambda: bridge.said)
            # What was under way when it went off was broken off, but the endpoint may have had it by then.
            asked = dict(endpoint.asked)
            recording = life.part()
            for body in recording.otlp_logs:
                assert post(bridge.endpoint, body)[0] == 200
            assert post(bridge.endpoint, b"not OTLP at all")[0] == 200
            requests = len(recording.otlp_logs) + 1
            wait_until(
                lambda: unread_bytes(home) == 0 and counted(home, "switched_off") == requests, lambda: bridge.said
            )
            assert rows(home) == before
            assert endpoint.asked == asked

            on(home)
            bridge.wait_for_line("telemetry is on again")
            taken_before = events(home)
            wait_until(lambda: unread_bytes(home) == 0, lambda: bridge.said)
            life.part()
            wait_until(lambda: events(home) > taken_before, lambda: bridge.said)
            wait_until(lambda: endpoint.asked["traces"] > asked["traces"], lambda: bridge.said)
            assert bridge.stop() == 0
        sent = b"".join(
            request.SerializeToString() for requests in endpoint.taken.values() for request in requests
        ) + b"".join(repr(row).encode() for row in rows(home)["state"])
        ids = [_run_ids(home, life_part(number).spool) for number in (1, 2, 3, 4)]
        assert any(each in sent for each in ids[0])
        assert any(each in sent for each in ids[3])
        assert [each for each in ids[1] | ids[2] if each in sent] == []


def life_part(number: int) -> Recording:
    recording = example_copies(number)
    return Recording(recording.spool[-len(recording.spool) // number :])


def _run_ids(home: Home, spool: tuple[bytes, ...]) -> set[bytes]:
    """As they were written, and as they leave: the copies' ids are not of the form that Cline generates."""
    written = {json.loads(line)["run_id"] for line in spool if b'"run_id"' in line}
    pseudonyms = ensure_pseudonyms(home.state)
    return {each.encode() for run_id in written for each in (run_id, pseudonyms.of("id", run_id))}


@pytest.mark.parametrize(
    ("environment", "reason"),
    [
        ({"DO_NOT_TRACK": "1"}, "DO_NOT_TRACK is set"),
        ({"OTEL_SDK_DISABLED": "true"}, "OTEL_SDK_DISABLED is true"),
    ],
)
def test_a_bridge_that_starts_off_says_who_decided_and_takes_nothing(
    tmp_path: Path, environment: dict[str, str], reason: str
) -> None:
    home = Home(tmp_path, environment)
    with WritingProcess() as cline:
        life = Life(home, cline)
        life.part()
        with Bridge(home) as bridge:
            assert f"  off              {reason}: nothing is read, stored or sent" in bridge.said
            wait_until(lambda: unread_bytes(home) == 0, lambda: bridge.said)
            assert post(bridge.endpoint, b"{}")[0] == 200
            # Whoever asks need not have the bridge's environment.
            other = Home(tmp_path)
            assert other.status()["telemetry"] == {"state": "off", "reasons": [reason]}
            assert bridge.stop() == 0
        assert rows(home) == {"state": [], "outbox": [], "seen_requests": [], "dead_letters": [], "counts": []}
        assert not home.telemetry.exists()


@pytest.mark.parametrize("name", LIVE)
def test_a_bridge_that_starts_off_can_be_switched_on(tmp_path: Path, name: str) -> None:
    off, on, reason = LIVE[name]
    home = Home(tmp_path)
    off(home)
    with WritingProcess() as cline:
        life = Life(home, cline)
        life.part()
        with Bridge(home) as bridge:
            assert reason in bridge.said
            wait_until(lambda: unread_bytes(home) == 0, lambda: bridge.said)
            on(home)
            bridge.wait_for_line("telemetry is on again")
            wait_until(lambda: unread_bytes(home) == 0, lambda: bridge.said)
            assert events(home) == 0
            life.part()
            wait_until(lambda: events(home) > 0, lambda: bridge.said)
            assert bridge.stop() == 0


def test_a_users_off_beats_any_on_and_every_reason_is_told(tmp_path: Path) -> None:
    home = Home(tmp_path)
    remote_config(home, {"telemetryEnabled": True})
    cline_settings(home, {"telemetryOptOut": False})
    classic_state(home, {"telemetrySetting": "enabled"})
    with Bridge(home) as bridge:
        assert "  off  " not in bridge.said
        user_off(home)
        bridge.wait_for_line("telemetry is off: switched off with `cline-otel off`")
        remote_config(home, {"telemetryEnabled": False})
        bridge.wait_for_line("`cline-otel off`; telemetryEnabled is false")
        answer = home.run("on")
        assert answer.stdout.startswith("Your off is undone, but telemetry stays off: telemetryEnabled is false")
        bridge.wait_for_line("telemetry is off: telemetryEnabled is false")
        assert bridge.stop() == 0


def test_what_waited_is_kept_while_off_and_sent_when_it_is_on(tmp_path: Path) -> None:
    with Endpoint() as endpoint:
        home = Home(tmp_path, {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint.url})
        recording = log_copies(3)
        replayed = recording.replayed(tmp_path / "recording")
        home.cline_log.parent.mkdir(parents=True)
        home.cline_log.write_bytes(b"".join(line + b"\n" for line in recording.cline_log))
        with Bridge(home) as bridge:
            # The log waits for the plugin before it tells.
            wait_until(lambda: waiting(home) == len(replayed.spans) + len(replayed.logs), lambda: bridge.said)
            answer = home.run("off")
            bridge.wait_for_line("telemetry is off")
            kept = waiting(home)
            assert f"{kept} spans and log records wait" in answer.stdout
            endpoint.listen()
            bridge.signal(signal.SIGTERM)
            assert bridge.wait() == 0
            assert endpoint.asked == {"traces": 0, "logs": 0, "metrics": 0}
            assert waiting(home) == kept
            bridge.start()
            user_on(home)
            wait_until(lambda: waiting(home) == 0, lambda: bridge.said)
            assert endpoint.taken["traces"]
            assert bridge.stop() == 0


@pytest.mark.parametrize("runs", [True, False], ids=["bridge runs", "no bridge runs"])
def test_erased_is_gone_from_the_disk_and_never_sent(tmp_path: Path, runs: bool) -> None:
    with Endpoint() as endpoint, WritingProcess() as cline:
        home = Home(tmp_path, {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint.url})
        life = Life(home, cline)
        with Bridge(home) as bridge:
            recording = life.part()
            call_ids = {json.loads(line).get("call_id", "").encode() for line in recording.spool} - {b""}
            wait_until(lambda: waiting(home) > 0 and unread_bytes(home) == 0, lambda: bridge.said)
            assert all(each in journal_bytes(home) for each in call_ids)
            if not runs:
                bridge.kill()
            answer = home.run("off", "--erase")
            assert answer.returncode == 0, answer.stderr
            assert "Erased: " in answer.stdout
            assert [each for each in call_ids if each in journal_bytes(home)] == []
            assert list(home.spool.iterdir()) == []
            assert waiting(home) == 0
            assert (home.state / "off").exists()
            endpoint.listen()
            user_on(home)
            if runs:
                bridge.wait_for_line("telemetry is on again")
            else:
                bridge.start()
            assert bridge.stop() == 0
        assert endpoint.asked["traces"] == endpoint.asked["logs"] == 0


def journal_bytes(home: Home) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(home.state.glob("journal.db*")))


@pytest.mark.parametrize("command", ["on", "off", "off --erase"])
def test_erased_is_told_when_it_is_so_whatever_is_said_while_the_bridge_is_waited_for(
    tmp_path: Path, command: str
) -> None:
    home = Home(tmp_path, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"})
    home.cline_log.parent.mkdir(parents=True)
    home.cline_log.write_bytes(b"".join(line + b"\n" for line in log_copies(1).cline_log))
    off_file = OffFile(home.state / "off")
    with Bridge(home) as bridge, ThreadPoolExecutor() as commands:
        wait_until(lambda: waiting(home) > 0 and unread_bytes(home) == 0, lambda: bridge.said)
        bridge.signal(signal.SIGSTOP)
        try:
            erasing = commands.submit(home.run, "off", "--erase")
            wait_until(lambda: off_file.erase_request is not None, "the request")
            second = commands.submit(home.run, *command.split())
            if command != "off --erase":
                # It is stopped, so it says nothing.
                assert second.result().returncode == int(command == "off")
            if command == "on":
                assert erasing.result().returncode == 1
        finally:
            bridge.signal(signal.SIGCONT)
        answer = erasing.result()
        assert answer.stdout.startswith(("Off: ", "Switched off"))
        if command == "on":
            for part in (
                "not off yet: the bridge of process",
                "`cline-otel on`",
                "`cline-otel off --erase` asks again",
            ):
                assert part in answer.stderr
            assert "Erased" not in answer.stdout
            assert waiting(home) > 0
        else:
            assert "Erased: all that waited" in answer.stdout
            assert waiting(home) == 0
            second.result()
        assert bridge.stop() == 0


def test_a_bridge_that_ends_while_it_is_to_erase_leaves_it_to_the_command(tmp_path: Path) -> None:
    home = Home(tmp_path, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"})
    home.cline_log.parent.mkdir(parents=True)
    home.cline_log.write_bytes(b"".join(line + b"\n" for line in log_copies(1).cline_log))
    with Bridge(home) as bridge, ThreadPoolExecutor() as commands:
        wait_until(lambda: waiting(home) > 0 and unread_bytes(home) == 0, lambda: bridge.said)
        bridge.signal(signal.SIGSTOP)
        erasing = commands.submit(home.run, "off", "--erase")
        wait_until(lambda: OffFile(home.state / "off").erase_request is not None, "the request")
        bridge.kill()
        answer = erasing.result()
        assert answer.returncode == 1, "it could not say that it was off before it ended"
        assert f"process {bridge.pid} " in answer.stderr
        assert "Erased: " in answer.stdout
        assert waiting(home) == 0


def test_nothing_of_the_time_off_is_read_by_a_bridge_that_did_not_run_then(tmp_path: Path) -> None:
    home = Home(tmp_path)
    with WritingProcess() as cline:
        life = Life(home, cline)
        with Bridge(home) as bridge:
            life.part()
            wait_until(lambda: events(home) > 0 and unread_bytes(home) == 0, lambda: bridge.said)
            bridge.kill()
            user_off(home)
            life.part()
            user_on(home)
            assert unread_bytes(home) == 0
            before = events(home)
            life.part()
            bridge.start()
            wait_until(lambda: unread_bytes(home) == 0, lambda: bridge.said)
            assert events(home) > before
            assert bridge.stop() == 0
        written = b"".join(path.read_bytes() for path in home.telemetry.glob("*.jsonl"))
        assert [each for each in _run_ids(home, life_part(2).spool) if each in written] == []
        assert any(each in written for each in _run_ids(home, life_part(3).spool))


def test_kill_9_while_off_does_not_bring_back_what_was_passed_over(tmp_path: Path) -> None:
    home = Home(tmp_path)
    with WritingProcess() as cline:
        life = Life(home, cline)
        cline_settings(home, {"telemetryOptOut": True})
        with Bridge(home) as bridge:
            life.part()
            wait_until(lambda: unread_bytes(home) == 0, lambda: bridge.said)
            bridge.kill()
            life.part()
            cline_settings(home, {"telemetryOptOut": False})
            bridge.start()
            wait_until(lambda: unread_bytes(home) == 0, lambda: bridge.said)
            assert events(home) == 0
            life.part()
            wait_until(lambda: events(home) > 0, lambda: bridge.said)
            assert bridge.stop() == 0


def test_a_run_that_was_open_when_it_went_off_is_incomplete(tmp_path: Path) -> None:
    home = Home(tmp_path)
    with WritingProcess() as cline:
        lines = example_copies(1).spool
        end = next(number for number, line in enumerate(lines) if b'"run.finished"' in line)
        spool = home.spool / cline.spool_name()
        spool.parent.mkdir(parents=True)
        with Bridge(home) as bridge:
            spool.write_bytes(b"".join(line + b"\n" for line in lines[:end]))
            wait_until(lambda: events(home) > 0 and unread_bytes(home) == 0, lambda: bridge.said)
            user_off(home)
            bridge.wait_for_line("telemetry is off")
            user_on(home)
            bridge.wait_for_line("telemetry is on again")
            traces = home.telemetry / "traces.jsonl"
            wait_until(lambda: traces.exists() and b'"incomplete"' in traces.read_bytes(), lambda: bridge.said)
            with spool.open("ab") as file:
                file.write(b"".join(line + b"\n" for line in lines[end:]))
            wait_until(lambda: unread_bytes(home) == 0, lambda: bridge.said)
            assert bridge.stop() == 0
    roots = [line for line in traces.read_bytes().splitlines() if b'"completed"' in line]
    assert roots == []


def test_settings_that_cannot_be_read_hold_everything_until_they_can(tmp_path: Path) -> None:
    home = Home(tmp_path)
    settings = home.cline / "data" / "settings" / "global-settings.json"
    cline_settings(home, {})
    settings.write_text('{"telemetryOptOut": fal')
    with WritingProcess() as cline:
        life = Life(home, cline)
        life.part()
        with Bridge(home) as bridge:
            assert "  unknown          Cline's global-settings.json cannot be read" in bridge.said
            assert post(bridge.endpoint, otlp_copies(1).otlp_logs[0])[0] == 503
            assert home.status()["telemetry"]["state"] == "unknown"
            assert events(home) == 0
            assert unread_bytes(home) > 0
            cline_settings(home, {"telemetryOptOut": False})
            bridge.wait_for_line("telemetry is on")
            wait_until(lambda: events(home) > 0 and unread_bytes(home) == 0, lambda: bridge.said)
            assert bridge.stop() == 0


def test_the_remote_config_is_followed_while_the_bridge_runs(tmp_path: Path) -> None:
    with Endpoint() as first, Endpoint() as second, WritingProcess() as cline:
        path = tmp_path / "remote.json"
        home = Home(tmp_path / "home", {"CLINE_OTEL_BRIDGE_REMOTE_CONFIG": str(path)})

        def to(endpoint: Endpoint, **more: object) -> dict[str, object]:
            return {
                "version": "v1",
                "openTelemetryEnabled": True,
                "openTelemetryLogsExporter": "otlp",
                "openTelemetryOtlpProtocol": "http/protobuf",
                "openTelemetryOtlpEndpoint": endpoint.url,
                "openTelemetryOtlpHeaders": {"x-key": "planted-header-of-this-test"},
                **more,
            }

        write(path, to(first.listen()))
        second.listen()
        life = Life(home, cline)
        with Bridge(home) as bridge:
            assert "sent where the organization's remote config says" in bridge.said
            life.part()
            wait_until(lambda: first.taken["traces"], lambda: bridge.said)
            write(path, to(second))
            bridge.wait_for_line("the remote config has changed: traces: OTLP")
            wait_until(lambda: unread_bytes(home) == 0, lambda: bridge.said)
            asked = dict(first.asked)
            life.part()
            wait_until(lambda: second.taken["traces"], lambda: bridge.said)
            assert first.asked == asked
            write(path, to(first, openTelemetryOtlpProtocol="none of these"))
            line = bridge.wait_for_line("openTelemetryOtlpProtocol: it is not an OTLP protocol")
            assert "what was in force before stays" in line
            write(path, to(first, telemetryEnabled=False))
            bridge.wait_for_line("telemetry is off: telemetryEnabled is false")
            assert first.asked == asked
            assert bridge.stop() == 0
        assert "planted-header-of-this-test" not in bridge.said
        assert "planted-header-of-this-test" not in home.run("status").stdout
        assert b"planted-header-of-this-test" not in home.written_bytes()


def test_files_that_nobody_can_read_end_no_bridge_and_what_was_said_before_stays(tmp_path: Path) -> None:
    home = Home(tmp_path)
    cline_settings(home, {"telemetryOptOut": True})
    remote_config(home, {"telemetryEnabled": True})
    monster = '{"telemetryEnabled": true, "telemetryOptOut": false, "a": ' + "[" * 100_000 + "]" * 100_000 + "}"
    with Bridge(home) as bridge:
        assert "  off              telemetryOptOut is true" in bridge.said
        home.cline.joinpath("data", "settings", "global-settings.json").write_text(monster)
        home.cline.joinpath("data", "cache", "remote_config_org_1.json").write_text(monster)
        line = bridge.wait_for_line("the remote config that Cline keeps: ")
        assert "it is not JSON" in line
        cline_settings(home, {"telemetryOptOut": False})
        bridge.wait_for_line("telemetry is on")
        assert bridge.stop() == 0
        assert bridge.said.count("the remote config that Cline keeps: ") == 1


# --- the commands -----------------------------------------------------------------------------------------


def test_off_and_on_say_what_follows_and_can_be_said_twice(tmp_path: Path) -> None:
    home = Home(tmp_path)
    assert home.run("on").stdout == "It was on already.\n"
    for _ in range(2):
        answer = home.run("off")
        assert (answer.returncode, answer.stderr) == (0, "")
        assert answer.stdout.startswith("Off: the plugin writes nothing")
    assert (home.state / "off").stat().st_mode & 0o777 == 0o600
    assert home.state.stat().st_mode & 0o777 == 0o700
    assert home.run("on").stdout == "On: telemetry resumes from now.\n"
    assert not (home.state / "off").exists()
    answer = home.run("on", environment={"DO_NOT_TRACK": "1"})
    assert answer.stdout == "You did not switch it off, and telemetry stays off: DO_NOT_TRACK is set.\n"


@pytest.mark.parametrize("command", ["off", "on"])
def test_a_state_directory_that_cannot_be_used_is_one_clear_line(tmp_path: Path, command: str) -> None:
    home = Home(tmp_path)
    home.state.write_text("a file")
    answer = home.run(command)
    if command == "off":
        assert (answer.returncode, answer.stderr) == (0, "")
        assert (home.directory / ".cline-otel" / "off").exists()
    else:
        assert answer.stdout == "It was on already.\n"


@pytest.mark.parametrize("command", [("demo",), ("replay", "--send")])
def test_nothing_else_sends_while_it_is_off(tmp_path: Path, command: tuple[str, ...]) -> None:
    with Endpoint() as endpoint:
        home = Home(tmp_path, {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint.listen().url})
        folder = log_copies(1).write(tmp_path / "recording")
        user_off(home)
        answer = home.run(*command, *([folder] if "replay" in command else []))
        said = answer.stdout + answer.stderr
        assert "telemetry is off: switched off with `cline-otel off`" in said
        assert answer.returncode == (0 if command == ("demo",) else 1)
        assert set(endpoint.asked.values()) == {0}
