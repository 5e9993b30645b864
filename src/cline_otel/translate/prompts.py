"""Which runs are of one prompt, whoever reports it.

Most sources name a run by Cline's agent and run. Cline's files know neither for the root agent: they have the session
and the message with which the prompt began. The plugin says both, and then the message's id tells that two runs are
one. Where a source says no message, the session and the time do: a session never has more than one prompt at work.

Of two runs that are one the owner's stands for the prompt; the other's root is that one. What was reported of a prompt
is kept for good, so that files which are read much later add nothing to it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from cline_otel.catalogue.compiled import Catalogue
from cline_otel.events import LifecycleEvent, RunClaimed, RunStarted
from cline_otel.translate.state import Prompt, Run, RunKey, RunState, State

EARLIEST_NS: Final = -100_000_000
LATEST_NS: Final = 2_000_000_000
"""When Cline begins to work on a prompt, after its message was written: 1 to 388 ms (123 runs of the captures)."""


class Prompts:
    """Joins the runs of one prompt.

    Args:
        state: the translator's memory.
        catalogue: what each source can do.
    """

    def __init__(self, state: State, catalogue: Catalogue) -> None:
        self._state = state
        self._keyed_by_ids = {name: source.keys_by_ids for name, source in catalogue.sources.items()}

    def join(self, run: Run, event: LifecycleEvent | RunClaimed) -> None:
        """A root run of which a source speaks; once its session is known it is joined with those of its prompt."""
        agent = self._state.agents.get(run.agent_id)
        session_id = event.session_id or run.session_id or (agent.session_id if agent is not None else "")
        if not session_id:
            return
        run.joined_in = session_id
        self._state.touch_run(run)
        by_ids = self._keyed_by_ids[event.source]
        begins = isinstance(event, RunStarted | RunClaimed)
        message_id = str(event.attributes.get("cline.prompt.id", "")) if begins else ""
        prompts = self._state.prompts.setdefault(session_id, [])
        prompt = self._same(prompts, run.key, message_id, event.occurred_at_ns, by_ids=by_ids)
        if prompt is None:
            prompt = Prompt(session_id, len(prompts), event.occurred_at_ns, owner=run.owner)
            prompts.append(prompt)
        known = prompt.key(by_ids=self._keyed_by_ids.get(prompt.owner, not by_ids))
        prompt.message_id = prompt.message_id or message_id
        if by_ids:
            prompt.run_by_ids = prompt.run_by_ids or run.key
        else:
            prompt.run = prompt.run or run.key
        self._state.touch_prompt(prompt)
        if known is not None and not run.owner:
            self._make_part_of(run, known, prompt.owner)

    def settle(self, root: Run, owner: str) -> Run:
        """The run that stands for a prompt now that its owner is known."""
        prompts = self._state.prompts.get(root.joined_in, ())
        prompt = next((each for each in reversed(prompts) if root.key in (each.run, each.run_by_ids)), None)
        if prompt is None:
            return root
        prompt.owner = owner
        self._state.touch_prompt(prompt)
        new_root = self._state.runs.get(prompt.key(by_ids=self._keyed_by_ids[owner]) or root.key)
        if new_root is None or new_root is root:
            return root
        for run in self._state.runs.values():
            if run.root == root.key:
                run.root = new_root.key
                self._state.touch_run(run)
        return new_root

    def _same(
        self, prompts: Iterable[Prompt], key: RunKey, message_id: str, at_ns: int, *, by_ids: bool
    ) -> Prompt | None:
        """That of the prompts which a run is of, if it is known."""
        near: list[Prompt] = []
        last: Prompt | None = None
        for prompt in prompts:
            if key in (prompt.run, prompt.run_by_ids) or (message_id and message_id == prompt.message_id):
                return prompt
            tells_apart = message_id and prompt.message_id
            later_ns = prompt.started_at_ns - at_ns if by_ids else at_ns - prompt.started_at_ns
            if prompt.key(by_ids=by_ids) is None and not tells_apart and EARLIEST_NS <= later_ns <= LATEST_NS:
                near.append(prompt)
            if prompt.started_at_ns <= at_ns and (last is None or prompt.started_at_ns >= last.started_at_ns):
                last = prompt
        if near:
            return min(near, key=lambda prompt: abs(prompt.started_at_ns - at_ns))
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
