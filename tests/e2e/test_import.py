"""That what was told live is not imported, and what was not told is, once, though a bridge runs afterwards."""

from __future__ import annotations

import pytest

from .importing import FIRST_IMPORT, IMPORTED, LAST_IMPORT, LIVE, PAST, SECOND_IMPORT
from .live_evidence import LiveEvidence
from .planted import find_planted

pytestmark = pytest.mark.parametrize("live", [IMPORTED], indirect=True, ids=["imported"])


def said(live: LiveEvidence, moment: str) -> str:
    return (live.stock(moment).folder / "said.txt").read_text()


def test_what_the_plugin_told_live_is_told_by_no_import(live: LiveEvidence) -> None:
    live.assert_is_told_once_and_wholly(LIVE)
    roots = [span for span in live.spans_of(LIVE) if not span.parent_span_id]
    assert [root.attributes["cline.telemetry.source"] for root in roots] == ["plugin"]
    assert "0 prompts" in said(live, FIRST_IMPORT)


def test_what_nobody_told_is_imported_once_with_its_subagents(live: LiveEvidence) -> None:
    live.assert_is_told_once_and_wholly(PAST)
    roots = [span for span in live.spans_of(PAST) if not span.parent_span_id]
    assert [root.attributes["cline.telemetry.source"] for root in roots] == ["session-files"]
    assert "1 prompts" in said(live, SECOND_IMPORT)
    assert "Nothing to import" in said(live, LAST_IMPORT)


def test_no_planted_word_is_imported(live: LiveEvidence) -> None:
    assert find_planted(live.words, [live.folder / "endpoint", live.folder / "bridge" / "state"]) == []
