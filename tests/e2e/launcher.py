"""Plays one scenario inside a network namespace and leaves a results folder.

``python -m e2e.launcher SCENARIO FOLDER PROGRAMS`` runs as the first process of the namespace, where
PROGRAMS is a JSON file of ``Programs``. FOLDER then holds:

- ``words.json``: the planted words
- ``model_requests.jsonl``: the model server's record
- ``tool_witness/``: what Cline's own hook was told of each tool call
- ``home-*/``: the home folder, with Cline's session files
- ``cline/``: standard output and error of each Cline
- ``collector/``: what reached the collector
- ``bridge/``: the bridge's output and last status, its state directory with earlier copies, and every spool file
- ``endpoint/`` and ``stock/``, of a live scenario: what was sent, and what there was at the moments that count
- ``outcome.json``: when each Cline started and ended, and how
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import signal
import socket
import sys
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from .live_scenarios import LIVE_SCENARIOS
from .live_stage import LiveStage
from .namespace import enter_network
from .planted import plant
from .scenarios import HUB_WITHOUT_PLUGIN, SCENARIOS, WITHOUT_PLUGIN
from .stage import Programs, Stage

SCENARIO_TIMEOUT_SECONDS = 1800
_SET_CHILD_SUBREAPER = 36
"""``PR_SET_CHILD_SUBREAPER`` of prctl(2): orphans below this process become its children."""


def supervise() -> None:
    """Leaves the work to a child, in which this returns; reaps orphans meanwhile, and kills what is left at the end.

    Cline's hub daemon is orphaned on purpose. Unreaped it would stay a zombie, which looks alive to
    everybody who waits for its end.
    """
    ctypes.CDLL(None, use_errno=True).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    worker = os.fork()
    if worker == 0:
        return
    exit_code = 1
    ended = 0
    while ended != worker:
        ended, status = os.wait()
        exit_code = os.waitstatus_to_exitcode(status)
    with suppress(ChildProcessError):
        while True:
            for child in _children_of(os.getpid()):
                os.kill(child, signal.SIGKILL)
            os.wait()
    os._exit(exit_code & 0xFF)


def _children_of(parent: int) -> list[int]:
    children = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            # pid (name) state parent ...; the name may hold anything
            if int(path.read_text().rpartition(")")[2].split()[1]) == parent:
                children.append(int(path.parent.name))
    return children


def _heed_signals() -> None:
    """Whoever runs the tests under nohup, or in a shell's background, ignores signals that each Cline is told by."""
    for ignored in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
        if signal.getsignal(ignored) is signal.SIG_IGN:
            signal.signal(ignored, signal.SIG_DFL)


def main(name: str, folder: Path, programs: Programs) -> int:
    """Plays scenario ``name``; the exit code says whether it could be played to its end."""
    _heed_signals()
    enter_network()
    words = plant()
    socket.sethostname(words["host_word"])
    (folder / "words.json").write_text(json.dumps(words))
    stage: Stage
    if name in LIVE_SCENARIOS:
        stage = LiveStage(LIVE_SCENARIOS[name], folder, programs, words)
    else:
        scenario = next(
            scenario for scenario in (*SCENARIOS, WITHOUT_PLUGIN, HUB_WITHOUT_PLUGIN) if scenario.name == name
        )
        stage = Stage(scenario, folder, programs, words)
    try:
        asyncio.run(asyncio.wait_for(stage.play(), SCENARIO_TIMEOUT_SECONDS))
    except (OSError, TimeoutError) as error:
        stage.outcome.failure = f"{type(error).__name__}: {error}"
    (folder / "outcome.json").write_text(json.dumps(asdict(stage.outcome), indent=1))
    return int(bool(stage.outcome.failure))


if __name__ == "__main__":
    supervise()
    sys.exit(main(sys.argv[1], Path(sys.argv[2]), Programs(**json.loads(Path(sys.argv[3]).read_text()))))
