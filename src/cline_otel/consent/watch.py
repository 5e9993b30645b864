"""Looks at the opt-out sources again and again, and carries a change out at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from cline_otel.consent.decision import Answer, Consent, OptOutSource, decide
from cline_otel.consent.opt_out_sources import OptOutSources

WATCH_INTERVAL_SECONDS: Final = 0.25
"""A change takes effect within a second: this, and the longest that one batch keeps the event loop."""


class ConsentWatch:
    """The consent as it stands.

    Attributes:
        consent: as of the last look.
    """

    def __init__(
        self,
        sources: OptOutSources,
        changed: Callable[[Consent, Consent], None] = lambda before, now: None,
        *,
        interval_seconds: float | None = WATCH_INTERVAL_SECONDS,
        wake: asyncio.Event | None = None,
    ) -> None:
        """Looks once, at once.

        ``changed`` is called within the look that finds a change, with the consent before and now; if it fails,
        again at the next. With ``interval_seconds`` None it looks only when ``wake`` is set.
        """
        self._sources = sources
        self._changed = changed
        self._interval_seconds = interval_seconds
        self._wake = asyncio.Event() if wake is None else wake
        self.consent = self._carried_out = self._decided()
        self._is_carrying_out = False

    def look(self) -> Consent:
        """Looks, carries out what changed, and returns what holds now."""
        now = self.consent = self._decided()
        if now != self._carried_out or self._is_carrying_out:
            self._is_carrying_out = True
            self._changed(self._carried_out, now)
            self._carried_out, self._is_carrying_out = now, False
        return now

    def _decided(self) -> Consent:
        try:
            return decide(self._sources.look())
        except Exception:
            # Whatever is wrong with the other opt-out sources, the user's own switch counts.
            if not self._sources.is_switched_off:
                raise
            return decide({OptOutSource.OFF_FILE: Answer.OFF})

    async def next_look(self) -> Consent:
        """Waits for the next time to look, and looks."""
        try:
            async with asyncio.timeout(self._interval_seconds):
                await self._wake.wait()
        except TimeoutError:
            pass
        self._wake.clear()
        return self.look()
