"""The public prices of models, from the package ``genai-prices``.

The package carries its list with it. What it can fetch over the network it fetches only for a program that asks
for that (``UpdatePrices``), and this one does not. It is imported with the first call that has to be priced: its
list takes longer to load than most commands run.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from cline_otel.prices.table import Naming, Price, PriceTable, Rate, Rates

if TYPE_CHECKING:
    from genai_prices.types import ModelPrice

PROVIDERS: Final[dict[str, str]] = {
    "anthropic": "anthropic",
    "aws.bedrock": "aws",
    "azure.ai.openai": "azure",
    "baseten": "baseten",
    "cerebras": "cerebras",
    "cline": "openrouter",
    "databricks": "databricks",
    "deepseek": "deepseek",
    "fireworks": "fireworks",
    "gcp.gemini": "google",
    "gcp.vertex_ai": "google",
    "groq": "groq",
    "meta": "meta",
    "minimax": "minimax",
    "mistral_ai": "mistral",
    "modal": "modal",
    "moonshot": "moonshotai",
    "novita-ai": "novita",
    "openai": "openai",
    "openrouter": "openrouter",
    "ovhcloud": "ovhcloud",
    "perplexity": "perplexity",
    "together": "together",
    "x_ai": "x-ai",
    "zai": "zai",
    "zhipuai": "zhipuai",
}
"""``gen_ai.provider.name`` as the catalogue has it, and the provider's id in the package.

Cline's own provider has the models of OpenRouter under their names there. Who resells models at prices of their own,
runs them on the user's machine or sells them by the month is not listed: what nobody knows is not guessed.
"""

_MOST_MODELS: Final = 1_024
_FREE: Final = Rates(Rate(0.0), Rate(0.0))


class LibraryPrices:
    """The list that the installed release of the package carries."""

    def __init__(self) -> None:
        self._price_of_model = lru_cache(maxsize=_MOST_MODELS)(_price_of_model)

    def price(self, provider: str, model: str, at_ns: int) -> Price | None:
        """That of the provider's model, where the list has it, at that time of that day."""
        provider_id = PROVIDERS.get(provider)
        if provider_id is None or not model:
            return None
        price_at = self._price_of_model(provider_id, model)
        return price_at(at_ns) if price_at is not None else None

    def as_exported(self, provider: Naming, model: Naming) -> PriceTable:
        """Itself: public names leave as they are, and it is asked by the conventions' names of providers."""
        return self


def _price_of_model(provider_id: str, model: str) -> Callable[[int], Price | None] | None:
    """What a model costs by time; None if the list does not have it."""
    from genai_prices import __version__, types
    from genai_prices.data import providers

    # Not by the package's own look-up: that goes by whatever list the process has set since, and forgets no model.
    provider = next(each for each in providers if each.id == provider_id)
    found = provider.find_model(model, all_providers=providers)
    if found is None:
        return None
    is_free = found.id.endswith((":free", "-free"))

    def price_by(prices: types.ModelPrice) -> Price | None:
        rates = _rates_of(prices, is_free=is_free)
        return None if rates is None else Price(rates, f"genai-prices {__version__}")

    if isinstance(found.prices, types.ModelPrice):
        price = price_by(found.prices)
        return lambda at_ns: price
    # Prices may change by the date and by the hour.
    by_prices = {id(each.prices): price_by(each.prices) for each in found.prices}
    return lambda at_ns: by_prices[id(found.get_prices(datetime.fromtimestamp(at_ns / 1e9, UTC)))]


def _rates_of(price: ModelPrice, *, is_free: bool) -> Rates | None:
    """The rates for text; None where input or output has none.

    A model without any price is free if it says so; of others the list just does not know it.
    """
    if not any(value is not None for value in vars(price).values()):
        return _FREE if is_free else None
    input_rate, output_rate = _rate(price.input_mtok), _rate(price.output_mtok)
    if input_rate is None or output_rate is None:
        return None
    per_thousand = _rate(price.requests_kcount)
    return Rates(
        input_rate,
        output_rate,
        _rate(price.cache_read_mtok),
        _rate(price.cache_write_mtok),
        _rate(price.output_reasoning_mtok),
        per_thousand.usd / 1_000 if per_thousand is not None else 0.0,
    )


def _rate(price: object) -> Rate | None:
    from genai_prices.types import TieredPrices

    if isinstance(price, TieredPrices):
        return Rate(float(price.base), tuple((tier.start, float(tier.price)) for tier in price.tiers))
    return Rate(float(price)) if isinstance(price, Decimal) else None


LIBRARY: Final = LibraryPrices()
