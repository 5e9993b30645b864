"""What a task's files say, as records in the order of time.

The rules are measured (docs/fidelity.md): a model call lasts from the message before its answer to the answer; a tool
call from the answer to the next message, or to the user's next prompt if that comes first. A call whose answer the
conversation lacks is told by what was shown of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple, TypeVar

from cline_otel.sources.conversations.edits import Change
from cline_otel.sources.conversations.records import INFERRED, record_of
from cline_otel.sources.conversations.told import Record
from cline_otel.sources.task_files.chat import Chat, ModelRequest, ShownTool
from cline_otel.sources.task_files.dialect import Client, Usage
from cline_otel.sources.task_files.history import Answer, History
from cline_otel.sources.task_files.tool_uses import ToolUse, claim_result

_Value = TypeVar("_Value")

LONGEST_WAIT_MS: Final = 600_000
"""The question whether to go on ends a run if it comes so soon after the last that was shown; else it came later, when
somebody opened the task again."""

_WAITS_FOR_USER: Final = frozenset({"ask_followup_question", "plan_mode_respond", "attempt_completion"})
_COMPLETES: Final = "attempt_completion"

_SHOWN_AS: Final = {
    "execute_command": "command",
    "use_mcp_tool": "use_mcp_server",
    "access_mcp_resource": "use_mcp_server",
    "browser_action": "browser_action_launch",
    "use_subagents": "use_subagents",
    "new_task": "new_task",
}
"""By which message a tool is shown, where that is not ``tool``."""


class Task(NamedTuple):
    """A task, as far as other files than its conversation tell it.

    Attributes:
        task_id: the name of its folder.
        ulid: what the program's own telemetry calls it; empty where that is not known.
        clients: what ran the agent from which time on, ms since the Unix epoch, ascending.
        models: the model and its provider from which time on, likewise.
    """

    task_id: str
    ulid: str = ""
    clients: Sequence[tuple[int, Client]] = ()
    models: Sequence[tuple[int, tuple[str, str, str]]] = ()


class Exchange(NamedTuple):
    """A model call: its request, its answer, or both; and when the message to the model was written, if it was."""

    at_ms: int
    request: ModelRequest | None
    answer: Answer | None
    asked_at_ms: int | None


class Story(NamedTuple):
    """The records of a task.

    Attributes:
        task: whose they are.
        records: in the order of time.
        end: those that end the last run, which may still go on.
        settled_until_ms: up to when the records stay as they are whatever is written later.
        is_at_rest: whether the program waits for the user, so that all of them do.
    """

    task: Task
    records: list[Record]
    end: list[Record]
    settled_until_ms: int
    is_at_rest: bool


def tell(task: Task, chat: Chat, history: History) -> Story:
    """The records of a task."""
    calls = _calls(chat, history)
    records: list[Record] = []
    end: list[Record] = []
    for began_ms, next_ms, of_run in _runs(chat.prompts, calls):
        run = _Run(task, began_ms, next_ms, of_run)
        records += [*end, *run.records()]
        end = list(run.end())
    records.sort(key=lambda record: record["time_unix_ms"])
    last = chat.requests[-1] if chat.requests else None
    is_at_rest = last is not None and last.rested_at_ms is not None and chat.prompts[-1] < last.at_ms
    settled_ms = history.asked_at_ms[-1] if history.asked_at_ms else (last.at_ms if last is not None else 0)
    return Story(task, records, end, settled_ms, is_at_rest)


def _calls(chat: Chat, history: History) -> list[Exchange]:
    """Requests, each with its answer: by time, or by place where messages have no time."""
    answers = list(history.answers)
    calls: list[Exchange] = []
    for number, request in enumerate(chat.requests):
        next_ms = chat.requests[number + 1].at_ms if number + 1 < len(chat.requests) else None
        while answers and _is_before(answers[0], request):
            calls += _alone(answers.pop(0))
        answer = answers[0] if answers and _answers(answers[0], request, next_ms) else None
        if answer is not None:
            answers.pop(0)
        asked_ms = answer.asked_at_ms if answer is not None else None
        if answer is None:
            after = (each for each in history.asked_at_ms if each >= request.at_ms)
            asked_ms = next((each for each in after if next_ms is None or each < next_ms), None)
        calls.append(Exchange(request.at_ms, request, answer, asked_ms))
    for answer in answers:
        calls += _alone(answer)
    return calls


def _alone(answer: Answer) -> Iterator[Exchange]:
    """An answer whose request was not shown; without times it says nothing."""
    if answer.at_ms is not None:
        yield Exchange(answer.asked_at_ms or answer.at_ms, None, answer, answer.asked_at_ms)


def _is_before(answer: Answer, request: ModelRequest) -> bool:
    if answer.at_ms is not None:
        return answer.at_ms < request.at_ms
    return request.index is not None and answer.index < request.index + 2


def _answers(answer: Answer, request: ModelRequest, next_ms: int | None) -> bool:
    if answer.at_ms is not None:
        return next_ms is None or answer.at_ms <= next_ms
    return request.index is None or answer.index == request.index + 2


def _runs(prompts: Sequence[int], calls: Sequence[Exchange]) -> list[tuple[int, int | None, list[Exchange]]]:
    """Runs: when each began, when the next prompt came, and its calls. A run that rests and goes on is another."""
    runs: list[tuple[int, int | None, list[Exchange]]] = []
    starts = list(prompts) or ([calls[0].at_ms] if calls else [])
    for number, began_ms in enumerate(starts):
        next_ms = starts[number + 1] if number + 1 < len(starts) else None
        of_run: list[Exchange] = []
        for call in calls:
            if not (began_ms <= call.at_ms or number == 0) or (next_ms is not None and call.at_ms >= next_ms):
                continue
            if of_run and _has_rested(of_run[-1]):
                runs.append((began_ms, call.at_ms, of_run))
                began_ms, of_run = call.at_ms, []
            of_run.append(call)
        runs.append((began_ms, next_ms, of_run))
    return runs


def _has_rested(call: Exchange) -> bool:
    return call.request is not None and call.request.rested_at_ms is not None


class _Run:
    """One prompt's calls as records."""

    def __init__(self, task: Task, began_ms: int, next_ms: int | None, calls: Sequence[Exchange]) -> None:
        self._task = task
        self._began_ms = began_ms
        self._next_ms = next_ms
        self._calls = calls
        self._last_ms = began_ms
        self._iteration = 0

    def records(self) -> Iterator[Record]:
        """From the run's start up to its end."""
        client = _known(self._task.clients, self._began_ms, Client())
        first = self._calls[0] if self._calls else None
        yield self._record(
            "run.started",
            self._began_ms,
            session_id=self._task.task_id,
            task_ulid=self._task.ulid or None,
            prompt_id=str(self._began_ms),
            agent_kind="root",
            mode=_mode(first) if first is not None else None,
            client_name=client.name or None,
            client_version=client.version or None,
            timing=INFERRED,
        )
        for call in self._calls:
            told = self._call(call)
            if call.answer is None and call is self._calls[-1]:
                self._unanswered = list(told)
            else:
                yield from told

    def end(self) -> Iterator[Record]:
        """The run's end, and that of what it ends; incomplete if the files do not say how."""
        yield from self._unanswered
        ended_ms, status, error_text = self._how_it_ended()
        for use in self._open:
            yield self._finished(use, ended_ms)
        yield self._record("run.finished", ended_ms, status=status or "incomplete", error_text=error_text or None)

    _unanswered: Sequence[Record] = ()
    """Of the last call, while it has no answer: it may still get one."""

    _open: Sequence[Record] = ()
    """Tool calls that only the end of the run ends."""

    # --- calls ------------------------------------------------------------------------------------

    def _call(self, call: Exchange) -> Iterator[Record]:
        request, answer = call.request, call.answer
        self._open = []
        usage = _usage(call)
        error_text = request.error_text if request is not None and answer is None else ""
        ended_ms = self._ended_ms(call)
        is_told = answer is not None or usage.is_known or error_text
        if is_told:
            yield from self._model_call(call, ended_ms, usage, error_text)
        if answer is not None and not answer.is_interrupted:
            yield from self._tools(call, answer, ended_ms)
        for at_ms, used in request.subagents if request is not None else ():
            yield self._record(
                "model_call.usage",
                at_ms,
                message_id=str(at_ms),
                is_sum=True,
                **_fields_of(used),
                **self._model_fields(call),
            )
        last_shown_ms = request.last_at_ms if request is not None else 0
        self._last_ms = max(self._last_ms, ended_ms if is_told else 0, last_shown_ms)

    def _ended_ms(self, call: Exchange) -> int:
        request, answer = call.request, call.answer
        if answer is not None and answer.at_ms is not None:
            return answer.at_ms
        if request is None:
            return call.at_ms
        return max(request.at_ms, call.asked_at_ms or 0, request.answered_at_ms or request.last_at_ms)

    def _model_call(self, call: Exchange, ended_ms: int, usage: Usage, error_text: str) -> Iterator[Record]:
        request, answer = call.request, call.answer
        self._iteration += 1
        # The request is shown before it is made; the message to the model is written in between.
        asked_ms = call.asked_at_ms
        started_ms = asked_ms if asked_ms is not None and (request is None or asked_ms >= request.at_ms) else call.at_ms
        yield self._record(
            "model_call.finished",
            ended_ms,
            message_id=self._message_id(call),
            iteration=self._iteration,
            started_at_ms=min(started_ms, ended_ms),
            tool_calls=len(answer.tools) if answer is not None else None,
            error_text=error_text or None,
            timing=INFERRED,
            **self._model_fields(call),
            **(_fields_of(usage) if usage.is_known else {}),
        )

    def _message_id(self, call: Exchange) -> str:
        answered_ms = call.answer.at_ms if call.answer is not None else None
        return str(answered_ms or call.at_ms)

    def _model_fields(self, call: Exchange) -> dict[str, str]:
        model, provider, _ = self._model(call)
        return {name: value for name, value in (("model", model), ("provider", provider)) if value}

    def _model(self, call: Exchange) -> tuple[str, str, str]:
        """The model, its provider and the mode: as the answer says, else the request, else the task's own list."""
        known = [each.model for each in (call.answer, call.request) if each is not None]
        known.append(_known(self._task.models, call.at_ms, ("", "", "")))
        model, provider, mode = (next((each[part] for each in known if each[part]), "") for part in range(3))
        return model, provider, mode

    # --- tools ------------------------------------------------------------------------------------

    def _tools(self, call: Exchange, answer: Answer, asked_ms: int) -> Iterator[Record]:
        message_id = self._message_id(call)
        shown = list(call.request.shown) if call.request is not None else []
        waiting = list(answer.results)
        ended_ms = answer.followed_at_ms
        if answer.at_ms is None:
            ended_ms = call.request.last_at_ms if call.request is not None and waiting else None
        if ended_ms is not None and self._next_ms is not None:
            ended_ms = max(min(ended_ms, self._next_ms), asked_ms)
        begun = []
        for ordinal, use in enumerate(answer.tools):
            fields: Record = {
                "message_id": message_id,
                "call_id": use.call_id or f"call_{message_id}_{ordinal}",
                "iteration": self._iteration,
                "ordinal": ordinal,
                "tool_name": use.name,
            }
            begun.append((use, fields))
            yield self._record("tool_call.started", asked_ms, **fields, input_bytes=use.input_bytes)
        for use, fields in begun:
            view = _claim_shown(use, shown)
            result = claim_result(use, waiting)
            fields |= {"started_at_ms": asked_ms, "timing": INFERRED}
            if view is not None and view.was_asked:
                requested_ms = _within(view.shown_at_ms, asked_ms, ended_ms)
                yield self._record("tool_call.requested", requested_ms, **fields)
                if view.answered_at_ms is not None:
                    fields["answered_at_ms"] = _within(view.answered_at_ms, requested_ms, ended_ms)
            if view is not None and view.was_asked is not None:
                fields["auto_approved"] = not view.was_asked
            if use.is_mcp:
                fields["is_mcp"] = True
                fields |= {"mcp_server": use.server} if use.server else {}
            if use.name == _COMPLETES and call.request is not None and call.request.completed_at_ms is not None:
                self._open = [*self._open, {**fields, "outcome": "success"}]
                continue
            if ended_ms is None:
                continue
            outcome = result.outcome if result is not None else None
            if outcome is not None:
                fields |= {"output_bytes": result.output_bytes if result is not None else 0}
                fields |= {"error_type": outcome.error_type} if outcome.error_type else {}
                fields |= {"exit_code": outcome.exit_code} if outcome.exit_code is not None else {}
            fields["outcome"] = outcome.outcome if outcome is not None else "unverified"
            if fields["outcome"] == "success":
                fields |= _change(use, view)
            yield self._finished(fields, ended_ms)

    def _finished(self, fields: Record, ended_ms: int) -> Record:
        self._last_ms = max(self._last_ms, ended_ms)
        return self._record("tool_call.finished", ended_ms, **fields, ended_at_ms=ended_ms)

    # --- the end ----------------------------------------------------------------------------------

    def _how_it_ended(self) -> tuple[int, str, str]:
        """When the run ended, how, and why it failed; how is empty if the files do not say."""
        last = self._calls[-1] if self._calls else None
        request = last.request if last is not None else None
        answer = last.answer if last is not None else None
        if request is not None and request.completed_at_ms is not None:
            answered_ms = answer.at_ms if answer is not None and answer.at_ms is not None else 0
            return max(answered_ms, request.completed_at_ms), "completed", ""
        ended_ms = self._last_ms
        if request is not None and request.rested_at_ms is not None:
            if request.rested_at_ms - ended_ms <= LONGEST_WAIT_MS:
                ended_ms = max(ended_ms, request.rested_at_ms)
            return ended_ms, "failed" if request.error_text else "aborted", request.error_text
        if (
            answer is not None
            and answer.tools
            and answer.tools[-1].name in _WAITS_FOR_USER
            and self._next_ms is not None
        ):
            return max(ended_ms, self._next_ms), "completed", ""
        if request is not None and request.error_text and answer is None:
            return ended_ms, "failed", request.error_text
        if self._next_ms is not None:
            return max(ended_ms, self._next_ms), "aborted", ""
        return ended_ms, "aborted" if request is not None and request.is_cancelled else "", ""

    def _record(self, event: str, at_ms: int, **fields: str | float | None) -> Record:
        return record_of(event, at_ms, self._task.task_id, str(self._began_ms), fields)


def _mode(call: Exchange) -> str | None:
    """The mode of a run, by its first call; as the request says it, for that is there first."""
    known = [each.model[2] for each in (call.request, call.answer) if each is not None]
    return next((mode for mode in known if mode), None)


def _usage(call: Exchange) -> Usage:
    """What a call used: by the request, which knows the cache and the cost, else by the answer."""
    if call.request is not None and call.request.usage.is_known:
        return call.request.usage
    return call.answer.usage if call.answer is not None else Usage()


def _fields_of(usage: Usage) -> dict[str, int | float]:
    return {name: value for name, value in usage._asdict().items() if value is not None}


def _within(at_ms: int, first_ms: int, last_ms: int | None) -> int:
    at_ms = max(at_ms, first_ms)
    return at_ms if last_ms is None else max(min(at_ms, last_ms), first_ms)


def _change(use: ToolUse, view: ShownTool | None) -> Change:
    """What a tool that succeeded changed; how many lines a file had that was written anew is not known."""
    if use.name != "write_to_file":
        return use.change
    if view is None or not view.creates_file:
        return {"files_modified": 1}
    return {**use.change, "lines_removed": 0, "files_created": 1}


def _claim_shown(use: ToolUse, shown: list[ShownTool]) -> ShownTool | None:
    kind = _SHOWN_AS.get(use.name, "tool")
    for view in shown:
        if view.kind == kind:
            shown.remove(view)
            return view
    return None


def _known(since: Iterable[tuple[int, _Value]], at_ms: int, otherwise: _Value) -> _Value:
    """The last of what is known from a time on, at a time; the first, if that was earlier."""
    known = list(since)
    before = [value for since_ms, value in known if since_ms <= at_ms]
    return before[-1] if before else (known[0][1] if known else otherwise)
