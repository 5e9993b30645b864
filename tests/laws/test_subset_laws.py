"""Whatever of a recording is missing, what is told of the rest is true: times, ids, and what was cut short."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from random import Random
from typing import Any, Literal, NamedTuple

import pytest
from bench.fixed_key import replay_of
from hypothesis import given
from hypothesis import strategies as st

from cline_otel.signals import SpanRecord
from corpus import capture_paths

Line = dict[str, Any]
Key = tuple[str, str, int]
"""Agent, run, iteration."""


class Told(NamedTuple):
    """Lines of one source: of each spool file, or of the log."""

    source: Literal["plugin", "cline-log"]
    files: tuple[tuple[str, tuple[str, ...]], ...]

    def __repr__(self) -> str:
        return f"<{self.source} {[(name, len(lines)) for name, lines in self.files]}>"


def told_by(path: Path) -> list[Told]:
    spools = tuple(
        (f"spool/{spool.name}", tuple(spool.read_text(encoding="utf-8").splitlines()))
        for spool in sorted((path / "spool").glob("*.jsonl"))
    )
    log = path / "cline.log"
    lines = tuple(log.read_text(encoding="utf-8").splitlines()) if log.exists() else ()
    return [
        *([Told("plugin", spools)] if spools else []),
        *([Told("cline-log", (("cline.log", lines),))] if lines else []),
    ]


ALL = [told for path in capture_paths() for told in told_by(path)]


@lru_cache(4_096)
def spans_of(told: Told) -> tuple[SpanRecord, ...]:
    with tempfile.TemporaryDirectory() as folder:
        for name, lines in told.files:
            path = Path(folder) / name
            path.parent.mkdir(exist_ok=True)
            path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        return tuple(replay_of([Path(folder)]).spans)


def time_ns(line: Line) -> int:
    if "time_unix_ms" in line:
        return int(line["time_unix_ms"]) * 1_000_000
    return round(datetime.fromisoformat(line["time"]).timestamp() * 1_000) * 1_000_000


def in_time(told: Told) -> list[Line]:
    lines: list[Line] = [json.loads(line) for _, lines in told.files for line in lines]
    return sorted(lines, key=time_ns)


@st.composite
def subsets(draw: st.DrawFn) -> tuple[Told, Told]:
    """A recording, and some of its lines: from a cut on nothing, and before it one here and there is missing."""
    whole = draw(st.sampled_from(ALL))
    random = Random(draw(st.integers(0, 2**32)))
    kept_share = draw(st.sampled_from([1.0, 0.9, 0.5, 0.2]))
    cut = draw(st.one_of(st.none(), st.integers(0, sum(len(lines) for _, lines in whole.files))))
    before_ns = None if cut is None else [*map(time_ns, in_time(whole)), 2**63][cut]

    def kept(line: str) -> bool:
        return (before_ns is None or time_ns(json.loads(line)) < before_ns) and random.random() < kept_share

    files = tuple((name, tuple(line for line in lines if kept(line))) for name, lines in whole.files)
    return whole, Told(whole.source, files)


def attribute(span: SpanRecord, name: str) -> Any:
    return dict(span.attributes).get(name)


def assert_true_of(whole: Told, spans: Sequence[SpanRecord]) -> None:
    """Spans lie within the recording's time, and have ids that the whole recording gives too."""
    times = [time_ns(line) for _, lines in whole.files for line in map(json.loads, lines)]
    for span in spans:
        assert min(times) <= span.started_at_ns <= span.ended_at_ns <= max(times)
    assert {span.span_id for span in spans} <= {span.span_id for span in spans_of(whole)}
    assert len({span.span_id for span in spans}) == len(spans)


@given(subsets())
def test_spans_of_any_subset_lie_within_the_recording_and_have_its_ids(told: tuple[Told, Told]) -> None:
    """A call's id holds which attempt it is."""
    whole, subset = told
    assert_true_of(whole, spans_of(subset))


@given(subsets())
def test_a_call_whose_start_was_neither_seen_nor_told_lies_within_the_recording(told: tuple[Told, Told]) -> None:
    whole, subset = told

    def without_start(line: str) -> str:
        return json.dumps({name: value for name, value in json.loads(line).items() if name != "started_at_ms"})

    files = tuple((name, tuple(map(without_start, lines))) for name, lines in subset.files)
    assert_true_of(whole, spans_of(Told(subset.source, files)))


# --- what is incomplete -------------------------------------------------------------------------------


class Expected:
    """What was cut short, by the lines alone: counts of calls by place and whether their end is missing."""

    def __init__(self, told: Told) -> None:
        self.calls: Counter[tuple[str, Key, bool]] = Counter()
        self.finished_runs: set[tuple[str, str]] = set()
        self.aborted_runs: set[tuple[str, str]] = set()
        """Those that were being aborted when the lines break off: the last that is told of them is an aborted tool."""
        self._open: dict[tuple[str, Key], list[str]] = {}
        for line in in_time(told):
            self._take(_plugin(line) if told.source == "plugin" else _cline_log(line))
        for (operation, key), calls in self._open.items():
            self.calls[operation, key, True] += len(calls)

    def _take(self, step: Step | None) -> None:
        if step is None or step.key[:2] in self.finished_runs:
            return
        if step.what == "run finished":
            self._finish(step)
            return
        operation, _, what = step.what.partition(" ")
        if step.aborted:
            self.aborted_runs.add(step.key[:2])
        elif operation == "chat":
            self.aborted_runs.discard(step.key[:2])
        open_calls = self._open.setdefault((operation, step.key), [])
        if what == "started":
            if operation == "chat" and open_calls:
                self.calls[operation, step.key, True] += 1
                open_calls.clear()
            open_calls.append(step.call_id)
        elif step.call_id in open_calls:
            open_calls.remove(step.call_id)
            self.calls[operation, step.key, False] += 1
        elif step.knows_start:
            self.calls[operation, step.key, False] += 1

    def _finish(self, step: Step) -> None:
        self.finished_runs.add(step.key[:2])
        for (operation, key), calls in self._open.items():
            if key[:2] == step.key[:2]:
                # A run that failed took its model call with it: that one has failed, it was not cut short.
                self.calls[operation, key, not (operation == "chat" and step.failed)] += len(calls)
                calls.clear()


class Step(NamedTuple):
    """A line that begins or ends something; ``knows_start`` where it says enough without the beginning's line."""

    what: str
    key: Key
    call_id: str = ""
    knows_start: bool = False
    failed: bool = False
    aborted: bool = False


_PLUGIN = {
    "model_call.started": "chat started",
    "model_call.finished": "chat finished",
    "tool_call.started": "execute_tool started",
    "tool_call.finished": "execute_tool finished",
    "run.finished": "run finished",
}
_CLINE_LOG = {
    "task.provider_request_started": "chat started",
    "agent.usage-updated": "chat finished",
    "agent.tool-started": "execute_tool started",
    "agent.tool-finished": "execute_tool finished",
    "agent.run-finished": "run finished",
    "agent.run-failed": "run finished",
}


def _plugin(line: Line) -> Step | None:
    what = _PLUGIN.get(line["event"])
    if what is None:
        return None
    key = (line["agent_id"], line["run_id"], line.get("iteration", 0))
    return Step(
        what,
        key,
        line.get("call_id", ""),
        what.endswith(" finished"),
        line.get("status") == "failed",
        line.get("error_type") == "aborted",
    )


def _cline_log(line: Line) -> Step | None:
    what = _CLINE_LOG.get(line.get("event", ""))
    if what is None:
        return None
    properties = line["properties"]
    key = (properties["agentId"], properties["runId"], properties.get("iteration", 0))
    return Step(what, key, failed=properties.get("status") == "failed")


def assert_incomplete_is_what_was_cut_short(told: Told) -> None:
    expected = Expected(told)
    calls: Counter[tuple[str, Key, bool]] = Counter()
    for span in spans_of(told):
        agent_id, run_id = attribute(span, "cline.agent.id"), attribute(span, "cline.run.id")
        is_incomplete = attribute(span, "cline.incomplete") is True
        operation = attribute(span, "gen_ai.operation.name")
        if operation == "invoke_agent":
            assert is_incomplete == ((agent_id, run_id) not in expected.finished_runs | expected.aborted_runs)
        else:
            calls[operation, (agent_id, run_id, attribute(span, "cline.iteration")), is_incomplete] += 1
    assert calls == +expected.calls


@given(subsets())
def test_what_is_incomplete_is_what_was_cut_short(told: tuple[Told, Told]) -> None:
    for which in told:
        assert_incomplete_is_what_was_cut_short(which)


ENDED_HERE = {"agent.usage-updated", "agent.tool-finished"}
"""After these the log has said that a call is over, and not yet its usage or its name."""


@pytest.mark.parametrize("whole", [told for told in ALL if told.source == "cline-log"], ids=repr)
def test_a_call_that_ended_before_the_recording_breaks_off_is_complete(whole: Told) -> None:
    ((name, lines),) = whole.files
    for number, line in enumerate(lines):
        if json.loads(line).get("event") in ENDED_HERE:
            assert_incomplete_is_what_was_cut_short(Told(whole.source, ((name, lines[: number + 1]),)))


def test_a_run_that_was_being_aborted_when_the_recording_breaks_off_was_aborted() -> None:
    seen = 0
    for whole in [told for told in ALL if told.source == "plugin"]:
        for name, lines in whole.files:
            for number, line in enumerate(lines):
                step = _plugin(json.loads(line))
                if step is not None and step.aborted:
                    seen += 1
                    assert_incomplete_is_what_was_cut_short(Told(whole.source, ((name, lines[: number + 1]),)))
    assert seen
