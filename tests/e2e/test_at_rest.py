"""That no planted word lies anywhere at rest, and nobody else may read what does, whoever is killed meanwhile."""

from __future__ import annotations

from pathlib import Path

import pytest

from .live_evidence import LiveEvidence
from .planted import PLACES, find_planted
from .resting import AT_REST, MOMENTS

pytestmark = pytest.mark.parametrize("live", [AT_REST], indirect=True, ids=["at_rest"])

_PRIVATE = ("-rw-------", "drwx------", "")
"""Modes of files and folders that nobody but the user may use; none of one that was just deleted."""

_NAMES_OF_TOOLS = ("server_word", "mcp_tool_word", "tool_word", "agent_word")


def test_every_word_is_planted_where_cline_meets_it(live: LiveEvidence) -> None:
    (home,) = live.folder.glob("home-*")
    for name, word in live.words.items():
        assert find_planted({name: word}, [home, live.folder / "cline"]), PLACES[name]


def test_there_is_something_at_rest_in_every_place(live: LiveEvidence) -> None:
    stocks = {moment: live.stock(moment) for moment in MOMENTS}
    # Later all of Cline has ended, and its spool is read and gone.
    for moment in ("waiting", "bridge killed"):
        assert list((stocks[moment].state / "spool").iterdir()), moment
    for moment in ("waiting", "bridge killed", "refused"):
        assert (stocks[moment].state / "journal.db-wal").stat().st_size > 0, moment
    assert stocks["waiting"].pending_items() > 0
    assert stocks["refused"].stored["dead_letters"]
    assert len(list((stocks["in local files"].state / "telemetry").glob("*.jsonl"))) == 3
    assert list((live.folder / "endpoint").glob("*-400.request"))


def test_no_planted_word_is_in_the_state_directory_at_any_moment(live: LiveEvidence) -> None:
    content = {name: word for name, word in live.words.items() if name not in _NAMES_OF_TOOLS}
    assert _planted_in_state(live, content) == []


def test_no_name_of_a_tool_server_or_agent_is_in_the_state_directory_at_any_moment(live: LiveEvidence) -> None:
    names = {name: live.words[name] for name in _NAMES_OF_TOOLS}
    assert _planted_in_state(live, names) == []


def test_no_planted_word_was_ever_in_the_spool(live: LiveEvidence) -> None:
    spool = live.folder / "bridge" / "spool"
    assert len(list(spool.iterdir())) >= len(live.runs)
    assert find_planted(live.words, [spool]) == []


def test_no_planted_word_is_in_the_installed_plugin(live: LiveEvidence) -> None:
    (plugin,) = live.folder.glob("home-*/.cline/plugins/cline-otel.js")
    assert find_planted(live.words, [plugin]) == _told_of_home(live, plugin)


def test_no_planted_word_is_sent_whatever_the_endpoint_answers(live: LiveEvidence) -> None:
    assert find_planted(live.words, [live.folder / "endpoint"]) == []


def test_no_planted_word_is_in_what_the_commands_say_even_when_they_debug(live: LiveEvidence) -> None:
    said = [path for path in (live.folder / "bridge").iterdir() if path.suffix in (".stdout", ".stderr")]
    assert live.folder / "bridge" / "run.stderr" in said
    said += list(live.folder.glob("stock/*/status.*"))
    # They tell whoever called them which files they read and made, and those are below the home folder.
    told = {line for path in said for line in _told_of_home(live, path)}
    assert set(find_planted(live.words, said)) - told == set()


@pytest.mark.parametrize("moment", MOMENTS)
def test_whatever_the_umask_only_the_user_may_use_the_state_directory(live: LiveEvidence, moment: str) -> None:
    modes = live.stock(moment).log_events["modes"]
    assert len(modes) > 1
    assert {path: mode for path, mode in modes.items() if mode not in _PRIVATE} == {}


def _planted_in_state(live: LiveEvidence, words: dict[str, str]) -> list[str]:
    stocks = [live.stock(moment) for moment in MOMENTS]
    copies = [stock.state for stock in stocks] + [stock.folder / "rows.bin" for stock in stocks]
    return find_planted(words, [*copies, live.folder / "bridge" / "state"])


def _told_of_home(live: LiveEvidence, path: Path) -> list[str]:
    return find_planted({"home_word": live.words["home_word"]}, [path])
