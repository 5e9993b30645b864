"""``status``: beside a running bridge and after it, for people and for machines."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from bridge.feeding import post
from bridge.process import Bridge, Home
from bridge.workload import EXAMPLE, WritingProcess, example_copies, log_copies, otlp_copies
from cline_otel.service.interface import MARKER
from waiting import wait_until

DOCUMENTED = Path(__file__).parents[2] / "docs" / "status.md"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    home.cline_log.parent.mkdir(parents=True)
    home.spool.mkdir(parents=True)
    return home


def documented_keys() -> set[str]:
    """The keys that the documentation names, as dotted paths."""
    _, _, keys = DOCUMENTED.read_text("utf-8").partition("## `--json`")
    return set(re.findall(r"^\| `([a-z_.*\[\]]+)` \|", keys, re.MULTILINE))


def keys_of(value: object, path: str = "") -> set[str]:
    """All keys of a document, as dotted paths; signals by ``*``, members of lists by ``[]``."""
    found: set[str] = set()
    if isinstance(value, dict):
        for key, inner in value.items():
            shown = "*" if path in {"signals", "signals.*.refusals"} else key
            here = f"{path}.{shown}" if path else shown
            found |= {here} | keys_of(inner, here)
    elif isinstance(value, list):
        for inner in value:
            found |= keys_of(inner, f"{path}[]")
    return found


def test_it_tells_of_a_running_bridge_where_it_listens_and_how_far_it_is(home: Home) -> None:
    with WritingProcess() as cline, Bridge(home) as bridge:
        (home.spool / cline.spool_name()).write_bytes(b"".join(line + b"\n" for line in example_copies(1).spool))
        for body in otlp_copies(1).otlp_logs:
            assert post(bridge.endpoint, body)[0] == 200
        wait_until(lambda: home.counted("received", "plugin") == 48, lambda: bridge.said)
        document = home.status()
        sources = {source["source"]: source for source in document["sources"]}
        plugin, log, otlp = (sources[name] for name in ("plugin", "cline-log", "otlp"))
        assert (plugin["places"], plugin["unread_bytes"]) == ([str(home.spool)], 0)
        assert log["received"] == 0
        assert log["places"] == [str(home.cline_log), str(home.cline_log.with_name("code.log"))]
        assert (otlp["places"], otlp["received"]) == ([f"{bridge.endpoint}/v1/logs"], 4)
        assert document["bridge"]["process_id"] == bridge.pid
        assert document["bridge"]["listening_on"] == bridge.endpoint
        shown = home.run("status").stdout
        assert f"runs as process {bridge.pid}" in shown
        assert bridge.endpoint in shown
        assert str(home.spool) in shown.replace("~", str(home.directory))
        assert bridge.stop() == 0
    assert home.status()["bridge"] is None


def test_a_bridge_that_was_killed_does_not_run(home: Home) -> None:
    with Bridge(home) as bridge:
        assert home.status()["bridge"] is not None
        bridge.kill()
        assert home.status()["bridge"] is None
        assert "does not run; start it with `cline-otel run`" in home.run("status").stdout


def test_what_is_unread_is_told_in_lines_bytes_and_age(home: Home) -> None:
    with Bridge(home) as bridge:
        assert bridge.stop() == 0
    log = log_copies(1).cline_log
    home.cline_log.write_bytes(b"".join(line + b"\n" for line in log) + b"torn")
    spool = example_copies(1).spool
    (home.spool / "9-1795357897000-0.jsonl").write_bytes(b"".join(line + b"\n" for line in spool))
    before_ns = time.time_ns()
    sources = {source["source"]: source for source in home.status()["sources"]}
    plugin, cline_log = sources["plugin"], sources["cline-log"]
    assert plugin["unread_lines"] == len(spool)
    assert cline_log["unread_lines"] == len(log)
    assert cline_log["unread_bytes"] == home.cline_log.stat().st_size
    hour_ns = 3_600_000_000_000
    assert plugin["oldest_unread_at_ns"] == pytest.approx(before_ns - hour_ns, abs=hour_ns // 10)
    assert cline_log["oldest_unread_at_ns"] == pytest.approx(before_ns - hour_ns, abs=hour_ns // 10)
    shown = home.run("status").stdout
    assert re.search(rf"plugin .* {len(spool)} lines, 1\d\.\d kB", shown)
    assert "oldest 6" in shown
    assert "min ago" in shown


@pytest.mark.parametrize(
    "line",
    [
        b'{"time":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"time":"0001-01-01T00:00:00+23:59"}',
        b'{"time":"9999-12-31T23:59:59-23:59"}',
        b'{"time":' + b"9" * 400 + b"}",
        b'{"time_unix_ms":-1}',
        b'{"time_unix_ms":1e300}',
    ],
    ids=["nested", "first year", "last year", "long", "negative", "vast"],
)
def test_an_unread_line_without_a_time_of_this_world_has_no_age(home: Home, line: bytes) -> None:
    with Bridge(home) as bridge:
        assert bridge.stop() == 0
    home.cline_log.write_bytes(line + b"\n")
    (home.spool / "9-1795357897000-0.jsonl").write_bytes(line + b"\n")
    for source in home.status()["sources"]:
        if source["source"] not in ("plugin", "cline-log"):
            continue
        assert (source["unread_lines"], source["oldest_unread_at_ns"]) == (1, None)
    assert "1 line" in home.run("status").stdout


def test_json_has_the_documented_keys_and_no_others(home: Home) -> None:
    missed = b'{"time":"2026-11-26T17:42:29.910Z","msg":"plugin loading failed"}\n'
    begun = (
        b'{"time":%d,"event":"agent.run-started","properties":'
        b'{"agentId":"agent_1795357785194_86evro","runId":"run_76_sB5Lm"}}\n' % (time.time_ns() // 1_000_000)
    )
    home.cline_log.write_bytes((EXAMPLE / "cline.log").read_bytes() + b"{\n" + missed + begun)
    (home.directory / ".vscode" / "extensions" / "saoudrizwan.claude-dev-4.1.13" / "next").mkdir(parents=True)
    unit = home.directory / ".config" / "systemd" / "user" / "cline-otel.service"
    unit.parent.mkdir(parents=True)
    unit.write_text(f"# {MARKER}\n")
    with Bridge(home) as bridge:
        wait_until(lambda: home.delivered("traces") > 0, lambda: bridge.said)
        wait_until(lambda: [run["waits_for"] for run in home.status()["runs"]] == ["nothing"], lambda: bridge.said)
        assert keys_of(home.status()) - {"signals.*.refusals.*"} == documented_keys()
        assert re.search(r"Under way +Session .*\nrun_76_sB5Lm +cline +nothing ", home.run("status").stdout)
        assert bridge.stop() == 0


def test_unmapped_events_and_dropped_fields_are_told_by_name_and_count(home: Home) -> None:
    line = b'{"level":30,"time":"2026-11-22T14:31:37.486Z","msg":"telemetry.event","event":%s,"properties":{%s}}\n'
    home.cline_log.write_bytes(
        line % (b'"task.reinvented"', b"") * 2
        + line % (b'"task.mode"', b'"mode":"act","mood":"good"')
        + line % (b'"a name with spaces"', b"")
        + b"no json\n"
    )
    with Bridge(home) as bridge:
        wait_until(lambda: home.counted("received", "cline-log") == 5, lambda: bridge.said)
        assert bridge.stop() == 0
    counts = {(count["kind"], count["name"]): count["count"] for count in home.status()["counts"]}
    assert counts["unmapped_event", "task.reinvented"] == 2
    assert counts["unmapped_event", "_OTHER"] == 1
    assert counts["dropped_field", "task.mode:mood"] == 1
    assert counts["malformed", "line"] == 1
    shown = home.run("status").stdout
    assert re.search(
        r"events that the catalogue does not know +cline-log +_OTHER +1\n +cline-log +task.reinvented +2", shown
    )
    assert re.search(r"fields that the catalogue does not list +cline-log +task.mode:mood +1", shown)
    assert "3 unmapped" in bridge.said


@pytest.mark.parametrize("columns", [80, 120])
def test_no_line_is_wider_than_the_terminal(home: Home, columns: int) -> None:
    home.cline_log.write_bytes((EXAMPLE / "cline.log").read_bytes())
    with Bridge(home) as bridge:
        wait_until(lambda: home.delivered("traces") > 0, lambda: bridge.said)
        shown = home.run("status", environment={"COLUMNS": str(columns), "FORCE_COLOR": "1"}).stdout
        assert bridge.stop() == 0
    plain = re.sub(r"\x1b\[[0-9;]*m", "", shown)
    assert plain != shown, "in colour"
    assert max(map(len, plain.splitlines())) <= columns
    assert str(home.spool).replace(str(home.directory), "~") in plain
