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


@needs_source
def test_the_plugin_has_the_words_of_the_bridge() -> None:
    assert MODULE.read_text(encoding="utf-8") == module_of(json.loads(JSON_FILE.read_text(encoding="utf-8")))
