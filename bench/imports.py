"""`make bench-import`: how fast history is imported, and in how much memory.

Sessions as Cline writes them, 8 kB a message, are made in a temporary directory and imported by the real command into
an endpoint on loopback. Speed is the command's own CPU time, its start and the sending included; the endpoint's is not
in it. Memory is the most that the command ever had resident. A Python of a distribution is faster by a fifth than one
that was built here without its optimizations: `make PYTHON=/usr/bin/python3 bench-import` takes that.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
from itertools import count
from pathlib import Path
from typing import Any, Final

from loopback_server import LoopbackServer

MESSAGE_BYTES: Final = 8_000
TURNS_OF_A_PROMPT: Final = 10
MODEL: Final = {"id": "claude-sonnet-4-5", "provider": "anthropic"}
USAGE: Final = {
    "inputTokens": 9_000,
    "outputTokens": 300,
    "cacheReadTokens": 7_000,
    "cacheWriteTokens": 500,
    "cost": 0.02,
}
TOOLS: Final = ("read_files", "run_commands", "search_codebase", "editor")

_REPORT: Final = """
import json, resource, subprocess, sys, time
started = time.monotonic()
code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode
used = resource.getrusage(resource.RUSAGE_CHILDREN)
wall = time.monotonic() - started
print(json.dumps({"code": code, "cpu": used.ru_utime + used.ru_stime, "wall": wall, "peak_kib": used.ru_maxrss}))
"""


def write_sessions(directory: Path, size_bytes: int, session_bytes: int) -> int:
    """Sessions of so many bytes together, each of so many; returns how large they are."""
    texts = _Texts()
    at_ms, total, number = 1_780_000_000_000, 0, 0
    while total < size_bytes:
        session_id = f"{at_ms}_{number:05}"
        folder = directory / session_id
        folder.mkdir(parents=True)
        path = folder / f"{session_id}.messages.json"
        with path.open("w", encoding="utf-8") as file:
            file.write(f'{{"version": 1, "agent": "lead", "sessionId": "{session_id}", "messages": [')
            comma = ""
            while file.tell() < session_bytes:
                for message in _prompt(texts, at_ms):
                    file.write(comma + json.dumps(message, indent=1))
                    comma = ","
                    at_ms = message["ts"]
                at_ms += 60_000
            file.write("]}")
        manifest = {"session_id": session_id, "source": "cli", "status": "completed", "pid": 1}
        (folder / f"{session_id}.json").write_text(json.dumps(manifest))
        total, number = total + path.stat().st_size, number + 1
    return total


_WORDS: Final = ("def", "return", "value", "for", "each", "in", "of", "the")


class _Texts:
    """Texts of a size and ids, no two alike."""

    def __init__(self) -> None:
        self._random = random.Random(8)
        self._numbers = count()
        self._lines = [" ".join(self._random.choices(_WORDS, k=9)) for _ in range(999)]

    def new_id(self, kind: str) -> str:
        return f"msg_{kind}{next(self._numbers):07}"

    def of(self, size_bytes: int) -> str:
        return "\n".join(self._random.choices(self._lines, k=max(size_bytes // 42, 1)))


def _prompt(texts: _Texts, at_ms: int) -> list[dict[str, Any]]:
    """A user's message, and what came of it."""
    messages: list[dict[str, Any]] = [
        {"id": texts.new_id("u"), "role": "user", "ts": at_ms + 1, "content": [{"type": "text", "text": texts.of(400)}]}
    ]
    for turn in range(TURNS_OF_A_PROMPT):
        answered_ms, tool = at_ms + 5_000 * (turn + 1), TOOLS[turn % len(TOOLS)]
        given = {
            "path": "src/module.py",
            "old_text": texts.of(MESSAGE_BYTES // 4),
            "new_text": texts.of(MESSAGE_BYTES // 4),
        }
        asked = {"type": "tool_use", "id": texts.new_id("c"), "name": tool, "input": given}
        messages.append(
            _answer(texts.new_id("a"), answered_ms, [{"type": "text", "text": texts.of(MESSAGE_BYTES // 2)}, asked])
        )
        result = [{"query": "src/module.py", "result": texts.of(MESSAGE_BYTES), "success": True}]
        block = {"type": "tool_result", "tool_use_id": asked["id"], "content": result}
        messages.append({"id": texts.new_id("r"), "role": "user", "ts": answered_ms + 800, "content": [block]})
    messages.append(
        _answer(texts.new_id("a"), messages[-1]["ts"] + 3_000, [{"type": "text", "text": texts.of(MESSAGE_BYTES // 2)}])
    )
    return messages


def _answer(new_id: str, at_ms: int, content: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "id": new_id,
        "role": "assistant",
        "ts": at_ms,
        "content": content,
        "modelInfo": MODEL,
        "metrics": USAGE,
    }


def measure(directory: Path, home: Path, *options: str) -> dict[str, float]:
    """One import of a directory of sessions, by a command of its own."""
    home.mkdir()
    with LoopbackServer(lambda request: (200, b"")) as server:
        server.listen()
        environment = {
            "HOME": str(home),
            "CLINE_OTEL_BRIDGE_STATE_DIR": str(home / "state"),
            "OTEL_EXPORTER_OTLP_ENDPOINT": server.url,
            "NO_PROXY": "*",
        }
        command = [str(Path(sys.executable).with_name("cline-otel")), "import", str(directory), *options]
        said = subprocess.run(
            [sys.executable, "-c", _REPORT, *command], env=environment, check=True, stdout=subprocess.PIPE
        )
    measured: dict[str, float] = json.loads(said.stdout)
    if measured["code"]:
        raise SystemExit(f"error: the import ended with {measured['code']:g}")
    return measured


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench-import ARGUMENTS=", description=__doc__)
    parser.add_argument("--megabytes", type=int, default=200, help="of all sessions together (default: %(default)s)")
    parser.add_argument("--session-megabytes", type=int, default=5, help="of each (default: %(default)s)")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary)
        sessions = {
            f"sessions of {chosen.session_megabytes} MB": (chosen.megabytes, chosen.session_megabytes),
            "one session of 200 MB": (200, 200),
        }
        print(f"Python {sys.version}", flush=True)
        for name, (megabytes, session_megabytes) in sessions.items():
            target = directory / name
            size_bytes = write_sessions(target, megabytes * 1_000_000, session_megabytes * 1_000_000)
            for options in ((), ("--metrics",)):
                measured = measure(target, directory / f"home {name}{''.join(options)}", *options)
                print(
                    f"{name}, {size_bytes / 1e6:,.0f} MB{' with metrics' if options else ''}: "
                    f"{size_bytes / 1e6 / measured['cpu']:.1f} MB/s of CPU time ({measured['cpu']:.1f} s, "
                    f"{measured['wall']:.1f} s in all), {measured['peak_kib'] / 1024:.0f} MB resident at most",
                    flush=True,
                )


if __name__ == "__main__":
    main()
