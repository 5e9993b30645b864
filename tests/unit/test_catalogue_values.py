"""Gates: a value passes, becomes ``_OTHER``, or is nothing; no part of a refused value survives."""

from __future__ import annotations

import pytest
from bench.fixed_key import CATALOGUE, KEY
from hypothesis import given
from hypothesis import strategies as st

from cline_otel.catalogue import values
from cline_otel.catalogue.values import MOST, OTHER, REDACTED
from cline_otel.privacy.pseudonyms import CUSTOM_NAME, Pseudonyms

MODEL = CATALOGUE.vocabularies["cline"].events["task.tokens"].handlers["model"][0].gate
AGENT_ID = CATALOGUE.vocabularies["cline"].events["task.tokens"].handlers["agentId"][0].gate
CALL_ID = CATALOGUE.vocabularies["cline"].events["sdk.tool_timeout"].handlers["tool_call_id"][0].gate

anything = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.text(), max_size=2)


@given(anything)
def test_a_gate_for_strings_lets_nothing_else_through(value: object) -> None:
    answer = values.one_of(frozenset({"a"}))(value)
    assert answer in ("a", OTHER, None)
    assert (answer is None) == (value is None or value in ("", "undefined", "null"))


@pytest.mark.parametrize("absent", ["", "undefined", "null", None])
def test_what_classic_writes_for_a_missing_value_is_nothing(absent: object) -> None:
    assert values.matching(".*")(absent) is None


@given(st.integers() | st.floats() | st.text(max_size=25) | st.booleans() | st.none())
def test_an_amount_is_a_whole_number_from_zero_or_nothing(value: object) -> None:
    answer = values.amount(value)
    assert answer is None or (type(answer) is int and 0 <= answer <= MOST)


@pytest.mark.parametrize(
    ("value", "answer"),
    [(5, 5), ("5", 5), (5.0, 5), (5.5, None), ("5.5", None), (True, None), (-5, None), (2**53, None), ("9" * 30, None)],
)
def test_amounts(value: object, answer: int | None) -> None:
    assert values.amount(value) == answer


@pytest.mark.parametrize(("value", "answer"), [(-1, -1), ("-1", -1), ("3", 3), (2**70, None)])
def test_a_signed_integer_may_be_negative(value: object, answer: int | None) -> None:
    assert values.integer(value) == answer


@given(anything)
def test_a_double_is_finite_or_nothing(value: object) -> None:
    answer = values.double(value)
    assert answer is None or (type(answer) is float and abs(answer) <= MOST)


@given(anything)
def test_a_boolean_is_true_or_false_or_nothing(value: object) -> None:
    assert values.boolean(value) is (value if isinstance(value, bool) else None)


@given(st.integers(-(10**20), 10**20) | st.floats())
def test_milliseconds_are_a_time_that_otlp_can_carry_or_nothing(value: object) -> None:
    answer = values.milliseconds(value)
    assert answer is None or 0 <= answer < 2**63


def test_milliseconds_keep_their_fraction() -> None:
    assert values.milliseconds(1_790_000_000_000.25) == 1_790_000_000_000_250_000


@pytest.mark.parametrize(
    "name",
    [
        "claude-sonnet-4.6", "gpt-5-mini", "anthropic/claude-sonnet-4.5", "claude-3-5-sonnet-v2@20241022",
        "llama3.2:3b",
        "us.anthropic.claude-sonnet-4-20250514-v1:0", "accounts/fireworks/models/deepseek-v3", "z-ai/glm-4.6:free",
    ],
)  # fmt: skip
def test_a_model_s_name_passes(name: str) -> None:
    assert MODEL(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "someone@somewhere.org", "https://a.host/v1", "arn:aws:bedrock:eu-west-1:123456789012:inference-profile/x",
        "/srv/models/x.gguf", "a model", "a\nb", "x" * 129, "a/b/c/d/e/f",
    ],
)  # fmt: skip
def test_what_is_no_model_s_name_does_not_pass(name: str) -> None:
    assert CUSTOM_NAME.fullmatch(str(MODEL(name)))


@pytest.mark.parametrize(
    "value", ["agent_1795358457443_0mn430", "run___xh8PrA", "run_-OZ2HV2E", "01M8254YNZCYK8RYMK53AWN6BZ"]
)
def test_an_id_that_a_machine_made_passes(value: str) -> None:
    assert AGENT_ID(value) == value


@pytest.mark.parametrize("value", ["reviewer", "alice.smith-merger", "agent_of_mine", "a/b", "a b", "x" * 1_024])
def test_an_id_that_somebody_chose_becomes_a_pseudonym(value: str) -> None:
    assert AGENT_ID(value) == Pseudonyms(KEY).of("id", value)


def test_what_is_too_long_for_an_id_does_not_pass() -> None:
    assert AGENT_ID("x" * 1_025) == OTHER


@pytest.mark.parametrize("value", ["toolu_01A09q90qw90lq917835lq9", "call_a|fc_b", "chatcmpl-tool-0f0f", "fake-0001"])
def test_a_provider_s_id_passes(value: str) -> None:
    assert CALL_ID(value) == value


@pytest.mark.parametrize("value", ["a/b", "password=correct-horse", "db01.internal.x", "toolu_a|b c", "é"])
def test_what_no_provider_made_becomes_a_pseudonym(value: str) -> None:
    assert CALL_ID(value) == Pseudonyms(KEY).of("id", value)


def test_a_key_that_begins_as_an_id_does_is_redacted() -> None:
    assert CALL_ID("call_ghp_" + "A1" * 18) == REDACTED


def test_a_list_passes_member_by_member() -> None:
    gate = values.each(values.one_of(frozenset({"stop", "error"})))
    assert gate(["stop", "a secret"]) == ("stop", OTHER)
    assert gate("stop") == ("stop",)
    assert gate([]) is None
    assert gate([None]) is None


def test_the_memory_of_a_gate_is_bounded() -> None:
    asked: list[str] = []
    gate = values.cached(lambda value: asked.append(value))
    for number in range(20_000):
        gate(str(number))
    gate("0")
    assert asked.count("0") == 2
    gate("0")
    assert asked.count("0") == 2
