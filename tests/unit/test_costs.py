"""What a call cost, on what basis, and how amounts and tokens add up over agents and prompts."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, Final

import pytest
from bench.fixed_key import recording_of
from hypothesis import given
from hypothesis import strategies as st

from cline_otel.catalogue.load import load
from cline_otel.events import AttributeValue, Event, tick
from cline_otel.prices.own import OwnPrice, OwnPrices
from cline_otel.prices.table import Rate, Rates, Tokens
from cline_otel.privacy.policy import Policy
from cline_otel.replay import ReplayResult, replay
from cline_otel.signals import StepOutput
from cline_otel.translate.costs import add_cost, disjoint_tokens
from cline_otel.translate.state import State
from cline_otel.translate.step import Translator
from corpus import CAPTURES, SECOND_NS, capture_paths, event_of

START_NS: Final = 1_790_000_000 * SECOND_NS
M = 1_000_000
RATES = Rates(Rate(3.0, ((200_000, 6.0),)), Rate(15.0), Rate(0.3), Rate(3.75))
PRICES = OwnPrices(
    "own 1", (OwnPrice("anthropic", "claude*", RATES), OwnPrice("*", "free", Rates(Rate(0.0), Rate(0.0))))
)
CATALOGUE = load(prices=PRICES)
INPUT, OUTPUT = "gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens"
READ, WRITE = "gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_creation.input_tokens"
REASONING = "gen_ai.usage.reasoning.output_tokens"
CLAUDE: Final = {"gen_ai.provider.name": "anthropic", "gen_ai.request.model": "claude-1"}
USAGE: Final = {INPUT: 9_000, READ: 4_000, WRITE: 3_000, OUTPUT: 412, REASONING: 12}
USD: Final = (2_000 * 3 + 4_000 * 0.3 + 3_000 * 3.75 + 412 * 15) / M


def event(
    kind: str, seconds: float, run: str = "a/r", source: str = "plugin", session_id: str = "s", **more: Any
) -> Event:
    agent_id, _, run_id = run.partition("/")
    attributes = more.pop("attributes", {}) | {key: more.pop(key) for key in list(more) if key != "iteration"}
    at_ns = START_NS + round(seconds * SECOND_NS)
    iteration = more.get("iteration", 1)
    return event_of(kind, source, at_ns, kind, session_id, agent_id, run_id, iteration, "", "p", attributes)


def call(seconds: float, run: str = "a/r", iteration: int = 1, **values: AttributeValue) -> list[Event]:
    names = {key: value for key, value in values.items() if value is not None}
    return [
        event("model_call.started", seconds, run, iteration=iteration, attributes=CLAUDE),
        event("model_call.finished", seconds + 0.5, run, iteration=iteration, attributes=USAGE | names),
    ]


def translated(*steps: Event) -> StepOutput:
    translator = Translator(CATALOGUE, claim_wait_ns=0)
    for step in (tick(START_NS), *steps):
        translator.step(step)
    return translator.take()


def sums(outputs: StepOutput, metric: str, by: str) -> dict[object, float]:
    counted: Counter[object] = Counter()
    for delta in outputs.metrics:
        if delta.metric == metric:
            counted[dict(delta.attributes).get(by)] += delta.value  # type: ignore[assignment]
    return dict(counted)


def of_run(*calls: Event) -> StepOutput:
    return translated(event("run.started", 0), *calls, event("run.finished", 90))


def test_what_cline_reports_counts_and_what_is_computed_stands_beside_it() -> None:
    outputs = of_run(*call(1, **{"cline.cost_usd": 0.5}))
    chat = dict(outputs.spans[0].attributes)
    assert (chat["cline.cost_usd"], chat["cline.cost.basis"], chat["cline.cost.prices"]) == (0.5, "reported", "own 1")
    assert chat["cline.cost.computed_usd"] == pytest.approx(USD)
    assert sums(outputs, "cline.cost", "cline.cost.basis") == {"reported": 0.5}
    assert sums(outputs, "cline.cost.computed", "gen_ai.request.model") == {"claude-1": pytest.approx(USD)}
    assert sums(outputs, "cline.tokens.unpriced", "gen_ai.request.model") == {}


def test_where_cline_reports_nothing_the_computed_amount_counts() -> None:
    outputs = of_run(*call(1))
    chat = dict(outputs.spans[0].attributes)
    assert chat["cline.cost_usd"] == pytest.approx(USD)
    assert (chat["cline.cost.basis"], chat["cline.cost.prices"]) == ("computed", "own 1")
    assert "cline.cost.computed_usd" not in chat
    assert sums(outputs, "cline.cost", "cline.cost.basis") == {"computed": pytest.approx(USD)}
    assert sums(outputs, "cline.cost.computed", "gen_ai.request.model") == {}


def test_a_reported_zero_is_an_amount_where_the_list_says_that_the_model_is_free() -> None:
    outputs = of_run(*call(1, **{"gen_ai.request.model": "free", "cline.cost_usd": 0.0}))
    chat = dict(outputs.spans[0].attributes)
    assert (chat["cline.cost_usd"], chat["cline.cost.basis"], chat["cline.cost.computed_usd"]) == (0.0, "reported", 0.0)
    assert dict(outputs.spans[1].attributes)["cline.cost_usd"] == 0.0
    assert sums(outputs, "cline.cost", "cline.cost.basis") == {"reported": 0.0}
    assert sums(outputs, "cline.tokens.unpriced", "gen_ai.request.model") == {}


def test_a_reported_zero_of_a_model_that_has_a_price_is_no_amount_and_one_is_computed() -> None:
    outputs = of_run(*call(1, **{"cline.cost_usd": 0.0}))
    chat = dict(outputs.spans[0].attributes)
    assert (chat["cline.cost_usd"], chat["cline.cost.basis"]) == (pytest.approx(USD), "computed")
    assert "cline.cost.computed_usd" not in chat
    assert sums(outputs, "cline.cost", "cline.cost.basis") == {"computed": pytest.approx(USD)}
    assert prompt_of(outputs)["cost_usd"] == pytest.approx(USD)


def test_a_reported_zero_of_a_model_that_no_list_has_leaves_its_tokens_unpriced() -> None:
    outputs = of_run(*call(1, **{"gen_ai.request.model": "mine", "cline.cost_usd": 0.0}))
    assert not any(name.startswith("cline.cost") for span in outputs.spans for name, _ in span.attributes)
    assert sums(outputs, "cline.cost", "cline.cost.basis") == {}
    assert sums(outputs, "cline.tokens.unpriced", "gen_ai.request.model") == {"mine": 9_412}


def test_a_call_without_tokens_costs_the_zero_that_is_reported() -> None:
    outputs = of_run(
        event("model_call.started", 1, attributes=CLAUDE),
        event("model_call.finished", 2, attributes={INPUT: 0, OUTPUT: 0, "cline.cost_usd": 0.0}),
    )
    assert sums(outputs, "cline.cost", "cline.cost.basis") == {"reported": 0.0}


def test_an_amount_that_is_journalled_stays_when_the_list_changes() -> None:
    dearer = OwnPrices("own 2", (OwnPrice("anthropic", "claude*", Rates(Rate(1_000.0), Rate(1_000.0))),))
    before = Translator(CATALOGUE, claim_wait_ns=0)
    for step in (tick(START_NS), event("run.started", 0), *call(1)):
        before.step(step)
    journalled = before.take()
    rows = [(key, row) for key, row in before.state.changes().items() if row is not None]
    after = Translator(load(prices=dearer), State.restore(rows), claim_wait_ns=0)
    for step in (*call(2, iteration=2), event("run.finished", 90)):
        after.step(step)
    chat, root = (dict(span.attributes) for span in after.take().spans)
    assert dict(journalled.spans[0].attributes)["cline.cost.prices"] == "own 1"
    assert chat["cline.cost.prices"] == "own 2"
    assert chat["cline.cost_usd"] == pytest.approx(9.412)
    assert root["cline.cost_usd"] == root["cline.prompt.cost_usd"] == pytest.approx(USD + 9.412)


def test_a_free_model_has_a_computed_amount_of_zero() -> None:
    outputs = of_run(*call(1, **{"gen_ai.request.model": "free"}))
    assert sums(outputs, "cline.cost", "cline.cost.basis") == {"computed": 0.0}
    assert sums(outputs, "cline.tokens.unpriced", "gen_ai.request.model") == {}


def test_tokens_without_a_price_are_counted() -> None:
    outputs = of_run(*call(1, **{"gen_ai.request.model": "mine"}))
    assert sums(outputs, "cline.cost", "cline.cost.basis") == {}
    assert sums(outputs, "cline.tokens.unpriced", "gen_ai.request.model") == {"mine": 9_412}
    chat, run = (dict(span.attributes) for span in outputs.spans)
    assert not any(name.startswith("cline.cost") for name in chat)
    assert run["cline.prompt.unpriced_tokens"] == 9_412
    assert "cline.prompt.cost_usd" not in run


def test_an_excluded_cost_is_not_computed_in_its_place() -> None:
    policy = Policy(excluded=frozenset({"cline.cost_usd"}))
    result = replay(recording_of([CAPTURES / "plugin_parallel_anthropic"]), load(policy, prices=PRICES))
    assert {each.metric for each in result.totals if each.metric.startswith(("cline.cost", "cline.tokens"))} == {
        "cline.tokens"
    }
    assert not [n for span in result.spans for n, _ in span.attributes if "cost" in n]


def test_a_call_without_usage_costs_nothing_and_lacks_nothing() -> None:
    outputs = of_run(event("model_call.started", 1, attributes=CLAUDE), event("model_call.finished", 2))
    assert not [delta.metric for delta in outputs.metrics if delta.metric.startswith(("cline.cost", "cline.tokens"))]


def test_a_call_of_classic_cline_is_priced_too() -> None:
    """It has no runs, so there is nothing but metrics."""
    usage = event("model_call.usage", 1, run="", source="otlp", session_id="", attributes=CLAUDE | USAGE)
    outputs = translated(usage)
    assert sums(outputs, "cline.cost", "cline.cost.basis") == {"computed": pytest.approx(USD)}
    assert sums(outputs, "cline.tokens", "cline.token.type")["output"] == 400


def test_tokens_by_type_are_disjoint() -> None:
    outputs = of_run(*call(1))
    assert sums(outputs, "cline.tokens", "cline.token.type") == {
        "input_uncached": 9_000 - 4_000 - 3_000,
        "cache_read": 4_000,
        "cache_write": 3_000,
        "output": 412 - 12,
        "reasoning": 12,
    }


counts = st.one_of(st.none(), st.integers(0, 2**40))


@given(counts, counts, counts, counts, counts)
def test_disjoint_tokens_add_up_to_the_inclusive_counts_whatever_is_reported(
    sent: int | None, read: int | None, written: int | None, received: int | None, reasoned: int | None
) -> None:
    pairs = zip((INPUT, READ, WRITE, OUTPUT, REASONING), (sent, read, written, received, reasoned), strict=True)
    tokens = disjoint_tokens({name: count for name, count in pairs if count is not None})
    assert min(tokens) >= 0
    assert (sum(tokens[:3]), tokens.output + tokens.reasoning) == (sent or 0, received or 0)


@given(st.dictionaries(st.sampled_from([INPUT, READ, WRITE, OUTPUT, REASONING]), st.integers(0, 2**40)), st.booleans())
def test_a_call_has_one_amount_or_all_of_its_tokens_lack_a_price(counts: dict[str, int], is_known: bool) -> None:
    model: dict[str, AttributeValue] = dict(CLAUDE) if is_known else {}
    values = model | counts
    unpriced = add_cost(values, disjoint_tokens(counts), PRICES, START_NS)
    used = counts.get(INPUT, 0) + counts.get(OUTPUT, 0)
    assert unpriced == (0 if is_known else used)
    assert ("cline.cost_usd" in values) == (is_known and used > 0)
    assert values.get("cline.cost_usd", 0.0) == (RATES.cost_usd(disjoint_tokens(counts)) if is_known and used else 0.0)


def test_a_call_past_a_tier_s_bound_is_dearer_as_a_whole() -> None:
    assert RATES.cost_usd(Tokens(199_999, 1)) == pytest.approx((199_999 * 3 + 1 * 0.3) / M)
    assert RATES.cost_usd(Tokens(200_000, 1)) == pytest.approx((200_000 * 6 + 1 * 0.3) / M)


# --- the whole prompt -------------------------------------------------------------------------------------


def spawned(seconds: float, run: str, parent: str) -> Event:
    agent_id, _, run_id = parent.partition("/")
    attributes = {"parent_agent_id": agent_id, "parent_run_id": run_id, "agent_kind": "subagent"}
    return event("run.started", seconds, run, attributes=attributes)


def prompt_of(outputs: StepOutput) -> dict[str, AttributeValue]:
    (root,) = (span for span in outputs.spans if not span.parent_span_id)
    return {n.removeprefix("cline.prompt."): v for n, v in root.attributes if n.startswith("cline.prompt.")}


def test_the_root_has_the_sums_of_its_prompt_and_a_subagent_has_none() -> None:
    outputs = translated(
        event("run.started", 0),
        *call(1, **{"cline.cost_usd": 0.5}),
        spawned(2, "b/q", "a/r"),
        *call(3, "b/q"),
        spawned(4, "c/p", "b/q"),
        *call(5, "c/p", **{"gen_ai.request.model": "mine"}),
        event("tool_call.started", 6, "c/p", ordinal=0),
        event("tool_call.finished", 7, "c/p", ordinal=0, attributes={"gen_ai.tool.name": "editor"}),
        event("run.finished", 8, "c/p"),
        event("run.finished", 9, "b/q"),
        event("run.finished", 10),
    )
    assert prompt_of(outputs) == {
        "model_calls": 3,
        "tool_calls": 1,
        "input_tokens": 3 * 9_000,
        "output_tokens": 3 * 412,
        "cost_usd": pytest.approx(0.5 + USD),
        "unpriced_tokens": 9_412,
    }
    root = next(dict(span.attributes) for span in outputs.spans if not span.parent_span_id)
    assert (root["cline.run.model_calls"], root["cline.run.tool_calls"], root["cline.cost_usd"]) == (1, 0, 0.5)
    nested = [dict(span.attributes) for span in outputs.spans if span.name.startswith("invoke") and span.parent_span_id]
    assert len(nested) == 2
    assert not [name for values in nested for name in values if name.startswith("cline.prompt.")]


def test_what_comes_after_the_root_is_closed_is_not_in_its_sums() -> None:
    outputs = translated(
        event("run.started", 0), spawned(1, "b/q", "a/r"), event("run.finished", 2), *call(3, "b/q"),
        event("run.finished", 4, "b/q"),
    )  # fmt: skip
    assert prompt_of(outputs)["model_calls"] == 0
    assert sums(outputs, "cline.cost", "cline.cost.basis") == {"computed": pytest.approx(USD)}


def test_cost_is_by_the_mode_of_the_prompt_that_it_was_for_subagents_calls_among_it() -> None:
    outputs = translated(
        event("run.started", 0, attributes={"cline.mode": "plan"}),
        *call(1, **{"cline.cost_usd": 0.5}),
        spawned(2, "b/q", "a/r"),
        *call(3, "b/q", **{"cline.cost_usd": 0.25}),
        event("run.finished", 4),
        *call(5, "b/q", iteration=2, **{"cline.cost_usd": 0.125}),
        event("run.finished", 6, "b/q"),
        event("run.started", 7, "d/r", session_id="t"),
        *call(8, "d/r", **{"cline.cost_usd": 1.0}),
        event("run.finished", 9, "d/r"),
    )
    assert sums(outputs, "cline.cost", "cline.mode") == {"plan": 0.875, None: 1.0}


def test_of_a_closed_run_only_what_later_calls_of_its_prompt_ask_for_is_kept() -> None:
    translator = Translator(CATALOGUE, claim_wait_ns=0)
    said = {"cline.mode": "plan", "cline.version": "3.0.65"}
    steps = (event("run.started", 0, attributes=said), *call(1), event("run.finished", 4))
    for step in (tick(START_NS), *steps):
        translator.step(step)
    (run,) = translator.state.runs.values()
    assert run.attributes == {"cline.mode": "plan"}
    assert (run.model_calls, run.tool_calls, run.span_events, run.buffered) == ({}, [], [], [])


@pytest.mark.parametrize("source", ["plugin", "cline-log", "otlp"])
def test_a_prompt_s_sums_are_the_same_whoever_tells_it(source: str) -> None:
    """The log and OTLP know of a subagent's calls what they used, though not whose they were."""
    result = replay(recording_of([CAPTURES / "subagents_plugin"], source), CATALOGUE)
    prompt = prompt_of(StepOutput(spans=result.spans))
    assert prompt["model_calls"] == 11
    assert prompt["cost_usd"] == pytest.approx(0.18924)
    assert prompt["tool_calls"] == 8


def total(result: ReplayResult, metric: str) -> float:
    return sum(each.sum for each in result.totals if each.metric == metric)


def spent(result: ReplayResult, operation: str, name: str) -> float:
    spans = [dict(span.attributes) for span in result.spans if span.name.startswith(operation)]
    return sum(float(str(values[name])) for values in spans if name in values)


@pytest.mark.parametrize("path", capture_paths(), ids=lambda path: path.name)
def test_in_every_recording_tokens_by_type_are_the_tokens_and_spans_cost_no_more_than_the_metric_says(
    path: Path,
) -> None:
    """Spans may cost less: the log and OTLP know calls of subagents that have no span, and classic Cline has none."""
    result = replay(recording_of([path]), CATALOGUE)
    assert total(result, "cline.tokens") == total(result, "gen_ai.client.token.usage")
    assert total(result, "cline.tokens.unpriced") <= total(result, "cline.tokens")
    of_all = total(result, "cline.cost") + 1e-9
    assert spent(result, "chat ", "cline.cost_usd") <= of_all
    assert spent(result, "invoke_agent ", "cline.prompt.cost_usd") <= of_all


@pytest.mark.parametrize("name", ["plugin_parallel_anthropic", "subagents_plugin"])
def test_where_the_plugin_tells_calls_prompts_and_the_metric_cost_the_same(name: str) -> None:
    result = replay(recording_of([CAPTURES / name], "plugin"), CATALOGUE)
    of_all = total(result, "cline.cost")
    assert of_all > 0
    assert spent(result, "chat ", "cline.cost_usd") == pytest.approx(of_all, abs=1e-9)
    assert spent(result, "invoke_agent ", "cline.prompt.cost_usd") == pytest.approx(of_all, abs=1e-9)
