"""Folders of sessions and tasks as backups keep them: their files compressed where they are."""

from __future__ import annotations

import gzip
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

COMPRESS: Final[Mapping[str, Callable[[bytes], bytes]]] = {".gz": gzip.compress, ".zst": zstd.compress}


def compressed(path: Path, suffix: str, content: bytes | None = None) -> Path:
    """Compresses a file as ``gzip`` and ``zstd --rm`` do, which keep its time; or other content beside it."""
    packed = path.with_name(path.name + suffix)
    packed.write_bytes(COMPRESS[suffix](path.read_bytes() if content is None else content))
    shutil.copystat(path, packed)
    if content is None:
        path.unlink()
    return packed


def replaced(path: Path, content: bytes) -> None:
    """Another content, without a change of its time."""
    status = path.stat()
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def all_json(folder: Path) -> Iterable[Path]:
    """Whatever is read of sessions and tasks below a folder, and more."""
    return sorted(folder.rglob("*.json"))
