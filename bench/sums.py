"""What recorded runs took, added up at every place: at the source, in spans and metrics, and at each backend."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from backends.source import Flat, amounts_of, flattened
from bench.at_backends import BACKENDS, Backends
from bench.fixed_key import CATALOGUE, recording_of
from bench.truth import Truth, read_truth
from cline_otel.replay import ReplayResult, replay
from cline_otel.signals import Attributes, SpanRecord
from cline_otel.sources.recording import Recording
from cline_otel.sources.registry import SOURCES

ALL: Final = "all"
NOTHING: Final = "nothing"

SOURCE: Final = "source"
SPANS: Final = "spans"
METRICS: Final = "metrics"
STAGES: Final = (SOURCE, SPANS, METRICS, *BACKENDS)
"""Where each number stands, in the order in which it comes there."""

BASIS: Final = "cline.cost.basis"
COMPUTED: Final = "computed"
"""Says of a cost that it is not what Cline reports, so no session file has it."""


class Numbers(NamedTuple):
    """What a recorded run took. Input includes the cache; the cost is what Cline reports, in US dollars."""

    model_calls: float = 0
    tool_calls: float = 0
    input_tokens: float = 0
    output_tokens: float = 0
    cost_usd: float = 0


class Row(msgspec.Struct, frozen=True):
    """One recording, read in one way.

    Attributes:
        recording: the name of its folder.
        read: the one source that was read, ``all`` where there are several, ``nothing`` where there is none.
        owners: the sources that own its runs.
        stages: its numbers by stage.
        series: the series that it makes, as metric and attributes.
    """

    recording: str
    read: str
    owners: tuple[str, ...]
    stages: Mapping[str, Numbers]
    series: frozenset[tuple[str, Attributes]] = frozenset()

    @property
    def name(self) -> str:
        """What it is called in messages, and as a ``service.instance.id``."""
        return f"{self.recording} ({self.read})"


class Measured(msgspec.Struct, frozen=True):
    """All recordings.

    Attributes:
        rows: in the order of their names.
        problems: what a backend refused, and each series there of whatever metric that is not what was measured.
    """

    rows: tuple[Row, ...]
    problems: tuple[str, ...] = ()


def measure_all(captures: Path, prometheus: Path, directory: Path) -> Measured:
    """Every recording in a folder.

    Args:
        captures: folder of recording folders.
        prometheus: the executable.
        directory: an empty one for Prometheus.
    """
    now_ns = time.time_ns()
    folders = [folder for folder in sorted(captures.iterdir()) if folder.is_dir()]
    readings = [reading for folder in folders for reading in _readings(folder, now_ns)]
    replays = {row.name: replayed for row, replayed in readings}
    with Backends(prometheus, directory) as backends:
        backends.send(replays)
        sums = backends.sums()
        problems = [*backends.refused, *backends.differences(replays)]
    rows = [
        msgspec.structs.replace(
            row, stages={**row.stages, **{name: of_series(sums[name].get(row.name, {})) for name in BACKENDS}}
        )
        for row, _ in readings
    ]
    return Measured(tuple(rows), tuple(problems))


def _readings(folder: Path, now_ns: int) -> Iterator[tuple[Row, ReplayResult]]:
    """All sources together, and each alone that owns nothing then: it would, were there no other."""
    recording = recording_of([folder])
    read = {source for _, source in recording.read}
    found = [source for source in SOURCES if source in read]
    row, replayed = _reading(folder, recording, ALL if len(found) > 1 else next(iter(found), NOTHING), now_ns)
    yield row, replayed
    if len(found) > 1:
        for source in found:
            if source not in row.owners:
                yield _reading(folder, recording_of([folder], source), source, now_ns)


def _reading(folder: Path, recording: Recording, read: str, now_ns: int) -> tuple[Row, ReplayResult]:
    resource = (("service.name", "cline"), ("service.instance.id", f"{folder.name} ({read})"))
    replayed = replay(recording, CATALOGUE, resource, now_ns)
    owners = {dict(span.attributes).get("cline.telemetry.source") for span in replayed.spans if not span.parent_span_id}
    stages = {
        SOURCE: of_truth(read_truth(folder)),
        SPANS: of_spans(replayed.spans),
        METRICS: of_series(flattened(amounts_of(replayed.totals))),
    }
    return Row(
        folder.name,
        read,
        tuple(source for source in SOURCES if source in owners),
        stages,
        frozenset((total.metric, total.attributes) for total in replayed.totals),
    ), replayed


def of_truth(truth: Truth) -> Numbers:
    """What the model server and Cline's session files say."""
    return Numbers(
        len(truth.model_calls),
        sum(len(call.tools) for call in truth.model_calls),
        sum(usage.input_tokens for usage in truth.usage),
        sum(usage.output_tokens for usage in truth.usage),
        math.fsum(usage.cost_usd for usage in truth.usage),
    )


def of_spans(spans: Iterable[SpanRecord]) -> Numbers:
    """What the spans of model and tool calls say."""
    counted: Counter[str] = Counter()
    costs: list[float] = []
    for span in spans:
        attributes = dict(span.attributes)
        operation = attributes.get("gen_ai.operation.name")
        counted[str(operation)] += 1
        if operation == "chat":
            for kind in ("input", "output"):
                tokens = attributes.get(f"gen_ai.usage.{kind}_tokens", 0)
                assert isinstance(tokens, int)
                counted[kind] += tokens
            cost = attributes.get("cline.cost_usd", 0.0)
            if attributes.get(BASIS) != COMPUTED and isinstance(cost, float):
                costs.append(cost)
    return Numbers(counted["chat"], counted["execute_tool"], counted["input"], counted["output"], math.fsum(costs))


def of_series(series: Mapping[Flat, float]) -> Numbers:
    """What metrics add up to."""

    def total(name: str, **labels: str) -> float:
        return math.fsum(
            value
            for (series_name, found), value in series.items()
            if series_name == name and found >= labels.items() and (BASIS.replace(".", "_"), COMPUTED) not in found
        )

    return Numbers(
        total("gen_ai_client_operation_duration_seconds_count", gen_ai_operation_name="chat"),
        total("cline_tool_calls_total"),
        total("gen_ai_client_token_usage_sum", gen_ai_token_type="input"),
        total("gen_ai_client_token_usage_sum", gen_ai_token_type="output"),
        total("cline_cost_total"),
    )
