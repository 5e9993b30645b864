"""The sources that there are. A new one stands in ``SOURCES``, and nowhere else outside its folder."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Final

from cline_otel.places import Places
from cline_otel.sources.cline_log import CLINE_LOG
from cline_otel.sources.interface import Input, Payload, Source
from cline_otel.sources.otlp import OTLP
from cline_otel.sources.plugin import PLUGIN

if TYPE_CHECKING:
    from cline_otel.catalogue.compiled import Catalogue
    from cline_otel.catalogue.load import SourceText, Tables
    from cline_otel.events import Event
    from cline_otel.privacy.policy import Policy
    from cline_otel.signals import Diagnostics


class Registry(Mapping[str, Source]):
    """Sources by name, the highest rank first."""

    def __init__(self, sources: Iterable[Source]) -> None:
        self._sources = {source.name: source for source in sources}

    def __getitem__(self, name: str) -> Source:
        return self._sources[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._sources)

    def __len__(self) -> int:
        return len(self._sources)

    def decode(self, payload: Payload, catalogue: Catalogue, diagnostics: Diagnostics) -> Iterable[Event]:
        """The events of a payload, by its source's decoder.

        Raises:
            MalformedPayload: nothing of it can be decoded.
        """
        return self._sources[payload.source].decode(payload, catalogue, diagnostics)

    def catalogue(self, policy: Policy | None = None) -> Catalogue:
        """The catalogue with these sources, as the user's decisions make it.

        Raises:
            CatalogueError: a file contradicts itself, another or the order of the sources.
        """
        from cline_otel.catalogue.load import load
        from cline_otel.privacy.policy import Policy

        self._check_order()
        return load(Policy() if policy is None else policy, self._texts)

    @property
    def tables(self) -> Tables:
        """The catalogue's files with these sources'; enough where only names are asked for.

        Raises:
            CatalogueError: a file contradicts itself, another or the order of the sources.
        """
        self._check_order()
        return self._tables

    def inputs(self, places: Places) -> list[Input]:
        """All that is to be polled, the inputs of the highest rank first."""
        return [each for source in self.values() for each in source.inputs(places)]

    def reads(self, places: Places) -> list[str]:
        """What is read, and where, for people."""
        found = ((source.reading, source.where(places)) for source in self.values())
        return [f"{reading} {where}" for reading, where in found if where is not None]

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


SOURCES: Final = Registry((PLUGIN, CLINE_LOG, OTLP))
