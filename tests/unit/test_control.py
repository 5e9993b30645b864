"""What fails while a bridge follows what it is told ends nothing: it is told once and tried again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import pytest

from cline_otel.consent import Consent, OffFile
from cline_otel.control import Control
from cline_otel.export.delivery import Delivery
from cline_otel.ingest import Ingest
from cline_otel.journal import Commit, Journal, OutboxItem
from cline_otel.settings import load_settings
from cline_otel.settings.pseudonyms_file import rotate_key
from cline_otel.sources.intake import Unavailable
from waiting import eventually


class Parts:
    """Stands for what a bridge receives and sends with; fails as often as it is told."""

    def __init__(self) -> None:
        self.failures: list[Exception] = []
        self.begun_anew = 0
        self.is_paused = False

    def reload_from_journal(self) -> None:
        self.begun_anew += 1
        if self.failures:
            raise self.failures.pop()

    def pause(self) -> None:
        self.is_paused = True

    def resume(self) -> None:
        self.is_paused = False

    def close_open_runs(self) -> None:
        pass


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture
def state(tmp_path: Path) -> Path:
    (tmp_path / "state").mkdir()
    return tmp_path / "state"


@pytest.fixture
def journal(state: Path) -> Iterator[Journal]:
    with Journal.open(state / "journal.db") as journal:
        journal.commit(Commit(outbox=[OutboxItem("logs", b"waits", 3)]))
        yield journal


@pytest.fixture
def parts() -> Parts:
    return Parts()


@pytest.fixture
def control(tmp_path: Path, state: Path, journal: Journal, parts: Parts) -> Control:
    control = Control(load_settings(state_directory=state, cline_directory=tmp_path / ".cline"))
    control.begin(journal, cast(Ingest, parts), cast(Delivery, parts))
    return control


@asynccontextmanager
async def following(control: Control) -> AsyncIterator[None]:
    task = asyncio.create_task(control.run())
    yield
    assert not task.done(), task
    task.cancel()


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def waiting(journal: Journal) -> int:
    return journal.status().signals["logs"].pending_items


@pytest.mark.parametrize("error", [Unavailable(), RecursionError("planted secret"), KeyError("planted secret")])
async def test_a_new_key_is_followed_at_last_whatever_fails_at_first(
    control: Control, parts: Parts, state: Path, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    before = control.policy
    parts.failures = [error] * 3
    async with following(control):
        rotate_key(state)
        await eventually(lambda: parts.begun_anew == 3)
        assert control.policy == before
        await eventually(lambda: control.policy != before)
    assert parts.begun_anew == 4
    (told,) = warnings(caplog)
    assert told.startswith("the key of pseudonyms has changed and cannot be used: ")
    assert "planted secret" not in told


async def test_a_request_to_erase_is_carried_out_once_and_only_then_answered(
    control: Control, journal: Journal, parts: Parts, state: Path, caplog: pytest.LogCaptureFixture
) -> None:
    off_file = OffFile(state / "off")
    parts.failures = [RecursionError("planted secret")] * 2
    async with following(control):
        token = off_file.ask_to_erase()
        await eventually(lambda: parts.begun_anew == 2)
        assert off_file.carried_out is None
        await eventually(lambda: off_file.carried_out == token)
        assert waiting(journal) == 0
        journal.commit(Commit(outbox=[OutboxItem("logs", b"waits", 1)]))
        off_file.create()
        second = off_file.ask_to_erase()
        await eventually(lambda: off_file.carried_out == second)
    assert parts.begun_anew == 4, "each request but once"
    assert waiting(journal) == 0
    (told,) = warnings(caplog)
    assert told.startswith("what waits could not be erased yet: RecursionError at ")


async def test_a_request_that_waited_for_the_bridge_is_carried_out_when_it_begins(
    tmp_path: Path, state: Path, journal: Journal, parts: Parts
) -> None:
    off_file = OffFile(state / "off")
    token = off_file.ask_to_erase()
    off_file.create()
    control = Control(load_settings(state_directory=state, cline_directory=tmp_path / ".cline"))
    control.begin(journal, cast(Ingest, parts), cast(Delivery, parts))
    assert off_file.carried_out == token
    assert waiting(journal) == 0


async def test_a_request_that_was_taken_back_is_not_carried_out(
    control: Control, journal: Journal, state: Path
) -> None:
    off_file = OffFile(state / "off")
    off_file.ask_to_erase()
    off_file.remove()
    off_file.create()
    async with following(control):
        await eventually(control.is_off)
    assert off_file.carried_out is None
    assert waiting(journal) == 3


async def test_a_change_that_cannot_be_told_is_carried_out_and_told_again(
    control: Control, parts: Parts, state: Path, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[Consent] = []

    def tell(consent: Consent) -> None:
        told.append(consent)
        if len(told) < 3:
            raise OSError(28, "No space left on device")

    control.report = tell
    async with following(control):
        OffFile(state / "off").create()
        await eventually(lambda: len(told) == 3)
        assert parts.is_paused
        OffFile(state / "off").remove()
        await eventually(lambda: not parts.is_paused)
    assert [consent.state for consent in told] == ["off", "off", "off", "on"]
    assert len(warnings(caplog)) == 1


async def test_off_is_followed_whatever_is_wrong_with_the_other_evidence(
    control: Control, parts: Parts, state: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[None] = []

    def fail(_: object) -> None:
        looks.append(None)
        raise RecursionError("planted secret")

    monkeypatch.setattr("cline_otel.settings.remote_config.RemoteConfigs.look", fail)
    async with following(control):
        await eventually(lambda: len(looks) > 2)
        assert control.is_on()
        OffFile(state / "off").create()
        await eventually(lambda: parts.is_paused)
    (told,) = warnings(caplog)
    assert told.startswith("cannot check whether telemetry is on: RecursionError at ")
