"""``docs/lifecycle.md``: the tables of the lifecycle as diagrams and in words, so that neither can differ from them.

``python -m cline_otel.translate.diagram`` writes the page to standard output; ``make docs`` keeps it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any, Final

from cline_otel import markdown
from cline_otel.translate.lifecycle import RUN
from cline_otel.translate.machine import Transition
from cline_otel.translate.model_calls import MODEL_CALL
from cline_otel.translate.stored import CallState, RunState
from cline_otel.translate.tool_calls import TOOL_CALL

Table = Mapping[Any, Mapping[str, Transition[Any, Any]]]

_INTRODUCTION: Final = """\
# The lifecycle of runs, model calls and tool calls

*`make docs` writes this page from the tables in `src/cline_otel/translate/` (`lifecycle.py`, `model_calls.py`,
`tool_calls.py`), which the translator itself goes by.*

Inputs are the kinds of events (`events.py`), and four cues, which are what an event means for a call that it does not
name: `moved_on`, a later call began, so what an ended one waits for will not come; `run_failed`, the run failed, which
an open model call explains; `run_cut_short`, it was aborted or its process is gone, and what was open ended with it;
`run_over`, the run is over or its end will never be reported. The diagrams leave out what changes no state; the tables
answer every input in every state."""

_MACHINES: Final[tuple[tuple[str, str, Table, str, frozenset[str]], ...]] = (
    (
        "A run",
        (
            "A run that is silent for a day, or whose process is gone, is closed as incomplete besides, and one whose "
            "process Cline ended as aborted, unless within 10 s another process goes on with it."
        ),
        RUN,
        RunState.NEW,
        frozenset({RunState.CLOSED}),
    ),
    (
        "A model call",
        "A closed call is forgotten: what still comes for it finds it absent.",
        MODEL_CALL,
        CallState.ABSENT,
        frozenset({CallState.CLOSED}),
    ),
    (
        "A tool call",
        "A closed call is forgotten: what still comes finds it absent. A start is of a requested call or of another.",
        TOOL_CALL,
        CallState.ABSENT,
        frozenset({CallState.CLOSED}),
    ),
)


def lifecycle_document() -> str:
    """The page, as Markdown with Mermaid diagrams: the same tables make the same text."""
    parts = [_INTRODUCTION]
    for title, text, table, initial, final in _MACHINES:
        parts += [f"## {title}", text, _diagram(table, initial, final), _table(table)]
    return "\n\n".join(parts) + "\n"


def _diagram(table: Table, initial: str, final: frozenset[str]) -> str:
    """State changes alone; inputs that lead from one state to the same other share an arrow."""
    arrows: dict[tuple[str, str], list[str]] = {}
    for state, given, transition in _transitions(table):
        for to in transition.to:
            if to != state:
                arrows.setdefault((state, to), []).append(given)
    lines = [f"    [*] --> {initial}"]
    lines += [f"    {start} --> {end}: {_shared(given, table)}" for (start, end), given in arrows.items()]
    lines += [f"    {state} --> [*]" for state in sorted(final)]
    return "\n".join(["```mermaid", "stateDiagram-v2", *lines, "```"])


def _shared(given: list[str], table: Table) -> str:
    """The inputs of one arrow: where they are most of all, those that are not among them."""
    every = list(next(iter(table.values())))
    others = [each for each in every if each not in given]
    return ", ".join(given) if len(given) <= len(others) else f"any but {', '.join(others)}"


def _table(table: Table) -> str:
    """A row for each state and what happens in it, with all inputs that do."""
    rows: dict[tuple[str, Transition[Any, Any]], list[str]] = {}
    for state, given, transition in _transitions(table):
        rows.setdefault((state, transition), []).append(given)
    return markdown.table(
        ("state", "input", "then", "what happens"),
        (
            (state, tuple(given), " or ".join(transition.to), transition.action.__doc__ or "")
            for (state, transition), given in rows.items()
        ),
    )


def _transitions(table: Table) -> Iterator[tuple[str, str, Transition[Any, Any]]]:
    for state, row in table.items():
        for given, transition in row.items():
            yield state, given, transition


if __name__ == "__main__":
    sys.stdout.write(lifecycle_document())
