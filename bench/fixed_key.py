"""Recordings read and replayed with a key that is no installation's, so that what comes out does not change with it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from bench.recorded_hooks import KEY as KEY
from bench.recorded_hooks import with_spool_files
from cline_otel.catalogue.load import load
from cline_otel.privacy.policy import Policy
from cline_otel.privacy.pseudonyms import Pseudonyms
from cline_otel.replay import ReplayResult, replay
from cline_otel.sources.recording import Recording, read_recording

CATALOGUE: Final = load(Policy(pseudonyms=Pseudonyms(KEY)))


def recording_of(paths: Iterable[Path], only: str | None = None) -> Recording:
    """Recordings, recorded hook calls among them."""
    wanted = with_spool_files(paths) if only in (None, "plugin") else paths
    return read_recording(wanted, only)


def replay_of(paths: Iterable[Path], only: str | None = None) -> ReplayResult:
    """Recordings through the pipeline."""
    return replay(recording_of(paths, only), CATALOGUE)
