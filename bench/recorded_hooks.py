"""Recorded hook calls (``plugin.jsonl``) as the spool lines that the plugin would have written.

The conversion is the plugin's own mapping, in node: ``spool_from_capture.mjs`` beside this module.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Final

import msgspec

from cline_otel.catalogue.load import read_tables
from cline_otel.privacy.pseudonyms import KEY_BYTES
from cline_otel.sources.files.lines import first_object

KEY: Final = bytes(KEY_BYTES)
"""A key that is no installation's, so that what comes out does not change with it."""

_CONVERTER: Final = Path(__file__).with_name("spool_from_capture.mjs")
_TIMEOUT_SECONDS: Final = 120


def with_spool_files(paths: Iterable[Path]) -> list[Path]:
    """The paths, with a spool file in the place of each recording of hook calls, and before each folder with one."""
    found: list[Path] = []
    for path in paths:
        recording = path / "plugin.jsonl" if path.is_dir() else path
        is_of_hook_calls = recording.is_file() and _is_of_hook_calls(recording)
        if is_of_hook_calls:
            found.append(_spool_file(recording))
        if path.is_dir() or not is_of_hook_calls:
            found.append(path)
    return found


def spool_lines(hook_calls: bytes) -> bytes:
    """What the plugin would have written for recorded hook calls, under the fixed key.

    Raises:
        subprocess.CalledProcessError: node could not convert them.
        FileNotFoundError: there is no Node.js.
    """
    node = shutil.which("node", path=str(Path(sys.executable).parent)) or shutil.which("node")
    if node is None:
        raise FileNotFoundError("recorded hook calls need Node.js 20 or newer on PATH (`make setup` installs one)")
    command = [node, str(_CONVERTER), str(pseudonyms_file())]
    return subprocess.run(command, input=hook_calls, capture_output=True, timeout=_TIMEOUT_SECONDS, check=True).stdout


@lru_cache(1)
def pseudonyms_file() -> Path:
    """The key as the plugin's mapping reads it."""
    content = {"version": 1, "key": KEY.hex(), "plain_names": False, "built_in_tools": read_tables().built_in_tools}
    path = _new_directory() / "pseudonyms.json"
    path.write_bytes(msgspec.json.encode(content))
    return path


@lru_cache(None)
def _spool_file(recording: Path) -> Path:
    path = _new_directory() / f"{recording.parent.name}.jsonl"
    lines = spool_lines(recording.read_bytes()).splitlines(keepends=True)
    if (recording.parent / "spool").is_dir():
        # The process is said to end with its last hook call; its own spool may go on.
        lines = [line for line in lines if b'"event":"process.exited"' not in line]
    path.write_bytes(b"".join(lines))
    return path


def _is_of_hook_calls(path: Path) -> bool:
    return {"kind", "t_ns", "ctx"} <= first_object(path.read_bytes()).keys()


def _new_directory() -> Path:
    return Path(tempfile.mkdtemp(prefix="cline-otel-"))
