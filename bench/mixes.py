"""How true the telemetry is where several sources tell of the same runs: each run is told once, by one owner.

A mix is a set of sources of one recording. It comes together in three ways: all at once, as ``replay`` takes it; live,
each record when it was made, with the bridge's clock; and live but for Cline's files, which are imported afterwards.
What comes of it is held against what the owners tell by themselves.
"""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from heapq import merge
from itertools import combinations
from os import utime
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from bench.fixed_key import AS_INSTALLED, recording_of
from bench.measured import KNOWING_AGENTS, Measured, judge, match_model_calls, paths_of
from bench.truth import Truth, read_truth
from cline_otel.cli.beside import spans_of
from cline_otel.encode.resource_and_scope import ResourceAndScope
from cline_otel.events import Event
from cline_otel.pipeline import FlushResult, Pipeline
from cline_otel.replay import decode_recording, take_streams
from cline_otel.signals import MetricDelta, SpanRecord
from cline_otel.sources.interface import Payload
from cline_otel.sources.registry import SOURCES
from cline_otel.translate.ownership import CLAIMED_WAIT_NS
from cline_otel.translate.silence import SILENCE_NS
from cline_otel.translate.yielding import LATEST_NS

Mix = tuple[str, ...]
"""Names of sources, the highest rank first."""

REPLAYED: Final = "replayed"
LIVE: Final = "live"
IMPORTED: Final = "then imported"
WAYS: Final = (REPLAYED, LIVE, IMPORTED)

IMPORTABLE: Final = {"session-files": "sessions", "classic-tasks": "legacy"}
"""Sources that an import reads, and where a recording has them."""

_SECOND_NS: Final = 1_000_000_000
_NOBODY: Final = ResourceAndScope((("service.name", "cline"),), "cline-otel", "1", "")
_SUMS: Final = ("gen_ai.client.token.usage", "cline.cost", "cline.tool.calls")


class Told(NamedTuple):
    """What is made of some sources; ``sums`` are of the metrics, and None where nobody looked."""

    spans: Sequence[SpanRecord]
    sums: Mapping[str, float] | None


class Mixed(msgspec.Struct, frozen=True):
    """One recording as one mix tells it, and as the owners of its runs do alone.

    Attributes:
        mix: the sources.
        way: how they came together.
        measured: what was made of the mix; its expected numbers are the owners'.
        owned: what the owners tell alone.
        prompts: root spans.
        expected_prompts: of the owners.
        answered: how many model calls that the server answered are told.
        expected_answered: how many of them the owners tell.
        left_out: how many a source of the mix tells alone and no owner does.
        twice: how many runs are told again by an import, since only a source that yields told them live.
        sums: metrics whose sum is not that of the owners.
    """

    mix: Mix
    way: str
    measured: Measured
    owned: Measured
    prompts: int
    expected_prompts: int
    answered: int
    expected_answered: int
    left_out: int
    twice: int
    sums: tuple[str, ...] = ()


def measure_mixes(folder: Path) -> list[Mixed]:
    """A recording by each mix of two and more of its sources, in each way that there is."""
    streams: dict[str, list[list[Event]]] = {}
    for stream in decode_recording(recording_of(paths_of(folder)), AS_INSTALLED, {}):
        if stream:
            streams.setdefault(stream[0].source, []).append(stream)
    names = [name for name in SOURCES if name in streams]
    alone = {name: _replayed(streams[name]) for name in names}
    ended_at_ns = max(event.occurred_at_ns for name in names for stream in streams[name] for event in stream)
    truth = read_truth(folder)
    runs = _Runs(alone, truth)
    found = []
    for mix in (each for size in range(2, len(names) + 1) for each in combinations(names, size)):
        of_mix = [stream for name in mix for stream in streams[name]]
        found.append(runs.compare(folder.name, mix, REPLAYED, _replayed(of_mix)))
        found.append(runs.compare(folder.name, mix, LIVE, _live(of_mix)))
        if source := next((name for name in mix if name in IMPORTABLE), None):
            first = [name for name in mix if name != source]
            told = _imported(folder, first, source, ended_at_ns)
            found.append(runs.compare(folder.name, mix, IMPORTED, told, source))
    return found


# --- ways -------------------------------------------------------------------------------------------------


def _pipeline() -> Pipeline:
    return Pipeline(AS_INSTALLED, _NOBODY, _NOBODY)


def _replayed(streams: Sequence[Sequence[Event]]) -> Told:
    return _told(take_streams(_pipeline(), streams))


def _live(streams: Sequence[Sequence[Event]]) -> Told:
    pipeline = _pipeline()
    now_ns = 0
    for event in merge(*streams, key=lambda event: event.occurred_at_ns):
        now_ns = max(now_ns, event.occurred_at_ns)
        pipeline.advance_clock(now_ns)
        pipeline.take_events([event])
    for wait_ns in (_SECOND_NS, CLAIMED_WAIT_NS, CLAIMED_WAIT_NS, SILENCE_NS, SILENCE_NS):
        now_ns += wait_ns + 1
        pipeline.advance_clock(now_ns)
    return _told(pipeline.flush())


def _told(flushed: FlushResult) -> Told:
    sums: Counter[str] = Counter()
    for delta in flushed.metrics:
        if delta.metric in _SUMS:
            sums[_series(delta)] += round(delta.value * 1e9)
    return Told(flushed.spans, sums)


def _series(delta: MetricDelta) -> str:
    return f"{delta.metric} {dict(delta.attributes).get('gen_ai.token.type', '')}".rstrip()


def _imported(folder: Path, first: Sequence[str], source: str, ended_at_ns: int) -> Told:
    # The stage of the import's laws, which lies among the tests.
    from import_stage import staged

    with tempfile.TemporaryDirectory() as directory, staged(Path(directory)) as stage:
        place = stage.directory if source == "session-files" else stage.tasks.parent
        shutil.copytree(folder / IMPORTABLE[source], place, dirs_exist_ok=True)
        streams = [stream for name in first for stream in recording_of(paths_of(folder), name).streams]
        for path in place.rglob("*.json"):
            utime(path, ns=(ended_at_ns, ended_at_ns))
        stage.now_ms = ended_at_ns // 1_000_000
        bridge = stage.bridge()
        for payload in (payload for stream in streams for payload in stream):
            bridge.take(payload)
        stage.take()
        # A bridge that goes on from there ends what is open, and finds nothing new in the files.
        bridge = stage.bridge()
        for _ in range(2):
            stage.now_ms += SILENCE_NS // 1_000_000
            bridge.poll()
            bridge.take(Payload(source, []))
        rows = stage.journal.pending("traces", limit_bytes=1 << 40, limit_rows=1 << 20)
        return Told([span for row in rows for span in spans_of(row.payload)], None)


# --- owners -----------------------------------------------------------------------------------------------


class _Run(NamedTuple):
    """A trace as a source tells it alone."""

    source: str
    trace_id: bytes


class _Runs:
    """Which traces of which sources are one run: they have a model call, a tool call or their id in common."""

    def __init__(self, alone: Mapping[str, Told], truth: Truth) -> None:
        self._alone = alone
        self._truth = truth
        self._spans: dict[_Run, list[SpanRecord]] = {}
        self._answered: dict[_Run, set[int]] = {}
        known_by: dict[object, set[_Run]] = {}
        for source, told in alone.items():
            for span in told.spans:
                self._spans.setdefault(_Run(source, span.trace_id), []).append(span)
            for chat, call in match_model_calls(_chats(told.spans), truth.model_calls):
                run = _Run(source, chat.trace_id)
                if not call.error_status:
                    self._answered.setdefault(run, set()).add(call.started_at_ns)
                known_by.setdefault(call.started_at_ns, set()).add(run)
        for run, spans in self._spans.items():
            known_by.setdefault(run.trace_id, set()).add(run)
            for span in spans:
                if call_id := dict(span.attributes).get("gen_ai.tool.call.id"):
                    known_by.setdefault(call_id, set()).add(run)
        self._groups = _joined([*known_by.values(), *self._at_the_same_time(known_by.values())])

    def _at_the_same_time(self, joined: Iterable[set[_Run]]) -> Iterator[set[_Run]]:
        """Runs that share no call with another source's, as where that knows none, with the others of their time."""
        shared = {run for runs in joined if len({run.source for run in runs}) > 1 for run in runs}
        for run in self._spans.keys() - shared:
            yield {run, *(other for other in self._spans if other.source != run.source and self._meet(run, other))}

    def _meet(self, run: _Run, other: _Run) -> bool:
        """Of one that failed at once nothing lasts."""
        (began_ns, ended_ns), (other_began_ns, other_ended_ns) = map(self._times_ns, (run, other))
        return began_ns <= other_ended_ns + LATEST_NS and other_began_ns <= ended_ns + LATEST_NS

    def _times_ns(self, run: _Run) -> tuple[int, int]:
        spans = self._spans[run]
        return min(span.started_at_ns for span in spans), max(span.ended_at_ns for span in spans)

    def compare(self, recording: str, mix: Mix, way: str, told: Told, imported: str = "") -> Mixed:
        """What a mix became, beside what the owners tell; ``imported`` is a source that tells what no other told."""
        # Of equals whoever reports a run first owns it, or most of it, so who of them does is taken from what came.
        told_by = {
            _Run(str(dict(span.attributes).get("cline.telemetry.source")), span.trace_id)
            for span in told.spans
            if not span.parent_span_id
        }
        owned: list[_Run] = []
        twice = 0
        for group in self._groups:
            of_mix = [run for run in group if run.source in mix]
            first = [run for run in of_mix if run.source != imported] or of_mix
            if not first:
                continue
            owner = max(first, key=lambda run: (_precedence(run.source), run in told_by, run)).source
            again = imported if AS_INSTALLED.sources[owner].yields else ""
            owned += [run for run in of_mix if run.source in (owner, again)]
            twice += any(run.source == again for run in of_mix)
        spans = [span for run in owned for span in self._spans[run]]
        knows_agents = any(run.source in KNOWING_AGENTS for run in owned)
        numbers = (len(_chats(spans)), sum(span.name.startswith("execute_tool ") for span in spans))
        name = " + ".join(mix)
        found = match_model_calls(_chats(told.spans), self._truth.model_calls)
        answered = {call for run in owned for call in self._answered.get(run, ())}
        known = {call for run, calls in self._answered.items() if run.source in mix for call in calls}
        return Mixed(
            mix,
            way,
            judge(recording, name, told.spans, self._truth, numbers, knows_agents),
            judge(recording, name, spans, self._truth, numbers, knows_agents),
            prompts=_prompts(told.spans),
            expected_prompts=_prompts(spans),
            answered=sum(not call.error_status for _, call in found),
            expected_answered=len(answered),
            left_out=len(known - answered),
            twice=twice,
            sums=tuple(self._other_sums(told, owned)),
        )

    def _other_sums(self, told: Told, owned: Sequence[_Run]) -> Iterator[str]:
        """Not compared where an owner tells a run of another's too, which its sums would hold."""
        owners = {run.source for run in owned}
        if told.sums is None or {run for run in self._spans if run.source in owners} != set(owned):
            return
        expected: Counter[str] = Counter()
        for source in owners:
            expected.update(self._alone[source].sums or {})
        for name in sorted(expected.keys() | told.sums.keys()):
            if expected[name] != told.sums.get(name, 0):
                yield f"{name} is {told.sums.get(name, 0) / 1e9:.9g}, of the owners {expected[name] / 1e9:.9g}"


def _precedence(source: str) -> tuple[bool, int]:
    declared = AS_INSTALLED.sources[source]
    return not declared.yields, declared.rank


def _chats(spans: Iterable[SpanRecord]) -> list[SpanRecord]:
    return [span for span in spans if span.name.startswith("chat ")]


def _prompts(spans: Iterable[SpanRecord]) -> int:
    return sum(not span.parent_span_id for span in spans)


def _joined(sets: Iterable[set[_Run]]) -> list[set[_Run]]:
    """Sets that have an element in common, united."""
    groups: list[set[_Run]] = []
    for each in sets:
        touching = [group for group in groups if group & each]
        groups = [group for group in groups if not group & each]
        groups.append(each.union(*touching))
    return groups
