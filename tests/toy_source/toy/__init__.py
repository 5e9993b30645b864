"""A source that is none of ours: JSON files that are rewritten whole, as Cline's session files are.

``<Cline's directory>/toys/NAME.toy`` holds a JSON array; each record has ``what``, ``at`` (milliseconds) and fields.
A cursor is the number of records that are done with. A file may be half written, or gone, whenever it is looked at:
then it is read at a later look. A record may be anything: what is none is counted by the decoder.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import msgspec

from cline_otel.catalogue.compiled import Catalogue
from cline_otel.events import Event
from cline_otel.places import Places
from cline_otel.signals import Diagnostics, count
from cline_otel.sources.interface import Input, Payload, Reading, Recorded, Source, Unread, UpstreamRecord
from toy_source.toy import decode as decoder


class ToySource(Source):
    name = "toy"
    reading = "toys in"
    recordings = "a toy file"

    def decode(self, payload: Payload, catalogue: Catalogue, diagnostics: Diagnostics) -> Iterable[Event]:
        return decoder.decode(payload, catalogue, diagnostics)

    def explode(self, payload: Payload) -> Iterator[UpstreamRecord]:
        return decoder.explode(payload)

    def recognises(self, content: bytes) -> bool:
        return content.startswith(b'[{"what":"toy.')

    def recorded(self, path: Path, content: bytes) -> Recorded:
        diagnostics: Diagnostics = {}
        records = records_of(content)
        if records is None:
            count(diagnostics, "malformed", self.name, "file")
        return Recorded([Payload(self.name, records or [])], diagnostics)

    def where(self, places: Places) -> tuple[str, ...]:
        return tuple(str(each.directory / "toys") for each in places.installations)

    def inputs(self, places: Places) -> tuple[Input, ...]:
        return tuple(ToyFiles(self.name, each.directory / "toys") for each in places.installations)


class ToyFiles(Input):
    """All files of a folder; each is read whole whenever it holds more than before."""

    def __init__(self, source: str, folder: Path) -> None:
        super().__init__(source)
        self._folder = folder

    def owns(self, key: str) -> bool:
        return key.startswith(f"{self.source}/")

    def can_go_on_from(self, cursor: bytes) -> bool:
        return cursor.isdigit()

    def read(self, cursors: Mapping[str, bytes], limit_bytes: int) -> list[Reading]:
        readings = []
        for key, records in self._records():
            done = int(cursors.get(key, b"0"))
            if len(records) > done:
                readings.append(Reading(key, b"%d" % len(records), Payload(self.source, records[done:], place=key)))
        return readings

    def ends(self) -> dict[str, bytes | None]:
        return {key: b"%d" % len(records) for key, records in self._records()}

    def unread(self, cursors: Mapping[str, bytes]) -> Unread:
        left = [record for key, records in self._records() for record in records[int(cursors.get(key, b"0")) :]]
        return Unread(sum(map(len, left)), len(left))

    def _records(self) -> Iterator[tuple[str, list[bytes]]]:
        self.problems = {}
        for path in sorted(self._folder.glob("*.toy")):
            key = f"{self.source}/{path.name}"
            try:
                records = records_of(path.read_bytes())
            except FileNotFoundError:
                continue
            except OSError as error:
                self.problems[key] = f"{path}: cannot be read ({error.strerror}); check its permissions"
                continue
            if records is None:
                self.problems[key] = f"{path}: not whole yet, or damaged; it is read when it is whole"
            else:
                yield key, records


def records_of(content: bytes) -> list[bytes] | None:
    """The records of a file, each still encoded; None if it is no whole JSON array."""
    try:
        return [bytes(record) for record in msgspec.json.decode(content, type=list[msgspec.Raw])]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


TOY = ToySource()
