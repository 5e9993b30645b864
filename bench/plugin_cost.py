"""What the Cline plugin costs: a hook call by itself, and a real run of Cline with and without the plugin.

``plugin_cost.mjs`` measures hook calls. The real runs reuse the stage of the end-to-end tests: the same
script is played with and without the plugin in turn, each time in a fresh home and a network of its own, with
a short and with a long conversation. They are left out, with a line that says why, where no network
namespace can be made or the pinned Cline is not installed. ``CLINE_OTEL_BENCH_REAL=1`` installs it,
``CLINE_OTEL_BENCH_REAL=0`` leaves the real runs out.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.e2e.cline_release import ClineUnavailableError, install_cline, pinned_version
from tests.e2e.launcher import supervise
from tests.e2e.model_server import read_record
from tests.e2e.namespace import NamespaceUnavailableError, enter_network, namespace_command
from tests.e2e.node_runtime import NodeRuntime, NodeUnavailableError, find_node
from tests.e2e.planted import plant
from tests.e2e.scenarios import ClineRun, Scenario
from tests.e2e.scripts import SCRIPTS, ToolRequest, Turn
from tests.e2e.stage import Programs, Stage

REAL_RUNS = "CLINE_OTEL_BENCH_REAL"
ROUNDS = 4
BUDGET_SECONDS = 175
"""How long the real runs may take together; a round that would not end in time is not begun."""

_CHECKOUT = Path(__file__).resolve().parents[1]
_HOOK_CALLS = Path(__file__).with_suffix(".mjs")
_HOOK_CALLS_TIMEOUT_SECONDS = 120
_PLAY_TIMEOUT_SECONDS = 60
# The plugin writes nothing for a user who has said no, and then there would be nothing to measure.
_REFUSALS = frozenset({"DO_NOT_TRACK", "OTEL_SDK_DISABLED", "CLINE_GLOBAL_SETTINGS_PATH", "CLINE_DATA_DIR"})

_TEMPORARY_DIRECTORY = "tmp"
"""Where the stage puts what Cline takes for the temporary directory, within its folder."""

_SCRIPT = "costing"
_COMMANDS = 3
_LONG_FILES = 9
_LINES_IN_A_LONG_FILE = 800
_LINE = "const total{number} = items.map((item) => item.price * {number});\n"
_REPORTED_TOKENS = 9_000
"""What the model says of every prompt, so that Cline does not shorten the long conversation."""


class NotMeasuredError(RuntimeError):
    """Something could not be measured; the message is one line that says why and what to do."""


@dataclass(frozen=True)
class Play:
    """How long one run of Cline took, in seconds.

    Attributes:
        command_seconds: from the start of the ``cline`` command to its end.
        start_seconds: from its start to its first model call.
        work_seconds: from its first model call to the end of its last one.
    """

    command_seconds: float
    start_seconds: float
    work_seconds: float


MEASURES = (
    ("the whole command", "command_seconds"),
    ("until the first model call", "start_seconds"),
    ("first to last model call", "work_seconds"),
)


def main() -> None:
    """Prints both tables, or why one is missing."""
    for measure in (hook_calls, real_runs):
        try:
            measure()
        except NotMeasuredError as error:
            print(f"!!! NOT MEASURED: {error}")


def hook_calls() -> None:
    """A table of what a hook call costs by the size of the conversation, from ``plugin_cost.mjs``.

    Raises:
        NotMeasuredError: there is no Node.js, or the measurement failed.
    """
    node = shutil.which("node")
    if node is None:
        raise NotMeasuredError("hook calls of the Cline plugin: no `node` on PATH; `make setup` installs one")
    environment = {name: value for name, value in os.environ.items() if name not in _REFUSALS}
    figures = _ask("hook calls of the Cline plugin", [node, str(_HOOK_CALLS)], environment, _HOOK_CALLS_TIMEOUT_SECONDS)
    empty_turn_us = statistics.median(size["empty_turn"]["median_us"] for size in figures["sizes"])
    print("A hook call of the Cline plugin, in microseconds (median, 99th percentile):")
    print(f"  {'conversation':<14}{'the hook':>20}{'record written':>20}{'Cline waits':>20}")
    for size in figures["sizes"]:
        columns = (
            size["answered"]["every_call"],
            size["written"]["recorded_call"],
            size["trip"]["every_call"],
        )
        cells = "".join(f"{column['median_us']:>11,.0f} {column['p99_us']:>8,.0f}" for column in columns)
        print(f"  {size['context_bytes'] // 1000:>8,} KB   {cells}")
    print("  the hook: until it answers; record written: of calls that leave one, until it is in the spool")
    print(f"  (an empty turn of the event loop, {empty_turn_us:.1f}, included); Cline waits: until the answer is back")
    print("  in another process, the conversation sent along as JSON, which Cline does for every plugin with hooks")


def real_runs() -> None:
    """A table of how long a real Cline takes for the same work with and without the plugin.

    Raises:
        NotMeasuredError: no real Cline can be run here, or a run was not what it should be.
    """
    programs = _find_programs()
    print(f"Real runs of Cline with and without the plugin, some {BUDGET_SECONDS} s at most:", flush=True)
    _loading(programs)
    plays: dict[tuple[str, bool], list[Play]] = {}
    deadline = time.monotonic() + BUDGET_SECONDS
    with tempfile.TemporaryDirectory(prefix="cline-otel-plugin-cost-") as directory:
        theatre = _Theatre(Path(directory), programs)
        first = theatre.play("short", plugin=True)
        rounds = 0
        longest_round_seconds = 0.0
        while rounds < ROUNDS and time.monotonic() + longest_round_seconds <= deadline:
            began = time.monotonic()
            for context in ("short", "long"):
                # Whichever goes second finds a warmer machine, so they take turns.
                for plugin in (False, True) if rounds % 2 == 0 else (True, False):
                    plays.setdefault((context, plugin), []).append(theatre.play(context, plugin))
            rounds += 1
            longest_round_seconds = max(longest_round_seconds, time.monotonic() - began)
    turns = len(_turns([]))
    print(
        f"  Cline {pinned_version()}, {turns} model calls and {turns - 1} tool calls a run,"
        f" {rounds} rounds with and without in turn, medians in seconds"
    )
    print(f"  {'conversation':<14}{'':<28}{'without':>10}{'with':>10}{'ratio':>10}")
    for context in ("short", "long"):
        size = f"{_long_bytes() // 1000:,} KB" if context == "long" else "short"
        for title, field in MEASURES:
            without = [float(getattr(play, field)) for play in plays[context, False]]
            with_plugin = [float(getattr(play, field)) for play in plays[context, True]]
            ratio = statistics.median(b / a for a, b in zip(without, with_plugin, strict=True))
            medians = f"{statistics.median(without):>10.2f}{statistics.median(with_plugin):>10.2f}"
            print(f"  {size:<14}{title:<28}{medians}{ratio:>10.2f}")
    print("  ratio: the median of the rounds' ratios; the very first run, in which Cline compiles the plugin, took")
    print(f"  {first.start_seconds:.2f} s until the first model call and is not among them")


def _loading(programs: Programs) -> None:
    """Prints how long Cline's own plugin process takes to load the plugin, for which Cline waits before it begins."""
    bootstrap = Path(programs.cline).parents[1] / "extensions" / "plugin-sandbox-bootstrap.js"
    node = Path(programs.node_folder) / "node"
    command = [*namespace_command(), str(node), str(_HOOK_CALLS), "loading", str(bootstrap)]
    environment = {name: value for name, value in os.environ.items() if name not in _REFUSALS}
    figures = _ask("loading the Cline plugin", command, environment, _HOOK_CALLS_TIMEOUT_SECONDS)
    print("  Cline's plugin process by itself, medians in milliseconds")
    print(f"  {'':<28}{'first loading':>16}{'later ones':>16}{'ending':>16}")
    for title, plugin in (("this plugin", "ours"), ("one that does nothing", "empty")):
        cells = (f"{figures[plugin][phase]['median_us'] / 1e3:>16.0f}" for phase in ("first", "later", "ended"))
        print(f"  {title:<28}{''.join(cells)}", flush=True)


def _find_programs() -> Programs:
    """The pinned Cline, Node.js and ``cline-otel``; raises ``NotMeasuredError`` where one is not to be had."""
    wanted = os.environ.get(REAL_RUNS, "")
    what = "real runs of Cline with and without the plugin"
    if wanted == "0":
        raise NotMeasuredError(f"{what}: {REAL_RUNS} is 0")
    try:
        namespace_command()
    except NamespaceUnavailableError as error:
        raise NotMeasuredError(f"{what}: {error}") from error
    try:
        if wanted == "1":
            node = find_node()
        else:
            found = shutil.which("node")
            if found is None:
                raise NodeUnavailableError("no `node` on PATH")
            # In place of npm something that does nothing, so that only a Cline installed earlier is found.
            node = NodeRuntime(Path(found), (sys.executable, "-c", "raise SystemExit('not installed')"))
        cline = install_cline(node)
    except (ClineUnavailableError, NodeUnavailableError) as error:
        remedy = "" if wanted == "1" else f"; `{REAL_RUNS}=1 make bench` or `make e2e` installs it"
        raise NotMeasuredError(f"{what}: {error}{remedy}") from error
    bridge = Path(sys.executable).with_name("cline-otel")
    return Programs(cline=str(cline), node_folder=str(node.node.parent), bridge=str(bridge))


class _Theatre:
    """Plays one run after another in the same places, each in a network namespace and in processes of its own.

    Cline keeps the plugin as it compiled it in the temporary directory, by the file's path and content: with the
    same places and words each time, only the first run compiles it, as on a person's machine.
    """

    def __init__(self, directory: Path, programs: Programs) -> None:
        self._folder = directory / "play"
        self._folder.mkdir()
        self._order = {"folder": str(self._folder), "programs": asdict(programs), "words": plant()}

    def play(self, context: str, plugin: bool) -> Play:
        """Plays one run; nothing of it stays but the temporary directory."""
        for path in self._folder.iterdir():
            if path.is_dir() and path.name != _TEMPORARY_DIRECTORY:
                shutil.rmtree(path)
            elif path.is_file():
                path.unlink()
        order = json.dumps(self._order | {"context": context, "plugin": plugin})
        command = [*namespace_command(), sys.executable, "-m", "bench.plugin_cost", order]
        environment = {**os.environ, "PYTHONPATH": str(_CHECKOUT)}
        what = f"a {context} real run of Cline {'with' if plugin else 'without'} the plugin"
        return Play(**_ask(what, command, environment, 2 * _PLAY_TIMEOUT_SECONDS))


def _ask(what: str, command: list[str], environment: dict[str, str], timeout_seconds: int) -> dict[str, Any]:
    """The JSON object that ``command`` prints; raises ``NotMeasuredError`` about ``what`` where it fails."""
    try:
        answer = subprocess.run(
            command,
            cwd=_CHECKOUT,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout_seconds,
        )
    except subprocess.TimeoutExpired as error:
        raise NotMeasuredError(f"{what}: it took more than {timeout_seconds} s") from error
    if answer.returncode != 0:
        said = answer.stderr.strip().splitlines()
        reason = next((line for line in said if "Error" in line), said[-1] if said else "it did not say why")
        raise NotMeasuredError(f"{what}: it ended with {answer.returncode}: {reason.strip()}")
    found: dict[str, Any] = json.loads(answer.stdout)
    return found


def _play_here(folder: Path, context: str, plugin: bool, programs: Programs, words: dict[str, str]) -> Play:
    """Plays one run in ``folder``; this process must be in a network namespace of its own.

    Raises:
        NotMeasuredError: the run did not come to its end, or the plugin did not do its part.
    """
    enter_network()
    paths = _write_long_files(folder) if context == "long" else ["{workspace}/README.md"]
    SCRIPTS[_SCRIPT] = _turns(paths)
    # The bridge reads the spool in a process of its own, at any time: here it is started afterwards, out of the way.
    scenario = Scenario(_SCRIPT, ((ClineRun(_SCRIPT),),), plugin=plugin, bridge_starts="after")
    stage = Stage(scenario, folder, programs, words)
    try:
        asyncio.run(asyncio.wait_for(stage.play(), _PLAY_TIMEOUT_SECONDS))
    except (OSError, TimeoutError) as error:
        raise NotMeasuredError(f"{type(error).__name__}: {error}") from error
    (run,) = stage.outcome.runs
    requests = read_record(folder / "model_requests.jsonl")
    if run.exit_code != 0 or len(requests) != len(SCRIPTS[_SCRIPT]):
        raise NotMeasuredError(f"Cline ended with {run.exit_code} after {len(requests)} model calls")
    spool = "".join(path.read_text() for path in (folder / "bridge" / "spool").iterdir())
    recorded = spool.count('"model_call.finished"')
    if recorded != (len(requests) if plugin else 0):
        raise NotMeasuredError(f"the plugin recorded {recorded} of {len(requests)} model calls")
    return Play(
        command_seconds=(run.ended_at_ns - run.started_at_ns) / 1e9,
        start_seconds=(requests[0].started_at_ns - run.started_at_ns) / 1e9,
        work_seconds=(requests[-1].ended_at_ns - requests[0].started_at_ns) / 1e9,
    )


def _turns(paths: list[str]) -> tuple[Turn, ...]:
    """What the model does: it reads the files, runs a few commands, and says a hundred words."""
    reading = ToolRequest("read_files", {"files": [{"path": path} for path in paths]})
    commands = [ToolRequest("run_commands", {"commands": [f"echo {number}"]}) for number in range(_COMMANDS)]
    return (
        Turn("Reading first.", (reading,), input_tokens=_REPORTED_TOKENS),
        *(Turn("Thinking " * 20, (command,), input_tokens=_REPORTED_TOKENS) for command in commands),
        Turn("Done " * 100, input_tokens=_REPORTED_TOKENS),
    )


def _long_text() -> str:
    return "".join(_LINE.format(number=number) for number in range(_LINES_IN_A_LONG_FILE))


def _long_bytes() -> int:
    return _LONG_FILES * len(_long_text())


def _write_long_files(folder: Path) -> list[str]:
    """Several files, as Cline reads no more than some 50 KB of each at a time."""
    paths = [folder / f"module_{number}.ts" for number in range(_LONG_FILES)]
    for path in paths:
        path.write_text(_long_text())
    return [str(path) for path in paths]


def _obey(order: dict[str, Any]) -> int:
    """Plays what another process of this module asks for, and prints the ``Play`` as JSON."""
    folder, programs = Path(order["folder"]), Programs(**order["programs"])
    try:
        play = _play_here(folder, order["context"], order["plugin"], programs, order["words"])
    except (NotMeasuredError, NamespaceUnavailableError) as error:
        print(error, file=sys.stderr)
        return 1
    print(json.dumps(asdict(play)))
    return 0


if __name__ == "__main__":
    if len(sys.argv) > 1:
        supervise()
        sys.exit(_obey(json.loads(sys.argv[1])))
    main()
