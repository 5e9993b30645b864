"""Which runs are of one prompt, whoever reports it.

Most sources name a run by Cline's agent and run. Cline's files know neither for the root agent: they have the session
and the message with which the prompt began. The plugin says both, and then the message's id tells that two runs are
one. Where a source says no message, the session and the time do: a session never has more than one prompt at work.

Of two runs that are one the owner's stands for the prompt; the other's root is that one. What was reported of a prompt
is kept for good, so that files which are read much later add nothing to it.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from operator import attrgetter
from typing import Final

from cline_otel.catalogue.compiled import Catalogue
from cline_otel.events import LifecycleEvent, RunClaimed, RunStarted
from cline_otel.translate.state import State
from cline_otel.translate.stored import Prompt, Run, RunKey, RunState

EARLIEST_NS: Final = -100_000_000
LATEST_NS: Final = 2_000_000_000
"""When Cline begins to work on a prompt, after its message was written: 1 to 388 ms (123 runs of the captures)."""

_MOST_INDEXES: Final = 1_024
"""How many sessions' prompts are kept as they are looked for; the others are put in order again when one is."""


class _Index:
    """The prompts of a session by what they are looked for; there may be thousands.

    Attributes:
        next_number: one that no prompt has, also where some were lost.
    """

    def __init__(self, prompts: Iterable[Prompt]) -> None:
        self.next_number = 0
        self._by_run: dict[RunKey, Prompt] = {}
        self._by_message: dict[str, Prompt] = {}
        self._by_time: list[tuple[int, int, Prompt]] = []
        for prompt in sorted(prompts, key=_number):
            self.add(prompt)

    def add(self, prompt: Prompt) -> None:
        """Another prompt."""
        self.next_number = max(self.next_number, prompt.number + 1)
        insort(self._by_time, (prompt.started_at_ns, prompt.number, prompt))
        self.note(prompt)

    def note(self, prompt: Prompt) -> None:
        """What has become known of a prompt."""
        for run in (prompt.run, prompt.run_by_ids):
            if run is not None:
                self._by_run.setdefault(run, prompt)
        if prompt.message_id:
            self._by_message.setdefault(prompt.message_id, prompt)

    def named(self, key: RunKey, message_id: str) -> Prompt | None:
        """The first that has this run, or began with this message."""
        found = [self._by_run.get(key), self._by_message.get(message_id) if message_id else None]
        return min((prompt for prompt in found if prompt is not None), key=_number, default=None)

    def between(self, earliest_ns: int, latest_ns: int) -> Iterator[Prompt]:
        """Those that began from a time to another."""
        first = bisect_left(self._by_time, (earliest_ns,))
        last = bisect_left(self._by_time, (latest_ns + 1,))
        return (prompt for _, _, prompt in self._by_time[first:last])

    def last_until(self, at_ns: int) -> Prompt | None:
        """The last that had begun at a time."""
        after = bisect_left(self._by_time, (at_ns + 1,))
        return self._by_time[after - 1][2] if after else None


_number: Final = attrgetter("number")


class Prompts:
    """Joins the runs of one prompt.

    Args:
        state: the translator's memory.
        catalogue: what each source can do.
    """

    def __init__(self, state: State, catalogue: Catalogue) -> None:
        self._state = state
        self._keyed_by_ids = {name: source.keys_by_ids for name, source in catalogue.sources.items()}
        self._indexes: dict[str, _Index] = {}

    def join(self, run: Run, event: LifecycleEvent | RunClaimed) -> None:
        """A root run of which a source speaks; once its session is known it is joined with those of its prompt."""
        session_id = event.session_id or self._state.session_of(run)
        if not session_id:
            return
        run.joined_in = session_id
        self._state.touch_run(run)
        by_ids = self._keyed_by_ids[event.source]
        begins = isinstance(event, RunStarted | RunClaimed)
        message_id = str(event.attributes.get("cline.prompt.id", "")) if begins else ""
        index = self._index_of(session_id)
        prompt = self._same(index, run.key, message_id, event.occurred_at_ns, by_ids=by_ids)
        if prompt is None:
            prompt = Prompt(session_id, index.next_number, event.occurred_at_ns, owner=run.owner)
            self._state.prompts.setdefault(session_id, []).append(prompt)
            index.add(prompt)
        known = prompt.key(by_ids=self._keyed_by_ids.get(prompt.owner, not by_ids))
        prompt.message_id = prompt.message_id or message_id
        if by_ids:
            prompt.run_by_ids = prompt.run_by_ids or run.key
        else:
            prompt.run = prompt.run or run.key
        index.note(prompt)
        self._state.touch_prompt(prompt)
        if known is not None and not run.owner:
            self._make_part_of(run, known, prompt.owner)

    def settle(self, root: Run, owner: str) -> Run:
        """The run that stands for a prompt now that its owner is known."""
        prompt = self._index_of(root.joined_in).named(root.key, "") if root.joined_in else None
        if prompt is None:
            return root
        prompt.owner = owner
        self._state.touch_prompt(prompt)
        new_root = self._state.runs.get(prompt.key(by_ids=self._keyed_by_ids[owner]) or root.key)
        if new_root is None or new_root is root:
            return root
        for key in [key for key, run in self._state.runs.glance(*root.key) if run.root == root.key]:
            run = self._state.runs[key]
            run.root = new_root.key
            self._state.touch_run(run)
        return new_root

    def forget(self) -> None:
        """Drops what can be made again of what is remembered."""
        self._indexes.clear()

    def _index_of(self, session_id: str) -> _Index:
        index = self._indexes.get(session_id)
        if index is None:
            if len(self._indexes) >= _MOST_INDEXES:
                self._indexes.clear()
            index = self._indexes[session_id] = _Index(self._state.prompts.get(session_id, ()))
        return index

    def _same(self, index: _Index, key: RunKey, message_id: str, at_ns: int, *, by_ids: bool) -> Prompt | None:
        """That of the prompts which a run is of, if it is known."""
        named = index.named(key, message_id)
        if named is not None:
            return named
        earliest_ns, latest_ns = (EARLIEST_NS, LATEST_NS) if by_ids else (-LATEST_NS, -EARLIEST_NS)
        near = [
            prompt
            for prompt in index.between(at_ns + earliest_ns, at_ns + latest_ns)
            if prompt.key(by_ids=by_ids) is None and not (message_id and prompt.message_id)
        ]
        if near:
            return min(near, key=lambda prompt: (abs(prompt.started_at_ns - at_ns), prompt.number))
        last = index.last_until(at_ns)
        if last is None or by_ids or message_id:
            return None
        return last if self._covers(last, at_ns) else None

    def _covers(self, prompt: Prompt, at_ns: int) -> bool:
        """Whether a prompt is told by its files, which have one run where Cline had several, and goes on then."""
        if prompt.run_by_ids is None or not self._keyed_by_ids.get(prompt.owner, False):
            return False
        run = self._state.runs.get(prompt.run_by_ids)
        if run is None or run.state is RunState.NEW:
            return False
        return run.state is RunState.OPEN or run.last_at_ns >= at_ns

    def _make_part_of(self, run: Run, key: RunKey, owner: str) -> None:
        """A run is that of ``key``, which may be forgotten, but not who owned it."""
        runs = self._state.runs
        if key not in runs or (key == run.key and owner):
            runs[key] = Run(*key, key, RunState.CLOSED, owner, last_at_ns=run.last_at_ns, joined_in=run.joined_in)
            self._state.touch_run(runs[key])
        run.root = runs[key].root
