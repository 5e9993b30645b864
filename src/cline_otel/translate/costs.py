"""What a model call cost: as Cline reports it, else as the price list has it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from cline_otel.events import AttributeValue
from cline_otel.prices.table import PriceTable, Tokens
from cline_otel.translate.conventions import number

COST_BASES: Final = ("reported", "computed")
"""The values of ``cline.cost.basis``."""

_INPUT = "gen_ai.usage.input_tokens"
_CACHE_READ = "gen_ai.usage.cache_read.input_tokens"
_CACHE_WRITE = "gen_ai.usage.cache_creation.input_tokens"
_OUTPUT = "gen_ai.usage.output_tokens"
_REASONING = "gen_ai.usage.reasoning.output_tokens"


def add_cost(values: dict[str, AttributeValue], tokens: Tokens, prices: PriceTable, occurred_at_ns: int) -> int:
    """Puts what a call cost among its attributes, and on what basis; returns how many of its tokens have no price.

    Those are all of them, or 0.

    A reported amount counts, and what is computed stands beside it. A reported 0 counts only where the list says that
    the model is free: Cline's own list has 0 for what it does not know (``toModelInfo`` of its live catalogue). Of a
    call without usage there is nothing to compute.
    """
    used = sum(tokens)
    provider, model = values.get("gen_ai.provider.name"), values.get("gen_ai.request.model")
    price = None
    if used and isinstance(provider, str) and isinstance(model, str):
        price = prices.price(provider, model, occurred_at_ns)
    computed_usd = price.rates.cost_usd(tokens) if price is not None else None
    if used and values.get("cline.cost_usd") == 0 and computed_usd != 0:
        del values["cline.cost_usd"]
    reported = isinstance(values.get("cline.cost_usd"), float)
    if reported:
        values["cline.cost.basis"] = "reported"
    if price is None or computed_usd is None:
        return 0 if reported else used
    values["cline.cost.prices"] = price.table
    if reported:
        values["cline.cost.computed_usd"] = computed_usd
    else:
        values["cline.cost_usd"] = computed_usd
        values["cline.cost.basis"] = "computed"
    return 0


def disjoint_tokens(values: Mapping[str, AttributeValue]) -> Tokens:
    """A call's tokens, each counted once, so that they add up to the inclusive counts.

    The conventions' input includes the cache and their output the reasoning; a part that is larger than its whole
    is cut to it.
    """
    whole_input, whole_output = number(values.get(_INPUT)), number(values.get(_OUTPUT))
    read, written, reasoned = values.get(_CACHE_READ), values.get(_CACHE_WRITE), values.get(_REASONING)
    cache_read = min(number(read), whole_input) if read else 0
    cache_write = min(number(written), whole_input - cache_read) if written else 0
    reasoning = min(number(reasoned), whole_output) if reasoned else 0
    return Tokens(whole_input - cache_read - cache_write, cache_read, cache_write, whole_output - reasoning, reasoning)


TOKEN_TYPES: Final = ("input_uncached", "cache_read", "cache_write", "output", "reasoning")
"""The values of ``cline.token.type`` in the order of ``Tokens``."""
