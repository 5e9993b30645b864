"""Which of a session's records are of prompts that are over: those are what can be taken in as past."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Final

from cline_otel.sources.interface import PastPrompt, Payload

RECORDS_PER_PAYLOAD: Final = 2_048
"""A payload has at least so many where more come, and goes on to the end of a prompt."""

MOST_RECORDS_PER_PAYLOAD: Final = 4_096
"""However long the prompt is."""

_Run = tuple[object, object]


class PastRecords:
    """The records of a session, by the prompt that each is of.

    Args:
        records: in the order of time; ``run.started`` has ``parent_agent_id`` and ``parent_run_id`` where another
            agent's run has started it.

    Attributes:
        prompts: in the order of time.
    """

    def __init__(self, records: Iterable[Mapping[str, object]]) -> None:
        self._root_of: dict[_Run, _Run] = {}
        self._began_ms: dict[_Run, int] = {}
        self._records: list[tuple[_Run, Mapping[str, object]]] = []
        open_runs: set[_Run] = set()
        last_of: dict[object, object] = {}
        for record in records:
            run = _run_of(record)
            if record["event"] == "run.started":
                root = self._root_of[run] = self._root(record, last_of, run)
                self._began_ms.setdefault(root, _at_ms(record))
                last_of[run[0]] = run[1]
                open_runs.add(run)
            elif record["event"] == "run.finished":
                open_runs.discard(run)
            if run in self._root_of:
                self._records.append((self._root_of[run], record))
        self._at_work = {self._root_of[run] for run in open_runs}
        self.prompts: tuple[PastPrompt, ...] = tuple(
            PastPrompt(str(root[1]), began_ms * 1_000_000, root not in self._at_work)
            for root, began_ms in sorted(self._began_ms.items(), key=lambda each: each[1])
        )

    def _root(self, record: Mapping[str, object], last_of: Mapping[object, object], run: _Run) -> _Run:
        parent_id = record.get("parent_agent_id")
        if parent_id is None:
            return run
        return self._root_of.get((parent_id, record.get("parent_run_id") or last_of.get(parent_id)), run)

    def is_over(self, record: Mapping[str, object]) -> bool:
        """Whether a record is of a prompt that is over."""
        root = self._root_of.get(_run_of(record))
        return root is not None and root not in self._at_work

    def payloads(self, source: str, place: str, run_ids: Collection[str]) -> Iterator[Payload]:
        """The records of these prompts, in pieces that end with a prompt where that is possible."""
        left = Counter(root for root, _ in self._records)
        begun: set[_Run] = set()
        piece: list[Mapping[str, object]] = []
        for root, record in self._records:
            if root[1] not in run_ids:
                continue
            piece.append(record)
            begun.add(root)
            left[root] -= 1
            if not left[root]:
                begun.discard(root)
            if len(piece) >= (MOST_RECORDS_PER_PAYLOAD if begun else RECORDS_PER_PAYLOAD):
                yield Payload(source, place=place, records=piece)
                piece = []
        if piece:
            yield Payload(source, place=place, records=piece)


def _run_of(record: Mapping[str, object]) -> _Run:
    return record["agent_id"], record["run_id"]


def _at_ms(record: Mapping[str, object]) -> int:
    at_ms = record["time_unix_ms"]
    return at_ms if isinstance(at_ms, int) else 0
