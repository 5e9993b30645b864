"""Recordings: files, or folders of files, that hold what a source once said; the kind is told by the content."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path
from typing import Final, Literal

import msgspec

RecordingSource = Literal["plugin", "cline-log", "otlp"]

_CONVERSION_TIMEOUT_SECONDS: Final = 120
_SIGNALS: Final = {"resourceSpans": "traces", "resourceMetrics": "metrics"}


class UnreadableRecording(Exception):  # noqa: N818 - named for the recording's state
    """A recording cannot be read; the text names the file, what is wrong and the remedy."""


class Recording(msgspec.Struct):
    """What was found, by source, each in the order of its file.

    Attributes:
        plugin: spool lines by process.
        cline_log: lines of ``cline.log``, a list for each file.
        otlp_logs: bodies of OTLP log requests in JSON.
        unsupported: requests of metrics and traces that Cline itself sent, by signal.
        malformed: lines that could not be read, by source.
        read: the files, with what they were taken for.
        passed_over: files of a folder that are no recording of a source.
        pseudonyms_file: the key that recorded hook calls are read with.
        plain_names: whether the names in them are not to be pseudonyms.
    """

    plugin: list[tuple[str, list[bytes]]] = msgspec.field(default_factory=list)
    cline_log: list[list[bytes]] = msgspec.field(default_factory=list)
    otlp_logs: list[bytes] = msgspec.field(default_factory=list)
    unsupported: dict[str, int] = msgspec.field(default_factory=dict)
    malformed: dict[str, int] = msgspec.field(default_factory=dict)
    read: list[tuple[Path, str]] = msgspec.field(default_factory=list)
    passed_over: list[Path] = msgspec.field(default_factory=list)
    pseudonyms_file: Path | None = None
    plain_names: bool = False


def read_recording(
    paths: Iterable[Path],
    only: RecordingSource | None = None,
    pseudonyms_file: Path | None = None,
    *,
    plain_names: bool = False,
) -> Recording:
    """Reads files and folders; a folder's own files and those of its ``spool`` folder count.

    Args:
        paths: what to read.
        only: the one source that counts.
        pseudonyms_file: the installation's key, for recorded hook calls: the plugin's mapping writes no chosen names.
        plain_names: whether it does, because the user lets them leave.

    Raises:
        UnreadableRecording: a path does not exist, cannot be read, or a file named outright is of no known kind.
    """
    recording = Recording(pseudonyms_file=pseudonyms_file, plain_names=plain_names)
    for path in paths:
        if path.is_dir():
            members = [*sorted(path.iterdir()), *sorted((path / "spool").glob("*.jsonl"))]
            for member in members:
                if member.is_file() and not _read_file(member, recording, only):
                    recording.passed_over.append(member)
        elif not path.exists():
            raise UnreadableRecording(
                f"{path}: no such file or folder; name a cline.log, a spool file, OTLP JSON lines or a folder of these"
            )
        elif not _read_file(path, recording, only):
            raise UnreadableRecording(
                f"{path}: not a recording of a known source; name a cline.log, a spool file or OTLP JSON lines"
            )
    return recording


def _read_file(path: Path, recording: Recording, only: str | None) -> bool:
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise UnreadableRecording(f"{path}: cannot be read ({error.strerror}); check its permissions") from None
    kind = _kind(lines)
    if kind is None:
        return False
    source = "plugin" if kind == "capture" else kind
    if only is not None and source != only:
        return True
    recording.read.append((path, source))
    if kind == "plugin":
        recording.plugin.append((path.stem.rpartition("-")[0] or path.stem, lines))
    elif kind == "capture":
        recording.plugin.append((path.parent.name, _spool_lines(path, recording)))
    elif kind == "cline-log":
        recording.cline_log.append(lines)
    else:
        _take_otlp(lines, recording)
    return True


def _kind(lines: list[bytes]) -> Literal["plugin", "capture", "cline-log", "otlp"] | None:
    """By the keys of the first line that is a JSON object."""
    for line in lines[:50]:
        try:
            keys = msgspec.json.decode(line, type=dict[str, msgspec.Raw])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue
        if "time_unix_ms" in keys and "event" in keys:
            return "plugin"
        if {"kind", "t_ns", "ctx"} <= keys.keys():
            return "capture"
        if "level" in keys and "msg" in keys and "time" in keys:
            return "cline-log"
        if _request_of(keys):
            return "otlp"
        return None
    return None


def _request_of(keys: dict[str, msgspec.Raw]) -> dict[str, msgspec.Raw]:
    """The export request of a line, bare or as the ``body`` of a recorded request; empty if there is none."""
    if "resourceLogs" in keys or _SIGNALS.keys() & keys.keys():
        return keys
    try:
        body = msgspec.json.decode(keys.get("body", msgspec.Raw(b"{}")), type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return body if "resourceLogs" in body or _SIGNALS.keys() & body.keys() else {}


def _take_otlp(lines: list[bytes], recording: Recording) -> None:
    for line in lines:
        if not line.strip():
            continue
        try:
            request = _request_of(msgspec.json.decode(line, type=dict[str, msgspec.Raw]))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            request = {}
        if "resourceLogs" in request:
            recording.otlp_logs.append(msgspec.json.encode(request))
        elif request:
            signal = _SIGNALS[next(iter(_SIGNALS.keys() & request.keys()))]
            recording.unsupported[signal] = recording.unsupported.get(signal, 0) + 1
        else:
            recording.malformed["otlp"] = recording.malformed.get("otlp", 0) + 1


def _spool_lines(capture: Path, recording: Recording) -> list[bytes]:
    """What the plugin would have written for the hook calls of a capture: by the plugin's own mapping, in node."""
    node = shutil.which("node", path=str(Path(sys.executable).parent)) or shutil.which("node")
    if node is None:
        raise UnreadableRecording(
            f"{capture}: holds recorded hook calls, which the plugin's own mapping turns into spool lines; "
            "that needs Node.js 20 or newer on PATH (or use --only cline-log or --only otlp)"
        )
    pseudonyms_file = recording.pseudonyms_file
    if pseudonyms_file is None or not pseudonyms_file.exists():
        raise UnreadableRecording(
            f"{capture}: holds recorded hook calls, which the plugin's own mapping reads with the installation's key: "
            "`cline-otel install` makes it (or use --only cline-log or --only otlp)"
        )
    converter = files("cline_otel.plugin").joinpath("spool_from_capture.mjs")
    with capture.open("rb") as stdin:
        converted = subprocess.run(  # noqa: S603 - our own script, by the node that was found
            [node, str(converter), str(pseudonyms_file), *(["--plain-names"] if recording.plain_names else [])],
            stdin=stdin,
            capture_output=True,
            timeout=_CONVERSION_TIMEOUT_SECONDS,
            check=False,
        )
    if converted.returncode != 0:
        raise UnreadableRecording(
            f"{capture}: node could not convert the recorded hook calls (exit code {converted.returncode})"
        )
    return converted.stdout.split(b"\n")
