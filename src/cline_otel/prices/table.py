"""What a price list is, and what a call costs by it. Pure: no clock, no file, no network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

TOKENS_PER_RATE: Final = 1_000_000

Naming = Callable[[str], str]
"""From a name as Cline has it to the one that leaves, such as that of the conventions or a pseudonym."""


class Tokens(NamedTuple):
    """The tokens of one call, each counted once."""

    input_uncached: int = 0
    cache_read: int = 0
    cache_write: int = 0
    output: int = 0
    reasoning: int = 0


class Rate(NamedTuple):
    """US dollars per million tokens: ``usd``, or that of the last of ``tiers`` that the call's input exceeds.

    A tier is (input tokens, US dollars), in ascending order. Past its bound it counts for all tokens of the call, as
    providers bill it, not for those above the bound alone.
    """

    usd: float
    tiers: tuple[tuple[int, float], ...] = ()

    def of(self, input_tokens: int) -> float:
        """US dollars per million tokens of a call with so many input tokens."""
        usd = self.usd
        for above, dearer in self.tiers:
            if input_tokens <= above:
                break
            usd = dearer
        return usd


class Rates(NamedTuple):
    """What a model's tokens cost; ``request_usd`` is what a call costs besides, US dollars.

    What has no rate of its own costs what it is part of: tokens of the cache cost what input does, reasoning what
    output does.
    """

    input: Rate
    output: Rate
    cache_read: Rate | None = None
    cache_write: Rate | None = None
    reasoning: Rate | None = None
    request_usd: float = 0.0

    def cost_usd(self, tokens: Tokens) -> float:
        """What a call with these tokens costs, US dollars."""
        uncached, read, written, output, reasoning = tokens
        size = uncached + read + written
        total = uncached * self.input.of(size) + output * self.output.of(size)
        if read:
            total += read * (self.cache_read or self.input).of(size)
        if written:
            total += written * (self.cache_write or self.input).of(size)
        if reasoning:
            total += reasoning * (self.reasoning or self.output).of(size)
        return total / TOKENS_PER_RATE + self.request_usd


class Price(NamedTuple):
    """What a price list says of a model at a time, and the list's name and version."""

    rates: Rates
    table: str


class PriceTable(Protocol):
    """A price list. The same question has the same answer for as long as it lives."""

    def __hash__(self) -> int:
        """Catalogues are kept by what they were made of."""

    def price(self, provider: str, model: str, at_ns: int) -> Price | None:
        """What a model's tokens cost.

        Args:
            provider: ``gen_ai.provider.name`` as the catalogue has it.
            model: ``gen_ai.request.model``.
            at_ns: when the call ended, nanoseconds since the Unix epoch.

        Returns:
            None if the list does not know.
        """

    def as_exported(self, provider: Naming, model: Naming) -> PriceTable:
        """The same list for calls whose providers and models have been renamed so."""


class NoPrices(NamedTuple):
    """A price list that knows nothing."""

    def as_exported(self, provider: Naming, model: Naming) -> PriceTable:
        """Itself: it has no names."""
        return self

    def price(self, provider: str, model: str, at_ns: int) -> Price | None:
        """Never any."""
        return None


class FirstKnown(NamedTuple):
    """Price lists, of which the first that knows a model counts."""

    tables: tuple[PriceTable, ...]

    def as_exported(self, provider: Naming, model: Naming) -> PriceTable:
        """Each of them, renamed."""
        return FirstKnown(tuple(table.as_exported(provider, model) for table in self.tables))

    def price(self, provider: str, model: str, at_ns: int) -> Price | None:
        """That of the first list that knows one."""
        for table in self.tables:
            price = table.price(provider, model, at_ns)
            if price is not None:
                return price
        return None
