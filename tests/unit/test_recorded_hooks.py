"""Recorded hook calls become what the plugin would have written, and no end that another file tells."""

from __future__ import annotations

import shutil
from pathlib import Path

from bench.recorded_hooks import with_spool_files

HOOK_CALLS = Path(__file__).parents[1] / "plugin" / "fixtures" / "subagents.jsonl"
PROCESS_EXITED = b'"event":"process.exited"'


def test_a_process_ends_with_its_last_hook_call_unless_its_own_spool_is_there(tmp_path: Path) -> None:
    alone, beside_spool = tmp_path / "alone", tmp_path / "beside-spool"
    (beside_spool / "spool").mkdir(parents=True)
    alone.mkdir()
    for folder in (alone, beside_spool):
        shutil.copy(HOOK_CALLS, folder / "plugin.jsonl")
    of_alone, of_beside = (with_spool_files([folder])[0].read_bytes() for folder in (alone, beside_spool))
    assert PROCESS_EXITED in of_alone
    assert of_beside.splitlines() == [line for line in of_alone.splitlines() if PROCESS_EXITED not in line]
