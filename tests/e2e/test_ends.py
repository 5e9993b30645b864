"""That however a Cline ends its prompt's trace is whole: the root is there, and the open call is as long as it was."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import pytest

from .conftest import Theatre
from .ending import (
    ENDED_IN_HUB,
    ENDED_IN_LOG,
    ENDED_LOCALLY,
    HUB_ENDS,
    LOCAL_ENDS,
    LOG_ENDS,
    Cell,
    roots_at,
    roots_of,
    spans_of,
)
from .live_stage import LiveScenario
from .telemetry import Span, Telemetry

ABORTED, KILLED = ("aborted", "aborted"), ("incomplete", "process_exited")
"""How a run may end before its time, with why its open call failed."""

ENDS: dict[tuple[str, str], set[tuple[str, str]]] = {
    ("local", "ctrl_c"): {ABORTED},
    # The second one may end Cline before the plugin is told of the abort.
    ("local", "ctrl_c_twice"): {ABORTED, KILLED},
    ("local", "sigkill"): {KILLED},
    ("local", "hangup"): {KILLED},
    ("hub", "ctrl_c"): {ABORTED},
    ("hub", "ctrl_c_twice"): {ABORTED},
    ("hub", "sigterm"): {ABORTED},
    # Without its client the run goes on until the hub is stopped, which ends its plugins or leaves them.
    ("hub", "sigkill"): {ABORTED, KILLED},
    ("hub", "hangup"): {ABORTED, KILLED},
    ("hub", "hub_sigkill"): {KILLED},
    ("hub", "hub_stop"): {ABORTED, KILLED},
}
"""By place and way. A local Cline that gets SIGTERM is not among them: it finishes what it does."""

CELLS = [(ENDED_LOCALLY, cell) for cell in LOCAL_ENDS] + [(ENDED_IN_HUB, cell) for cell in HUB_ENDS]
CUT_SHORT = [(scenario, cell) for scenario, cell in CELLS if (cell.place, cell.way) in ENDS]
LEFT_TO_FINISH = [(scenario, cell) for scenario, cell in CELLS if (cell.place, cell.way) not in ENDS]


@dataclass(frozen=True)
class Ended:
    """What became of one cell."""

    cell: Cell
    spans: list[Span]
    root: Span

    @property
    def open_call(self) -> Span:
        """The call during which it ended, which is the last of its kind."""
        operation = "chat" if self.cell.waits_for == "model" else "execute_tool"
        return max((span for span in self.spans if span.operation == operation), key=lambda span: span.started_at_ns)


@lru_cache(None)
def told_in(folder: Path) -> Telemetry:
    return Telemetry(folder / "endpoint")


def ended(theatre: Theatre, scenario: LiveScenario, named: Cell) -> Ended:
    folder = theatre.results(scenario)
    outcome = json.loads((folder / "outcome.json").read_text())
    assert not outcome["failure"], f"{outcome['failure']}; see {folder}"
    cells = [Cell(**each) for each in json.loads((folder / "ends.json").read_text())]
    (cell,) = (each for each in cells if each.name == named.name)
    (root,) = roots_of(told_in(folder), cell.play)
    return Ended(cell, spans_of(told_in(folder), cell.play), root)


def exited_at_ns(theatre: Theatre, scenario: LiveScenario, session_id: str) -> int:
    """When the plugin's process was gone that told a session, as it said itself."""
    for path in (theatre.results(scenario) / "bridge" / "spool").glob("*.jsonl"):
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        if any(line.get("session_id") == session_id for line in lines):
            return int(lines[-1]["time_unix_ms"]) * 1_000_000
    raise AssertionError(f"no process told {session_id}")


def of_cells(cells: list[tuple[LiveScenario, Cell]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(("scenario", "cell"), cells, ids=[cell.name for _, cell in cells])


@of_cells(CUT_SHORT)
def test_a_run_that_is_cut_short_and_its_open_call_say_why(
    theatre: Theatre, scenario: LiveScenario, cell: Cell
) -> None:
    told = ended(theatre, scenario, cell)
    call = told.open_call
    end = (told.root.attributes["cline.outcome"], call.attributes["error.type"])
    assert end in ENDS[cell.place, cell.way]
    assert call.failed
    assert not told.root.failed


@of_cells(CUT_SHORT)
def test_what_was_cut_short_has_one_class_wherever_it_is_told(
    theatre: Theatre, scenario: LiveScenario, cell: Cell
) -> None:
    told = ended(theatre, scenario, cell)
    session_id = told.root.attributes["gen_ai.conversation.id"]
    classes = {span.attributes["error.type"] for span in told.spans if "error.type" in span.attributes}
    records = told_in(theatre.results(scenario)).logs
    said = {
        log.attributes["error.type"]
        for log in records
        if log.attributes.get("gen_ai.conversation.id") == session_id and "error.type" in log.attributes
    }
    assert len(classes) == 1
    # Cline says that it cancels the task also where it is gone before it does.
    assert said <= classes if told.root.attributes["cline.outcome"] == "aborted" else classes <= said


@of_cells(CUT_SHORT)
def test_the_open_call_lasts_until_the_end(theatre: Theatre, scenario: LiveScenario, cell: Cell) -> None:
    told = ended(theatre, scenario, cell)
    session_id = told.root.attributes["gen_ai.conversation.id"]
    assert told.cell.opened_at_ns < told.cell.ended_at_ns
    assert told.open_call.ended_at_ns >= told.cell.ended_at_ns
    assert told.open_call.ended_at_ns <= exited_at_ns(theatre, scenario, session_id)
    assert told.root.ended_at_ns >= told.open_call.ended_at_ns


@of_cells(LEFT_TO_FINISH)
def test_one_that_is_left_to_finish_is_told_as_it_went(theatre: Theatre, scenario: LiveScenario, cell: Cell) -> None:
    told = ended(theatre, scenario, cell)
    assert told.root.attributes["cline.outcome"] == "completed"
    assert not any(span.attributes.get("cline.incomplete") for span in told.spans)


@pytest.mark.parametrize("scenario", [ENDED_LOCALLY, ENDED_IN_HUB], ids=lambda scenario: scenario.name)
def test_every_run_that_was_counted_as_started_is_counted_as_ended(theatre: Theatre, scenario: LiveScenario) -> None:
    totals = told_in(theatre.results(scenario)).metrics
    started, completed = (
        sum(total.sum for total in totals if total.metric == f"cline.run.{each}") for each in ("started", "completed")
    )
    assert started == completed == len(scenario.runs)


@pytest.mark.parametrize("scenario", [ENDED_LOCALLY, ENDED_IN_HUB], ids=lambda scenario: scenario.name)
def test_every_call_that_failed_counts_once_among_the_errors(theatre: Theatre, scenario: LiveScenario) -> None:
    telemetry = told_in(theatre.results(scenario))
    failed = [span.attributes["error.type"] for span in telemetry.spans if span.failed]
    for error_type in {*failed}:
        assert telemetry.sum_of("cline.errors", error_type=error_type) == failed.count(error_type)
    assert telemetry.sum_of("cline.errors") == len(failed)


@pytest.mark.parametrize("scenario", [ENDED_LOCALLY, ENDED_IN_HUB], ids=lambda scenario: scenario.name)
def test_every_model_call_is_in_the_duration_metric_with_its_length(theatre: Theatre, scenario: LiveScenario) -> None:
    telemetry = told_in(theatre.results(scenario))
    durations = [total for total in telemetry.metrics if total.metric == "gen_ai.client.operation.duration"]
    calls = [span for span in telemetry.spans if span.operation == "chat"]
    for error_type in {span.attributes.get("error.type") for span in calls}:
        of_type = [span for span in calls if span.attributes.get("error.type") == error_type]
        measured = [each for each in durations if each.attributes.get("error.type") == error_type]
        assert sum(each.count for each in measured) == len(of_type)
        lengths = sum(span.ended_at_ns - span.started_at_ns for span in of_type) / 1e9
        assert sum(each.sum for each in measured) == pytest.approx(lengths)


@pytest.mark.parametrize("named", LOG_ENDS, ids=lambda cell: cell.name)
def test_a_killed_cline_that_only_its_log_tells_ends_with_its_process(theatre: Theatre, named: Cell) -> None:
    folder = theatre.results(ENDED_IN_LOG)
    outcome = json.loads((folder / "outcome.json").read_text())
    assert not outcome["failure"], f"{outcome['failure']}; see {folder}"
    cells = [Cell(**each) for each in json.loads((folder / "ends.json").read_text())]
    (cell,) = (each for each in cells if each.name == named.name)
    telemetry = told_in(folder)
    (root,) = roots_at(telemetry, cell.opened_at_ns)
    assert (root.attributes["cline.telemetry.source"], root.attributes["cline.outcome"]) == ("cline-log", "incomplete")
    operation = "chat" if cell.waits_for == "model" else "execute_tool"
    (call,) = (span for span in telemetry.spans if span.trace_id == root.trace_id and span.failed)
    assert (call.operation, call.attributes["error.type"]) == (operation, "process_exited")
    assert call.started_at_ns < cell.opened_at_ns < call.ended_at_ns <= root.ended_at_ns <= cell.over_at_ns
