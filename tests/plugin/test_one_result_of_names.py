"""Models and clients have one name, whether the plugin or the bridge decides, and only public ones are in the clear."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest
from bench.fixed_key import KEY

from adversaries import ENDLESS
from cline_otel.catalogue.load import load
from cline_otel.catalogue.values import LONGEST_NAME, OTHER
from cline_otel.privacy import model_names
from cline_otel.privacy.policy import Policy
from cline_otel.privacy.pseudonyms import Pseudonyms
from e2e.model_catalogue import JSON_FILE, MODULE, module_of
from source_tree import needs_source
from waiting import PATIENCE_SECONDS

HERE: Final = Path(__file__).parent
MODELS: Final[dict[str, str]] = json.loads((HERE / "model_ids.json").read_text(encoding="utf-8"))
CLIENTS: Final[dict[str, str]] = json.loads((HERE / "client_names.json").read_text(encoding="utf-8"))
SCRIPT: Final = HERE / "results_of_names.mjs"
NODE: Final = shutil.which("node")
needs_node: Final = pytest.mark.skipif(NODE is None, reason="needs node")
WITH_KEY: Final = Policy(pseudonyms=Pseudonyms(KEY))


def gates(policy: Policy) -> tuple[list[object], list[object]]:
    events = load(policy).vocabularies["plugin"].events
    model = events["model_call.finished"].handlers["model"][0].gate
    client = events["session.claimed"].handlers["client_name"][0].gate
    return [model(name) for name in MODELS], [client(name) for name in CLIENTS]


def test_the_bridge_gives_every_name_its_one_result() -> None:
    assert gates(WITH_KEY) == ([*MODELS.values()], [*CLIENTS.values()])


def by_the_plugin(models: list[str], clients: list[str]) -> dict[str, object]:
    assert NODE is not None
    given = json.dumps({"key": KEY.hex(), "models": models, "clients": clients}).encode()
    printed = subprocess.run(
        [NODE, SCRIPT], input=given, stdout=subprocess.PIPE, check=True, timeout=PATIENCE_SECONDS
    )  # fmt: skip
    results: dict[str, object] = json.loads(printed.stdout)
    return results


@needs_node
def test_the_plugin_gives_every_name_the_same_result() -> None:
    results = by_the_plugin([*MODELS], [*CLIENTS])
    assert (results["models"], results["clients"]) == ([*MODELS.values()], [*CLIENTS.values()])


@needs_node
def test_no_pattern_of_the_plugin_sees_a_name_that_is_too_long() -> None:
    results = by_the_plugin([*ENDLESS], [*ENDLESS])
    assert (results["models"], results["clients"]) == ([OTHER] * len(ENDLESS), [OTHER] * len(ENDLESS))
    assert isinstance(results["longest"], int)
    assert 0 < results["longest"] <= LONGEST_NAME


def test_what_has_a_result_keeps_it_when_it_is_read_again() -> None:
    model = load(WITH_KEY).vocabularies["plugin"].events["model_call.finished"].handlers["model"][0].gate
    assert [model(result) for result in MODELS.values()] == [*MODELS.values()]


def test_two_names_that_somebody_chose_are_two_series() -> None:
    chosen = [result for name, result in MODELS.items() if result.startswith("custom-") and name != result]
    assert len(chosen) > 40
    assert len(set(chosen)) == len(chosen)


@pytest.mark.parametrize(
    "private", ["acme", "jane", "corp", "123456789012", "4111", "171 2345678", "2001:db8", "10.0.0.12"]
)
def test_nothing_private_is_in_a_result(private: str) -> None:
    assert any(private in name.lower() for name in MODELS)
    assert not any(private in result.lower() for result in MODELS.values())


def test_without_names_there_are_no_pseudonyms() -> None:
    models, clients = gates(Policy(pseudonyms=Pseudonyms(KEY), included=frozenset()))
    for given, results in ((MODELS, models), (CLIENTS, clients)):
        assert results == [OTHER if result.startswith("custom-") else result for result in given.values()]


def test_a_chosen_name_leaves_as_it_is_where_names_are_allowed() -> None:
    policy = Policy(pseudonyms=Pseudonyms(KEY), plain=frozenset({"names"}))
    model = load(policy).vocabularies["plugin"].events["model_call.finished"].handlers["model"][0].gate
    assert model("gpt-4o-acme-prod") == "gpt-4o-acme-prod"
    assert re.fullmatch("custom-[0-9a-f]{12}", str(model("gpt-4o-jane.doe@example.com")))


def test_every_name_in_the_price_table_is_public() -> None:
    prices = pytest.importorskip("genai_prices.data", reason="needs the price table")
    names = [model.id for provider in prices.providers for model in provider.models]
    assert [name for name in names if model_names.public_model_name(name) is None] == [], "run `make model-names`"


KNOWN: Final = model_names.Vocabulary(
    families=frozenset({"gpt"}),
    words=frozenset({"b", "mini"}),
    owners=frozenset({"openai", "azure"}),
    names=frozenset({"openai/special", "o"}),
)


@pytest.mark.parametrize(
    ("name", "public"),
    [
        ("gpt", True),
        ("mini", False),
        ("gpt-acme", False),
        ("openai/gpt", True),
        ("azure/openai/gpt-mini", True),
        ("openai/mini", False),
        ("acme/gpt", False),
        ("openai/acme/gpt", False),
        ("acme/openai/gpt", False),
        ("gpt/", False),
        ("/gpt", False),
        ("o", True),
        ("azure/o", True),
        ("openai/special", True),
        ("azure/openai/special", True),
        ("special", False),
        ("gpt#", False),
    ],
)
def test_a_name_is_public_if_it_is_listed_or_made_of_known_words_below_known_owners(name: str, public: bool) -> None:
    assert model_names.is_public(name, KNOWN) == public


@pytest.mark.parametrize(
    ("numbers", "public"),
    [
        ("1-1-1-1-1", True),
        ("1-1-1-1-1-1", False),
        ("12-12", True),
        ("12-12-12", False),
        ("12-12-1-1-1", True),
        ("12-12-1-1-1-1", False),
        ("123", True),
        ("123-1234", False),
        ("1234", True),
        ("12345", False),
        ("1234-1-1-1", True),
        ("1234-12-1", True),
        ("1234-12-1-1", False),
        ("20240513", True),
        ("2024-05-13-12", True),
        ("20240513-123", False),
        ("2405-14-2405-14", False),
        ("7b", True),
        ("1b-22k-333m", True),
        ("1b-22k-333m-4b", False),
        ("1234b", True),
        ("12345b", False),
        ("1b-22k-333m-1-1-1-1-1", True),
    ],
)
def test_numbers_of_a_public_name_are_few_and_short_beside_a_date_and_sizes(numbers: str, public: bool) -> None:
    assert model_names.is_public(f"gpt-{numbers}", KNOWN) == public


@pytest.mark.parametrize(
    ("name", "public_part"),
    [
        ("hf.co/openai/gpt-4o", "openai/gpt-4o"),
        ("https://huggingface.co/openai/gpt-4o", "openai/gpt-4o"),
        ("registry.ollama.ai/library/gpt-4o", "gpt-4o"),
        ("https://gpt-4o", None),
        ("projects/p/locations/l/publishers/openai/models/gpt-4o", "gpt-4o"),
        ("projects/p/locations/l/publishers/acme/models/gpt-4o", None),
        ("projects/openai/models/gpt-4o", None),
        ("arn:aws:bedrock:us-east-1::foundation-model/gpt-4o", "gpt-4o"),
        ("arn:aws:bedrock:us-east-1:1:inference-profile/gpt-4o", "gpt-4o"),
        ("arn:aws:bedrock:us-east-1:1:custom-model/gpt-4o", None),
        ("gpt-4o\u00e9", None),
    ],
)
def test_of_a_registry_a_path_or_an_arn_only_the_public_model_is_named(name: str, public_part: str | None) -> None:
    assert model_names.public_model_name(name) == public_part


@needs_source
def test_the_plugin_has_the_words_of_the_bridge() -> None:
    assert MODULE.read_text(encoding="utf-8") == module_of(json.loads(JSON_FILE.read_text(encoding="utf-8")))
