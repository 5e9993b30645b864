"""The catalogue is as the conventions' own model files have it (``semconv-1.41.0.json``), but for what is listed."""

from __future__ import annotations

import json
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bench.fixed_key import replay_of
from msgspec.structs import replace

from cline_otel.catalogue import model
from cline_otel.catalogue.load import Tables, load, read_profile, read_tables
from cline_otel.catalogue.profiles import DEFAULT_PROFILE
from conventions import extract
from conventions.comparison import GENAI, SEMCONV, SPANS, differences
from corpus import capture_paths

HERE = Path(__file__).parent
CATALOGUE = load()
TABLES = read_tables()
ATTRIBUTES = TABLES.attributes
DEVIATIONS: dict[str, str] = tomllib.loads((HERE / "deviations.toml").read_text(encoding="utf-8"))


def test_the_catalogue_differs_from_the_conventions_only_where_a_reason_is_written() -> None:
    assert sorted(differences(TABLES)) == sorted(DEVIATIONS)
    assert all(len(reason) > 20 for reason in DEVIATIONS.values())


@pytest.mark.parametrize(
    ("file", "name", "changes", "finding"),
    [
        ("attributes", "gen_ai.response.id", {"type": "int"}, "gen_ai.response.id: int, there string"),
        ("attributes", "gen_ai.operation.name", {"values": {"talk"}}, "gen_ai.operation.name: has values of its own"),
        ("metrics", "gen_ai.client.operation.duration", {"unit": "ms"}, "gen_ai.client.operation.duration: unit ms"),
        ("metrics", "gen_ai.client.token.usage", {"attributes": []}, "lacks gen_ai.token.type, required"),
        ("spans", "chat", {"kind": "INTERNAL"}, "chat: INTERNAL, there client"),
        ("spans", "invoke_agent", {"attributes": []}, "invoke_agent: lacks gen_ai.provider.name, required"),
    ],
)
def test_a_difference_is_found(file: str, name: str, changes: dict[str, Any], finding: str) -> None:
    table = getattr(TABLES, file)
    entries = dict(getattr(table, file))
    entries[name] = replace(entries[name], **changes)
    changed: Tables = TABLES._replace(**{file: replace(table, **{file: entries})})
    assert any(finding in line for line in differences(changed))


def test_a_name_that_the_conventions_do_not_have_and_one_that_they_gave_up_are_found() -> None:
    known = ATTRIBUTES.attributes["gen_ai.response.id"]
    names = {**ATTRIBUTES.attributes, "gen_ai.system": known, "gen_ai.new": known}
    changed = TABLES._replace(attributes=replace(ATTRIBUTES, attributes=names))
    assert {"gen_ai.system: deprecated", "gen_ai.new: not in the conventions"} <= set(differences(changed))


@pytest.mark.parametrize("path", capture_paths(), ids=lambda path: path.name)
def test_what_is_required_is_on_everything_that_is_exported(path: Path) -> None:
    replayed = replay_of([path])
    for span in replayed.spans:
        if span.name.startswith("cline."):
            continue
        levels = SEMCONV["spans"][SPANS[span.name.split(" ")[0]]]["attributes"]
        assert _required(levels) <= {name for name, _ in span.attributes}, span.name
    for delta in replayed.measurements:
        facts = SEMCONV["metrics"].get(delta.metric)
        if facts is not None:
            assert _required(facts["attributes"]) <= {name for name, _ in delta.attributes}, delta.metric


def _required(levels: dict[str, str]) -> set[str]:
    return {name for name, level in levels.items() if level == "required"}


def test_every_other_name_is_ours() -> None:
    tables = (ATTRIBUTES.attributes, TABLES.metrics.metrics)
    ours = {name for table in tables for name, entry in table.items() if entry.convention == "cline"}
    assert {name for name in ours if not name.startswith("cline.")} == set()
    assert {name for name in CATALOGUE.log_events if not name.startswith("cline.")} == set()
    specified = {name for name, entry in ATTRIBUTES.attributes.items() if entry.convention == "specification"}
    assert specified == {"otel.metric.overflow"}  # metrics SDK specification, cardinality limits


def test_a_provider_becomes_a_well_known_value_or_stays_what_cline_calls_it() -> None:
    known = set(SEMCONV["attributes"]["gen_ai.provider.name"]["values"])
    assert set(ATTRIBUTES.providers.values()) <= known
    gate = CATALOGUE.vocabularies["cline"].events["task.tokens"].handlers["provider"][0].gate
    expected = {
        "anthropic": "anthropic", "openai-native": "openai", "openai-codex": "openai", "gemini": "gcp.gemini",
        "vertex": "gcp.vertex_ai", "bedrock": "aws.bedrock", "mistral": "mistral_ai", "xai": "x_ai",
        "deepseek": "deepseek", "groq": "groq", "openrouter": "openrouter", "openai-compatible": "openai-compatible",
        "nousResearch": "nousResearch", "cline": "cline", "a-gateway-of-ours": "_OTHER",
    }  # fmt: skip
    assert {provider: gate(provider) for provider in expected} == expected


@pytest.mark.parametrize(
    ("said", "exported"),
    [("tool-calls", "tool_call"), ("max-tokens", "length"), ("content-filter", "content_filter"), ("stop", "stop"),
     ("error", "error"), ("aborted", "aborted"), ("what else", "_OTHER")],
)  # fmt: skip
def test_why_a_model_stopped_is_said_in_the_convention_s_words(said: str, exported: str) -> None:
    gate = CATALOGUE.vocabularies["plugin"].events["model_call.finished"].handlers["finish_reason"][0].gate
    assert gate(said) == (exported,)
    assert set(ATTRIBUTES.attributes["gen_ai.response.finish_reasons"].renames.values()) <= set(
        SEMCONV["finish_reasons"]
    )


def test_an_mcp_tool_that_failed_is_a_tool_error_whatever_the_plugin_called_it() -> None:
    """The note on ``error.type`` in the model's MCP attributes (``mcp.common.attributes``)."""
    gate = CATALOGUE.vocabularies["plugin"].events["tool_call.finished"].handlers["error_type"][0].gate
    assert {gate("mcp_error"), gate("tool_error")} == {"tool_error"}


def test_the_schema_url_names_the_version_that_was_checked() -> None:
    assert read_profile(DEFAULT_PROFILE).schema_url.rpartition("/")[2] == SEMCONV["of"]["version"] == extract.VERSION


def test_genai_histograms_have_the_buckets_that_the_conventions_give_and_further_ones_behind_them_only() -> None:
    seconds = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
    agent_seconds = (0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 51.2, 102.4, 204.8, 409.6)
    tokens = tuple(float(4**power) for power in range(14))
    expected = {"gen_ai.client.token.usage": tokens, "gen_ai.invoke_agent.duration": agent_seconds}
    for name, metric in CATALOGUE.metrics.items():
        if name.startswith("gen_ai."):
            given = expected.get(name, seconds)
            assert metric.boundaries[: len(given)] == given, name


def test_the_profile_of_the_genai_conventions_has_their_names() -> None:
    profile = read_profile("genai-main")
    for metric in profile.metrics:
        fact = GENAI["metrics"][metric.name]
        own = TABLES.metrics.metrics[metric.of]
        shown = {metric.renames.get(name, name) for name in own.attributes if name not in metric.when} | {*metric.sets}
        assert (metric.instrument or own.instrument, metric.unit) == (fact["instrument"], fact["unit"])
        assert set(fact["required"]) <= shown
    replaced = {metric.of for metric in profile.metrics}
    kept = {name for name, own in TABLES.metrics.metrics.items() if own.convention != "cline" and name not in replaced}
    assert kept <= GENAI["metrics"].keys()


@pytest.mark.parametrize("operation", SPANS)
def test_spans_under_the_profile_of_the_genai_conventions_carry_what_these_have(operation: str) -> None:
    entry = read_profile("genai-main").spans.get(operation, model.ProfileSpan())
    own = [name for name in TABLES.spans.spans[operation].attributes if name not in entry.drops]
    shown = {entry.renames.get(name, name) for name in own if ATTRIBUTES.attributes[name].convention == "semconv"}
    levels = GENAI["spans"][operation]["attributes"]
    assert _required(levels) <= shown
    besides = {name for name in shown - levels.keys() if name.startswith("gen_ai.")}
    assert besides <= {"gen_ai.agent.name", "gen_ai.conversation.id"}


def _tagged(folder: Path) -> Iterator[str]:
    yield from ("git", "-C", str(folder), "-c", "user.name=t", "-c", "user.email=t", "-c", "commit.gpgsign=false")


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_facts_are_taken_out_of_model_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model of two groups: what a signal inherits counts unless it says otherwise; sentences are not taken."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "one.yaml").write_text(
        """groups:
  - id: base
    type: attribute_group
    attributes:
      - {id: gen_ai.a, type: string, stability: development, brief: A sentence.}
      - {id: gen_ai.b, type: {members: [{id: x, value: "x"}]}, stability: stable, deprecated: {reason: renamed}}
  - id: span.gen_ai.one
    type: span
    span_kind: client
    extends: base
    attributes:
      - {ref: gen_ai.a, requirement_level: {conditionally_required: When there.}}
      - {ref: gen_ai.c, requirement_level: required}
"""
    )
    messages = tmp_path / extract.MESSAGES
    messages.parent.mkdir(parents=True)
    messages.write_text(json.dumps({"$defs": {"FinishReason": {"enum": ["stop"]}}}))
    git = list(_tagged(tmp_path))
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "x"]):
        subprocess.run([*git, *command], check=True)
    monkeypatch.setattr(extract, "COMMIT", "HEAD")
    facts = extract.facts(*extract.read_model(tmp_path))
    assert facts["attributes"] == {
        "gen_ai.a": {"type": "string", "stability": "development"},
        "gen_ai.b": {"type": "string", "stability": "stable", "values": ["x"], "deprecated": True},
    }
    levels = {"gen_ai.a": "conditionally_required", "gen_ai.b": "recommended", "gen_ai.c": "required"}
    assert facts["spans"] == {"gen_ai.one": {"kind": "client", "attributes": levels}}
    assert "sentence" not in json.dumps(facts)
