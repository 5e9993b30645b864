"""``docs/lifecycle.md``: current, and it answers every input in every state."""

from __future__ import annotations

from pathlib import Path

from cline_otel.translate.diagram import _shared, lifecycle_document
from cline_otel.translate.lifecycle import RUN
from cline_otel.translate.model_calls import MODEL_CALL
from cline_otel.translate.tool_calls import TOOL_CALL

PAGE = Path(__file__).parents[2] / "docs" / "lifecycle.md"


def test_the_page_is_what_the_tables_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == lifecycle_document(), (
        "docs/lifecycle.md is not current: run `make docs` and commit it"
    )


def test_the_page_answers_every_input_in_every_state() -> None:
    parts = lifecycle_document().split("\n## ")[1:]
    for part, table in zip(parts, (RUN, MODEL_CALL, TOOL_CALL), strict=True):
        rows = [line.split(" | ") for line in part.splitlines() if line.startswith("| ") and "`" in line]
        answered = {(row[0].removeprefix("| "), given.strip("`")) for row in rows for given in row[1].split(", ")}
        assert answered == {(str(state), str(given)) for state, row in table.items() for given in row}  # type: ignore[attr-defined]


def test_an_arrow_says_the_fewer_inputs() -> None:
    table = {"open": dict.fromkeys(["a", "b", "c", "d"])}
    assert [_shared(given, table) for given in (["a"], ["a", "b"], ["a", "b", "c"])] == ["a", "a, b", "any but d"]  # type: ignore[arg-type]
