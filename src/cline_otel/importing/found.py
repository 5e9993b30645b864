"""What there is to import, and which of it is wanted."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from cline_otel.places import Places
from cline_otel.sources.interface import PastSession
from cline_otel.sources.registry import Registry

TAKEN_PREFIX = "import/"
"""Before a session's cursor key: the cursor that holds the signature of its files when all of them was taken."""


class Span(NamedTuple):
    """A time: from ``since_ns`` on, and before ``until_ns``, nanoseconds since the Unix epoch; None has no bound."""

    since_ns: int | None = None
    until_ns: int | None = None

    def holds(self, at_ns: int) -> bool:
        """Whether a moment is in it."""
        return (self.since_ns is None or at_ns >= self.since_ns) and (self.until_ns is None or at_ns < self.until_ns)

    def touches(self, began_at_ns: int, ended_at_ns: int) -> bool:
        """Whether something is in it that lasted so long."""
        return (self.since_ns is None or ended_at_ns >= self.since_ns) and (
            self.until_ns is None or began_at_ns < self.until_ns
        )


class Found(NamedTuple):
    """The sessions that were found, the oldest first.

    Attributes:
        wanted: those to take.
        taken: those of the wanted ones that were taken before and have not changed.
        unwanted: how many are of another time or surface.
    """

    wanted: tuple[PastSession, ...]
    taken: tuple[PastSession, ...]
    unwanted: int

    @property
    def surfaces(self) -> list[str]:
        """Those of the sessions that are wanted."""
        return sorted({session.surface for session in (*self.wanted, *self.taken)})


def find(
    sources: Registry,
    places: Places,
    paths: Iterable[Path],
    cursors: Mapping[str, bytes],
    span: Span,
    surfaces: Collection[str],
) -> Found:
    """Looks at what there is, without reading a conversation.

    Args:
        sources: the sources that there are.
        places: where they look.
        paths: where to look instead; none for their own places.
        cursors: what was told and taken so far.
        span: the time that is wanted.
        surfaces: the surfaces that are wanted; none for all.
    """
    # A session that is in two places is taken from the one that was named first.
    named: list[Path | None] = [*paths]
    sessions = {
        session.key: session
        for path in reversed(named or [None])
        for source in sources.values()
        for session in source.past_sessions(places, path)
    }
    wanted: list[PastSession] = []
    taken: list[PastSession] = []
    for session in sorted(sessions.values(), key=lambda each: (each.began_at_ns, each.key)):
        if not span.touches(session.began_at_ns, session.ended_at_ns) or (surfaces and session.surface not in surfaces):
            continue
        is_taken = cursors.get(TAKEN_PREFIX + session.key) == session.signature.encode()
        (taken if is_taken else wanted).append(session)
    return Found(tuple(wanted), tuple(taken), len(sessions) - len(wanted) - len(taken))
