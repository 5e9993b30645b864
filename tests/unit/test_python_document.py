"""The page for programs: each of its blocks runs, one after the other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import cline_otel

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "python.md").read_text("utf-8")


def test_its_blocks_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("CLINE_OTEL_BRIDGE_STATE_DIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    known: dict[str, object] = {}
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) == 4
    for block in blocks:
        exec(compile(block, "docs/python.md", "exec"), known)
    assert [path.name for path in tmp_path.glob("**/agents/review-bot/telemetry/traces.jsonl")] == ["traces.jsonl"]


def test_every_event_and_error_is_on_it() -> None:
    errors_and_events = {name for name in cline_otel.__all__ if name.startswith("Agent") or name.endswith("Error")}
    assert [name for name in errors_and_events - {"AgentEvent"} if name not in PAGE] == []
