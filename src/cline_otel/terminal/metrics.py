"""Metric totals as a table in a terminal, grouped by metric.

Percentiles are estimates: a histogram keeps how many values fell into each bucket, and their sum.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from math import inf
from typing import Final

import msgspec
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.text import Text

from cline_otel.events import AttributeValue
from cline_otel.signals import Attributes, MetricDefinition, MetricTotal
from cline_otel.terminal.formatting import (
    UNICODE,
    Glyphs,
    compact,
    dollars,
    duration,
    fitted,
    glyphs_for,
    printable,
)

_GAP: Final = 2
_INDENT: Final = "  "
_MIN_WORD_CELLS: Final = 12
_WANTED_WORD_CELLS: Final = 28
_FAILURES: Final = frozenset({"failed", "error", "rejected"})
_WARNINGS: Final = frozenset({"aborted", "incomplete"})


class _Series(msgspec.Struct, frozen=True):
    """One row: its own attributes, a figure per column, and the unit of the last."""

    attributes: Attributes
    figures: tuple[str, str, str, str, str]
    unit: str


class _Group(msgspec.Struct, frozen=True):
    """A metric and its rows."""

    name: str
    series: list[_Series]

    def shared(self) -> Attributes:
        """The attributes that all rows have alike."""
        first, *others = self.series
        return tuple(pair for pair in first.attributes if all(pair in series.attributes for series in others))

    def natural_words(self) -> Iterator[str]:
        """What would stand left of the figures if there were room."""
        if len(self.series) == 1:
            yield f"{self.name}{' ' * _GAP}{_words(self.series[0].attributes)}"
            return
        yield self.name
        shared = self.shared()
        for series in self.series:
            yield _INDENT + _words(tuple(pair for pair in series.attributes if pair not in shared))


class _Columns(msgspec.Struct, frozen=True):
    """The cells of the words and of each figure; 0 for a figure that is not shown."""

    words: int
    figures: tuple[int, ...]


def render_metrics(
    totals: Sequence[MetricTotal], definitions: Mapping[str, MetricDefinition], width: int | None = None
) -> RenderableType:
    """A table of all series: counters by their total; histograms by count, mean, estimated percentiles and tokens.

    Args:
        totals: in any order; a metric that ``definitions`` does not know is shown as a plain number.
        width: terminal cells that a line has at most; the console's where ``None`` or wider.
    """
    return _MetricsView(totals, definitions, width)


class _MetricsView:
    def __init__(
        self, totals: Sequence[MetricTotal], definitions: Mapping[str, MetricDefinition], width: int | None
    ) -> None:
        self._totals = totals
        self._definitions = definitions
        self._width = width

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        glyphs = glyphs_for(ascii_only=options.ascii_only)
        width = min(self._width or options.max_width, options.max_width)
        if not self._totals:
            yield Text(fitted("No metrics.", width, glyphs), style="dim")
            yield Text("")
            return
        for line in self._lines(width, glyphs):
            line.rstrip()
            line.no_wrap = True
            line.truncate(width)
            yield line
        yield Text("")

    def _lines(self, width: int, glyphs: Glyphs) -> Iterator[Text]:
        ordered = sorted(self._totals, key=lambda total: (total.metric, repr(total.attributes)))
        groups = [
            _Group(name, [_series(total, self._definitions.get(name)) for total in totals])
            for name, totals in groupby(ordered, key=lambda total: total.metric)
        ]
        columns = _columns(groups, width)
        heads = _heads(glyphs)
        head = Text("metric".ljust(columns.words), style="dim")
        for text, cells in zip(heads, columns.figures, strict=True):
            head.append(" " * _GAP + text.rjust(cells) if cells else "")
        yield head
        for group in groups:
            yield from _group_lines(group, columns, width, glyphs)


def _heads(glyphs: Glyphs) -> tuple[str, ...]:
    return ("count", "mean", f"{glyphs.about}p50", f"{glyphs.about}p95", "total")


def _columns(groups: list[_Group], width: int) -> _Columns:
    """As many columns of figures as leave the words room; the mean and the median are the first to go."""
    every = [series for group in groups for series in group.series]
    figures = [
        max(len(head), *(len(series.figures[i]) for series in every)) if any(s.figures[i] for s in every) else 0
        for i, head in enumerate(_heads(UNICODE))
    ]
    unit = max(len(series.unit) for series in every)
    natural = max(max(map(cell_len, group.natural_words())) for group in groups)
    for dropped in (None, 1, 2):
        if dropped is not None:
            figures[dropped] = 0
        words = width - sum(cells + _GAP for cells in figures if cells) - (unit + 1 if unit else 0)
        if words >= min(natural, _WANTED_WORD_CELLS):
            break
    return _Columns(min(natural, max(words, _MIN_WORD_CELLS)), tuple(figures))


def _group_lines(group: _Group, columns: _Columns, width: int, glyphs: Glyphs) -> Iterator[Text]:
    name = Text(printable(group.name, glyphs), "bold")
    if len(group.series) == 1:
        series = group.series[0]
        words = printable(_words(series.attributes), glyphs)
        if len(name) + _GAP + cell_len(words) <= columns.words:
            name.append(" " * _GAP + words, _style(group.name, series.attributes) or "not bold")
            yield _with_figures(name, series, columns)
        elif len(name) <= columns.words:
            yield _with_figures(name, series, columns)
            yield _beneath(words, width, glyphs, _style(group.name, series.attributes))
        else:
            yield name
            yield from _rows(group, [series.attributes], columns, width, glyphs)
        return
    shared = group.shared()
    words = printable(_words(shared), glyphs) if shared else ""
    if shared and len(name) + _GAP + cell_len(words) <= width:
        yield name.append(" " * _GAP + words, "not bold dim")
    else:
        yield name
        if shared:
            yield _beneath(words, width, glyphs, "")
    own = [tuple(pair for pair in series.attributes if pair not in shared) for series in group.series]
    yield from _rows(group, own, columns, width, glyphs)


def _rows(group: _Group, own: list[Attributes], columns: _Columns, width: int, glyphs: Glyphs) -> Iterator[Text]:
    """A row per series: its own attributes, by value alone if one has no room, above the figures if still not."""
    room = columns.words - len(_INDENT)
    with_names = [printable(_words(attributes), glyphs) for attributes in own]
    values = [printable(" ".join(_value(value) for _, value in attributes), glyphs) for attributes in own]
    words = with_names if max(map(cell_len, with_names)) <= room else values
    for series, attributes, named, text in zip(group.series, own, with_names, words, strict=True):
        style = _style(group.name, attributes)
        if cell_len(text) > room:
            yield _beneath(named, width, glyphs, style or "not dim")
            text = ""
        yield _with_figures(Text(_INDENT + text, style), series, columns)


def _beneath(words: str, width: int, glyphs: Glyphs, style: str) -> Text:
    return Text(_INDENT + fitted(words, width - len(_INDENT), glyphs), style or "dim")


def _with_figures(words: Text, series: _Series, columns: _Columns) -> Text:
    line = Text()
    line.append_text(words)
    line.append(" " * (columns.words - cell_len(words.plain)))
    for figure, cells in zip(series.figures, columns.figures, strict=True):
        line.append(" " * _GAP + figure.rjust(cells) if cells else "")
    line.append(f" {series.unit}" if series.unit else "", "dim")
    return line


def _series(total: MetricTotal, definition: MetricDefinition | None) -> _Series:
    unit = definition.unit if definition is not None else ""
    if definition is None or definition.instrument == "counter":
        return _Series(total.attributes, ("", "", "", "", _total(total.sum, unit)), _unit_word(unit, total.sum))
    if not total.count:
        return _Series(total.attributes, ("0", "", "", "", ""), "")
    figures = [_figure(total.sum / total.count, unit)]
    figures += [_figure(percentile(total, definition.boundaries, share), unit) for share in (0.5, 0.95)]
    tokens = _total(total.sum, unit) if unit == "{token}" else ""
    word = _unit_word(unit, total.sum) if tokens else ""
    return _Series(total.attributes, (f"{total.count:,}", figures[0], figures[1], figures[2], tokens), word)


def percentile(total: MetricTotal, boundaries: Sequence[float], share: float) -> float:
    """About what a ``share`` (0 to 1) of a histogram's values do not exceed.

    Values are taken to lie evenly around their bucket's mean, which the sum gives where one bucket holds
    them all and else is taken to be equally far up in each. The sum also tightens the buckets' bounds, as
    no value is negative: a single value is exact, and the open last bucket has an end.
    """
    lowers = (0.0, *boundaries)
    uppers = (*boundaries, inf)
    filled = [(i, number) for i, number in enumerate(total.bucket_counts) if number]
    above_least = max(total.sum - sum(lowers[i] * number for i, number in filled), 0.0)
    below_most = max(sum(uppers[i] * number for i, number in filled) - total.sum, 0.0)
    most = {i: min(uppers[i], lowers[i] + above_least) for i, _ in filled}
    least = {i: min(max(lowers[i], uppers[i] - below_most) if below_most < inf else lowers[i], most[i]) for i in most}
    room = sum((most[i] - least[i]) * number for i, number in filled)
    height = (total.sum - sum(least[i] * number for i, number in filled)) / room if room > 0 else 0.0
    rank = share * total.count
    seen = 0
    for i, number in filled:
        if seen + number >= rank:
            mean = least[i] + min(max(height, 0.0), 1.0) * (most[i] - least[i])
            half = min(mean - least[i], most[i] - mean)
            return mean + half * (2 * (rank - seen) / number - 1)
        seen += number
    return 0.0


def _figure(value: float, unit: str) -> str:
    if unit == "s":
        return duration(round(value * 1e9))
    return dollars(value) if unit == "{USD}" else compact(value)


def _total(value: float, unit: str) -> str:
    if unit in ("s", "{USD}"):
        return _figure(value, unit)
    return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}".rstrip("0").rstrip(".")


def _unit_word(unit: str, value: float) -> str:
    """The unit as a word: ``{call}`` is ``call`` or ``calls``; figures of seconds and dollars carry theirs."""
    if unit in ("s", "{USD}"):
        return ""
    if not unit.startswith("{"):
        return unit
    word = unit.strip("{}")
    if value == 1:
        return word
    return word + ("es" if word.endswith(("ch", "sh", "s", "x")) else "s")


def _words(attributes: Attributes) -> str:
    return " ".join(f"{_short_name(name)}={_value(value)}" for name, value in attributes)


def _short_name(name: str) -> str:
    """The telling part of an attribute's name: ``gen_ai.tool.name`` is ``tool``, ``cline.outcome`` is ``outcome``."""
    parts = name.split(".")
    return parts[-2] if len(parts) > 1 and parts[-1] in ("name", "type") else parts[-1]


def _value(value: AttributeValue) -> str:
    return (
        str(value).lower() if isinstance(value, bool) else ",".join(value) if isinstance(value, tuple) else str(value)
    )


def _style(metric: str, attributes: Attributes) -> str:
    values = dict(attributes)
    if "error.type" in values or metric == "cline.errors" or values.get("cline.outcome") in _FAILURES:
        return "red"
    return "yellow" if values.get("cline.outcome") in _WARNINGS else ""
