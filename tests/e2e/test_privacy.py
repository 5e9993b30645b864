"""That no planted word leaves: not to the collector, not to the spool or the journal, not to a log."""

from __future__ import annotations

from .evidence import Evidence
from .planted import PLACES, find_planted
from .telemetry import Telemetry

_TOLD_TO_THE_USER = ("run.stderr", "install.stdout", "status.json")


def test_every_word_is_planted_where_cline_meets_it(evidence: Evidence) -> None:
    asked = " ".join(tool.name for tool in evidence.tool_calls)
    is_team = "team_spawn_teammate" in asked
    planted = {
        "server_word": evidence.scenario.mcp_server,
        "mcp_tool_word": evidence.scenario.mcp_server,
        "team_word": is_team,
        "teammate_word": is_team,
        "tool_word": "consult_" in asked,
        "error_word": any(run.outcome == "failed" for run in evidence.scenario.runs),
    }
    home = next(evidence.folder.glob("home-*"))
    for name, word in evidence.words.items():
        if planted.get(name, True):
            assert find_planted({name: word}, [home, evidence.folder / "cline"]), PLACES[name]


def test_no_planted_word_reaches_the_collector(evidence: Evidence) -> None:
    assert find_planted(evidence.words, [evidence.folder / "collector"]) == []


def test_no_planted_word_is_in_the_spool(evidence: Evidence) -> None:
    spool = evidence.folder / "bridge" / "spool"
    assert list(spool.iterdir())
    assert find_planted(evidence.words, [spool]) == []


def test_no_planted_word_is_in_the_journal_or_the_bridges_log(evidence: Evidence) -> None:
    bridge = evidence.folder / "bridge"
    files = [path for path in bridge.rglob("*") if path.is_file() and path.parent.name != "spool"]
    # The command tells whoever called it which files it reads and made, and those are below the home folder.
    told = {f"{PLACES['home_word']} is in {bridge / name}" for name in _TOLD_TO_THE_USER}
    assert set(find_planted(evidence.words, files)) - told == set()


def test_the_collectors_redaction_finds_nothing_to_mask(evidence: Evidence, telemetry: Telemetry) -> None:
    assert telemetry.spans
    for path in (evidence.folder / "collector").glob("*.jsonl"):
        assert "redaction.masked" not in path.read_text()
