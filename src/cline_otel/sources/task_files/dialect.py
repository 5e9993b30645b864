"""What one program's task files have that another's do not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from cline_otel.sources.conversations.messages import Message, amount


class Usage(NamedTuple):
    """Tokens and cost of one request; input includes the cache, cost is in US dollars. None for what is not known."""

    input_tokens: int | float | None = None
    output_tokens: int | float | None = None
    cache_read_tokens: int | float | None = None
    cache_write_tokens: int | float | None = None
    cost_usd: int | float | None = None

    @property
    def is_known(self) -> bool:
        """Zero everywhere is what is written where nothing is known."""
        return bool(self.input_tokens or self.output_tokens)


class Client(NamedTuple):
    """What runs the agent, by the name that it is known by, and its version; empty where it is not known."""

    name: str = ""
    version: str = ""


class Dialect(NamedTuple):
    """A program that keeps task files.

    Attributes:
        tools: names of its tools.
        usage: what a request used, from the JSON in its ``api_req_started``.
        was_asked: whether the user was asked about a tool, from the message that shows it; None if it does not say.
        model: the model and its provider, as the text around a prompt has them; empty where it does not.
        client: the name of what runs the agent, where its files do not say it.
    """

    tools: frozenset[str]
    usage: Callable[[Mapping[str, object]], Usage]
    was_asked: Callable[[Message], bool | None]
    model: Callable[[str], tuple[str, str]]
    client: str


def disjoint_usage(given: Mapping[str, object]) -> Usage:
    """What was used where the cache is counted apart from the input."""
    read, written = amount(given.get("cacheReads")), amount(given.get("cacheWrites"))
    uncached = amount(given.get("tokensIn"))
    known = [each for each in (uncached, read, written) if each is not None]
    return Usage(
        sum(known) if known else None, amount(given.get("tokensOut")), read, written, amount(given.get("cost"))
    )


def inclusive_usage(given: Mapping[str, object]) -> Usage:
    """What was used where the input includes the cache."""
    return disjoint_usage(given)._replace(input_tokens=amount(given.get("tokensIn")))
