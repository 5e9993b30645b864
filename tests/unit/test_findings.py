"""Findings: each is raised by a recording, none by a healthy one, and each goes when what was missing arrives."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import pytest
from bench.fixed_key import CATALOGUE, recording_of

from cline_otel.events import Event, LogEvent, PluginsNotLoaded, RunStarted, SessionClaimed, SessionUntold, tick
from cline_otel.findings.detection import KINDS, WAIT_NS, Surroundings, detect
from cline_otel.findings.surroundings import look_around
from cline_otel.places import ClinePlaces, cline_places
from cline_otel.plugin.install import install
from cline_otel.replay import ReplayResult, replay
from cline_otel.sources.recording import Recording
from cline_otel.translate.heard import LOOK_BACK_NS
from cline_otel.translate.state import State
from cline_otel.translate.step import Translator
from conversations import SESSION, START_MS, write_session
from corpus import CAPTURES, DATA, capture_paths

NOT_LOADED = DATA / "findings" / "plugin_not_loaded_hub.log"
NOW_NS = START_MS * 1_000_000
LATER_NS = NOW_NS + WAIT_NS


@lru_cache
def of(path: Path, only: str | None = None) -> ReplayResult:
    recording: Recording = recording_of([path], only)
    return replay(recording, CATALOGUE)


def names(path: Path, only: str | None = None) -> dict[str, int]:
    return {finding.name: finding.times for finding in of(path, only).findings}


def state_after(*events: Event) -> State:
    translator = Translator(CATALOGUE)
    for event in (tick(NOW_NS), *events):
        translator.step(event)
    return translator.state


def found(state: State, surroundings: Surroundings = Surroundings(), now_ns: int = LATER_NS) -> dict[str, int]:  # noqa: B008
    return {finding.name: finding.times for finding in detect(state, surroundings, now_ns)}


def registered(at_ns: int = NOW_NS, session_id: str = SESSION) -> LogEvent:
    return LogEvent("cline-log", at_ns, "session.started", session_id=session_id)


def begun(source: str) -> RunStarted:
    return RunStarted(source, NOW_NS, "run.started", session_id=SESSION, agent_id="agent_a", run_id="run_a")


@pytest.mark.parametrize("path", capture_paths(), ids=lambda path: path.name)
def test_nothing_is_missed_in_a_recording_of_all_sources(path: Path) -> None:
    assert names(path) == {}


def test_a_hub_run_that_only_the_log_has_heard_of_and_a_plugin_that_did_not_load_are_found() -> None:
    assert names(NOT_LOADED) == {"session_without_run": 1, "plugin_not_loaded": 1}


def test_a_hub_run_is_missed_without_its_files_and_not_with_them() -> None:
    hub = CAPTURES / "second_run_plugin_hub"
    assert names(hub, "cline-log") == {"session_without_run": 1}
    recording = recording_of([hub / "cline.log", *sorted(hub.glob("sessions/*/*.messages.json"))])
    assert replay(recording, CATALOGUE).findings == []


def test_a_session_whose_files_hold_a_prompt_and_no_conversation_is_found(tmp_path: Path) -> None:
    folder = write_session(tmp_path, [], "failed", prompt="Do it", started_at="2026-09-21T14:13:20Z")
    assert names(folder / f"{SESSION}.messages.json") == {"session_without_conversation": 1}


@pytest.mark.parametrize("manifest", [{"status": "running", "prompt": "Do it"}, {"status": "failed", "prompt": " "}])
def test_a_session_that_goes_on_or_had_no_prompt_is_not(tmp_path: Path, manifest: dict[str, str]) -> None:
    state = state_after()
    assert not found(state)
    folder = write_session(tmp_path, [], **manifest)
    if manifest["status"] == "failed":
        assert names(folder / f"{SESSION}.messages.json") == {}


HEARD: Sequence[tuple[str, Event]] = (
    ("session_without_run", registered()),
    ("session_without_conversation", SessionUntold("session-files", NOW_NS, "session.untold", session_id=SESSION)),
)


@pytest.mark.parametrize(("name", "event"), HEARD)
def test_a_session_is_missed_only_when_it_had_time_to_be_told(name: str, event: Event) -> None:
    state = state_after(event)
    assert found(state) == {name: 1}
    assert not found(state, now_ns=LATER_NS - 1)
    assert not found(state, Surroundings(reading_since_ns=NOW_NS + 1))


@pytest.mark.parametrize(("name", "event"), HEARD)
@pytest.mark.parametrize(
    "told", [begun("session-files"), begun("cline-log"), SessionClaimed("plugin", NOW_NS, session_id=SESSION)]
)
def test_it_is_missed_no_more_once_a_source_tells_of_it(name: str, event: Event, told: Event) -> None:
    for events in ((event, told), (told, event)):
        assert not found(state_after(*events)), name


def test_what_began_before_the_first_look_or_while_telemetry_was_off_is_not_missed() -> None:
    assert not found(state_after(registered(session_id=f"{(NOW_NS - LOOK_BACK_NS) // 1_000_000 - 1}_k3x9p")))
    assert found(state_after(registered(session_id=f"{(NOW_NS - LOOK_BACK_NS) // 1_000_000}_k3x9p")))
    translator = Translator(CATALOGUE)
    for event in (tick(NOW_NS), tick(NOW_NS + 1)):
        translator.step(event)
    translator.close_open_runs()
    translator.step(registered(NOW_NS + 2))
    assert not found(translator.state)


def test_a_plugin_that_did_not_load_is_found_until_it_speaks() -> None:
    failed = PluginsNotLoaded("cline-log", NOW_NS, "plugin loading failed")
    claimed = SessionClaimed("plugin", NOW_NS + 1, session_id=SESSION)
    assert found(state_after(failed)) == {"plugin_not_loaded": 1}
    assert not found(state_after(failed, claimed))
    assert not found(state_after(claimed, failed)), "read later, and written before"
    again = PluginsNotLoaded("cline-log", NOW_NS + 2, "plugin loading failed")
    assert found(state_after(failed, claimed, again)) == {"plugin_not_loaded": 1}


def test_an_installed_plugin_that_never_spoke_is_found_where_cline_could_load_it() -> None:
    installed = Surroundings(plugin_installed_at_ns=NOW_NS - 1)
    told = (registered(), begun("session-files"))
    assert found(state_after(*told), installed) == {"plugin_silent": 1}
    assert not found(state_after(*told)), "it is not installed"
    assert not found(state_after(*told), Surroundings(plugin_installed_at_ns=NOW_NS)), "no session since"
    assert not found(state_after(begun("session-files")), installed), "an editor loads no plugin by itself"
    assert not found(state_after(*told), installed, LATER_NS - 1)
    assert not found(state_after(*told, SessionClaimed("plugin", NOW_NS, session_id="another")), installed)


def test_what_was_heard_is_saved() -> None:
    state = state_after(registered(), PluginsNotLoaded("cline-log", NOW_NS, "plugin loading failed"))
    rows = [(key, value) for key, value in state.changes().items() if value is not None]
    assert found(State.restore(rows)) == found(state) == {"session_without_run": 1, "plugin_not_loaded": 1}


def places(directory: Path, **variables: Path) -> ClinePlaces:
    found = cline_places({"CLINE_DIR": directory, **variables}, None, "linux")
    assert found is not None
    return found


def test_a_data_directory_in_use_that_is_not_read_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    own = places(tmp_path / "elsewhere")
    assert not found(State(), look_around([own], tmp_path / "state"))
    (tmp_path / ".cline" / "data" / "sessions").mkdir(parents=True)
    (finding,) = detect(State(), look_around([own], tmp_path / "state"), NOW_NS)
    assert finding.name == "data_directory_not_read"
    assert str(tmp_path / ".cline" / "data") in finding.seen
    assert not found(State(), look_around([own, places(tmp_path / ".cline")], tmp_path / "state"))


def test_a_plugin_that_is_not_as_this_release_installs_it_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))
    own, state_directory = places(tmp_path / ".cline"), tmp_path / "state"
    plugin_file = install(own, state_directory).plugin_file
    assert not found(State(), look_around([own], state_directory))
    assert found(State(), look_around([own], tmp_path / "another")) == {"plugin_differs": 1}
    plugin_file.write_bytes(plugin_file.read_bytes() + b"\n")
    (finding,) = detect(State(), look_around([own], state_directory), NOW_NS)
    assert finding.name == "plugin_differs"
    assert str(plugin_file) in finding.seen
    plugin_file.unlink()
    assert not found(State(), look_around([own], state_directory))


def test_every_finding_is_documented_with_its_name() -> None:
    page = (Path(__file__).parents[2] / "docs" / "status.md").read_text("utf-8")
    assert [name for name in KINDS if f"`{name}`" not in page] == []
