"""The session-files source: the conversations that Cline keeps in ``data/sessions``, whatever surface they are held on.

They know every agent, call and token, and the real outcome of tools, also where no plugin is loaded and no log is
written: in editors. What they lack is when exactly a call began.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

from cline_otel.places import Places
from cline_otel.sources.interface import Input, PastSession, Payload, Recorded, Source, UpstreamRecord

if TYPE_CHECKING:
    from pathlib import Path

    from cline_otel.catalogue.compiled import Catalogue
    from cline_otel.events import Event
    from cline_otel.signals import Diagnostics


class SessionFilesSource(Source):
    """Knows every agent and call of a session, some time after they happened."""

    name = "session-files"
    reading = "session files"
    recordings = "a session's messages.json"

    def decode(self, payload: Payload, catalogue: Catalogue, diagnostics: Diagnostics) -> Iterable[Event]:
        from cline_otel.sources.records.decode import decode

        return decode(payload, catalogue, diagnostics)

    def explode(self, payload: Payload) -> Iterator[UpstreamRecord]:
        from cline_otel.sources.records.decode import explode

        return explode(payload)

    def recognises(self, content: bytes) -> bool:
        from cline_otel.sources.session_files.folders import is_root_conversation

        return is_root_conversation(content)

    def recorded(self, path: Path, content: bytes) -> Recorded:
        from cline_otel.sources.session_files.folders import recorded

        return recorded(self.name, path)

    @property
    def reads_around(self) -> bool:
        return True

    def recordings_in(self, folder: Path) -> Iterable[Path]:
        from cline_otel.sources.session_files.folders import conversations_in

        return conversations_in(folder)

    def where(self, places: Places) -> tuple[str, ...]:
        return tuple(map(str, _directories(places)))

    def past_sessions(self, places: Places, path: Path | None = None) -> Iterable[PastSession]:
        from cline_otel.operating_system.processes import system_processes
        from cline_otel.sources.session_files.past import past_sessions

        return past_sessions(self.name, _directories(places), system_processes(), path)

    def inputs(self, places: Places) -> tuple[Input, ...]:
        from cline_otel.operating_system.processes import system_processes
        from cline_otel.sources.session_files.input import SessionFilesInput

        return tuple(SessionFilesInput(self.name, each, system_processes()) for each in _directories(places))


def _directories(places: Places) -> Iterable[Path]:
    """Each once: several installations may be told to keep their sessions in one place."""
    return dict.fromkeys(installation.sessions_directory for installation in places.installations)


SESSION_FILES: Final = SessionFilesSource()
