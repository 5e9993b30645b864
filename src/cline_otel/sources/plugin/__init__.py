"""The plugin source: the spool that the Cline plugin writes, one append-only file of JSON lines for each process."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

from cline_otel.places import Places
from cline_otel.sources.interface import Input, Payload, Recorded, Source, UpstreamRecord
from cline_otel.state_directory import SPOOL_DIRECTORY_NAME

if TYPE_CHECKING:
    from pathlib import Path

    from cline_otel.catalogue.compiled import Catalogue
    from cline_otel.events import Event
    from cline_otel.signals import Diagnostics


class PluginSource(Source):
    """Knows every agent and call with its real outcome, and claims a session before its first run starts."""

    name = "plugin"
    reading = "plugin spool"
    recordings = "a spool file"

    def decode(self, payload: Payload, catalogue: Catalogue, diagnostics: Diagnostics) -> Iterable[Event]:
        from cline_otel.sources.records.decode import decode

        return decode(payload, catalogue, diagnostics)

    def explode(self, payload: Payload) -> Iterator[UpstreamRecord]:
        from cline_otel.sources.records.decode import explode

        return explode(payload)

    def recognises(self, content: bytes) -> bool:
        from cline_otel.sources.files.lines import first_object

        return {"event", "time_unix_ms"} <= first_object(content).keys()

    def recorded(self, path: Path, content: bytes) -> Recorded:
        process = path.stem.rpartition("-")[0] or path.stem
        return Recorded([Payload(self.name, content.split(b"\n"), writer=process)], {})

    def recordings_in(self, folder: Path) -> Iterable[Path]:
        return sorted((folder / SPOOL_DIRECTORY_NAME).glob("*.jsonl"))

    def where(self, places: Places) -> tuple[str, ...]:
        return (str(places.state_directory / SPOOL_DIRECTORY_NAME),)

    def inputs(self, places: Places) -> tuple[Input, ...]:
        from cline_otel.sources.plugin.spool import SpoolReader
        from cline_otel.sources.plugin.spool_input import SpoolInput

        return (SpoolInput(self.name, SpoolReader(places.state_directory / SPOOL_DIRECTORY_NAME)),)


PLUGIN: Final = PluginSource()
