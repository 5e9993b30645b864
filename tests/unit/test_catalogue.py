"""The catalogue contradicts itself nowhere, and says so where it would."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec
import pytest
from bench.fixed_key import CATALOGUE

from cline_otel.catalogue import load as loading
from cline_otel.catalogue import model
from cline_otel.catalogue.load import CatalogueError
from cline_otel.sources.conversations.edits import change_of

FINDING = re.compile(r"[\w/]+\.toml: [^:]+: .+: (?:add|take|write|raise|rename) ")
"""The file, the entry, what is wrong, and what to do about it."""


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Callable[[dict[str, Any]], None]], str]:
    """Loads the catalogue with one of its files changed and returns what is found wrong with it."""

    def change(file: str, edit: Callable[[dict[str, Any]], None]) -> str:
        read = loading._read

        def edited(name: str, shape: Any) -> Any:
            whole = read(name, shape)
            if name != file:
                return whole
            table = msgspec.to_builtins(whole)
            edit(table)
            return shape.from_table(table)

        monkeypatch.setattr(loading, "_read", edited)
        with pytest.raises(CatalogueError) as raised:
            loading._checked_tables.__wrapped__(None)
        found = str(raised.value)
        assert [line for line in found.splitlines() if not FINDING.match(line)] == []
        return found

    return change


def attribute(name: str, **changes: object) -> Callable[[dict[str, Any]], None]:
    return lambda table: table["attributes"].setdefault(name, dict(NEW)).update(changes)


NEW = {
    "type": "string",
    "privacy": "bounded",
    "cardinality": "low",
    "convention": "cline",
    "serves": {"span"},
    "description": "",
    "values": {"a"},
}


@pytest.mark.parametrize(
    ("edit", "finding"),
    [
        (attribute("ours"), "ours: ours begin with 'cline.'"),
        (attribute("cline.new", values=None), "exactly one of pattern, values, values_from"),
        (attribute("cline.new", pattern="hex"), "exactly one of pattern, values, values_from"),
        (attribute("cline.new", values=None, pattern="hex"), "bounded means listed values"),
        (attribute("cline.new", values=None, pattern="none", privacy="safe"), "no pattern 'none'"),
        (attribute("cline.new", values=None, values_from="none"), "no values 'none'"),
        (attribute("cline.new", serves={"metric"}, cardinality="high"), "must be of low cardinality"),
        (attribute("cline.new", serves={"metric"}, privacy="content"), "must be safe or bounded"),
    ],
)
def test_an_attribute_that_contradicts_itself_is_refused(broken: Any, edit: Any, finding: str) -> None:
    assert finding in broken("attributes.toml", edit)


@pytest.mark.parametrize(
    ("changes", "finding"),
    [
        ({"attributes": ["cline.run.id"]}, "cline.run.id is no metric attribute"),
        (
            {"attributes": ["nowhere"]},
            "nowhere is no metric attribute: add it to [attributes] in attributes.toml, or 'metric' to its serves",
        ),
        (
            {"boundaries": "none", "instrument": "histogram"},
            "no boundaries 'none': add them to [boundaries] in metrics.toml",
        ),
        ({"instrument": "histogram"}, "histograms, and only they, have boundaries"),
        (
            {"attributes": ["cline.tool.hash"]},
            "cline.tool.hash stands in the wrong list: add it to names here if somebody chose what it names",
        ),
        ({"names": ["cline.mode"]}, "cline.mode stands in the wrong list: add it to names here"),
        ({"instrument": "gauge", "names": ["cline.tool.hash"]}, "a gauge has no budget of series"),
        ({"names": ["user.hash"]}, "user.hash is no metric attribute"),
    ],
)
def test_a_metric_that_fits_nothing_is_refused(broken: Any, changes: dict[str, Any], finding: str) -> None:
    assert finding in broken("metrics.toml", lambda table: table["metrics"]["cline.run.started"].update(changes))


def test_a_metric_of_ours_begins_with_our_name(broken: Any) -> None:
    def rename(table: dict[str, Any]) -> None:
        table["metrics"]["runs"] = table["metrics"]["cline.checkpoints"]

    assert "runs: ours begin with 'cline.'" in broken("metrics.toml", rename)


def test_boundaries_ascend(broken: Any) -> None:
    assert "must ascend" in broken("metrics.toml", lambda table: table["boundaries"].update(run_seconds=[2.0, 1.0]))


@pytest.mark.parametrize(
    ("changes", "finding"),
    [
        ({"name": "chat"}, "its name is 'chat ' and one attribute in braces"),
        ({"name": "chat {cline.mode}"}, "uses cline.mode but does not carry it: add it to its attributes"),
        ({"parent": ["session"]}, "no span 'session' to be its parent"),
        (
            {"attributes": ["gen_ai.token.type"]},
            "gen_ai.token.type is no span attribute: add it to [attributes] in attributes.toml",
        ),
        ({"inherits": ["cline.mode"]}, "uses cline.mode but does not carry it: add it to its attributes"),
        (
            {"error_when": {"cline.mode": ["gone"]}},
            "cline.mode is never 'gone': add the value to its values in attributes.toml",
        ),
    ],
)
def test_a_span_that_fits_nothing_is_refused(broken: Any, changes: dict[str, Any], finding: str) -> None:
    assert finding in broken("spans.toml", lambda table: table["spans"]["chat"].update(changes))


def test_what_is_served_and_carried_by_nothing_is_refused_with_the_place_where_it_belongs(broken: Any) -> None:
    found = broken("attributes.toml", attribute("cline.new", serves={"span", "log", "metric"}))
    for place in (
        "a span's attributes in spans.toml",
        "log record carries in log_events.toml",
        "attributes in metrics.toml",
    ):
        assert place in found


def test_what_steers_is_a_field_of_an_event_and_has_a_type(broken: Any) -> None:
    def rename(table: dict[str, Any]) -> None:
        table["internal"]["place"] = table["internal"].pop("ordinal")

    found = broken("attributes.toml", rename)
    assert "ordinal is a field of an event and has no type: add it" in found
    assert "no event has a field place: add it to a class in events.py" in found


def test_an_event_steers_by_its_own_fields_alone(broken: Any) -> None:
    def steer(table: dict[str, Any]) -> None:
        table["events"]["agent.run-started"]["fields"] = {"x": ("exit_reason",)}

    assert "an event run.started has no field exit_reason" in broken("cline.toml", steer)


@pytest.mark.parametrize(
    ("changes", "finding"),
    [
        (
            {"carries": ["gen_ai.token.type"]},
            "gen_ai.token.type is no log attribute: add it to [attributes] in attributes.toml",
        ),
        (
            {"body": "Gone {process.exit.code}"},
            "uses process.exit.code but does not carry it: add it to its carries here",
        ),
        ({"counts": "cline.cost_usd"}, "cline.cost_usd is no counter: add it to [metrics] in metrics.toml"),
        ({"counts": "gen_ai.client.token.usage"}, "is no counter"),
        ({"counts": "cline.errors"}, "counts cline.errors but does not carry"),
    ],
)
def test_a_log_event_that_fits_nothing_is_refused(broken: Any, changes: dict[str, Any], finding: str) -> None:
    assert finding in broken(
        "log_events.toml", lambda table: table["log_events"]["cline.session.stopped"].update(changes)
    )


@pytest.mark.parametrize(
    ("changes", "finding"),
    [
        ({"kind": "nothing"}, "no kind 'nothing': write one of [kinds] in spans.toml"),
        ({"kind": "ignored"}, "log events, and only they, name one"),
        ({"log_event": "cline.none"}, "no log event 'cline.none': add [log_events.'cline.none'] to log_events.toml"),
        ({"fields": {"x": ("nowhere",)}}, "no attribute 'nowhere'"),
        (
            {"fields": {"x": ("cline.mode",)}},
            "carry cline.mode: add it to the carries of [log_events.'cline.session.stopped'] in log_events.toml",
        ),
        (
            {"classified": {"x": "cline.reason"}},
            "cline.reason has no classes of free text: add [classes.'cline.reason'] to attributes.toml",
        ),
    ],
)
def test_an_event_that_fits_nothing_is_refused(broken: Any, changes: dict[str, Any], finding: str) -> None:
    assert finding in broken("cline.toml", lambda table: table["events"]["session.stopped"].update(changes))


def test_every_pattern_is_a_regular_expression() -> None:
    table = loading.read_tables().attributes
    for pattern in chain(table.patterns.values(), *(classes.values() for classes in table.classes.values())):
        re.compile(pattern)


def test_what_the_model_does_not_know_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "metrics.toml").write_text("[boundaries]\n[metrics]\n[something]\n", encoding="utf-8")
    monkeypatch.setattr(loading, "files", lambda package: tmp_path)
    with pytest.raises(CatalogueError, match=r"catalogue/metrics\.toml"):
        loading._read("metrics.toml", model.MetricsFile)


def test_a_file_that_is_no_toml_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "metrics.toml").write_text("[boundaries", encoding="utf-8")
    monkeypatch.setattr(loading, "files", lambda package: tmp_path)
    with pytest.raises(CatalogueError, match=r"catalogue/metrics\.toml"):
        loading._read("metrics.toml", model.MetricsFile)


PLUGIN, LOG = (
    next(text for text in loading.built_in_sources() if name in text.where) for name in ("plugin", "cline_log")
)


@pytest.mark.parametrize(
    ("texts", "finding"),
    [
        ([LOG, LOG], "another source is called cline-log, too"),
        ([LOG._replace(text=LOG.text + "[events]")], "must not have one of its own"),
        ([LOG._replace(text=LOG.text.replace('"cline"', '"none"'))], "none.toml: there is no such file"),
        (
            [LOG._replace(text=LOG.text.replace("rank = 1", "rank = 6")), PLUGIN],
            "plugin: it claims sessions, so its rank",
        ),
        (
            [
                *loading.built_in_sources(),
                LOG._replace(
                    text=LOG.text.replace('"cline-log"', '"fork"').replace(
                        "rank = 1", "rank = 6\nclaims_sessions = true"
                    )
                ),
            ],
            "source fork: it claims sessions, as plugin does, so their ranks must differ: write another rank",
        ),
        ([LOG], "known to 'plugin', which is no source"),
        ([LOG._replace(text="[source]")], "sources/cline_log/catalogue.toml"),
        ([LOG._replace(text=LOG.text.replace('"cline-log"', '"Cline Log"'))], "matching regex"),
    ],
)
def test_a_source_that_fits_nothing_is_refused(texts: list[loading.SourceText], finding: str) -> None:
    with pytest.raises(CatalogueError, match=finding) as raised:
        loading._checked_tables.__wrapped__(tuple(texts))
    if "known to" in finding or "claims" in finding:
        assert all(map(FINDING.match, str(raised.value).splitlines()))


def test_a_source_may_speak_the_vocabulary_of_another() -> None:
    fork = LOG._replace(text=PLUGIN.text[: PLUGIN.text.index("[keys]")].replace('name = "plugin"', 'name = "fork"'))
    fork = fork._replace(text=fork.text.replace("rank = 6", 'rank = 7\nvocabulary = "plugin"'))
    tables = loading._checked_tables.__wrapped__((*loading.built_in_sources(), fork))
    assert [source.name for source in tables.speakers("plugin")] == ["fork", "plugin"]
    assert list(tables.vocabularies) == ["plugin", "session-files", "task_files", "cline", "json-stream"]
    assert tables.attributes.attributes["cline.telemetry.source"].values == {"fork", *CATALOGUE.sources}


# --- the catalogue as it is -----------------------------------------------------------------------------


def test_every_attribute_is_used_by_a_signal_that_it_serves() -> None:
    on_spans = {name for span in CATALOGUE.spans.values() for name in span.attributes}
    on_spans |= {
        name for log_event in CATALOGUE.log_events.values() if log_event.span_event for name in log_event.carries
    }
    on_logs = {name for log_event in CATALOGUE.log_events.values() for name in log_event.carries}
    on_metrics = {name for names in CATALOGUE.metric_attributes.values() for name in names} | {"otel.metric.overflow"}
    assert CATALOGUE.attributes.keys() == on_spans & CATALOGUE.attributes.keys() | on_logs | on_metrics


def test_every_fact_is_told_by_something() -> None:
    told = {entry.log_event for vocabulary in CATALOGUE.vocabularies.values() for entry in vocabulary.events.values()}
    own = {"cline.run.started", "cline.run.finished", "cline.model_call.failed", "cline.tool_call.failed"}
    own |= {"cline.call.overdue"}
    assert CATALOGUE.log_events.keys() == told - {""} | own


@pytest.mark.parametrize("vocabulary", ["plugin", "json-stream", "session-files", "task_files"])
def test_all_that_an_edit_changes_is_read_of_each_source_that_counts_it(vocabulary: str) -> None:
    patch = "*** Add File: a\n*** Update File: b\n*** Update File: c\n*** Move to: d\n*** Delete File: e"
    fields = loading.read_tables().vocabularies[vocabulary].events["tool_call.finished"].fields
    assert change_of("apply_patch", patch, None).keys() <= fields.keys()


def test_never_a_session_run_call_or_user_on_a_metric() -> None:
    carried = {name for names in CATALOGUE.metric_attributes.values() for name in names}
    groups = {name: CATALOGUE.attributes[name].group for name in carried}
    assert not [
        name for name, group in groups.items() if name.endswith(".id") or group not in (None, "names", "repository")
    ]
    of_many_values = {name for name in carried if CATALOGUE.attributes[name].cardinality == "high"}
    assert of_many_values == {name for metric in CATALOGUE.metrics.values() for name in metric.names}


def test_nothing_leaves_by_default_but_what_is_safe_bounded_or_a_pseudonym() -> None:
    for vocabulary in CATALOGUE.vocabularies.values():
        for entry in vocabulary.events.values():
            for read in entry.handlers.values():
                classes = {CATALOGUE.attributes[name].privacy for _, name, _ in read if name in CATALOGUE.attributes}
                assert classes <= {"safe", "bounded", "pseudonym"}


def test_documentation_names_are_aliases_of_the_wire_s() -> None:
    handlers = CATALOGUE.vocabularies["cline"].events["task.tool_used"].handlers
    assert handlers["tool"] == handlers["tool_name"]
    assert handlers["ulid"] == handlers["sessionId"] == handlers["task_id"]


def test_a_prefix_stands_for_the_names_that_others_choose() -> None:
    entry = CATALOGUE.vocabularies["cline"].find("plugin.whatever_it_is")
    assert entry is not None
    assert (entry.kind, entry.name) == ("ignored", "plugin.")
    assert CATALOGUE.vocabularies["cline"].find("plugi") is None


# --- every name that a recording has ----------------------------------------------------------------------

FURTHER = os.environ.get("CLINE_OTEL_CAPTURES")


def json_lines(pattern: str) -> list[Any]:
    found = []
    for path in sorted(Path(FURTHER or "").glob(pattern)):
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                found.append(json.loads(line))
            except json.JSONDecodeError:
                continue
    return found


def hook_name(record: dict[str, Any]) -> str:
    stdin = record["stdin_raw"]
    return str(json.loads(stdin).get("hookName", record["hook_file"])) if stdin else str(record["hook_file"])


def stream_name(record: dict[str, Any]) -> str:
    inner = record.get("event")
    detail = inner.get("type") if isinstance(inner, dict) else None
    detail = detail or record.get("hookEventName") or record.get("say") or record.get("ask")
    return f"{record['type']}/{detail}" if detail else str(record["type"])


@pytest.mark.skipif(not FURTHER, reason="CLINE_OTEL_CAPTURES names no recordings")
@pytest.mark.parametrize(
    ("source", "pattern", "name"),
    [
        ("hooks", "*/hooks.jsonl", hook_name),
        ("json-stream", "*/stdout_*.jsonl", stream_name),
        ("hub-events", "*/db/hub-events*.jsonl", lambda record: record["event"]),
    ],
)
def test_every_name_of_a_source_that_is_not_read_yet_is_known(source: str, pattern: str, name: Any) -> None:
    assert {name(record) for record in json_lines(pattern)} - CATALOGUE.other_sources[source].names.keys() == set()


def test_other_sources_say_what_they_are() -> None:
    for name, other in CATALOGUE.other_sources.items():
        assert other.description.endswith("."), name
        assert other.names or other.prefixes, name
        assert all(meaning.endswith(".") for meaning in other.names.values()), name
