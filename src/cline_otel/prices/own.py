"""A user's own price list: entries for models by provider, model and date."""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

from cline_otel.prices.table import Naming, Price, PriceTable, Rates

ANY: Final = "*"
"""Stands for any provider, and at the end of a model for whatever follows."""

_MOST_MODELS: Final = 1_024
"""Models whose entries are remembered."""


class OwnPrice(NamedTuple):
    """The rates of a model, or of all whose names begin alike, from an instant on (nanoseconds since the epoch)."""

    provider: str
    model: str
    rates: Rates
    from_ns: int = 0

    def fits(self, provider: str, model: str) -> bool:
        """Whether it prices the calls of a model, from its instant on."""
        if self.provider not in (ANY, provider):
            return False
        if self.model.endswith(ANY):
            return model.startswith(self.model.removesuffix(ANY))
        return model == self.model

    def as_exported(self, provider: Naming, model: Naming) -> OwnPrice:
        """The same for calls with other names; what stands for several names goes on to stand for what leaves."""
        return self._replace(
            provider=self.provider if self.provider == ANY else provider(self.provider),
            model=self.model if self.model.endswith(ANY) else model(self.model),
        )


class OwnPrices:
    """Entries, of which the last that fits a call counts.

    Args:
        table: the list's name and version.
        entries: in the order of the file.
    """

    def __init__(self, table: str, entries: tuple[OwnPrice, ...]) -> None:
        self._table = table
        self._last_first = entries[::-1]
        self._fitting = lru_cache(_MOST_MODELS)(self._find_fitting)

    def price(self, provider: str, model: str, at_ns: int) -> Price | None:
        """That of the last entry that fits."""
        for entry in self._fitting(provider, model):
            if at_ns >= entry.from_ns:
                return Price(entry.rates, self._table)
        return None

    def _find_fitting(self, provider: str, model: str) -> tuple[OwnPrice, ...]:
        return tuple(entry for entry in self._last_first if entry.fits(provider, model))

    def as_exported(self, provider: Naming, model: Naming) -> PriceTable:
        """The entries, renamed, in their order."""
        return OwnPrices(self._table, tuple(entry.as_exported(provider, model) for entry in self._last_first[::-1]))
