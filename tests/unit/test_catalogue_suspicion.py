"""The second line: what looks like a key does not leave, even where an open set of strings may."""

from __future__ import annotations

import random
import string

import pytest
from bench.fixed_key import CATALOGUE

from cline_otel.catalogue.values import OTHER

HANDLERS = CATALOGUE.cline.events["task.tokens"].handlers
MODEL, AGENT = HANDLERS["model"].gate, HANDLERS["agentId"].gate


def _random(count: int, alphabet: str = string.ascii_letters + string.digits) -> str:
    return "".join(random.Random(count).choices(alphabet, k=count))


KEYS = [
    f"sk-proj-{_random(32)}",
    f"sk-ant-{_random(40)}",
    f"ghp_{_random(36)}",
    f"github_pat_{_random(30)}",
    f"AKIA{_random(16, string.ascii_uppercase + string.digits)}",
    f"AIza{_random(35)}",
    f"xoxb-{_random(24)}",
    f"eyJ{_random(20)}.{_random(30)}.{_random(20)}",
]


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("gate", [MODEL, AGENT])
def test_a_key_where_an_id_or_a_name_belongs_does_not_leave(key: str, gate: object) -> None:
    assert gate(key) == OTHER  # type: ignore[operator]
    assert gate(f"agent_{key}") == OTHER  # type: ignore[operator]


@pytest.mark.parametrize(
    "model",
    [
        "gpt-5-mini",
        "claude-sonnet-4-5-20250929",
        "anthropic/claude-opus-4.5",
        "us.anthropic.claude-3-5-sonnet-20241022-v2:0",
        "accounts/fireworks/models/llama-v3p1-405b-instruct",
        "claude-sonnet-4@20250514",
        "qwen3-coder:480b",
    ],
)
def test_names_of_models_leave(model: str) -> None:
    assert MODEL(model) == model


def test_a_random_run_is_no_name_of_a_model() -> None:
    assert MODEL(_random(40)) == OTHER


@pytest.mark.parametrize("agent", ["agent_1795358457443_0mn430", "run_U_Ofmmt8", "toolu_01A09q90qw90lq917835lq9"])
def test_ids_leave(agent: str) -> None:
    assert AGENT(agent) == agent
