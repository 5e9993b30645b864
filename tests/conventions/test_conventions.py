"""Every name is one of a convention's, from a list that was checked against it, or ours and begins ``cline.``."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from pathlib import Path

import pytest

from cline_otel.catalogue.load import load
from cline_otel.catalogue.model import AttributesFile, MetricsFile
from cline_otel.pipeline import SCHEMA_URL

HERE = Path(__file__).parent
CATALOGUE = load()


def listed(name: str) -> set[str]:
    lines = (HERE / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    return {line for line in lines if line and not line.startswith("#")}


def read(name: str) -> dict[str, object]:
    return tomllib.loads(files("cline_otel.catalogue").joinpath(name).read_text(encoding="utf-8"))


ATTRIBUTES = AttributesFile.model_validate(read("attributes.toml"))
METRICS = MetricsFile.model_validate(read("metrics.toml"))
CONVENTIONS = {name: a.convention for name, a in ATTRIBUTES.attributes.items()} | {
    name: m.convention for name, m in METRICS.metrics.items()
}


@pytest.mark.parametrize("convention", ["semconv", "genai", "specification"])
def test_a_convention_s_names_are_those_that_were_checked_against_it(convention: str) -> None:
    assert {name for name, whose in CONVENTIONS.items() if whose == convention} == listed(f"{convention}_names")


def test_every_other_name_is_ours() -> None:
    ours = {name for name, whose in CONVENTIONS.items() if whose == "cline"}
    assert {name for name in ours if not name.startswith("cline.")} == set()
    assert {name for name in CATALOGUE.log_events if not name.startswith("cline.")} == set()


def test_none_of_ours_takes_a_name_that_a_convention_has() -> None:
    prefixes = ("gen_ai.", "error.", "http.", "process.", "mcp.", "event.", "log.", "otel.", "service.")
    assert [name for name, whose in CONVENTIONS.items() if whose == "cline" and name.startswith(prefixes)] == []


def test_providers_become_well_known_values_only() -> None:
    assert set(ATTRIBUTES.providers.values()) <= listed("provider_values")


def test_a_provider_that_has_a_well_known_value_gets_it() -> None:
    """An id that is not the well-known value itself, but its vendor's, is renamed."""
    gate = CATALOGUE.vocabularies["cline"].events["task.tokens"].handlers["provider"][0].gate
    expected = {
        "anthropic": "anthropic", "openai-native": "openai", "openai-codex": "openai", "gemini": "gcp.gemini",
        "vertex": "gcp.vertex_ai", "bedrock": "aws.bedrock", "mistral": "mistral_ai", "xai": "x_ai",
        "deepseek": "deepseek", "groq": "groq", "openrouter": "openrouter", "openai-compatible": "openai-compatible",
        "nousResearch": "nousResearch", "cline": "cline", "a-gateway-of-ours": "_OTHER",
    }  # fmt: skip
    assert {provider: gate(provider) for provider in expected} == expected


def test_operation_names_are_the_conventions() -> None:
    assert ATTRIBUTES.attributes["gen_ai.operation.name"].values == {"invoke_agent", "chat", "execute_tool"}
    assert ATTRIBUTES.attributes["gen_ai.token.type"].values == {"input", "output"}


def test_the_schema_url_names_the_version_that_was_checked() -> None:
    header = (HERE / "semconv_names.txt").read_text(encoding="utf-8").splitlines()[0]
    assert "v1.41.0" in header
    assert SCHEMA_URL.endswith("/1.41.0")


def test_genai_histograms_have_the_buckets_that_the_conventions_give_and_further_ones_behind_them_only() -> None:
    seconds = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
    agent_seconds = (0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 51.2, 102.4, 204.8, 409.6)
    tokens = tuple(float(4**power) for power in range(14))
    expected = {"gen_ai.client.token.usage": tokens, "gen_ai.invoke_agent.duration": agent_seconds}
    for name, metric in CATALOGUE.metrics.items():
        if name.startswith("gen_ai."):
            given = expected.get(name, seconds)
            assert metric.boundaries[: len(given)] == given, name
