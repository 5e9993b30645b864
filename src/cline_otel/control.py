"""Carries out whether telemetry is on, and where the organization wants it to go, while the bridge runs."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from cline_otel.consent import Consent, opt_out_sources_of
from cline_otel.consent.erase import erase_waiting
from cline_otel.consent.watch import ConsentWatch
from cline_otel.defects import described
from cline_otel.export.delivery import Delivery
from cline_otel.export.interface import ExporterError
from cline_otel.ingest import Ingest
from cline_otel.journal.records import Commit, JournalError
from cline_otel.journal.store import Journal
from cline_otel.settings import Settings, SettingsError, load_settings
from cline_otel.settings.pseudonyms_file import PseudonymsFileError, installed_policy
from cline_otel.settings.watched_file import WatchedFile
from cline_otel.sources.files.polling import INTERRUPTED_KEY, MARK, Poller
from cline_otel.sources.intake import Batch, Busy, Unavailable
from cline_otel.sources.interface import Input, UndeletableFile
from cline_otel.sources.registry import SOURCES, Registry
from cline_otel.state_directory import PSEUDONYMS_FILE_NAME

_logger = logging.getLogger(__name__)

_REMOTE_AGAIN_AFTER_SECONDS: Final = 5.0
_REPORTABLE: Final = (
    ExporterError,
    JournalError,
    OSError,
    PseudonymsFileError,
    SettingsError,
    Unavailable,
    UndeletableFile,
)
"""Errors whose texts are for people. Others could quote what they failed on."""


class Control:
    """Looks at the opt-out sources, and at the installation's key, and lets the parts of a bridge follow them.

    Off: sending stops in its middle, files are skipped, requests are dropped. Unknown: everything
    stays where it is. On again: what was open when it went off is closed as incomplete, and all goes on
    from now.

    Attributes:
        poll_now: set when the files are to be looked at at once.
        report: called with each change.
        policy: what the user lets leave, with the pseudonyms of the key as it is now.
    """

    def __init__(self, settings: Settings, sources: Registry = SOURCES) -> None:
        """Looks at once.

        Raises:
            PseudonymsFileError: the installation's key cannot be read or made.
        """
        # Looked at before it is read, so that a key which changes in between is followed at the next look.
        self._pseudonyms_file = WatchedFile(settings.state_directory / PSEUDONYMS_FILE_NAME)
        self._pseudonyms_file.look()
        self.policy = installed_policy(settings.policy, settings.state_directory)
        self.poll_now = asyncio.Event()
        self.report: Callable[[Consent], None] = lambda consent: None
        self.redirected: Callable[[], None] = lambda: None
        self._settings = settings
        self._sources = sources
        self._opt_out_sources = opt_out_sources_of(settings, os.environ)
        self._remote_configs = self._opt_out_sources.remote_configs
        self._watch = ConsentWatch(self._opt_out_sources, self._change)
        self._remote_exports = settings.remote_exports
        self._remote_problems = self._remote_configs.problems
        self._refused_exports = settings.remote_exports
        self._remote_again_at = 0.0
        self._key_is_followed = True
        self._reported: dict[str, str] = {}
        self._was_off = False
        self._journal: Journal | None = None
        self._ingest: Ingest | None = None
        self._delivery: Delivery | None = None

    @property
    def consent(self) -> Consent:
        """As of the last look."""
        return self._watch.consent

    def is_on(self) -> bool:
        """Whether anything may be read, stored or sent."""
        return self.consent.is_on

    def is_off(self) -> bool:
        """Whether what comes is to be dropped unread."""
        return self.consent.state == "off"

    def begin(self, journal: Journal, ingest: Ingest, delivery: Delivery) -> None:
        """Takes charge of these, before any of them begins."""
        self._journal, self._ingest, self._delivery = journal, ingest, delivery
        self._was_off = journal.cursor(INTERRUPTED_KEY) is not None
        self._apply(self.consent)
        self._erase_if_asked()

    async def run(self) -> None:
        """Looks and follows, until cancelled. A failure is reported once, ends nothing, and is tried again."""
        while True:
            with self._outliving("cannot check whether telemetry is on"):
                await self._watch.next_look()
            self._erase_if_asked()
            with self._outliving("the key of pseudonyms has changed and cannot be used"):
                self._follow_key()
            self._report_remote_problems()
            await self._follow_remote_exports()

    def _change(self, before: Consent, now: Consent) -> None:
        self._apply(now)
        self.report(now)

    def _apply(self, now: Consent) -> None:
        if self._delivery is None or self._ingest is None:
            return
        if now.is_on:
            if self._was_off:
                self._was_off = False
                self._close_open_runs(self._ingest)
            self._delivery.resume()
        else:
            self._was_off = self._was_off or now.state == "off"
            self._delivery.pause()
        self.poll_now.set()

    def _close_open_runs(self, ingest: Ingest) -> None:
        try:
            ingest.close_open_runs()
        except (Busy, Unavailable):
            _logger.warning("runs that were open when telemetry went off could not be closed: they will time out")

    def _erase_if_asked(self) -> None:
        if not self.is_off() or self._journal is None or self._ingest is None:
            return
        off_file = self._opt_out_sources.off_file
        request = off_file.erase_request
        if request is None or request == off_file.carried_out:
            return
        with self._outliving("what waits could not be erased yet"):
            try:
                erased = erase_waiting(self._journal, self._sources.inputs(self._settings.places))
            finally:
                # It may have failed after the journal forgot.
                self._ingest.reload_from_journal()
            # How whoever asked learns that it is done.
            off_file.carry_out(request)
            _logger.info("erased: %s", erased.describe())

    def _follow_key(self) -> None:
        if self._pseudonyms_file.look():
            self._key_is_followed = False
        if self._key_is_followed or self._ingest is None:
            return
        former, self.policy = self.policy, installed_policy(self._settings.policy, self._settings.state_directory)
        if self.policy != former:
            try:
                self._ingest.reload_from_journal()
            except BaseException:
                self.policy = former
                raise
            _logger.info("the key of pseudonyms has changed: names have new pseudonyms from now on")
        self._key_is_followed = True

    def _report_remote_problems(self) -> None:
        problems = self._remote_configs.problems
        for problem in problems:
            if problem not in self._remote_problems:
                _logger.warning("%s", problem)
        self._remote_problems = problems

    async def _follow_remote_exports(self) -> None:
        exports = self._remote_configs.exports
        if exports == self._remote_exports or self._delivery is None:
            return
        if exports == self._refused_exports and time.monotonic() < self._remote_again_at:
            return
        self._refused_exports, self._remote_again_at = exports, time.monotonic() + _REMOTE_AGAIN_AFTER_SECONDS
        with self._outliving("the remote config has changed and cannot be applied"):
            settings = load_settings(state_directory=self._settings.state_directory, remote_exports=exports)
            await self._delivery.replace(settings.exports)
            self._remote_exports = exports
            for line in self._delivery.describe():
                _logger.warning("the remote config has changed: %s", line)
            self.redirected()

    @contextmanager
    def _outliving(self, matter: str) -> Iterator[None]:
        """Within this block an error is reported, once for as long as it lasts."""
        try:
            yield
        except Exception as error:
            problem = str(error) if isinstance(error, _REPORTABLE) else described(error)
            if self._reported.get(matter) != problem:
                _logger.warning("%s: %s", matter, problem)
            self._reported[matter] = problem
        else:
            self._reported.pop(matter, None)


async def skip_to_end(journal: Journal, inputs: Sequence[Input]) -> None:
    """For when telemetry goes on while no bridge runs: the next one reads on from now, and closes what was open.

    Raises:
        JournalError: the journal cannot be written.
    """

    async def submit(batch: Batch) -> None:
        journal.commit(Commit(cursors={**batch.cursors, INTERRUPTED_KEY: MARK}))

    poller = Poller(submit, journal.cursors(), inputs)
    try:
        await poller.skip_to_end()
    finally:
        poller.close()
