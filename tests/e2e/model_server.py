"""A model server that plays scripts and keeps the record that the telemetry is measured against.

It speaks two dialects, both streaming: OpenAI chat completions and Anthropic messages. Every answer
has a number of output tokens that no other answer of the server has, so that a chat span can be
matched with the request it tells of.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

from .dialects import anthropic_events, openai_events
from .scripts import LAST_WORDS, SCRIPTS, Turn, fill_in, find_cues

FIRST_OUTPUT_TOKENS = 101
"""The output tokens of the first answer; each later answer has one more."""

OK = 200
"""The HTTP status of an answer."""

_SECONDS_BEFORE_FIRST_WORD = 0.1
_SECONDS_BETWEEN_WORDS = 0.01
_SECONDS_BETWEEN_LOOKS = 0.02
_MAXIMUM_REQUEST_BYTES = 64 * 1024 * 1024


@dataclass
class AskedTool:
    """A tool call that the model asked for.

    ``plays`` is the script that the agent made by this call plays, empty where it makes none.
    """

    call_id: str
    name: str
    plays: str = ""


@dataclass
class ModelRequest:
    """One HTTP request to the model, as the server saw it; times in nanoseconds since the Unix epoch.

    ``ended_at_ns`` is taken just before the last bytes are written: a client can't have had them
    earlier. ``input_tokens`` includes cache reads and writes. A refusal has status 4xx or 5xx and no usage.
    """

    sequence: int
    dialect: str
    model: str
    script: str
    play: str
    turn: int
    attempt: int
    started_at_ns: int
    ended_at_ns: int = 0
    status: int = OK
    tools: list[AskedTool] = field(default_factory=list)
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    response_id: str = ""
    finished: bool = False


class ModelServer:
    """Plays ``SCRIPTS`` on a port of 127.0.0.1 and appends a JSON line per request to ``record``."""

    def __init__(self, record: Path) -> None:
        self.words: Mapping[str, str] = {}
        """What the placeholders of the scripts stand for; set before the first request."""
        self.hanging: set[str] = set()
        """The plays to which an answer was begun that has no end; one that is removed gets its end."""
        self._record = record
        self._sequence = 0
        self._attempts: Counter[tuple[str, str, int]] = Counter()
        self._holding = asyncio.Event()
        self._released = asyncio.Event()
        self._stopped = False
        self._runner: web.AppRunner | None = None

    async def start(self, port: int = 0) -> int:
        """Listens, and returns the port."""
        application = web.Application(client_max_size=_MAXIMUM_REQUEST_BYTES)
        application.router.add_post("/v1/chat/completions", self._chat_completions)
        application.router.add_post("/v1/messages", self._messages)
        self._runner = web.AppRunner(application, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", port)
        await site.start()
        return int(self._runner.addresses[0][1])

    async def wait_until_holding(self, seconds: float) -> None:
        """Returns once an answer is given but for its end; one at a time can be held.

        Raises:
            TimeoutError: none was asked for within ``seconds``.
        """
        try:
            await asyncio.wait_for(self._holding.wait(), seconds)
        except TimeoutError:
            raise TimeoutError(f"waited {seconds:.0f} s for Cline to ask for an answer that is held") from None

    def release(self) -> None:
        """Lets the answer that is held come to its end."""
        self._holding.clear()
        self._released.set()

    async def stop(self) -> None:
        """Stops listening."""
        self._stopped = True
        self._released.set()
        if self._runner is not None:
            await self._runner.cleanup()

    async def _chat_completions(self, http: web.Request) -> web.StreamResponse:
        started_at_ns = time.time_ns()
        turn, asked = self._take_turn("openai", await http.json(), started_at_ns)
        return await self._answer(http, turn, asked, openai_events(turn, asked) if asked.status == OK else [])

    async def _messages(self, http: web.Request) -> web.StreamResponse:
        started_at_ns = time.time_ns()
        turn, asked = self._take_turn("anthropic", await http.json(), started_at_ns)
        return await self._answer(http, turn, asked, anthropic_events(turn, asked) if asked.status == OK else [])

    def _take_turn(self, dialect: str, body: dict[str, Any], started_at_ns: int) -> tuple[Turn, ModelRequest]:
        script, play, index = _whose_turn(body.get("messages", []))
        turns = SCRIPTS.get(script, ())
        turn = turns[index] if index < len(turns) else LAST_WORDS
        key = (play, script, index)
        attempt = self._attempts[key]
        self._attempts[key] += 1
        sequence = self._sequence
        self._sequence += 1
        asked = ModelRequest(sequence, dialect, str(body.get("model")), script, play, index, attempt, started_at_ns)
        if attempt < len(turn.refusals):
            asked.status = turn.refusals[attempt]
            return turn, asked
        turn = _filled_in(turn, play, self.words)
        asked.response_id = f"answer-{play}-{sequence}"
        asked.tools = [
            AskedTool(f"call_{play}_{sequence}_{ordinal}", tool.name, _script_in(tool.arguments))
            for ordinal, tool in enumerate(turn.tools)
        ]
        asked.input_tokens = turn.input_tokens or len(json.dumps(body)) // 4
        asked.output_tokens = FIRST_OUTPUT_TOKENS + sequence
        asked.cache_read_tokens = turn.cache_read_tokens
        asked.cache_write_tokens = turn.cache_write_tokens
        return turn, asked

    async def _answer(
        self, http: web.Request, turn: Turn, asked: ModelRequest, events: list[str]
    ) -> web.StreamResponse:
        try:
            if asked.status != OK:
                return self._refuse(asked)
            response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
            await asyncio.sleep(_SECONDS_BEFORE_FIRST_WORD)
            await response.prepare(http)
            for event in events[:-1]:
                await response.write(event.encode())
                await asyncio.sleep(_SECONDS_BETWEEN_WORDS)
            if turn.held:
                self._released.clear()
                self._holding.set()
                await self._released.wait()
            if turn.hangs:
                self.hanging.add(asked.play)
                while asked.play in self.hanging and not self._stopped:
                    if http.transport is None or http.transport.is_closing():
                        return response
                    await asyncio.sleep(_SECONDS_BETWEEN_LOOKS)
            asked.ended_at_ns = time.time_ns()
            await response.write(events[-1].encode())
            await response.write_eof()
            asked.finished = True
            return response
        finally:
            asked.ended_at_ns = asked.ended_at_ns or time.time_ns()
            with self._record.open("a") as lines:
                lines.write(json.dumps(asdict(asked)) + "\n")

    def _refuse(self, asked: ModelRequest) -> web.Response:
        asked.ended_at_ns = time.time_ns()
        asked.finished = True
        error = {"type": "scripted_refusal", "message": f"Refused for {self.words['error_word']}."}
        headers = {"Retry-After": "0"} if asked.status in (429, 503) else {}
        return web.json_response({"type": "error", "error": error}, status=asked.status, headers=headers)


def read_record(path: Path) -> list[ModelRequest]:
    """The requests of a server's record, in the order they came."""
    requests = []
    for line in path.read_text().splitlines():
        fields = json.loads(line)
        fields["tools"] = [AskedTool(**tool) for tool in fields["tools"]]
        requests.append(ModelRequest(**fields))
    return sorted(requests, key=lambda request: request.sequence)


def _whose_turn(messages: list[dict[str, Any]]) -> tuple[str, str, int]:
    script, play, since = "", "", 0
    for position, message in enumerate(messages):
        if message.get("role") == "user":
            for cue in find_cues(_words_of(message.get("content"))):
                (script, play), since = cue, position
    return script, play, sum(message.get("role") == "assistant" for message in messages[since:])


def _words_of(content: Any) -> str:
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "\n".join(part["text"] for part in parts if part.get("type") == "text")


def _script_in(arguments: dict[str, Any]) -> str:
    cues = find_cues(json.dumps(arguments))
    return cues[0][0] if cues else ""


def _filled_in(turn: Turn, play: str, words: Mapping[str, str]) -> Turn:
    fields = {name: getattr(turn, name) for name in turn.__dataclass_fields__}
    fields["text"] = fill_in(turn.text, play, words)
    fields["tools"] = tuple(
        type(tool)(fill_in(tool.name, play, words), fill_in(tool.arguments, play, words)) for tool in turn.tools
    )
    return Turn(**fields)
