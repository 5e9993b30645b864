"""Profiles: other names for what leaves anyway. They merge nothing, lose nothing and let nothing further out."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import fields
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from bench.fixed_key import CATALOGUE, KEY
from msgspec.structs import replace

from cline_otel.aggregation.points import cumulative_points
from cline_otel.aggregation.totals import OVERFLOW, Totals
from cline_otel.catalogue import load as loading
from cline_otel.catalogue import model
from cline_otel.catalogue.compiled import Profile, ShownLogRecord, ShownMetric
from cline_otel.catalogue.load import CatalogueError, load, read_profile, read_tables
from cline_otel.catalogue.profiles import DEFAULT_PROFILE, Names, findings_of, profile_names
from cline_otel.encode.profile import shown_logs, shown_name, shown_points, shown_spans
from cline_otel.privacy.policy import Policy
from cline_otel.privacy.pseudonyms import Pseudonyms
from cline_otel.replay import ReplayResult, replay
from cline_otel.settings import SettingsError, load_settings
from cline_otel.settings.variables import BridgeVariables
from cline_otel.signals import (
    LogRecord,
    MetricDefinition,
    MetricDelta,
    MetricPoint,
    MetricTotal,
    Severity,
    SpanKind,
    SpanRecord,
)
from cline_otel.sources.recording import read_recording
from corpus import capture_paths

OTHERS: Final = [name for name in profile_names() if name != DEFAULT_PROFILE]
TABLES = read_tables()
NAMES = Names(TABLES.attributes, TABLES.metrics, TABLES.spans, TABLES.log_events)

each_profile = pytest.mark.parametrize("name", OTHERS)
each_recording = pytest.mark.parametrize("path", capture_paths(), ids=lambda path: path.name)


def catalogue_of(name: str, **policy: Any) -> Any:
    return load(Policy(pseudonyms=Pseudonyms(KEY), **policy), profile=name)


def replayed_as(name: str, path: Path) -> ReplayResult:
    return replay(read_recording([path]), catalogue_of(name))


def points_of(result: ReplayResult) -> list[MetricPoint]:
    return [MetricPoint(total, 1, 2) for total in result.totals]


def test_the_default_profile_passes_on_what_it_is_given() -> None:
    profile = CATALOGUE.profile
    spans: list[SpanRecord] = []
    logs: list[LogRecord] = []
    points: list[MetricPoint] = []
    assert shown_spans(spans, profile) is spans
    assert shown_logs(logs, spans, profile) is logs
    assert shown_points(points, profile) is points
    assert CATALOGUE.shown_metrics == CATALOGUE.metrics


def test_a_metric_that_is_for_one_value_shows_a_series_that_has_that_value_alone() -> None:
    """As a call's tokens are where the model and the provider are excluded."""
    total = MetricTotal("cline.tokens", (("cline.token.type", "output"),), 7)
    (shown,) = shown_points([MetricPoint(total, 1, 2)], catalogue_of("claude_code").profile)
    assert (shown.total.metric, shown.total.attributes) == ("claude_code.token.usage", (("type", "output"),))


@each_recording
def test_a_profile_changes_neither_totals_nor_what_is_stored(path: Path) -> None:
    ours = replayed_as(DEFAULT_PROFILE, path)
    for name in OTHERS:
        other = replayed_as(name, path)
        assert (other.spans, other.logs, other.totals) == (ours.spans, ours.logs, ours.totals)
        assert other.measurements == ours.measurements


@each_recording
@each_profile
def test_every_series_is_shown_and_no_two_as_one(name: str, path: Path) -> None:
    """What a backend adds up under a name is what we have counted: each series of ours is one there, with its sum."""
    result, profile = replayed_as(name, path), catalogue_of(name).profile
    for point in points_of(result):
        shown = shown_points([point], profile)
        assert shown
        assert {each.total.sum for each in shown} == {point.total.sum}
    series = Counter(
        (point.total.metric, tuple(sorted(map(repr, point.total.attributes))))
        for point in shown_points(points_of(result), profile)
    )
    assert [each for each, times in series.items() if times > 1] == []


@each_recording
@each_profile
def test_a_profile_shows_no_value_that_is_not_ours_or_a_word_of_its_own(name: str, path: Path) -> None:
    result, profile = replayed_as(name, path), catalogue_of(name).profile
    entry = read_profile(name)
    words = {value for metric in entry.metrics for value in metric.sets.values()}
    for record in entry.log_records.values():
        words |= {record.event_name, *(word for values in record.values.values() for word in values.values())}
    for own, shown in zip(result.spans, shown_spans(result.spans, profile), strict=True):
        assert {value for _, value in shown.attributes} <= {value for _, value in own.attributes}
    ours = {value for log in result.logs for _, value in log.attributes}
    ours |= {value for span in result.spans for _, value in span.attributes}
    for log in shown_logs(result.logs, result.spans, profile):
        for name_of, value in log.attributes:
            assert isinstance(value, int | float) or name_of == "log.record.uid" or value in ours | words


@each_profile
def test_what_the_user_excludes_is_not_there_under_another_name(name: str) -> None:
    (path,) = [path for path in capture_paths() if path.name == "plugin_basic"]
    excluded = frozenset({"gen_ai.request.model", "gen_ai.conversation.id", "cline.cost_usd"})
    catalogue = catalogue_of(name, excluded=excluded)
    result = replay(read_recording([path]), catalogue)
    logs = shown_logs(result.logs, result.spans, catalogue.profile)
    spans = shown_spans(result.spans, catalogue.profile)
    named = {shown for signal in (*logs, *spans) for shown, _ in signal.attributes}
    assert named.isdisjoint({*excluded, "model", "session.id", "cost_usd", "gen_ai.usage.cost"})


@each_recording
def test_names_are_unique_on_each_span_and_log_record(path: Path) -> None:
    for name in OTHERS:
        result, profile = replayed_as(name, path), catalogue_of(name).profile
        logs = shown_logs(result.logs, result.spans, profile)
        for signal in (*shown_spans(result.spans, profile), *logs):
            names = [shown for shown, _ in signal.attributes]
            assert len(names) == len(set(names))
        uids = [dict(log.attributes)["log.record.uid"] for log in logs]
        assert len(uids) == len(set(uids))


def span(operation: str, **attributes: Any) -> SpanRecord:
    pairs = tuple((name.replace("__", "."), value) for name, value in attributes.items())
    return SpanRecord(b"t" * 16, b"s" * 8, b"", f"{operation} x", SpanKind.CLIENT, 1_000_000, 3_500_000, pairs)


def test_an_api_request_has_the_tokens_that_are_in_none_of_its_other_counts() -> None:
    """Claude Code's counts are disjoint, ours of input has the cache in it: dashboards add them up."""
    chat = span(
        "chat",
        gen_ai__usage__input_tokens=9_000,
        gen_ai__usage__cache_read__input_tokens=4_000,
        gen_ai__usage__cache_creation__input_tokens=3_000,
    )
    (log,) = shown_logs([], [chat], catalogue_of("claude_code").profile)
    values = dict(log.attributes)
    assert (log.event_name, log.body, values["event.name"]) == (*["claude_code.api_request"] * 2, "api_request")
    assert (log.occurred_at_ns, log.span_id, values["duration_ms"]) == (3_500_000, chat.span_id, 2.5)
    counts = [values[name] for name in ("input_tokens", "cache_read_tokens", "cache_creation_tokens")]
    assert counts == [2_000, 4_000, 3_000]


@pytest.mark.parametrize(
    ("outcome", "success"), [("success", "true"), ("error", "false"), ("rejected", "false"), ("unverified", None)]
)
def test_a_tool_result_says_success_only_where_it_is_known(outcome: str, success: str | None) -> None:
    (log,) = shown_logs([], [span("execute_tool", cline__outcome=outcome)], catalogue_of("claude_code").profile)
    assert dict(log.attributes).get("success") == success


@pytest.mark.parametrize("attributes", [{"error__type": "timeout"}, {"cline__incomplete": True}])
def test_a_call_without_an_answer_is_no_api_request(attributes: dict[str, Any]) -> None:
    assert shown_logs([], [span("chat", **attributes)], catalogue_of("claude_code").profile) == []


@pytest.mark.parametrize(("agent", "name"), [("cline", "claude_code.user_prompt"), ("subagent", "cline.run.started")])
def test_only_a_root_agent_s_run_is_a_user_s_prompt(agent: str, name: str) -> None:
    attributes = (("event.name", "cline.run.started"), ("gen_ai.agent.name", agent), ("gen_ai.conversation.id", "s"))
    log = LogRecord(1, "cline.run.started", Severity.INFO, "Run", attributes)
    (shown,) = shown_logs([log], [], catalogue_of("claude_code").profile)
    assert shown.event_name == name
    assert ("session.id" in dict(shown.attributes)) == (agent == "cline")


@pytest.mark.parametrize("aggregation", ["explicit_bucket_histogram", "base2_exponential_bucket_histogram"])
def test_a_histogram_that_is_shown_as_a_counter_has_its_sum(aggregation: Any) -> None:
    catalogue = catalogue_of("genai-main")
    totals = Totals(catalogue.metrics, aggregation=aggregation)
    attributes = (("gen_ai.operation.name", "chat"), ("gen_ai.token.type", "input"))
    for tokens in (100, 20):
        totals.add(MetricDelta("gen_ai.client.token.usage", tokens, attributes, 10))
    shown = shown_points(cumulative_points(totals.by_key, {}, 20_000_000, lambda key: ()), catalogue.profile)
    names = {f"gen_ai.client.inference.{kind}.input_tokens" for kind in ("operation", "usage")}
    assert {point.total.metric for point in shown} == names
    assert {point.total.sum for point in shown} == {0, 120}
    assert not any("gen_ai.token.type" in dict(point.total.attributes) for point in shown)
    assert {catalogue.shown_metrics[name].instrument for name in names} == {"histogram", "counter"}


@pytest.mark.parametrize(
    ("name", "metric", "by", "shown_as"),
    [
        ("claude_code", "cline.cost", "cline.cost.basis", {"claude_code.cost.usage"}),
        ("claude_code", "cline.tokens", "cline.token.type", {"claude_code.token.usage"}),
        ("claude_code", "cline.edit.decisions", "cline.edit.decision", {"claude_code.code_edit_tool.decision"}),
        ("genai-main", "gen_ai.client.operation.duration", "error.type", {"gen_ai.client.inference.duration"}),
        # Of these it is not known which metric of the profile they would be of, or whether of one at all.
        ("claude_code", "cline.active.time", "gen_ai.agent.name", {"cline.active.time"}),
        ("genai-main", "cline.tokens", "cline.token.type", {"cline.tokens"}),
        ("genai-main", "gen_ai.client.token.usage", "gen_ai.token.type", {"gen_ai.client.token.usage"}),
    ],
)
def test_what_exceeds_the_budget_is_in_the_profile_s_metric_that_has_all_of_ours(
    name: str, metric: str, by: str, shown_as: set[str]
) -> None:
    catalogue = catalogue_of(name)
    totals = Totals(catalogue.metrics, max_series=3)
    values = TABLES.attributes.attributes[by].values or TABLES.attributes.values["errors"]
    for number in range(20):
        attributes = (("gen_ai.request.model", f"m{number}"), (by, sorted(values)[number % len(values)]))
        totals.add(MetricDelta(metric, 1, attributes, 10))
    overflow = [total for total in totals.all() if total.attributes == OVERFLOW]
    shown = shown_points([MetricPoint(total, 1, 2) for total in overflow], catalogue.profile)
    assert [(point.total.attributes, point.total.sum) for point in shown] == [(OVERFLOW, 18)]
    assert {point.total.metric for point in shown} == shown_as


@each_recording
@each_profile
def test_names_are_unique_on_each_point(name: str, path: Path) -> None:
    result, profile = replayed_as(name, path), catalogue_of(name).profile
    for point in shown_points(points_of(result), profile):
        names = [shown for shown, _ in point.total.attributes]
        assert len(names) == len(set(names))


def test_a_value_can_have_the_name_that_an_llm_tool_reads() -> None:
    (shown,) = shown_spans([span("chat", cline__cost_usd=0.5)], catalogue_of("llm-tools").profile)
    assert dict(shown.attributes) == {"cline.cost_usd": 0.5, "gen_ai.usage.cost": 0.5}


def test_an_attribute_of_the_resource_has_no_name_that_the_profile_gives_on_metrics(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "model=large")
    monkeypatch.setenv("CLINE_OTEL_BRIDGE_METRIC_ATTRIBUTES", "model")
    assert load_settings().metric_attributes == (("model", "large"),)
    monkeypatch.setenv("CLINE_OTEL_BRIDGE_PROFILE", "claude_code")
    with pytest.raises(SettingsError, match="model is an attribute of telemetry itself"):
        load_settings()


# --- what a profile's tables say, one by one ------------------------------------------------------------

NOTHING_RENAMED: Final = Profile("", {}, {}, {}, {})


def shown_record(**fields: Any) -> ShownLogRecord:
    blank = ShownLogRecord("other", "short", (), (), (), {}, {}, {}, "")
    return msgspec.structs.replace(blank, **fields)


def log_of(**attributes: Any) -> LogRecord:
    return LogRecord(1, "own", Severity.INFO, "Own", (("event.name", "own"), *attributes.items()))


def test_a_profile_of_log_records_of_one_kind_alone_shows_them() -> None:
    log, chat = log_of(), span("chat")
    of_logs = msgspec.structs.replace(NOTHING_RENAMED, log_records_of_logs={"own": shown_record()})
    of_spans = msgspec.structs.replace(NOTHING_RENAMED, log_records_of_spans={"chat": (shown_record(),)})
    assert [each.event_name for each in shown_logs([log], [chat], of_logs)] == ["other"]
    assert [each.event_name for each in shown_logs([log], [chat], of_spans)] == ["own", "other"]


@pytest.mark.parametrize(
    ("others", "left"),
    [({}, 5), ({"part": 0}, 5), ({"part": 1}, 4), ({"part": 2, "more": 3}, 0), ({"part": 6}, 0), ({"part": "1"}, 5)],
)
def test_a_count_without_its_parts_is_what_is_left_and_never_less_than_none(others: dict[str, Any], left: int) -> None:
    record = shown_record(attributes=(("rest", "whole"),), less={"rest": ("part", "more")})
    profile = msgspec.structs.replace(NOTHING_RENAMED, log_records_of_spans={"chat": (record,)})
    (log,) = shown_logs([], [span("chat", whole=5, **others)], profile)
    assert dict(log.attributes)["rest"] == left


def test_a_log_record_keeps_what_is_not_renamed_and_loses_what_no_word_of_the_profile_says() -> None:
    record = shown_record(
        attributes=(("a", "one"), ("b", "two"), ("c", "three"), ("d", "four")),
        renames={"one": "a", "two": "b", "three": "c"},
        values={"b": {"yes": "true"}, "c": {"yes": "true"}},
    )
    profile = msgspec.structs.replace(NOTHING_RENAMED, log_records_of_logs={"own": record})
    (log,) = shown_logs([log_of(zero=0, one=1, two="yes", three="perhaps", four=4)], [], profile)
    assert log.attributes == (("event.name", "short"), ("zero", 0), ("a", 1), ("b", "true"), ("four", 4))
    assert (log.event_name, log.body, log.occurred_at_ns) == ("other", "other", 1)


def shown_metric(name: str, *when: tuple[str, str]) -> ShownMetric:
    return ShownMetric(MetricDefinition(name, "counter", "1", ""), frozenset(when), {}, ())


@pytest.mark.parametrize(
    ("type_", "names"), [("input", ["every", "in"]), ("output", ["every", "out"]), (None, ["every"])]
)
def test_a_series_is_exported_under_each_name_that_fits_it_or_else_its_own(type_: str | None, names: list[str]) -> None:
    metrics = (shown_metric("every"), shown_metric("in", ("type", "input")), shown_metric("out", ("type", "output")))
    profile = msgspec.structs.replace(NOTHING_RENAMED, metrics={"tokens": metrics, "own": metrics[1:]})
    total = MetricTotal("tokens", (("type", type_),) if type_ else (), 7)
    assert shown_name(total, profile) == ",".join(names)
    assert [each.total.metric for each in shown_points([MetricPoint(total, 1, 2)], profile)] == names
    for unnamed in (MetricTotal("own", (), 7), MetricTotal("other", (), 7)):
        point = MetricPoint(unnamed, 1, 2)
        assert shown_name(unnamed, profile) == unnamed.metric
        assert shown_points([point], profile) == [point]


@pytest.mark.parametrize(
    ("attributes", "fits"),
    [
        ({"kind": "x"}, True),
        ({"kind": "y"}, True),
        ({"kind": "z"}, False),
        ({}, False),
        ({"kind": "x", "failed": False}, False),
        ({"kind": "x", "stopped": 1}, False),
    ],
)
def test_a_record_is_shown_where_its_conditions_are_met_and_nothing_excludes_it(
    attributes: dict[str, Any], fits: bool
) -> None:
    record = shown_record(when=(("kind", frozenset({"x", "y"})),), unless=("failed", "stopped"))
    of_both = msgspec.structs.replace(
        NOTHING_RENAMED, log_records_of_logs={"own": record}, log_records_of_spans={"chat": (record,)}
    )
    log = log_of(**attributes)
    shown = shown_logs([log], [span("chat", **attributes)], of_both)
    assert [each.event_name for each in shown] == (["other", "other"] if fits else ["own"])
    assert fits or shown[0] is log


def test_a_record_of_a_span_is_of_its_end_and_tells_how_long_it_took_only_where_the_profile_names_that() -> None:
    chat = span("chat")
    records = (shown_record(), shown_record(name="timed", duration_ms="took_ms"))
    profile = msgspec.structs.replace(NOTHING_RENAMED, log_records_of_spans={"chat": records})
    plain, timed = shown_logs([], [chat], profile)
    assert [name for name, _ in plain.attributes] == ["event.name", "log.record.uid"]
    assert dict(timed.attributes)["took_ms"] == 2.5
    assert (plain.occurred_at_ns, plain.trace_id, plain.span_id) == (3_500_000, chat.trace_id, chat.span_id)


# --- what is wrong with a profile is found when it is loaded ---------------------------------------------

RECORD = {"event_name": "x", "of_span": "chat", "attributes": {}}
OF_LOG = {"event_name": "x", "of_log": "cline.error"}
METRIC = {"of": "cline.cost", "name": "other", "unit": "USD", "description": "."}


@pytest.mark.parametrize(
    ("changes", "finding"),
    [
        ({"spans": {"nowhere": {}}}, "no span 'nowhere'"),
        ({"spans": {"chat": {"drops": ["cline.mode"]}}}, "chat does not carry cline.mode"),
        ({"spans": {"chat": {"renames": {"error.type": "cline.run.id"}}}}, "cline.run.id stands for two things"),
        ({"spans": {"chat": {"copies": {"cline.run.id": "error.type"}}}}, "cline.run.id stands for two things"),
        ({"metrics": [METRIC | {"of": "nowhere"}]}, "no metric nowhere"),
        ({"metrics": [METRIC | {"name": "cline.errors"}]}, "cline.errors stands for two things"),
        ({"metrics": [METRIC, METRIC]}, "other stands for two things"),
        ({"metrics": [METRIC | {"instrument": "histogram"}]}, "a counter is no histogram"),
        ({"metrics": [METRIC | {"when": {"cline.outcome": "success"}}]}, "cline.cost has no attribute cline.outcome"),
        ({"metrics": [METRIC | {"of": "cline.errors", "when": {"error.type": "x"}}]}, "error.type is never 'x'"),
        (
            {"metrics": [METRIC | {"renames": {"gen_ai.request.model": "gen_ai.provider.name"}}]},
            "gen_ai.provider.name stands for two things",
        ),
        ({"metrics": [METRIC | {"sets": {"gen_ai.request.model": "x"}}]}, "gen_ai.request.model stands for two things"),
        (
            {"metrics": [METRIC | {"renames": {"gen_ai.request.model": "cline.repository.hash"}}]},
            "cline.repository.hash stands for two things",
        ),
        ({"metrics": [METRIC | {"sets": {"cline.repository.hash": "x"}}]}, "cline.repository.hash stands for two"),
        ({"metrics": [METRIC | {"sets": {"otel.metric.overflow": "x"}}]}, "otel.metric.overflow stands for two things"),
        ({"log_records": {"x": {"event_name": "x", "attributes": {}}}}, "made of no log record or span"),
        ({"log_records": {"x": RECORD | {"of_log": "cline.error"}}}, "made of no log record or span"),
        ({"log_records": {"x": RECORD | {"attributes": {"m": "cline.mode"}}}}, "cline.mode is not on what it is"),
        (
            {"log_records": {"x": RECORD | {"less": {"n": []}}}},
            "n is none of its attributes",
        ),
        (
            {"log_records": {"x": OF_LOG | {"attributes": {"error.type": "cline.reason"}}}},
            "error.type stands for two things",
        ),
    ],
)  # fmt: skip
def test_a_profile_that_fits_nothing_or_merges_names_is_refused(changes: dict[str, Any], finding: str) -> None:
    profile = model.ProfileFile.from_table({"description": "", "schema_url": "", **changes})
    found = findings_of("new", profile, NAMES)
    assert any(finding in line for line in found)
    assert [line for line in found if not re.match(r"profiles/new\.toml: .+: (?:write|rename|take) ", line)] == []


def test_a_name_that_somebody_chose_can_have_another_name_on_a_metric() -> None:
    changes = {"metrics": [METRIC | {"renames": {"cline.repository.hash": "repository"}}]}
    profile = model.ProfileFile.from_table({"description": "", "schema_url": "", **changes})
    assert findings_of("new", profile, NAMES) == []


def test_a_profile_is_checked_when_the_catalogue_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    read = loading._read

    def edited(name: str, shape: Any) -> Any:
        whole = read(name, shape)
        broken = {"chat": model.ProfileSpan(drops=frozenset({"nowhere"}))}
        return replace(whole, spans=broken) if name.startswith("profiles/") else whole

    monkeypatch.setattr(loading, "_read", edited)
    with pytest.raises(CatalogueError, match="chat does not carry nowhere"):
        loading.read_profile.__wrapped__("llm-tools")


def test_the_variable_names_the_profiles_that_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    (takes,) = (each.metadata["takes"] for each in fields(BridgeVariables) if each.name == "profile")
    assert re.findall(r"`([^`]+)`", takes) == profile_names()
    assert load_settings().profile == DEFAULT_PROFILE
    monkeypatch.setenv("CLINE_OTEL_BRIDGE_PROFILE", "claude_code")
    assert load_settings().profile == "claude_code"
    monkeypatch.setenv("CLINE_OTEL_BRIDGE_PROFILE", "../attributes")
    with pytest.raises(SettingsError, match=r"BRIDGE_PROFILE: .* is no profile: set it to one of claude_code"):
        load_settings()
