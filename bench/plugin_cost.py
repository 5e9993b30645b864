"""What the Cline plugin costs: a hook call by itself, and a real run of Cline with and without the plugin.

``plugin_cost.mjs`` measures hook calls. The real runs reuse the stage of the end-to-end tests: the same
script is played with and without the plugin in turn, each time in a home and a network of its own, with a
short and with a long conversation. They are left out, with a line that says why, where no network
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
BUDGET_SECONDS = 165
"""How long the real runs may take together; a round that would not end in time is not begun."""

_CHECKOUT = Path(__file__).resolve().parents[1]
_HOOK_CALLS = Path(__file__).with_suffix(".mjs")
_HOOK_CALLS_TIMEOUT_SECONDS = 120
_PLAY_TIMEOUT_SECONDS = 60
# The plugin writes nothing for a user who has said no, and then there would be nothing to measure.
_REFUSALS = frozenset({"DO_NOT_TRACK", "OTEL_SDK_DISABLED", "CLINE_GLOBAL_SETTINGS_PATH", "CLINE_DATA_DIR"})

_SCRIPT = "costing"
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
    answer = subprocess.run(
        [node, str(_HOOK_CALLS)],
        env={name: value for name, value in os.environ.items() if name not in _REFUSALS},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=_HOOK_CALLS_TIMEOUT_SECONDS,
    )
    if answer.returncode != 0:
        said = [line for line in answer.stderr.splitlines() if "Error" in line] or ["no word why"]
        raise NotMeasuredError(f"hook calls of the Cline plugin: `node {_HOOK_CALLS.name}` failed: {said[0].strip()}")
    figures: dict[str, Any] = json.loads(answer.stdout)
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
    plays: dict[tuple[str, bool], list[Play]] = {}
    with tempfile.TemporaryDirectory(prefix="cline-otel-plugin-cost-") as directory:
        started_at = time.monotonic()
        rounds = 0
        while rounds < ROUNDS and (time.monotonic() - started_at) * (rounds + 1) <= BUDGET_SECONDS * max(rounds, 1):
            for context in ("short", "long"):
                # Whichever goes second finds a warmer machine, so they take turns.
                for plugin in (False, True) if rounds % 2 == 0 else (True, False):
                    folder = Path(directory) / f"{rounds}-{context}-{'with' if plugin else 'without'}"
                    plays.setdefault((context, plugin), []).append(_play_apart(folder, context, plugin, programs))
            rounds += 1
    turns = len(_turns([]))
    print(
        f"A run of Cline {pinned_version()} with and without the plugin, {turns} model calls, {turns - 1} tool calls,"
        f" {rounds} rounds in turn, medians in seconds:"
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
    print("  ratio: the median of the rounds' ratios; a run that Cline starts a plugin process for begins later")


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
                raise NotMeasuredError(f"{what}: no `node` on PATH; `make setup` installs one")
            # In place of npm something that does nothing, so that only a Cline installed earlier is found.
            node = NodeRuntime(Path(found), (sys.executable, "-c", "raise SystemExit('not installed')"))
        cline = install_cline(node)
    except (ClineUnavailableError, NodeUnavailableError) as error:
        remedy = "" if wanted == "1" else f"; `{REAL_RUNS}=1 make bench` or `make e2e` installs it"
        raise NotMeasuredError(f"{what}: {error}{remedy}") from error
    bridge = Path(sys.executable).with_name("cline-otel")
    return Programs(cline=str(cline), node_folder=str(node.node.parent), bridge=str(bridge))


def _play_apart(folder: Path, context: str, plugin: bool, programs: Programs) -> Play:
    """Plays in a network namespace and in a process of its own, which leaves nothing running."""
    folder.mkdir()
    order = {"folder": str(folder), "context": context, "plugin": plugin, "programs": asdict(programs)}
    answer = subprocess.run(
        [*namespace_command(), sys.executable, "-m", "bench.plugin_cost", json.dumps(order)],
        cwd=_CHECKOUT,
        env={**os.environ, "PYTHONPATH": str(_CHECKOUT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=2 * _PLAY_TIMEOUT_SECONDS,
    )
    if answer.returncode != 0:
        said = (answer.stderr.strip().splitlines() or ["no word why"])[-1]
        raise NotMeasuredError(f"real runs of Cline: a run {folder.name[2:]} the plugin failed: {said}")
    return Play(**json.loads(answer.stdout))


def _play_here(folder: Path, context: str, plugin: bool, programs: Programs) -> Play:
    """Plays one run in ``folder``; this process must be in a network namespace of its own.

    Raises:
        NotMeasuredError: the run did not come to its end, or the plugin did not do its part.
    """
    enter_network()
    paths = _write_long_files(folder) if context == "long" else ["{workspace}/README.md"]
    SCRIPTS[_SCRIPT] = _turns(paths)
    # The bridge reads the spool in a process of its own, at any time: here it is started afterwards, out of the way.
    scenario = Scenario(_SCRIPT, ((ClineRun(_SCRIPT),),), plugin=plugin, bridge_starts="after")
    stage = Stage(scenario, folder, programs, plant())
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
    """What the model does: it reads the files, runs four commands, and says a hundred words."""
    reading = ToolRequest("read_files", {"files": [{"path": path} for path in paths]})
    commands = [ToolRequest("run_commands", {"commands": [f"echo {number}"]}) for number in range(4)]
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
    programs = Programs(**order["programs"])
    try:
        play = _play_here(Path(order["folder"]), order["context"], order["plugin"], programs)
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
