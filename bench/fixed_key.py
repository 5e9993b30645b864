"""Recordings read and replayed with a key that is no installation's, so that what comes out does not change with it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Final

import msgspec

from cline_otel.catalogue.load import load, read_tables
from cline_otel.privacy.policy import Policy
from cline_otel.privacy.pseudonyms import KEY_BYTES, Pseudonyms
from cline_otel.replay import Replayed, replay
from cline_otel.sources.recording import Recording, RecordingSource, read_recording

KEY: Final = bytes(KEY_BYTES)
CATALOGUE: Final = load(Policy(pseudonyms=Pseudonyms(KEY)))


def recording_of(paths: Iterable[Path], only: RecordingSource | None = None) -> Recording:
    """Recordings, recorded hook calls among them."""
    return read_recording(paths, only, pseudonyms_file())


def replay_of(paths: Iterable[Path], only: RecordingSource | None = None) -> Replayed:
    """Recordings through the pipeline."""
    return replay(recording_of(paths, only), CATALOGUE)


@lru_cache(1)
def pseudonyms_file() -> Path:
    """The key as the plugin's mapping reads it."""
    content = {"version": 1, "key": KEY.hex(), "plain_names": False, "built_in_tools": read_tables().built_in_tools}
    path = Path(tempfile.mkdtemp(prefix="cline-otel-")) / "pseudonyms.json"
    path.write_bytes(msgspec.json.encode(content))
    return path
