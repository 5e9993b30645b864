"""Files that other programs write: whatever is in them, and whatever keeps them from being read, nothing is raised."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cline_otel.settings.remote_config import RemoteConfigError, RemoteConfigs, parse_exports, unwrapped
from cline_otel.settings.watched_file import WatchedFile
from cline_otel.signals import Diagnostics
from payloads import decoded, log_lines

MONSTERS = {
    "nested lists": '{"a": ' + "[" * 100_000 + "]" * 100_000 + "}",
    "nested objects": '{"a": ' * 100_000 + "1" + "}" * 100_000,
    "open lists": "[" * 100_000,
    "a number too long": '{"a": ' + "9" * 5_000 + "}",
    "a number too large": '{"a": 1e999}',
    "half a character": '{"a": "\\ud800"}',
}
NO_OBJECTS = {"a list": "[]", "null": "null", "a text": '"x"', "a number": "1", "nothing": ""}
EVERY_MONSTER = pytest.mark.parametrize("content", MONSTERS.values(), ids=MONSTERS.keys())


@contextmanager
def no_descriptors() -> Iterator[None]:
    """While it lasts, this process can open nothing."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize(
    "content", [*MONSTERS.values(), *NO_OBJECTS.values()], ids=[*MONSTERS.keys(), *NO_OBJECTS.keys()]
)
def test_what_holds_no_object_that_can_be_read_says_what_it_said_before(tmp_path: Path, content: str) -> None:
    path = tmp_path / "settings.json"
    path.write_text(content)
    file = WatchedFile(path)
    file.look()
    assert (file.is_known, file.fields) == (False, {})
    assert file.problem
    path.write_text('{"said": true}')
    assert file.look()
    assert (file.is_known, file.fields, file.problem) == (True, {"said": True}, "")
    path.write_text(content)
    assert file.look()
    assert (file.is_known, file.fields) == (True, {"said": True})
    assert file.problem
    assert not file.look()


def test_a_read_that_failed_is_tried_again_at_the_next_look(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    path.write_text('{"said": 1}')
    file = WatchedFile(path)
    file.look()
    path.write_text('{"said": "two"}')
    with no_descriptors():
        assert file.look()
        problem = file.problem
        assert not file.look()
    assert (problem, file.fields) == (os.strerror(errno.EMFILE), {"said": 1})
    assert file.look()
    assert (file.problem, file.fields) == ("", {"said": "two"})
    assert not file.look()


def test_a_file_that_could_not_be_found_for_a_moment_is_read_again_though_it_did_not_change(tmp_path: Path) -> None:
    path = tmp_path / "directory" / "settings.json"
    path.parent.mkdir()
    path.write_text('{"said": 1}')
    file = WatchedFile(path)
    file.look()
    path.parent.rename(tmp_path / "aside")
    path.parent.symlink_to(path.parent)
    file.look()
    assert (file.fields, file.is_there) == ({"said": 1}, True)
    assert file.problem
    path.parent.unlink()
    (tmp_path / "aside").rename(path.parent)
    assert file.look()
    assert (file.problem, file.fields) == ("", {"said": 1})


@EVERY_MONSTER
def test_a_remote_config_within_an_answer_that_cannot_be_read_is_refused_with_its_key(content: str) -> None:
    with pytest.raises(RemoteConfigError, match=r"^value: it holds no JSON object: "):
        unwrapped({"data": {"enabled": True, "value": content}})


@EVERY_MONSTER
def test_no_remote_config_is_too_much_for_a_look(tmp_path: Path, content: str) -> None:
    path = tmp_path / "remote.json"
    path.write_text('{"telemetryEnabled": false}')
    configs = RemoteConfigs(path)
    configs.look()
    path.write_text(content)
    configs.look()
    assert configs.telemetry_enabled is False
    assert len(configs.problems) == 1


@pytest.mark.parametrize("key", ["openTelemetryMetricExportInterval", "openTelemetryLogMaxQueueSize"])
@pytest.mark.parametrize("value", [10**400, float("inf"), float("nan"), 2**31, -(10**400)])
def test_a_number_that_nothing_can_wait_for_is_refused_with_its_key(key: str, value: float) -> None:
    with pytest.raises(RemoteConfigError, match=f"^{key}: it is not a positive number up to 2147483647: "):
        parse_exports({"openTelemetryEnabled": True, key: value})


@EVERY_MONSTER
@pytest.mark.parametrize("place", ["time", "properties", "event", "elsewhere"])
def test_no_line_of_clines_log_is_too_much_for_its_decoder(content: str, place: str) -> None:
    fields = {"time": '"2026-01-01T00:00:00Z"', "event": '"task.mode"', "properties": '{"mode": "plan"}'}
    monster = ",".join(f'"{name}":{value}' for name, value in (fields | {place: content}).items())
    following = ",".join(f'"{name}":{value}' for name, value in fields.items())
    diagnostics: Diagnostics = {}
    events = decoded(log_lines([f"{{{monster}}}".encode(), f"{{{following}}}".encode()]), diagnostics)
    assert 1 <= len(events) <= 2
    assert len(events) == 2 or {kind for kind, _, _ in diagnostics} == {"malformed"}
