"""What Cline would write and send, as much of it as a test wants, made from recordings of the real one.

Each copy of a recording gets ids of its own and is moved to the recent past, because a bridge judges by
its clock which runs were silent for too long.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Self

import msgspec
from bench.fixed_key import AS_INSTALLED, replay_of

from cline_otel.replay import ReplayResult
from corpus import CAPTURES

EXAMPLE: Final = Path(__file__).parents[2] / "examples" / "delegated-run"

_ULID: Final = rb"01[0-9A-HJKMNP-TV-Z]{24}"
_RUN: Final = rb"run_(?!commands\b)[A-Za-z0-9_-]{8}"
"""A run's id; ``run_commands`` is a tool, which every copy uses by this name."""

_IDS: Final = re.compile(
    rb"(agent_\d{13}_[a-z0-9]+|conv_\d{13}_[a-z0-9]+|" + _RUN + rb"|\d{13}_[a-z0-9]{5}|" + _ULID + rb")\b"
)
_HOUR_MS: Final = 3_600_000
_APART_MS: Final = 20_000


class Recording(msgspec.Struct, frozen=True):
    """One Cline's life: lines of its plugin's spool and of its log, the OTLP requests it sent, and its ``--json``
    streams, each whole.
    """

    spool: tuple[bytes, ...] = ()
    cline_log: tuple[bytes, ...] = ()
    otlp_logs: tuple[bytes, ...] = ()
    streams: tuple[bytes, ...] = ()

    @classmethod
    def read(cls, folder: Path, *sources: str) -> Recording:
        """The recording in a folder, of all sources or those named: ``plugin``, ``cline-log``, ``otlp``."""

        def lines(source: str, *paths: Path) -> tuple[bytes, ...]:
            if sources and source not in sources:
                return ()
            return tuple(line for path in paths if path.exists() for line in path.read_bytes().splitlines())

        return cls(
            lines("plugin", *sorted((folder / "spool").glob("*.jsonl"))),
            lines("cline-log", folder / "cline.log"),
            tuple(json.dumps(json.loads(line)["body"]).encode() for line in lines("otlp", folder / "otlp_logs.jsonl")),
        )

    @classmethod
    def of_stream(cls, path: Path) -> Recording:
        """A recorded ``--json`` stream."""
        return cls(streams=(path.read_bytes(),))

    def copy(self, number: int) -> Recording:
        """The same life once more, with ids of its own; copies lie ``_APART_MS`` apart in the last hour."""
        return self.copy_of(number, int(time.time() * 1_000) - _HOUR_MS + number * _APART_MS)

    def copy_of(self, number: int, began_at_ms: int) -> Recording:
        """The same life once more, with ids of its own; it begins then."""
        shift_ms = began_at_ms - self._began_at_ms()
        return Recording(
            tuple(_moved(line, number, shift_ms) for line in self.spool),
            tuple(_moved(line, number, shift_ms) for line in self.cline_log),
            tuple(_moved(body, number, shift_ms) for body in self.otlp_logs),
            tuple(
                _as_lines(tuple(_moved(line, number, shift_ms) for line in stream.splitlines()))
                for stream in self.streams
            ),
        )

    @property
    def all_lines(self) -> tuple[tuple[bytes, ...], ...]:
        """What each source has."""
        streams = tuple(line for stream in self.streams for line in stream.splitlines())
        return self.spool, self.cline_log, self.otlp_logs, streams

    def __add__(self, other: Recording) -> Recording:
        return Recording(
            self.spool + other.spool,
            self.cline_log + other.cline_log,
            self.otlp_logs + other.otlp_logs,
            self.streams + other.streams,
        )

    def _began_at_ms(self) -> int:
        times = [int(digits) for line in self.spool for digits in re.findall(rb'"time_unix_ms":(\d+)', line)]
        times += [_iso_ms(text) for line in self.cline_log for text in re.findall(rb'"time":"([^"]+)"', line)]
        times += [
            int(digits) // 1_000_000
            for body in self.otlp_logs
            for digits in re.findall(rb'"timeUnixNano":\s*"(\d+)"', body)
        ]
        times += [_iso_ms(text) for stream in self.streams for text in re.findall(rb'^{"ts":"([^"]+)"', stream)]
        return min(times)

    def write(self, folder: Path) -> Path:
        """As a folder that ``replay`` reads; returns it."""
        (folder / "spool").mkdir(parents=True)
        if self.spool:
            (folder / "spool" / "99-1795357897000-0.jsonl").write_bytes(_as_lines(self.spool))
        if self.cline_log:
            (folder / "cline.log").write_bytes(_as_lines(self.cline_log))
        if self.otlp_logs:
            (folder / "otlp_logs.jsonl").write_bytes(_as_lines(self.otlp_logs))
        for number, stream in enumerate(self.streams):
            (folder / f"stream-{number}.jsonl").write_bytes(stream)
        return folder

    def replayed(self, folder: Path) -> ReplayResult:
        """What ``replay`` makes of it; ``folder`` is made for it."""
        return replay_of([self.write(folder)], catalogue=AS_INSTALLED)


def copy_folder(recorded: Path, into: Path, number: int, began_at_ms: int) -> Path:
    """A session's or task's folder once more, with ids of its own; it begins then. Returns it."""
    old = recorded.name
    is_plain = "-" in old or old.isdigit()
    name = old[: -len(str(number))] + str(number) if is_plain else _copied(old.encode(), number).decode()
    documents = {
        path.name: json.loads(path.read_bytes().replace(old.encode(), name.encode()))
        for path in sorted(recorded.iterdir())
    }
    first_ms = min(found for document in documents.values() for found in _times_in(document))
    folder = into / name
    folder.mkdir(parents=True)
    for path, document in documents.items():
        moved = _with_times_moved(document, began_at_ms - first_ms)
        (folder / path.replace(old, name)).write_text(json.dumps(moved), encoding="utf-8")
    return folder


def _times_in(value: Any) -> Iterator[int]:
    if isinstance(value, dict):
        yield from (each for name, each in value.items() if name == "ts")
    for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _times_in(each)


def _with_times_moved(value: Any, shift_ms: int) -> Any:
    if isinstance(value, list):
        return [_with_times_moved(each, shift_ms) for each in value]
    if isinstance(value, dict):
        return {
            name: each + shift_ms if name == "ts" else _with_times_moved(each, shift_ms) for name, each in value.items()
        }
    return value


class WritingProcess:
    """A process whose spool the bridge reads; it does nothing, and lives until the end of the block."""

    def __enter__(self) -> Self:
        self.started_at_ms = int(time.time() * 1_000)
        self._process = subprocess.Popen(
            [sys.executable, "-S", "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE
        )
        return self

    def __exit__(self, *exception: object) -> None:
        self.end()

    def end(self) -> None:
        """Ends it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def spool_name(self, sequence: int = 0) -> str:
        """The name of a spool file that it writes."""
        return f"{self._process.pid}-{self.started_at_ms}-{sequence}.jsonl"


def example_copies(count: int) -> Recording:
    """``count`` runs with subagents, as the plugin and ``cline.log`` tell them."""
    return _copies(Recording.read(EXAMPLE, "plugin", "cline-log"), count)


def plugin_copies(count: int) -> Recording:
    """``count`` runs with subagents, as the plugin alone tells them."""
    return _copies(Recording.read(EXAMPLE, "plugin"), count)


def log_copies(count: int) -> Recording:
    """``count`` runs with subagents, as ``cline.log`` alone tells them."""
    return _copies(Recording.read(EXAMPLE, "cline-log"), count)


def otlp_copies(count: int, first: int = 500) -> Recording:
    """``count`` runs as OTLP tells them."""
    return _copies(Recording.read(CAPTURES / "plugin_basic", "otlp"), count, first)


def _copies(recording: Recording, count: int, first: int = 0) -> Recording:
    copies = Recording()
    for number in range(first, first + count):
        copies += recording.copy(number)
    return copies


def _as_lines(lines: tuple[bytes, ...]) -> bytes:
    return b"".join(line + b"\n" for line in lines)


def _iso_ms(text: bytes) -> int:
    return round(datetime.fromisoformat(text.decode()).timestamp() * 1_000)


def _moved(line: bytes, number: int, shift_ms: int) -> bytes:
    line = _IDS.sub(lambda match: _copied(match[0], number), line)
    return json.dumps(_shifted(json.loads(line), shift_ms), separators=(",", ":")).encode()


def _copied(identifier: bytes, number: int) -> bytes:
    """Another id of the same form, as Cline generates them."""
    copied = identifier + b"c%d" % number
    if copied.startswith(b"run_"):
        return b"run_" + hashlib.blake2b(copied, digest_size=4).hexdigest().encode()
    if identifier.startswith(b"01"):
        return identifier[:-8] + b"%08d" % number
    return copied


def _shifted(value: Any, shift_ms: int) -> Any:
    if isinstance(value, list):
        return [_shifted(item, shift_ms) for item in value]
    if not isinstance(value, dict):
        return value
    shifted: dict[str, Any] = {}
    for name, item in value.items():
        if name in {"time_unix_ms", "started_at_ms", "ended_at_ms", "first_chunk_at_ms"} and isinstance(item, int):
            shifted[name] = item + shift_ms
        elif name in {"timeUnixNano", "observedTimeUnixNano"}:
            shifted[name] = str(int(item) + shift_ms * 1_000_000)
        elif name in {"time", "ts"} and isinstance(item, str):
            moment = datetime.fromtimestamp((_iso_ms(item.encode()) + shift_ms) / 1_000, UTC)
            shifted[name] = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        else:
            shifted[name] = _shifted(item, shift_ms)
    return shifted
