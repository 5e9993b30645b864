"""The pipeline stands what its parts should never do, and counts it."""

from __future__ import annotations

from itertools import islice, product

import pytest
from bench.fixed_key import CATALOGUE

from cline_otel.encode.resource_and_scope import ResourceAndScope
from cline_otel.events import Event
from cline_otel.pipeline import MAX_DIAGNOSTIC_NAMES, Pipeline
from cline_otel.translate.step import Translator
from corpus import event_of
from payloads import log_lines

ORIGIN = ResourceAndScope((("service.name", "cline"),), "cline-otel", "0", "")


def test_an_event_that_the_translator_fails_on_is_counted_and_what_follows_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    step = Translator.step

    def failing(self: Translator, event: Event) -> None:
        if event.run_id == "bad":
            raise RuntimeError("a defect")
        step(self, event)

    monkeypatch.setattr(Translator, "step", failing)
    pipeline = Pipeline(CATALOGUE, ORIGIN, ORIGIN)
    pipeline.take_events(
        [
            event_of("run.started", "plugin", 1, "run.started", "s", "a", "bad"),
            event_of("run.started", "plugin", 1, "run.started", "s", "a", "good"),
            event_of("run.finished", "plugin", 2, "run.finished", "s", "a", "good"),
        ]
    )
    flushed = pipeline.flush()
    assert len(flushed.spans) == 1
    assert flushed.diagnostics["defect", "plugin", "run.started"] == 1


def test_names_from_upstream_do_not_grow_the_tally_without_bound() -> None:
    pipeline = Pipeline(CATALOGUE, ORIGIN, ORIGIN)
    many = MAX_DIAGNOSTIC_NAMES + 50
    line = '{{"time": "2026-01-01T00:00:00Z", "event": "made.up_{}", "properties": {{}}}}'
    names = ("".join(letters) for letters in product("abcdefghij", repeat=4))
    pipeline.take(log_lines(line.format(name).encode() for name in islice(names, many)))
    diagnostics = pipeline.flush().diagnostics
    assert sum(diagnostics.values()) == many
    assert diagnostics["unmapped_event", "cline-log", "_OTHER"] == 50


def test_another_value_of_a_metric_attribute_begins_new_series_and_relabels_none() -> None:
    rows: dict[str, bytes] = {}
    started: dict[str, int] = {}
    for number, attributes in enumerate([(), (("team.id", "a"),), (("team.id", "b"),), (("team.id", "a"),)]):
        pipeline = Pipeline(CATALOGUE, ORIGIN, ORIGIN, rows.items(), claim_wait_ns=0, metric_attributes=attributes)
        pipeline.take_events(
            [
                event_of("run.started", "plugin", 10 * number + 1, "run.started", "s", "a", f"r{number}"),
                event_of("run.finished", "plugin", 10 * number + 2, "run.finished", "s", "a", f"r{number}"),
            ]
        )
        flushed = pipeline.flush()
        rows |= {key: value for key, value in flushed.state.items() if value is not None}
        assert {delta.attributes[-len(attributes) :] for delta in flushed.metrics if attributes} <= {attributes}
        assert {point.total.attributes[1:] for point in pipeline.gauges(1)} == {attributes}
        for total in pipeline.totals:
            assert (
                started.setdefault(repr((total.metric, total.attributes)), total.started_at_ns) == total.started_at_ns
            )
    runs = {
        dict(total.attributes).get("team.id"): total.sum
        for total in Pipeline(CATALOGUE, ORIGIN, ORIGIN, rows.items()).totals
        if total.metric == "cline.run.started"
    }
    assert runs == {None: 1, "a": 2, "b": 1}
