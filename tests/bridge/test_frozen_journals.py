"""What a released layout stored, this release opens, continues and delivers as that release would have."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .freeze import EXPECTED, continued
from .received import Received

FROZEN = sorted(path for path in (Path(__file__).parents[1] / "data" / "journals").iterdir() if path.is_dir())


@pytest.mark.parametrize("folder", FROZEN, ids=lambda path: path.name)
def test_a_frozen_journal_is_opened_continued_and_delivered(folder: Path, tmp_path: Path) -> None:
    expected = json.loads((folder / EXPECTED).read_text(encoding="utf-8"))

    def is_all(received: Received) -> bool:
        spans = {span_id.hex() for span_id in received.spans}
        return spans >= expected["spans"].keys() and received.logs.keys() >= expected["logs"].keys()

    delivered = continued(folder, tmp_path, is_all)
    for kind in ("spans", "logs"):
        assert delivered[kind].keys() == expected[kind].keys()
        differing = {key for key, value in expected[kind].items() if delivered[kind][key] != value}
        assert not differing, kind
    assert delivered["totals"] == expected["totals"]
