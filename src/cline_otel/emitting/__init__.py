"""What an agent that is no Cline reports of itself: typed events, through a bridge within its own process.

It is a source like Cline's, with a vocabulary of its own, but no bridge that reads Cline has it (docs/adr/0026).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

from cline_otel.places import Places
from cline_otel.sources.interface import Payload, Recorded, Source, UpstreamRecord

if TYPE_CHECKING:
    from pathlib import Path

    from cline_otel.catalogue.compiled import Catalogue
    from cline_otel.events import Event
    from cline_otel.signals import Diagnostics


class EmittedSource(Source):
    """Knows what the agent says, when it says it."""

    name = "emitted"
    reading = "events of this process"
    recordings = "none"

    def decode(self, payload: Payload, catalogue: Catalogue, diagnostics: Diagnostics) -> Iterable[Event]:
        from cline_otel.sources.records.decode import decode

        return decode(payload, catalogue, diagnostics)

    def explode(self, payload: Payload) -> Iterator[UpstreamRecord]:
        from cline_otel.sources.records.decode import explode

        return explode(payload)

    def recognises(self, content: bytes) -> bool:
        return False

    def recorded(self, path: Path, content: bytes) -> Recorded:
        return Recorded([], {})

    def where(self, places: Places) -> tuple[str, ...]:
        return ()


EMITTED: Final = EmittedSource()
