"""What the OTLP receivers have in common: where they listen, whom they let in, and what a sender may use."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable
from typing import ClassVar

from cline_otel.sources.interface import Intake, ReceiverProtocol
from cline_otel.sources.otlp.limits import MemoryBudget, ReceiverLimits
from cline_otel.sources.otlp.listening import DEFAULT_HOST, addresses_of, url_of
from cline_otel.sources.otlp.requests import Requests
from cline_otel.sources.otlp.senders import Senders


class OtlpReceiver(ABC):
    """Listens for OTLP and hands log records to the pipeline.

    Args:
        intake: takes the requests.
        source: the source's name.
        host: a name or an address; without a token only one that leads to this machine alone.
        port: 0 for any free one.
        bearer_token: if set, every request must carry it.
        further_hosts: names, besides its own, by which senders reach the receiver; only HTTP asks for one.
        limits: what a sender may use.
        budget: of the memory for bodies, where receivers share it.
        senders: looks whose processes may send, where receivers share it.
        report: takes one line about a defect that a request ran into, without anything of the request.
    """

    protocol: ClassVar[ReceiverProtocol]

    def __init__(
        self,
        intake: Intake,
        source: str,
        *,
        host: str = DEFAULT_HOST,
        port: int,
        bearer_token: str | None = None,
        further_hosts: frozenset[str] = frozenset(),
        limits: ReceiverLimits | None = None,
        budget: MemoryBudget | None = None,
        report: Callable[[str], None] = lambda line: None,
        senders: Senders | None = None,
    ) -> None:
        self.host = host
        self.port = port
        self.refusals: Counter[int] = Counter()
        """Refused requests since the start, by HTTP status or gRPC status; without those that gRPC itself refuses."""
        self._requests = Requests(intake, source, bearer_token, report)
        self._senders = senders or Senders(are_asked_for_a_token=bearer_token is not None, report=report)
        self._bearer_token = bearer_token
        self._further_hosts = frozenset(name.lower() for name in further_hosts)
        self._limits = limits or ReceiverLimits()
        self._budget = budget or MemoryBudget(self._limits.held_bytes)

    @property
    def endpoint(self) -> str:
        """The base URL; its port is the bound one once the receiver has started."""
        return url_of(self.host, self.port)

    def turned_away(self) -> tuple[str, ...]:
        """Which users were refused, and how often, in lines for people."""
        return self._senders.lines()

    async def start(self) -> None:
        """Listen.

        Raises:
            ReceiverRefused: it would be open to others without a token, or the address can't be used.
        """
        await self._listen(await addresses_of(self.protocol, self.host, self.port, self._bearer_token))

    @abstractmethod
    async def _listen(self, addresses: list[str]) -> None:
        """Listen on these, on one port."""

    @abstractmethod
    async def stop(self, grace_seconds: float = 5) -> None:
        """Accept no more, let what is in progress finish within that time, then close every connection."""
