"""Whether every number adds up: what recorded runs took, at the source, in the telemetry, and at each backend.

    python -m bench.numbers [--captures FOLDER] [--write]

For each recording: model calls, tool calls, tokens and cost by the model server's own record and Cline's session files,
in the spans, in the metrics, and in what a real Prometheus and stand-ins for vendors' intakes can sum. What a source
cannot know stands in ``numbers_blind.toml``. Exits with 1 if a number differs that does not stand there.
"""  # noqa: A005 - only ever imported from its package

from __future__ import annotations

import argparse
import math
import sys
import tempfile
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from backends.prometheus import FINDER
from backends.source import is_equal
from bench.at_backends import BACKENDS
from bench.fixed_key import CATALOGUE
from bench.measured import BUNDLED, ROOT
from bench.sums import METRICS, SOURCE, SPANS, STAGES, Measured, Numbers, Row, measure_all
from bench.tables import Cells, as_markdown, as_text
from cline_otel.aggregation.totals import MAX_SERIES
from cline_otel.catalogue.load import read_tables
from integration.server_process import found_by
from surroundings import plain_surroundings

PAGE: Final = ROOT / "docs" / "numbers.md"
BLIND: Final = Path(__file__).with_name("numbers_blind.toml")

COST: Final = "cost"
"""The word for a cost that Cline does not report."""


class Blind(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a source cannot know of a recording.

    Attributes:
        why: keys of ``Blindness.reasons``.
        spans, metrics: what there is nevertheless; None where nothing is missing.
    """

    why: tuple[str, ...]
    spans: Numbers | None = None
    metrics: Numbers | None = None


class Blindness(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``numbers_blind.toml``.

    Attributes:
        reasons: why something cannot be known, in a sentence, by a word for it.
        with_cost: recordings of which Cline reports a cost.
        recordings: by recording, and by what is read of it, as ``Row.read`` has it.
    """

    reasons: Mapping[str, str]
    with_cost: frozenset[str]
    recordings: Mapping[str, Mapping[str, Blind]]

    def of(self, row: Row) -> Blind | None:
        """What is not known of a recording as it was read."""
        return self.recordings.get(row.recording, {}).get(row.read)


def blindness() -> Blindness:
    """What the sources cannot know.

    Raises:
        msgspec.ValidationError: the file is not in form.
    """
    return msgspec.convert(tomllib.loads(BLIND.read_text(encoding="utf-8")), Blindness)


# --- limits -----------------------------------------------------------------------------------------------


def failures(measured: Measured, blind: Blindness) -> list[str]:
    """Every number that differs and is not said to, and everything that is said and is not so, as a sentence."""
    return [*measured.problems, *_of_rows(measured.rows, blind), *_of_series(measured.rows)]


def _of_rows(rows: Iterable[Row], blind: Blindness) -> Iterator[str]:
    for row in rows:
        source, said = row.stages[SOURCE], blind.of(row)
        expected = dict.fromkeys(BACKENDS, row.stages[METRICS])
        expected[SPANS] = (said and said.spans) or source
        expected[METRICS] = (said and said.metrics) or source
        for stage, numbers in expected.items():
            for quantity, found, wanted in zip(Numbers._fields, row.stages[stage], numbers, strict=True):
                if not is_equal(found, wanted):
                    yield f"{row.name}: {quantity} in {stage}: {_text(found)}, expected {_text(wanted)}"
        if said is not None and _is_same(expected[SPANS], source) and _is_same(expected[METRICS], source):
            yield f"{row.name}: nothing is missing, but {BLIND.name} says so"
        if (source.cost_usd > 0) != (row.recording in blind.with_cost):
            yield f"{row.name}: Cline reports {_text(source.cost_usd)} USD, but {BLIND.name} says otherwise"


def _is_same(one: Numbers, other: Numbers) -> bool:
    return all(map(is_equal, one, other))


def _of_series(rows: Iterable[Row]) -> Iterator[str]:
    for row in rows:
        for metric, count in Counter(metric for metric, _ in row.series).items():
            if count > MAX_SERIES:
                yield f"{row.name}: {count} series of {metric}, at most {MAX_SERIES}"


# --- output -----------------------------------------------------------------------------------------------

HEADER: Final = (
    "Recording", "Read", "Owner", "Model calls", "Tool calls", "Input tokens", "Output tokens", "Cost, USD", "Series",
    "Not known",
)  # fmt: skip
SUM_HEADER: Final = ("Where", "Model calls", "Tool calls", "Input tokens", "Output tokens", "Cost, USD")
SERIES_HEADER: Final = ("Metric", "In one recording", "In all together", "At most", "At most in Prometheus")


def rows(measured: Measured, blind: Blindness) -> list[Cells]:
    """A row of the table for each recording as it was read."""
    return [
        (
            row.recording,
            row.read,
            ", ".join(row.owners) or "-",
            *(_cell(row, place) for place in range(len(Numbers._fields))),
            str(len(row.series)),
            _not_known(row, blind),
        )
        for row in measured.rows
    ]


def _cell(row: Row, place: int) -> str:
    """The source's number, and the others where they differ from it; a backend's where it differs from the metrics'."""
    shown = {stage: _text(numbers[place]) for stage, numbers in row.stages.items()}
    compared = {SPANS: SOURCE, METRICS: SOURCE} | dict.fromkeys(BACKENDS, METRICS)
    others = [f"{stage} {shown[stage]}" for stage, other in compared.items() if shown[stage] != shown[other]]
    return ", ".join([shown[SOURCE], *others])


def _text(number: float) -> str:
    return f"{number:.9f}".rstrip("0").rstrip(".")


def _not_known(row: Row, blind: Blindness) -> str:
    words = said.why if (said := blind.of(row)) is not None else ()
    is_cost_unknown = row.stages[SOURCE].input_tokens and row.recording not in blind.with_cost
    return ", ".join((*words, COST) if is_cost_unknown else words) or "-"


def sums(measured: Measured, blind: Blindness) -> list[Cells]:
    """A row for each place: the sum over all recordings in which everything is known of calls and tokens."""
    whole = [row for row in measured.rows if blind.of(row) is None]
    return [
        (stage, *(_text(math.fsum(numbers)) for numbers in zip(*(row.stages[stage] for row in whole), strict=True)))
        for stage in STAGES
    ]


def series(measured: Measured) -> list[Cells]:
    """A row for each metric: how many series it has, and can have at most in one bridge; and all together."""
    counted = [Counter(metric for metric, _ in row.series) for row in measured.rows]
    together = Counter(metric for metric, _ in frozenset().union(*(row.series for row in measured.rows)))
    most = {metric: most_series(metric) for metric in CATALOGUE.metrics}
    in_prometheus = {
        metric: most[metric] * (len(definition.boundaries) + 3 if definition.boundaries else 1)
        for metric, definition in CATALOGUE.metrics.items()
    }
    made = [
        (
            f"`{metric}`",
            str(max((each[metric] for each in counted), default=0)),
            str(together[metric]),
            f"{most[metric]:,}",
            f"{in_prometheus[metric]:,}",
        )
        for metric in CATALOGUE.metrics
    ]
    return [
        *made,
        (
            "**all**",
            str(max((each.total() for each in counted), default=0)),
            str(together.total()),
            f"{sum(most.values()):,}",
            f"{sum(in_prometheus.values()):,}",
        ),
    ]


def most_series(metric: str) -> int:
    """How many series a bridge can have of a metric: every combination of listed values, each of which may also be
    another or absent, within the budget."""
    combinations = 1
    for name in CATALOGUE.metric_attributes[metric]:
        attribute = CATALOGUE.attributes[name]
        listed = attribute.values or frozenset(read_tables().attributes.values.get(attribute.values_from or "", ()))
        if not listed or attribute.group is not None:
            return MAX_SERIES
        combinations *= len(listed) + 2
    return min(combinations, MAX_SERIES)


def as_page(measured: Measured, blind: Blindness) -> str:
    """``docs/numbers.md``."""
    words = {word for row in measured.rows if (said := blind.of(row)) is not None for word in said.why} | {COST}
    reasons = "".join(f"- **{word}**: {reason}\n" for word, reason in blind.reasons.items() if word in words)
    return TEXT.format(
        sums=as_markdown(SUM_HEADER, sums(measured, blind)),
        rows=as_markdown(HEADER, rows(measured, blind)),
        reasons=reasons,
        series=as_markdown(SERIES_HEADER, series(measured)),
        budget=f"{MAX_SERIES:,}",
    )


TEXT: Final = """# Numbers

Whatever can be summed equals the source. `make numbers` replays recorded runs of the real Cline
(`tests/data/captures`; `ARGUMENTS='--captures FOLDER'` takes others), sends their metrics to a real Prometheus and to
stand-ins for the intakes of Datadog and New Relic ([backends.md](backends.md#how-it-is-tested)), and fails if a number
differs anywhere. `make numbers ARGUMENTS=--write` writes this page.

## What adds up

Over all rows of the next table whose sources know all calls and tokens:

{sums}
- **source**: model calls and tool calls by the model server's own record of what it was asked and answered; tokens and
  cost by Cline's session files, for classic Cline by its task files. A call that Cline tried several times is one.
- **spans**: the `chat` and `execute_tool` spans and what they say of tokens and cost.
- **metrics**: `gen_ai.client.operation.duration` (how many), `cline.tool.calls`, `gen_ai.client.token.usage`, and of
  `cline.cost` what Cline reports.
- **Datadog**, **New Relic**: the sum of the deltas that the stand-in took and counts.
- **totals**: cumulative points, each less the one before it: what New Relic makes of them.
- **Prometheus**: each series' newest sample minus its first; that `increase()` at the newest sample says the same is
  required as well.

At the backends each series of each metric is compared besides, by all its labels.

## Recordings

A number that is said once is the same everywhere. Where spans or metrics have another than the source, it is said
behind it; all backends then have the one of the metrics. **Read** says which of a recording's sources were read: all,
with the source that owned its runs, or one that would have owned them, had it been the only one.

{rows}
### Not known

What a source cannot know, and what it says nevertheless, stands in `bench/numbers_blind.toml`; any other
difference fails.

{reasons}
## Series

Per metric a bridge has at most {budget} series; what exceeds them is added up in one with `otel.metric.overflow`. Those
whose attributes all have lists of known values cannot come near it. No attribute of a metric names a run, a session, a
call or a user, so another run adds series only with another model, tool, MCP server, mode or class of errors, or with
another repository, where that is included.

- **In one recording**: the most that a row above has. **In all together**: what one bridge had after all of them.
- **At most**: every combination of values in a bridge, within the budget. In Prometheus a histogram of the bridge
  is one series for each bucket, one for its count and one for its sum.

{series}"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the tables; returns 1 if a number differs."""
    parser = argparse.ArgumentParser(prog="python -m bench.numbers", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--captures", type=Path, default=BUNDLED, help="folder of recording folders")
    parser.add_argument("--write", action="store_true", help="write docs/numbers.md")
    options = parser.parse_args(arguments)
    blind = blindness()
    with tempfile.TemporaryDirectory() as directory, plain_surroundings(Path(directory)):
        measured = measure_all(options.captures, found_by(FINDER), Path(directory))
    tables = ((HEADER, rows(measured, blind)), (SUM_HEADER, sums(measured, blind)), (SERIES_HEADER, series(measured)))
    print("\n\n".join(as_text(header, table) for header, table in tables))
    if options.write:
        PAGE.write_text(as_page(measured, blind), encoding="utf-8")
    problems = failures(measured, blind)
    for problem in problems:
        print(f"differs: {problem}", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
