"""What Cline does in a round of the soak: of every source that there is, something that it alone tells."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec
from bench.fixed_key import AS_INSTALLED, replay_of
from google.protobuf import json_format
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from corpus import CAPTURES, DATA

from .received import Received
from .workload import EXAMPLE, Recording, copy_folder

_COPIES_APART: Final = 1_000
"""Numbers of copies in a round."""

_KINDS: Final = 7
_APART_MS: Final = 20_000
"""Further than a run lasts: two sources that say the same of no session within seconds say it of one thing."""

_STORAGE: Final = ".config/Code/User/globalStorage"
FOLDERS: Final = {
    "vscode_next_basic/sessions/1795717158133_rc0oc": (".cline/data/sessions", "sessions"),
    "vscode_legacy_subagents/legacy/tasks/1795717589214": (
        f"{_STORAGE}/saoudrizwan.claude-dev/tasks",
        "classic/tasks",
    ),
    "roo_code_task/tasks/0198d3f2-7c11-7a50-9c1e-5b1f6a2d4e90": (
        f"{_STORAGE}/rooveterinaryinc.roo-cline/tasks",
        "roo/tasks",
    ),
    "kilo_code_task/tasks/0198d3f2-8d22-7b61-8d2f-6c2f7b3e5fa1": (f"{_STORAGE}/kilocode.kilo-code/tasks", "kilo/tasks"),
}
"""Recorded folders: where Cline and its kin would write them, and where a recording has them."""


class Work(msgspec.Struct, frozen=True):
    """What Cline does in a round, by how it is told.

    Attributes:
        in_files: what is written into the plugin's spool and the log.
        over_http: requests of Cline 3.x.
        over_http_classic: requests of classic Cline, the command line 2.x, which sends protobuf.
        over_grpc: requests of Cline 3.x.
        streams: what ``cline --json`` writes, each of a prompt.
        folders: folders of sessions and tasks, and where each is written.
    """

    in_files: Recording
    over_http: Recording
    over_http_classic: Recording
    over_grpc: Recording
    streams: Recording
    folders: dict[Path, Path]

    @classmethod
    def of_round(cls, number: int, copies: int, began_ms: int, folder: Path, home: Path) -> Work:
        """The work of a round, in which there are so many runs of each kind.

        Args:
            number: of the round, from 1; others have other ids and other times.
            copies: how many runs there are of each kind.
            began_ms: when the first round began, ms since the Unix epoch.
            folder: for recorded folders.
            home: the user's, where Cline writes.
        """
        began_ms += number * (copies + 1) * _KINDS * _APART_MS
        kinds = iter(range(_KINDS))

        def made_of(recording: Recording) -> Recording:
            made, kind = Recording(), next(kinds)
            for each in range(copies):
                made += recording.copy_of(
                    _COPIES_APART * number + 100 * kind + each, began_ms + (_KINDS * each + kind) * _APART_MS
                )
            return made

        basic, parallel = CAPTURES / "plugin_basic", CAPTURES / "plugin_parallel_anthropic"
        folders: dict[Path, Path] = {}
        folders_ms = began_ms + copies * _KINDS * _APART_MS
        for place, (recorded, (live, replayed)) in enumerate(FOLDERS.items()):
            made = copy_folder(
                CAPTURES / recorded, folder / replayed, _COPIES_APART * number + place, folders_ms + place * _APART_MS
            )
            folders[made] = home / live / made.name
        return cls(
            in_files=made_of(Recording.read(EXAMPLE, "plugin", "cline-log"))
            + made_of(Recording.read(parallel, "plugin"))
            + made_of(Recording.read(EXAMPLE, "cline-log")),
            over_http=made_of(Recording.read(basic, "otlp")),
            over_http_classic=made_of(Recording.read(CAPTURES / "classic_full", "otlp")),
            over_grpc=made_of(Recording.read(basic, "otlp")),
            streams=made_of(Recording.of_stream(DATA / "streams" / "subagents_plugin.jsonl")),
            folders=folders,
        )

    @property
    def records(self) -> int:
        """How many lines and requests that is, about."""
        return sum(len(lines) for each in self._recordings() for lines in each.all_lines)

    def expected(self, folder: Path) -> Received:
        """What a replay makes of it, which knows no trouble; ``folder`` is where the recorded folders are."""
        whole = Recording()
        for each in self._recordings():
            whole += each
        tasks = {made.parent.parent for made in self.folders if made.parent.name == "tasks"}
        result = replay_of([whole.write(folder), *sorted(tasks)], catalogue=AS_INSTALLED)
        return Received.in_requests(result.requests)

    def _recordings(self) -> Iterator[Recording]:
        yield from (self.in_files, self.over_http, self.over_http_classic, self.over_grpc, self.streams)


def as_protobuf(body: bytes) -> bytes:
    """A recorded request as senders of protobuf encode it."""
    request = json_format.ParseDict(json.loads(body), ExportLogsServiceRequest(), ignore_unknown_fields=True)
    return request.SerializeToString()
