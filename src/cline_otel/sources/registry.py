"""The sources that there are. A new one stands in ``SOURCES``, and nowhere else outside its folder."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Final

from cline_otel.places import Places
from cline_otel.sources.classic_tasks import CLASSIC_TASKS
from cline_otel.sources.cline_log import CLINE_LOG
from cline_otel.sources.interface import (
    Input,
    Intake,
    Listening,
    MalformedPayload,
    Payload,
    Receiver,
    ReceiverRefused,
    Source,
    StreamReader,
)
from cline_otel.sources.json_stream import JSON_STREAM
from cline_otel.sources.kilo_code import KILO_CODE
from cline_otel.sources.otlp import OTLP
from cline_otel.sources.plugin import PLUGIN
from cline_otel.sources.roo_code import ROO_CODE
from cline_otel.sources.session_files import SESSION_FILES

if TYPE_CHECKING:
    from cline_otel.catalogue.compiled import Catalogue
    from cline_otel.catalogue.load import SourceText, Tables
    from cline_otel.events import Event
    from cline_otel.prices.table import PriceTable
    from cline_otel.privacy.policy import Policy
    from cline_otel.signals import Diagnostics


class Registry(Mapping[str, Source]):
    """Sources by name, the highest rank first."""

    def __init__(self, sources: Iterable[Source]) -> None:
        """Takes sources.

        Raises:
            ValueError: two of them have the same name.
        """
        self._sources: dict[str, Source] = {}
        for source in sources:
            if (other := self._sources.setdefault(source.name, source)) is not source:
                raise ValueError(
                    f"two sources are called {source.name}: "
                    f"{' and '.join(type(each).__qualname__ for each in (other, source))}; rename one"
                )

    def __getitem__(self, name: str) -> Source:
        return self._sources[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._sources)

    def __len__(self) -> int:
        return len(self._sources)

    def decode(self, payload: Payload, catalogue: Catalogue, diagnostics: Diagnostics) -> Iterator[Event]:
        """The events of a payload, by its source's decoder. A defect of that is counted, and ends the payload alone.

        Raises:
            MalformedPayload: nothing of it can be decoded; before the first event.
        """
        source = self._sources[payload.source]
        try:
            yield from source.decode(payload, catalogue, diagnostics)
        except MalformedPayload:
            raise
        except Exception:
            from cline_otel.signals import count

            count(diagnostics, "defect", payload.source, catalogue.sources[payload.source].piece)

    def catalogue(
        self,
        policy: Policy | None = None,
        prices: PriceTable | None = None,
        profile: str = "",
        service_name: str = "",
    ) -> Catalogue:
        """The catalogue with these sources, as the user's decisions make it, and what calls are priced by.

        Args:
            policy: the user's decisions; without any, nothing leaves but what is safe or bounded.
            prices: what calls are priced by; without any, no cost is computed.
            profile: the one whose names are exported; empty for the default one.
            service_name: what the user calls all that is exported; empty where sources may have services of their own.

        Raises:
            CatalogueError: a file contradicts itself, another or the order of the sources.
        """
        from cline_otel.catalogue.load import load
        from cline_otel.catalogue.profiles import DEFAULT_PROFILE
        from cline_otel.prices.table import NoPrices
        from cline_otel.privacy.policy import Policy

        self._check_order()
        return load(
            Policy() if policy is None else policy,
            self._texts,
            NoPrices() if prices is None else prices,
            profile or DEFAULT_PROFILE,
            service_name,
        )

    @property
    def tables(self) -> Tables:
        """The catalogue's files with these sources'; enough where only names are asked for.

        Raises:
            CatalogueError: a file contradicts itself, another or the order of the sources.
        """
        self._check_order()
        return self._tables

    @property
    def recordings(self) -> list[str]:
        """What recordings there are, in words, sorted."""
        return sorted((source.recordings for source in self.values()), key=str.casefold)

    def inputs(self, places: Places) -> list[Input]:
        """All that is to be polled, the inputs of the highest rank first."""
        return [each for source in self.values() for each in source.inputs(places)]

    def receivers(self, listening: Listening, intake: Intake, report: Callable[[str], None]) -> tuple[Receiver, ...]:
        """What listens for the one source that is sent, if there is such.

        Raises:
            ReceiverRefused: there are several.
        """
        made = {name: source.receivers(listening, intake, report) for name, source in self.items()}
        receivers = {name: of_source for name, of_source in made.items() if of_source}
        if len(receivers) > 1:
            addresses = " and ".join(f"{each.host}:{each.port}" for each in listening.addresses.values())
            raise ReceiverRefused(
                f"the sources {' and '.join(receivers)} would all listen on {addresses}: "
                "one of them can; leave the others out of the registry"
            )
        return next(iter(receivers.values()), ())

    def stream_readers(self, places: Places, policy: Policy) -> list[StreamReader]:
        """What reads a stream that goes through this process."""
        readers = (source.stream_reader(places, policy) for source in self.values())
        return [reader for reader in readers if reader is not None]

    def reads(self, places: Places) -> list[str]:
        """What is read, and where, for people."""
        return [f"{source.reading} {where}" for source in self.values() for where in source.where(places)]

    @property
    def _tables(self) -> Tables:
        from cline_otel.catalogue.load import read_tables

        return read_tables(self._texts)

    def _check_order(self) -> None:
        from cline_otel.catalogue.load import CatalogueError

        by_rank = list(self._tables.sources)
        if by_rank != list(self):
            raise CatalogueError(f"sources/registry.py: not in order of rank, which is {', '.join(by_rank)}")

    @cached_property
    def _texts(self) -> tuple[SourceText, ...] | None:
        """None for the built-in sources, so that their catalogue is compiled once however it is asked for."""
        from cline_otel.catalogue.load import built_in_sources

        texts = tuple(source.catalogue_text() for source in self.values())
        return None if set(texts) == set(built_in_sources()) else texts


SOURCES: Final = Registry((PLUGIN, SESSION_FILES, CLASSIC_TASKS, ROO_CODE, KILO_CODE, CLINE_LOG, OTLP, JSON_STREAM))
