"""The log source: ``cline.log``, and ``code.log`` of the desktop application, where Cline mirrors its telemetry.

Cline 3.x writes JSON lines with O_APPEND from every CLI process at once. It never renames the file;
it truncates it in place: each process when it starts and the file was not written to for two days,
and again every two days while it lives, whatever is in the file then. The desktop application truncates its own
so, and when it has become too large. (Read in the Cline repository at commit 21cb8d25,
``apps/cli/src/logging/adapter.ts`` and the logger of the desktop application.) So truncation is the case that
happens; renaming is done by a user's logrotate only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

from cline_otel.places import Places
from cline_otel.sources.interface import Input, Payload, Recorded, Source, UpstreamRecord

if TYPE_CHECKING:
    from pathlib import Path

    from cline_otel.catalogue.compiled import Catalogue
    from cline_otel.events import Event
    from cline_otel.signals import Diagnostics


class ClineLogSource(Source):
    """Knows the calls of root runs, also of runs that ended in a crash, and what happens beside runs."""

    name = "cline-log"
    reading = "Cline's log"
    recordings = "a cline.log"

    def decode(self, payload: Payload, catalogue: Catalogue, diagnostics: Diagnostics) -> Iterable[Event]:
        from cline_otel.sources.cline_log.decode import decode

        return decode(payload, catalogue, diagnostics)

    def explode(self, payload: Payload) -> Iterator[UpstreamRecord]:
        from cline_otel.sources.cline_log.decode import explode

        return explode(payload)

    def recognises(self, content: bytes) -> bool:
        from cline_otel.sources.files.lines import first_object

        return {"level", "msg", "time"} <= first_object(content).keys()

    def recorded(self, path: Path, content: bytes) -> Recorded:
        return Recorded([Payload(self.name, content.split(b"\n"))], {})

    def where(self, places: Places) -> tuple[str, ...]:
        return tuple(map(str, _log_files(places)))

    def inputs(self, places: Places) -> tuple[Input, ...]:
        import socket

        from cline_otel.operating_system.processes import system_processes
        from cline_otel.sources.cline_log.log_input import LogInput
        from cline_otel.sources.cline_log.writers import Writers

        processes, host_name = system_processes(), socket.gethostname()
        return tuple(LogInput(self.name, file, Writers(processes, host_name)) for file in _log_files(places))


def _log_files(places: Places) -> Iterable[Path]:
    """Each once: several installations may be told to write one file."""
    return dict.fromkeys(file for installation in places.installations for file in installation.log_files)


CLINE_LOG: Final = ClineLogSource()
