"""Who may switch telemetry off: every decider alone and in pairs, from the real files and variables."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from cline_otel.consent import Answer, Consent, OffFile, OptOutSource, OptOutSources, decide, opt_out_sources_of
from cline_otel.consent.watch import ConsentWatch
from cline_otel.settings import load_settings

READ_FROM_FILES = (OptOutSource.CLINE_OPT_OUT, OptOutSource.CLINE_TELEMETRY_SETTING, OptOutSource.ORGANIZATION)


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))


class Installation:
    """A state directory and a Cline directory whose files a test writes."""

    def __init__(self, directory: Path) -> None:
        self.state = directory / "state"
        self.data = directory / ".cline" / "data"
        self.environment: dict[str, str] = {}

    @property
    def global_settings(self) -> Path:
        return self.data / "settings" / "global-settings.json"

    @property
    def global_state(self) -> Path:
        return self.data / "globalState.json"

    @property
    def remote_config(self) -> Path:
        return self.data / "cache" / "remote_config_org_1.json"

    def sources(self) -> OptOutSources:
        settings = load_settings(state_directory=self.state, cline_directory=self.data.parent)
        return opt_out_sources_of(settings, self.environment)

    def consent(self) -> Consent:
        return decide(self.sources().look())

    def say(self, source: OptOutSource, answer: Answer) -> None:
        """Brings the decider to say so, by the means a user or an organization has."""
        assert answer in MEANS[source], (source, answer)
        MEANS[source][answer](self)


def write(path: Path, fields: Mapping[str, object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(fields))


MEANS: dict[OptOutSource, dict[Answer, Callable[[Installation], object]]] = {
    OptOutSource.DO_NOT_TRACK: {
        Answer.OFF: lambda at: at.environment.update(DO_NOT_TRACK="1"),
        Answer.SILENT: lambda at: at.environment.update(DO_NOT_TRACK="0"),
    },
    OptOutSource.SDK_DISABLED: {
        Answer.OFF: lambda at: at.environment.update(OTEL_SDK_DISABLED="true"),
        Answer.SILENT: lambda at: at.environment.update(OTEL_SDK_DISABLED="false"),
    },
    OptOutSource.OFF_FILE: {
        Answer.OFF: lambda at: OffFile(at.state / "off").create(),
        Answer.SILENT: lambda at: OffFile(at.state / "off").remove(),
    },
    OptOutSource.CLINE_OPT_OUT: {
        Answer.OFF: lambda at: write(at.global_settings, {"telemetryOptOut": True}),
        Answer.ON: lambda at: write(at.global_settings, {"telemetryOptOut": False}),
        Answer.SILENT: lambda at: write(at.global_settings, {"autoUpdateEnabled": True}),
        Answer.UNKNOWN: lambda at: write(at.global_settings, {}) or at.global_settings.write_text('{"telemetryOpt'),
    },
    OptOutSource.CLINE_TELEMETRY_SETTING: {
        Answer.OFF: lambda at: write(at.global_state, {"telemetrySetting": "disabled"}),
        Answer.ON: lambda at: write(at.global_state, {"telemetrySetting": "enabled"}),
        Answer.SILENT: lambda at: write(at.global_state, {"telemetrySetting": "unset"}),
        Answer.UNKNOWN: lambda at: write(at.global_state, {}) or at.global_state.write_text("{"),
    },
    OptOutSource.ORGANIZATION: {
        Answer.OFF: lambda at: write(at.remote_config, {"version": "v1", "telemetryEnabled": False}),
        Answer.ON: lambda at: write(at.remote_config, {"version": "v1", "telemetryEnabled": True}),
        Answer.SILENT: lambda at: write(at.remote_config, {"version": "v1"}),
        Answer.UNKNOWN: lambda at: write(at.remote_config, {"version": "v1", "telemetryEnabled": "no"}),
    },
}
CELLS = [(source, answer) for source in OptOutSource for answer in MEANS[source]]
PAIRS = [(first, second) for first, second in itertools.combinations(CELLS, 2) if first[0] is not second[0]]


def expected(*cells: tuple[OptOutSource, Answer]) -> str:
    answers = {answer for _, answer in cells}
    return "off" if Answer.OFF in answers else "unknown" if Answer.UNKNOWN in answers else "on"


def test_nobody_says_anything_and_it_is_on(tmp_path: Path) -> None:
    assert Installation(tmp_path).consent() == Consent("on")


@pytest.mark.parametrize(("source", "answer"), CELLS, ids=lambda value: value.name.lower())
def test_each_decider_alone(tmp_path: Path, source: OptOutSource, answer: Answer) -> None:
    installation = Installation(tmp_path)
    installation.say(source, answer)
    assert installation.sources().look()[source] is answer
    consent = installation.consent()
    assert consent.state == expected((source, answer))
    if consent.state == "off":
        assert consent.reasons == (source.value,)


@pytest.mark.parametrize(("first", "second"), PAIRS, ids=lambda cell: f"{cell[0].name}-{cell[1].name}".lower())
def test_of_two_deciders_the_stricter_wins(
    tmp_path: Path, first: tuple[OptOutSource, Answer], second: tuple[OptOutSource, Answer]
) -> None:
    installation = Installation(tmp_path)
    installation.say(*first)
    installation.say(*second)
    consent = installation.consent()
    assert consent.state == expected(first, second)
    if consent.state == "off":
        assert set(consent.reasons) == {source.value for source, answer in (first, second) if answer is Answer.OFF}


@pytest.mark.parametrize("answers", list(itertools.product(Answer, repeat=2)))
def test_the_decision_is_pure_and_symmetric_for_any_two_deciders(answers: tuple[Answer, Answer]) -> None:
    for first, second in itertools.permutations(OptOutSource, 2):
        consent = decide({first: answers[0], second: answers[1]})
        assert consent == decide({second: answers[1], first: answers[0]})
        assert consent.state == expected((first, answers[0]), (second, answers[1]))


def test_the_users_own_word_is_told_first() -> None:
    consent = decide(dict.fromkeys(OptOutSource, Answer.OFF))
    assert consent.reasons[:3] == ("DO_NOT_TRACK is set", "OTEL_SDK_DISABLED is true", OptOutSource.OFF_FILE.value)
    assert "remote config" in consent.reasons[-1]
    assert consent.describe().startswith("off: DO_NOT_TRACK is set; ")


@pytest.mark.parametrize("value", ["1", "true", "TRUE", "yes", " 1 ", "anything"])
def test_do_not_track_means_what_it_says(tmp_path: Path, value: str) -> None:
    installation = Installation(tmp_path)
    installation.environment["DO_NOT_TRACK"] = value
    assert installation.consent().state == "off"


@pytest.mark.parametrize("value", ["", "0", "false", "False", " 0 "])
def test_do_not_track_unset_or_taken_back_says_nothing(tmp_path: Path, value: str) -> None:
    installation = Installation(tmp_path)
    installation.environment["DO_NOT_TRACK"] = value
    assert installation.consent().is_on


def test_the_boolean_of_older_classic_builds_counts(tmp_path: Path) -> None:
    installation = Installation(tmp_path)
    write(installation.global_state, {"telemetrySetting": False})
    assert installation.consent().state == "off"


@pytest.mark.parametrize(
    ("variable", "place", "fields"),
    [
        ("CLINE_GLOBAL_SETTINGS_PATH", "elsewhere/mine.json", {"telemetryOptOut": True}),
        ("CLINE_DATA_DIR", "elsewhere/settings/global-settings.json", {"telemetryOptOut": True}),
        ("CLINE_DATA_DIR", "elsewhere/globalState.json", {"telemetrySetting": "disabled"}),
    ],
)
def test_where_cline_may_use_one_of_several_files_each_counts(
    tmp_path: Path, variable: str, place: str, fields: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    installation = Installation(tmp_path)
    write(tmp_path / place, fields)
    write(installation.global_settings, {"telemetryOptOut": False})
    assert installation.consent().is_on
    named = tmp_path / place if variable == "CLINE_GLOBAL_SETTINGS_PATH" else tmp_path / "elsewhere"
    monkeypatch.setenv(variable, str(named))
    assert installation.consent().state == "off"


@pytest.mark.parametrize("source", READ_FROM_FILES)
@pytest.mark.parametrize(
    "torn", [b"", b"{", b'{"telemetryOptOut": tr', b"\xff\xfe", b"[]", b"null", b'"x"', b"[" * 99_999]
)
def test_a_file_that_is_just_being_written_says_what_it_said_before(
    tmp_path: Path, source: OptOutSource, torn: bytes
) -> None:
    installation = Installation(tmp_path)
    for answer in (Answer.OFF, Answer.ON):
        installation.say(source, answer)
        sources = installation.sources()
        assert sources.look()[source] is answer
        path = {
            OptOutSource.CLINE_OPT_OUT: installation.global_settings,
            OptOutSource.CLINE_TELEMETRY_SETTING: installation.global_state,
            OptOutSource.ORGANIZATION: installation.remote_config,
        }[source]
        path.write_bytes(torn)
        assert sources.look()[source] is answer


@pytest.mark.parametrize("source", READ_FROM_FILES)
def test_what_could_never_be_read_holds_until_it_can_or_is_gone(tmp_path: Path, source: OptOutSource) -> None:
    installation = Installation(tmp_path)
    installation.say(source, Answer.UNKNOWN)
    sources = installation.sources()
    sources.look()
    # Looking again at what did not change makes nothing known.
    consent = decide(sources.look())
    assert consent.state == "unknown"
    assert "correct the file, or remove it" in consent.reasons[0]
    installation.say(source, Answer.ON)
    assert decide(sources.look()).is_on
    installation.say(source, Answer.UNKNOWN)
    assert decide(sources.look()).is_on
    sources = installation.sources()
    assert decide(sources.look()).state == "unknown"
    for path in (installation.global_settings, installation.global_state, installation.remote_config):
        path.unlink(missing_ok=True)
    assert decide(sources.look()).is_on


WRONG: dict[OptOutSource, list[object]] = {
    OptOutSource.CLINE_OPT_OUT: ["true", "false", 1, 0, [], {}],
    OptOutSource.CLINE_TELEMETRY_SETTING: [1, 0, ["disabled"], {"disabled": True}],
    OptOutSource.ORGANIZATION: ["false", 0, [], {}],
}
"""Values of types that a decider's key cannot have."""


@pytest.mark.parametrize(("source", "value"), [(source, value) for source in WRONG for value in WRONG[source]])
def test_a_value_of_a_wrong_type_says_what_was_said_before_and_holds_where_nothing_was(
    tmp_path: Path, source: OptOutSource, value: object
) -> None:
    installation = Installation(tmp_path)
    path, key = {
        OptOutSource.CLINE_OPT_OUT: (installation.global_settings, "telemetryOptOut"),
        OptOutSource.CLINE_TELEMETRY_SETTING: (installation.global_state, "telemetrySetting"),
        OptOutSource.ORGANIZATION: (installation.remote_config, "telemetryEnabled"),
    }[source]
    write(path, {key: value})
    sources = installation.sources()
    for _ in range(3):
        assert sources.look()[source] is Answer.UNKNOWN
    for answer in (Answer.OFF, Answer.ON, Answer.SILENT):
        installation.say(source, answer)
        assert sources.look()[source] is answer
        write(path, {key: value, "longer each time": answer.name})
        for _ in range(3):
            assert sources.look()[source] is answer
    path.unlink()
    assert sources.look()[source] is Answer.SILENT


def test_a_file_that_is_no_regular_file_is_not_waited_for(tmp_path: Path) -> None:
    installation = Installation(tmp_path)
    installation.global_settings.parent.mkdir(parents=True)
    os.mkfifo(installation.global_settings)
    assert installation.consent().state == "unknown"


def test_anything_of_the_off_files_name_counts(tmp_path: Path) -> None:
    installation = Installation(tmp_path)
    installation.state.mkdir()
    (installation.state / "off").symlink_to("nowhere")
    assert installation.consent().state == "off"


def test_the_off_file_is_the_users_alone(tmp_path: Path) -> None:
    off_file = OffFile(tmp_path / "state" / "off")
    off_file.create()
    assert off_file.path.stat().st_mode & 0o777 == 0o600
    assert off_file.path.parent.stat().st_mode & 0o777 == 0o700
    off_file.carry_out(off_file.ask_to_erase())
    assert {path.name for path in off_file.path.parent.iterdir()} == {"off", "erased"}
    assert {path.stat().st_mode & 0o777 for path in off_file.path.parent.iterdir()} == {0o600}
    off_file.path.chmod(0o644)
    off_file.path.parent.chmod(0o755)
    off_file.create()
    assert off_file.path.stat().st_mode & 0o777 == 0o600
    assert off_file.path.parent.stat().st_mode & 0o777 == 0o700
    assert off_file.remove()
    assert not off_file.remove()


def test_a_request_to_erase_outlives_a_further_off_and_ends_with_on(tmp_path: Path) -> None:
    off_file = OffFile(tmp_path / "off")
    off_file.create()
    assert off_file.erase_request is None
    token = off_file.ask_to_erase()
    off_file.create()
    assert off_file.erase_request == token
    off_file.remove()
    assert off_file.erase_request is None
    off_file.create()
    assert off_file.erase_request is None


def test_a_request_is_carried_out_by_its_own_token_alone(tmp_path: Path) -> None:
    off_file, asked_elsewhere = OffFile(tmp_path / "off"), OffFile(tmp_path / "off")
    first = off_file.ask_to_erase()
    assert asked_elsewhere.ask_to_erase() == first, "one is pending"
    assert off_file.carried_out is None
    off_file.carry_out(first)
    assert off_file.carried_out == first
    assert off_file.erase_request == first
    second = off_file.ask_to_erase()
    assert second != first
    assert off_file.carried_out == first


@pytest.mark.parametrize(
    "content", [b"", b"off\n", b"off, erase \n", b"off, erase " + b"0" * 31 + b"g\n", b"\xff" * 999]
)
def test_what_is_no_request_asks_for_nothing(tmp_path: Path, content: bytes) -> None:
    off_file = OffFile(tmp_path / "off")
    off_file.path.write_bytes(content)
    assert off_file.exists
    assert off_file.erase_request is None


def make_unsearchable(directory: Path) -> None:
    """Nobody, not even root, can look into a link to itself."""
    directory.rename(directory.with_name("moved"))
    directory.symlink_to(directory.name)


def make_searchable(directory: Path) -> None:
    directory.unlink()
    directory.with_name("moved").rename(directory)


@pytest.mark.parametrize("is_off", [True, False])
def test_while_the_off_file_cannot_be_looked_for_it_is_as_it_was(tmp_path: Path, is_off: bool) -> None:
    off_file = OffFile(tmp_path / "state" / "off")
    off_file.path.parent.mkdir()
    if is_off:
        off_file.create()
    assert off_file.exists is is_off
    make_unsearchable(off_file.path.parent)
    assert off_file.exists is is_off
    make_searchable(off_file.path.parent)
    assert off_file.exists is is_off
    off_file.remove()
    assert not off_file.exists


def test_an_off_file_that_could_never_be_looked_for_keeps_telemetry_from_being_on(tmp_path: Path) -> None:
    installation = Installation(tmp_path)
    installation.state.mkdir()
    make_unsearchable(installation.state)
    assert installation.consent().state == "unknown"
    make_searchable(installation.state)
    assert installation.consent().is_on


@pytest.mark.parametrize("place", ["missing", "a file"])
def test_where_there_is_no_state_directory_there_is_no_off_file(tmp_path: Path, place: str) -> None:
    installation = Installation(tmp_path)
    if place == "a file":
        installation.state.touch()
    assert installation.consent().is_on


def test_no_reason_tells_a_path_or_a_value(tmp_path: Path) -> None:
    installation = Installation(tmp_path)
    secret = "planted" + os.urandom(8).hex()
    for source in READ_FROM_FILES:
        installation.say(source, Answer.UNKNOWN)
    installation.global_settings.write_text(f'{{"telemetryOptOut": {secret}')
    held = installation.consent()
    for source in OptOutSource:
        installation.say(source, Answer.OFF)
    for consent in (held, installation.consent()):
        assert secret not in consent.describe()
        assert str(tmp_path) not in consent.describe()


async def test_a_change_is_found_at_the_next_look_and_told_once(tmp_path: Path) -> None:
    installation = Installation(tmp_path)
    told: list[str] = []
    wake = asyncio.Event()
    watch = ConsentWatch(
        installation.sources(),
        lambda before, now: told.append(f"{before.state} {now.state}"),
        interval_seconds=None,
        wake=wake,
    )
    assert watch.consent.is_on
    for source in (
        OptOutSource.OFF_FILE,
        OptOutSource.CLINE_OPT_OUT,
        OptOutSource.CLINE_TELEMETRY_SETTING,
        OptOutSource.ORGANIZATION,
    ):
        looking = asyncio.create_task(watch.next_look())
        installation.say(source, Answer.OFF)
        wake.set()
        assert (await looking).reasons == (source.value,)
        installation.say(source, Answer.SILENT)
        wake.set()
        assert (await watch.next_look()).is_on
        wake.set()
        await watch.next_look()
    assert told == ["on off", "off on"] * 4


async def test_a_further_reason_is_a_change_too(tmp_path: Path) -> None:
    installation = Installation(tmp_path)
    told: list[tuple[str, ...]] = []
    watch = ConsentWatch(installation.sources(), lambda before, now: told.append(now.reasons))
    installation.say(OptOutSource.CLINE_OPT_OUT, Answer.OFF)
    watch.look()
    installation.say(OptOutSource.OFF_FILE, Answer.OFF)
    watch.look()
    assert told == [
        (OptOutSource.CLINE_OPT_OUT.value,),
        (OptOutSource.OFF_FILE.value, OptOutSource.CLINE_OPT_OUT.value),
    ]


async def test_the_off_file_counts_whatever_fails_with_the_other_evidence(tmp_path: Path) -> None:
    installation = Installation(tmp_path)
    sources = installation.sources()
    watch = ConsentWatch(sources)

    def fail() -> None:
        raise RecursionError

    sources.remote_configs.look = fail  # type: ignore[method-assign]
    with pytest.raises(RecursionError):
        watch.look()
    assert watch.consent.is_on
    installation.say(OptOutSource.OFF_FILE, Answer.OFF)
    assert watch.look() == Consent("off", (OptOutSource.OFF_FILE.value,))
    installation.say(OptOutSource.OFF_FILE, Answer.SILENT)
    with pytest.raises(RecursionError):
        watch.look()
    assert watch.consent.state == "off", "nobody says that it is on"


async def test_a_change_that_could_not_be_carried_out_is_carried_out_at_the_next_look(tmp_path: Path) -> None:
    installation = Installation(tmp_path)
    told: list[str] = []
    failures = 2

    def carry_out(before: Consent, now: Consent) -> None:
        nonlocal failures
        told.append(f"{before.state} {now.state}")
        failures -= 1
        if failures >= 0:
            raise RecursionError

    watch = ConsentWatch(installation.sources(), carry_out)
    installation.say(OptOutSource.OFF_FILE, Answer.OFF)
    with pytest.raises(RecursionError):
        watch.look()
    assert watch.consent.state == "off", "in force at once"
    installation.say(OptOutSource.OFF_FILE, Answer.SILENT)
    with pytest.raises(RecursionError):
        watch.look()
    watch.look()
    watch.look()
    assert told == ["on off", "on on", "on on"]


def test_the_readme_has_every_decider_in_its_table() -> None:
    readme = Path(__file__).parents[2].joinpath("README.md").read_text(encoding="utf-8")
    section = readme.split("## Switch it off")[1].split("\n## ")[0]
    rows = [row.split("|")[1] for row in section.splitlines() if row.startswith("| `")]
    assert len(rows) == len(OptOutSource)
    for row, word in zip(
        rows,
        (
            "DO_NOT_TRACK",
            "OTEL_SDK_DISABLED=true",
            "cline-otel off",
            "telemetryOptOut",
            "telemetrySetting",
            "telemetryEnabled",
        ),
        strict=True,
    ):
        assert word in row
