"""Recordings read and replayed with a key that is no installation's, so that what comes out does not change with it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from bench.recorded_hooks import KEY as KEY
from bench.recorded_hooks import with_spool_files
from cline_otel.catalogue.compiled import Catalogue
from cline_otel.catalogue.load import load
from cline_otel.prices.library import LIBRARY
from cline_otel.prices.own import OwnPrice, OwnPrices
from cline_otel.prices.table import Rate, Rates
from cline_otel.privacy.policy import Policy
from cline_otel.privacy.pseudonyms import Pseudonyms
from cline_otel.replay import ReplayResult, replay
from cline_otel.sources.recording import Recording, read_recording

_POLICY: Final = Policy(pseudonyms=Pseudonyms(KEY))
_SONNET: Final = Rates(Rate(3.0), Rate(15.0), cache_read=Rate(0.3), cache_write=Rate(3.75))

CATALOGUE: Final = load(_POLICY, prices=OwnPrices("own 1", (OwnPrice("anthropic", "claude-sonnet-4.6", _SONNET),)))
"""Priced by a list that no release of a package changes; it has one model."""

AS_INSTALLED: Final = load(_POLICY, prices=LIBRARY)
"""Priced by the public list, as a bridge without settings is."""


def recording_of(paths: Iterable[Path], only: str | None = None) -> Recording:
    """Recordings, recorded hook calls among them."""
    wanted = with_spool_files(paths) if only in (None, "plugin") else paths
    return read_recording(wanted, only)


def replay_of(paths: Iterable[Path], only: str | None = None, catalogue: Catalogue = CATALOGUE) -> ReplayResult:
    """Recordings through the pipeline."""
    return replay(recording_of(paths, only), catalogue)
