"""A process killed at any point leaves every commit that it reported, whole, and nothing in between."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from cline_otel.journal import Commit, Journal, OutboxItem

WRITER = """
import sys
import time
from pathlib import Path
from cline_otel.journal import Commit, Journal, OutboxItem

journal = Journal.open(Path(sys.argv[1]))
number = int((journal.cursor("source") or b"0").decode())
while True:
    number += 1
    mark = b"%08d" % number
    journal.commit(Commit(
        state={f"state/{number % 7}": mark * 50, "total": mark},
        outbox=[OutboxItem("traces", mark * 200, 1), OutboxItem("logs", mark * 30, 1)],
        cursors={"source": mark},
        seen_requests=[(mark, time.time_ns())],
        counts={("received", "otlp", "logs"): 1},
    ))
    print(number, flush=True)
    if number % 5 == 0:
        rows = journal.pending("traces", limit_bytes=10_000, limit_rows=2)
        journal.acknowledge("traces", [row.id for row in rows], delivered=len(rows))
"""


def kill_after(path: Path, lines: int) -> int:
    """Run the writer until it has printed ``lines`` more lines, SIGKILL it, return the last number it printed."""
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        printed = [int(writer.stdout.readline()) for _ in range(lines)]
        writer.kill()
        # What was still in the pipe had been printed, so it must be there as well.
        printed += [int(line) for line in writer.stdout.read().split()]
    return printed[-1]


@pytest.mark.parametrize("rounds", [(1, 3, 2), (17, 1), (40,)])
def test_everything_reported_is_there_and_whole_after_sigkill(tmp_path: Path, rounds: tuple[int, ...]) -> None:
    path = tmp_path / "journal.db"
    for lines in rounds:
        reported = kill_after(path, lines)
        with Journal.open(path) as journal:
            position = journal.cursor("source")
            assert position is not None
            committed = int(position)
            # The kill may fall between a commit and its report.
            assert reported <= committed <= reported + 1
            state = dict(journal.load_state())
            assert state.pop("total") == position
            for number in range(max(1, committed - 6), committed + 1):
                assert state[f"state/{number % 7}"] == b"%08d" % number * 50
                assert journal.seen_request(b"%08d" % number)
            status = journal.status()
            assert status.counts[0].count == committed
            traces = status.signals["traces"]
            assert traces.pending_items + traces.delivered_items == committed
            assert status.signals["logs"].pending_items == committed
            rows = journal.pending("traces", limit_bytes=1 << 30, limit_rows=1 << 20)
            for row in rows:
                assert row.payload == row.payload[:8] * 200
            left = [request.payload for request in journal.newest(1 << 20) if request.state == "left"]
            assert len(left) == traces.delivered_items
            assert not set(left) & {row.payload for row in rows}, "what has left waits no more"


def test_a_reader_opens_what_a_killed_bridge_left(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    reported = kill_after(path, 12)
    with Journal.open_read_only(path) as reader:
        assert reader.status().counts[0].count >= reported


def test_a_commit_under_way_when_the_process_dies_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    script = (
        "import os, signal, sys; from pathlib import Path\n"
        "from cline_otel.journal import Journal\n"
        "journal = Journal.open(Path(sys.argv[1]))\n"
        "with journal.transaction() as connection:\n"
        "    connection.execute(\"INSERT INTO state VALUES ('half', x'00')\")\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(path)], check=False)
    assert done.returncode == -9
    with Journal.open(path) as journal:
        assert dict(journal.load_state()) == {}
        journal.commit(Commit(state={"a": b"1"}, outbox=[OutboxItem("logs", b"x", 1)]))
        assert dict(journal.load_state()) == {"a": b"1"}
