"""What the user lets leave: names, who it was, error texts; and a new key while the bridge runs."""

from __future__ import annotations

import json
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from integration.otlp_json import requests_from_lines
from waiting import wait_until

from .feeding import post
from .process import Bridge, Home, is_one_clear_line

SKILL, USER, ORGANIZATION = "a-skill-of-theirs", "user_of_theirs", "organization of theirs"
ERROR = "Incorrect API key provided: sk-" + "Ab1" * 12
PREFIX = "CLINE_OTEL_BRIDGE_"
ERROR_TEXT = "exception.message"

_numbers = count(1)


def body() -> bytes:
    """A request with a skill that was used and an error, as an account's; each a second after the last."""
    time_ns = str(1_795_358_814_000_000_000 + next(_numbers) * 1_000_000_000)
    common = {"ulid": "1795358814083_ukyix", "user_id": USER, "organization_name": ORGANIZATION}
    told: dict[str, dict[str, Any]] = {
        "task.skill_used": {"skillName": SKILL, "skillSource": "project"},
        "sdk.error": {
            "component": "llms",
            "operation": "provider.stream",
            "error_type": "Error",
            "error_message": ERROR,
        },
    }
    records = [
        {
            "timeUnixNano": time_ns,
            "body": {"stringValue": name},
            "attributes": [{"key": key, "value": {"stringValue": value}} for key, value in (common | fields).items()],
        }
        for name, fields in told.items()
    ]
    return json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": records}]}]}).encode()


def log_records(home: Home) -> list[dict[str, str]]:
    """The attributes of every log record that has left, in their order."""
    path = home.telemetry / "logs.jsonl"
    if not path.exists():
        return []
    return [
        {pair.key: pair.value.string_value for pair in record.attributes}
        for request in requests_from_lines(path, ExportLogsServiceRequest)
        for resource in request.resource_logs
        for scope in resource.scope_logs
        for record in scope.log_records
    ]


def told(bridge: Bridge) -> tuple[dict[str, str], dict[str, str]]:
    """What became of one request: the skill's record and the error's."""
    before = len(log_records(bridge.home))
    assert post(bridge.endpoint, body())[0] == 200
    wait_until(lambda: len(log_records(bridge.home)) == before + 2, "two log records")
    by_name = {record["event.name"]: record for record in log_records(bridge.home)[before:]}
    return by_name["cline.skill.used"], by_name["cline.error"]


def test_by_default_a_name_is_a_pseudonym_an_error_a_class_and_nobody_is_told_of(tmp_path: Path) -> None:
    home = Home(tmp_path)
    with Bridge(home) as bridge:
        skill, error = told(bridge)
        assert bridge.stop() == 0
    assert len(skill["cline.skill.hash"]) == 32
    assert error["error.type"] == "auth"
    assert not {"exception.message", "user.hash", "user.id", "cline.skill.name"} & {*skill, *error}
    written = home.written_bytes()
    assert [word for word in (SKILL, USER, ORGANIZATION, ERROR, "sk-Ab1") if word.encode() in written] == []


def test_a_new_key_gives_new_pseudonyms_without_a_restart(tmp_path: Path) -> None:
    home = Home(tmp_path)
    with Bridge(home) as bridge:
        first, again = told(bridge)[0], told(bridge)[0]
        assert home.run("key", "rotate").returncode == 0
        bridge.wait_for_line("the key of pseudonyms has changed")
        other = told(bridge)[0]
        bridge.kill()
        bridge.start()
        after_restart = told(bridge)[0]
    hashes = [record["cline.skill.hash"] for record in (first, again, other, after_restart)]
    assert hashes[0] == hashes[1] != hashes[2] == hashes[3]
    assert (home.state / "pseudonyms.json").stat().st_mode & 0o777 == 0o600


def test_who_it_was_leaves_as_a_pseudonym_if_included_and_as_it_is_only_if_that_is_said_too(tmp_path: Path) -> None:
    home = Home(tmp_path, {f"{PREFIX}INCLUDE": "user,organization"})
    with Bridge(home) as bridge:
        skill, _ = told(bridge)
    assert len(skill["user.hash"]) == 32
    assert "user.id" not in skill
    assert "cline.organization.name" not in skill
    plain = Home(tmp_path / "plain", {f"{PREFIX}INCLUDE": "user,organization", f"{PREFIX}INCLUDE_PLAIN": "user,names"})
    with Bridge(plain) as bridge:
        skill, _ = told(bridge)
    assert (skill["user.id"], skill["cline.skill.name"]) == (USER, SKILL)
    assert not {"user.hash", "cline.skill.hash", "cline.organization.name"} & {*skill}


def test_an_error_s_text_leaves_only_if_asked_for_and_without_what_looks_like_a_key(tmp_path: Path) -> None:
    with Bridge(Home(tmp_path, {f"{PREFIX}INCLUDE_CONTENT": "exception.message"})) as bridge:
        _, error = told(bridge)
        assert any("content: exception.message" in line for line in bridge.lines)
        assert bridge.home.status()["bridge"]["opt_ins"] == [{"text": "content: exception.message", "is_content": True}]
        assert "content: exception.message" in bridge.home.run("status").stdout
    assert error["exception.message"] == "Incorrect [masked]"


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("INCLUDE", "users", "user"),
        ("INCLUDE_PLAIN", "user", f"{PREFIX}INCLUDE"),
        ("INCLUDE_CONTENT", "prompt", "exception.message"),
        ("EXCLUDE", "model", "explain --privacy"),
    ],
)
def test_a_word_that_says_nothing_is_refused_at_the_start(tmp_path: Path, name: str, value: str, says: str) -> None:
    answer = Home(tmp_path).run("run", environment={f"{PREFIX}{name}": value})
    assert answer.returncode == 2
    assert is_one_clear_line(answer.stderr, f"{PREFIX}{name}", says)


def test_what_was_gathered_while_more_was_allowed_does_not_leave_when_less_is(tmp_path: Path) -> None:
    """Neither what waits, nor what was open, nor the totals of metrics."""
    wide = {f"{PREFIX}INCLUDE": "user", f"{PREFIX}INCLUDE_PLAIN": "user,names", f"{PREFIX}INCLUDE_CONTENT": ERROR_TEXT}
    nowhere = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
    home = Home(tmp_path)
    with Bridge(home, environment=wide | nowhere) as bridge:
        assert post(bridge.endpoint, body())[0] == 200
        assert post(bridge.endpoint, tool_call("theirs__tool"))[0] == 200
        assert bridge.stop() == 0
    assert home.pending("logs") >= 2
    assert b"theirs__tool" in home.written_bytes()
    with Bridge(home, environment={f"{PREFIX}EXCLUDE": "cline.skill.source"}) as bridge:
        assert "less is allowed to leave than at the last start" in bridge.said
        told(bridge)
        assert bridge.stop() == 0
    assert home.pending("logs") == 0
    assert [word for word in (USER, SKILL, "theirs__tool", "Incorrect") if word.encode() in home.written_bytes()] == []
    with Bridge(home, environment={f"{PREFIX}EXCLUDE": "cline.skill.source"}) as bridge:
        assert "less is allowed" not in bridge.said


def tool_call(name: str) -> bytes:
    """A request with classic Cline's record of a tool that was used, which counts in a metric alone."""
    fields = {"ulid": "01M8254YNZCYK8RYMK53AWN6BZ", "tool": name}
    attributes = [{"key": key, "value": {"stringValue": value}} for key, value in fields.items()]
    record = {
        "timeUnixNano": "1795358814000000000",
        "body": {"stringValue": "task.tool_used"},
        "attributes": attributes,
    }
    return json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]}).encode()


def test_a_team_counts_what_was_taken_in_while_it_was_the_team(tmp_path: Path) -> None:
    home = Home(tmp_path)
    for team, errors in (("payments", 1), ("search", 2), ("payments", 1)):
        environment = {
            "OTEL_RESOURCE_ATTRIBUTES": f"team.id={team}",
            f"{PREFIX}METRIC_ATTRIBUTES": "team.id",
        }
        with Bridge(home, environment=environment) as bridge:
            for _ in range(errors):
                told(bridge)
            assert bridge.stop() == 0
    newest = [*requests_from_lines(home.telemetry / "metrics.jsonl", ExportMetricsServiceRequest)][-1]
    assert {
        next(pair.value.string_value for pair in point.attributes if pair.key == "team.id"): point.as_int
        for metric in newest.resource_metrics[0].scope_metrics[0].metrics
        if metric.name == "cline.errors"
        for point in metric.sum.data_points
    } == {"payments": 2, "search": 2}
