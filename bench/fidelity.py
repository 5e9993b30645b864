"""How true the telemetry is: what the bridge made of recorded runs, against the model server's and Cline's own clocks.

    python -m bench.fidelity [--captures FOLDER] [--write]

For each recording and source: model calls and tool calls found and expected (``fidelity_expectations.toml``),
whether each chat span contains the server's interval and by how much, tool times against Cline's own clock,
tokens and cost against Cline's session files. Then the same of each mix of sources. Exits with 1 if a limit is not met.
"""

from __future__ import annotations

import argparse
import sys
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Final

from bench.fixed_key import AS_INSTALLED, recording_of, replay_of
from bench.measured import BUNDLED, KNOWING_AGENTS, ROOT, CallCost, Measured, judge, paths_of
from bench.mixes import WAYS, Mixed, measure_mixes
from bench.tables import as_markdown, as_text
from bench.truth import read_truth
from cline_otel.sources.registry import SOURCES

PAGE: Final = ROOT / "docs" / "fidelity.md"
EXPECTATIONS: Final = Path(__file__).with_name("fidelity_expectations.toml")

MOST_MEDIAN_SLACK_MS: Final = 20.0
MOST_MEDIAN_SLACK_OF_FILES_MS: Final = {
    "session-files": (45.0, 20.0),
    "classic-tasks": (80.0, 40.0),
    "json-stream": (25.0, 20.0),
}
"""By source, at the start and at the end, where times are inferred from messages, or written for somebody else."""

MOST_OUTSIDE_MS: Final = 15.0
MOST_OUTSIDE: Final = 0.005
"""Of the session files' spans so many, or one, may not contain the server's interval, and miss it by less than that."""

EXACT_COST_USD: Final = 1e-9
MOST_RECORD_DELAY_MS: Final = 5.0
"""Cline notes a tool's ``startedAt`` and writes the record that a log or OTLP has of it up to some ms apart."""

MOST_STREAM_DELAY_MS: Final = 25.0
"""The same of the stream's lines, which a hub sends to the Cline that writes them."""


_MOST_TOOL_DELAY_MS: Final = {"plugin": 0.0, "json-stream": MOST_STREAM_DELAY_MS}


def expectations() -> dict[str, dict[str, list[int]]]:
    """Model calls and tool calls by recording and source."""
    table: dict[str, dict[str, list[int]]] = tomllib.loads(EXPECTATIONS.read_text(encoding="utf-8"))["recordings"]
    return table


def measure(folder: Path, source: str, expected: Sequence[int]) -> Measured:
    """What comes of a recording when only ``source`` is heard."""
    spans = replay_of(paths_of(folder), source, AS_INSTALLED).spans
    return judge(folder.name, source, spans, read_truth(folder), expected, source in KNOWING_AGENTS)


# --- limits -----------------------------------------------------------------------------------------------


def failures(measured: Sequence[Measured]) -> list[str]:
    """Every limit that is not met, as a sentence."""
    return [*_failures_of_each(measured), *_failures_of_all(measured)]


def _failures_of_each(measured: Sequence[Measured]) -> Iterator[str]:
    for m in measured:
        where = f"{m.recording} ({m.source})"
        if m.model_calls != m.expected_model_calls:
            yield f"{where}: {m.model_calls} model calls, expected {m.expected_model_calls}"
        if m.tool_calls != m.expected_tool_calls:
            yield f"{where}: {m.tool_calls} tool calls, expected {m.expected_tool_calls}"
        if m.unmatched:
            yield f"{where}: {m.unmatched} chat spans have no call of the server"
        if m.source == "plugin" and m.containing != len(m.start_slack_ms):
            yield f"{where}: {len(m.start_slack_ms) - m.containing} chat spans do not contain the server's interval"
        if m.misnamed_tools:
            yield f"{where}: {m.misnamed_tools} tool spans have another tool's name"
        if m.source == "session-files":
            if min((*m.start_slack_ms, *m.end_slack_ms), default=0) < -MOST_OUTSIDE_MS:
                yield f"{where}: a chat span misses the server's interval by more than {MOST_OUTSIDE_MS:.0f} ms"
            if max(m.tool_start_ms, default=0) > MOST_RECORD_DELAY_MS or min(m.tool_end_ms, default=0) < 0:
                yield f"{where}: a tool span does not contain the tool's time by Cline's clock"
        elif abs(_largest(m.tool_start_ms)) > _MOST_TOOL_DELAY_MS.get(m.source, MOST_RECORD_DELAY_MS):
            yield f"{where}: tool starts differ from Cline's clock by up to {_largest(m.tool_start_ms):.0f} ms"
        if m.source == "plugin" and any(m.tool_end_ms):
            yield f"{where}: tool ends differ from Cline's clock by up to {_largest(m.tool_end_ms):.0f} ms"
        if m.usage_differences:
            yield f"{where}: {m.usage_differences} chat spans have other tokens than the session files"
        if m.cost_difference_usd > EXACT_COST_USD:
            yield f"{where}: cost differs by {m.cost_difference_usd:.9f} USD"


def _failures_of_all(measured: Sequence[Measured]) -> Iterator[str]:
    for source in SOURCES:
        limits = MOST_MEDIAN_SLACK_OF_FILES_MS.get(source, (MOST_MEDIAN_SLACK_MS, MOST_MEDIAN_SLACK_MS))
        for side, limit in zip(("start", "end"), limits, strict=True):
            slack = _all(measured, source, side)
            if slack and median(slack) > limit:
                yield f"{source}: the median slack at the {side} is {median(slack):.1f} ms"

    of_files = [m for m in measured if m.source == "session-files"]
    matched = sum(len(m.start_slack_ms) for m in of_files)
    if matched - sum(m.containing for m in of_files) > max(MOST_OUTSIDE * matched, 1):
        yield f"session-files: more than {MOST_OUTSIDE:.1%} of the chat spans do not contain the server's interval"


def _all(measured: Iterable[Measured], source: str, side: str) -> list[float]:
    of_source = [m for m in measured if m.source == source]
    return [slack for m in of_source for slack in (m.start_slack_ms if side == "start" else m.end_slack_ms)]


def _largest(values: Iterable[float]) -> float:
    return max(values, key=abs, default=0.0)


def failures_of_mixes(mixed: Sequence[Mixed]) -> Iterator[str]:
    """Every mix that is not told as its owners tell it alone, as a sentence for each difference."""
    for m in mixed:
        where = f"{m.measured.recording} ({' + '.join(m.mix)}, {m.way})"
        for what, found, expected in (
            ("prompts", m.prompts, m.expected_prompts),
            ("model calls", m.measured.model_calls, m.owned.model_calls),
            ("answered model calls", m.answered, m.expected_answered),
            ("tool calls", m.measured.tool_calls, m.owned.tool_calls),
        ):
            if found != expected:
                yield f"{where}: {found} {what}, the owners tell {expected}"
        if m.measured.unmatched > m.owned.unmatched:
            yield f"{where}: {m.measured.unmatched} chat spans have no call of the server"
        if m.measured.times_ms != m.owned.times_ms:
            yield f"{where}: calls begin or end at other times than their owners tell"
        if m.measured.usage_differences > m.owned.usage_differences:
            yield f"{where}: {m.measured.usage_differences} chat spans have other tokens than the session files"
        if m.measured.cost_difference_usd > max(EXACT_COST_USD, m.owned.cost_difference_usd):
            yield f"{where}: cost differs by {m.measured.cost_difference_usd:.9f} USD"
        yield from (f"{where}: {sentence}" for sentence in m.sums)


# --- output -----------------------------------------------------------------------------------------------

HEADER: Final = (
    "Recording", "Source", "Model calls", "Tool calls", "Contain the server's",
    "Slack at start, ms", "Slack at end, ms", "Tool start, ms", "Tool end, ms", "Tokens", "Cost",
    "Reported, USD", "Computed, USD", "Difference, USD",
)  # fmt: skip


def rows(measured: Sequence[Measured]) -> list[tuple[str, ...]]:
    """The table's rows, then one for each source as a whole."""
    made = [_row(m.recording, m.source, [m]) for m in measured]
    by_source = {source: [m for m in measured if m.source == source] for source in SOURCES}
    return made + [_row("**all**", source, group) for source, group in by_source.items() if group]


MIX_HEADER: Final = (
    "Mix", "How", "Recordings", "Prompts", "Model calls", "Answered", "Tool calls", "Contain the server's",
    "Slack at start, ms", "Slack at end, ms", "Tokens", "Cost", "Another knows", "Told twice",
)  # fmt: skip


def mix_rows(mixed: Sequence[Mixed]) -> list[tuple[str, ...]]:
    """A row for each mix and way; ways that come to the same share one."""
    by_mix: dict[tuple[tuple[str, ...], tuple[str, ...]], list[str]] = {}
    for mix in sorted({m.mix for m in mixed}, key=lambda mix: (len(mix), [list(SOURCES).index(name) for name in mix])):
        for way in WAYS:
            if group := [m for m in mixed if (m.mix, m.way) == (mix, way)]:
                by_mix.setdefault((mix, _mix_cells(group)), []).append(way)
    return [(" + ".join(mix), ", ".join(ways), *cells) for (mix, cells), ways in by_mix.items()]


def _mix_cells(group: Sequence[Mixed]) -> tuple[str, ...]:
    measured = _row("", "", [m.measured for m in group if not m.twice])
    numbers = _row("", "", [m.measured for m in group])
    return (
        str(len(group)),
        f"{sum(m.prompts for m in group)} of {sum(m.expected_prompts for m in group)}",
        numbers[2],
        f"{sum(m.answered for m in group)} of {sum(m.expected_answered for m in group)}",
        numbers[3],
        *measured[4:7],
        *measured[9:11],
        str(sum(m.left_out for m in group) or "-"),
        str(sum(m.twice for m in group) or "-"),
    )


def _row(name: str, source: str, group: Sequence[Measured]) -> tuple[str, ...]:
    starts = [slack for m in group for slack in m.start_slack_ms]
    ends = [slack for m in group for slack in m.end_slack_ms]
    differences = sum(m.usage_differences for m in group)
    cost = max((m.cost_difference_usd for m in group), default=0.0)
    return (
        name,
        source,
        f"{sum(m.model_calls for m in group)} of {sum(m.expected_model_calls for m in group)}",
        f"{sum(m.tool_calls for m in group)} of {sum(m.expected_tool_calls for m in group)}",
        f"{sum(m.containing for m in group)} of {len(starts)}",
        _median_and_most(starts),
        _median_and_most(ends),
        _median_and_most([difference for m in group for difference in m.tool_start_ms]),
        _median_and_most([difference for m in group for difference in m.tool_end_ms]),
        "exact" if not differences else f"{differences} differ",
        "exact" if cost <= EXACT_COST_USD else f"{cost:.6f}",
        *_money([call for m in group for call in m.costs]),
    )


def _money(costs: Sequence[CallCost]) -> tuple[str, str, str]:
    """The sums of what is reported and of what is computed, each with its calls, and how far the latter is off."""
    reported = [call.reported_usd for call in costs if call.reported_usd is not None]
    computed = [call.computed_usd for call in costs if call.computed_usd is not None]
    differences = [
        call.computed_usd - call.reported_usd
        for call in costs
        if call.reported_usd is not None and call.computed_usd is not None
    ]
    difference = sum(differences)
    return (
        f"{sum(reported):.6f} ({len(reported)})" if reported else "-",
        f"{sum(computed):.6f} ({len(computed)})" if computed else "-",
        ("0" if abs(difference) <= EXACT_COST_USD else f"{difference:+.6f}") if differences else "-",
    )


def _median_and_most(values: Sequence[float]) -> str:
    if not values:
        return "-"
    return "0" if not any(values) else f"{median(values):.0f} (most {_largest(values):.0f})"


def as_page(table: Sequence[tuple[str, ...]], mixes: Sequence[tuple[str, ...]]) -> str:
    """The tables as ``docs/fidelity.md``."""
    return PREFACE + as_markdown(HEADER, table) + MIXES + as_markdown(MIX_HEADER, mixes)


PREFACE: Final = """# Fidelity

What the bridge makes of recorded runs of the real Cline, against what really happened: the model server's own record
of each request, Cline's own clock for tools, Cline's session files for tokens and cost. `make fidelity` measures it
over the recordings that the tests bundle (`tests/data/captures`) and fails if a limit below is not met;
`python -m bench.fidelity --write` writes this page.

- **Model calls, tool calls**: spans found, of those that the source can know (`bench/fidelity_expectations.toml`).
  cline.log and OTLP know the calls of root runs only; the stream of `cline --json` knows whose a call is while one
  agent is at work. Limit: all of them.
- **Contain the server's**: chat spans that begin before the server got the request and end after it had answered. A
  chat span covers all attempts of a call. Limit for the plugin: all of them; for the session files 99.5 %, or all but
  one, which misses it by 15 ms at most.
- **Slack**: how much earlier the span begins, how much later it ends; median and most. The first call of a process
  takes longest to be sent, and a call that is retried waits in between. Limit: a median of 20 ms a side; for files,
  where a call begins with the message before it, 45 ms at the start, for classic task files 80 and 40 ms, and for the
  stream 25 ms at the start.
- **Tool start, tool end**: the span against Cline's own `startedAt` and `endedAt`; median and most. cline.log and
  OTLP learn a tool's end only after the hooks that follow it. Limit for the plugin: both exact. For cline.log and
  OTLP: the start as Cline's record of it has it, which Cline writes within 5 ms of `startedAt`, in the stream of
  `cline --json` 25 ms. In the session files
  a tool call lasts from the answer that asked for it to its result, the wait for an approval within. Limit: that it
  contains Cline's own interval.
- **Tokens, cost**: each chat span against the messages of the session files. Limit: exact.
- **Reported, computed, difference**: the sums over the chat spans (how many of them) of the cost that Cline reports and
  of that by the public price list, and over the calls that have both, how much more the list says
  ([costs.md](costs.md)). Cline reckons with the prices that its own settings had when the recording was made. No limit.

"""

MIXES: Final = """
## Mixes

Where several sources tell of the same runs, each run has one owner ([sources.md](sources.md)) and is told once. Each
set of sources that the recordings allow is put together in three ways: **replayed**, all of it at once; **live**, each
record when it was made; **then imported**, all but Cline's files live, these afterwards by an import, from which a
bridge goes on. Limit, for each recording: prompts, calls and their times are those that the owners tell alone, tokens
and cost of each call are exact, and the sums of tokens, cost and tool calls in the metrics are the owners' (not looked
at after an import).

- **Prompts, model calls, tool calls**: told, of those that the owners tell. **Answered**: calls of the model server,
  each told by a span of its own, of those that the owners tell.
- **Another knows**: answered calls that another source of the mix knows and the owner does not. `cline.log` and OTLP
  know no call of a subagent, classic OTLP none at all; a run that they told live is not told again by an import, nor by
  a stream. Where the files are followed live, they own it.
- **Told twice**: runs that nobody but a stream of `cline --json` told live, and an import of the files tells again: a
  stream names no session, by which an import would know it ([sources.md](sources.md#the-stream-of---json)). Where the
  bridge follows the files, too, there is none. Slack, tokens and cost in the row are those of the other recordings.

"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the table; returns 1 if a limit is not met."""
    parser = argparse.ArgumentParser(prog="python -m bench.fidelity", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--captures", type=Path, default=BUNDLED, help="folder of recording folders")
    parser.add_argument("--write", action="store_true", help="write docs/fidelity.md")
    options = parser.parse_args(arguments)
    measured = measure_all(options.captures)
    table = rows(measured)
    print(as_text(HEADER, table))
    mixed = mix_all(options.captures)
    mixes = mix_rows(mixed)
    print("\n" + as_text(MIX_HEADER, mixes))
    if options.write:
        PAGE.write_text(as_page(table, mixes), encoding="utf-8")
    problems = [*failures(measured), *failures_of_mixes(mixed)]
    for problem in problems:
        print(f"not met: {problem}", file=sys.stderr)
    return 1 if problems else 0


def measure_all(captures: Path) -> list[Measured]:
    """Every recording that has a source that can make spans of it."""
    table = expectations()
    return [
        measure(folder, source, table[folder.name][source])
        for folder in sorted(captures.iterdir())
        for source in SOURCES
        if source in table.get(folder.name, {}) and recording_of(paths_of(folder), source).read
    ]


def mix_all(captures: Path) -> list[Mixed]:
    """Every recording that has two sources and more."""
    table = expectations()
    return [mixed for folder in sorted(captures.iterdir()) if folder.name in table for mixed in measure_mixes(folder)]


if __name__ == "__main__":
    # There lies what an import is tried on.
    sys.path.append(str(ROOT / "tests"))
    sys.exit(main())
