"""`make bench`: speed beside the plain SDK, scaling, memory, start-up, encoding, and what the Cline plugin costs.

Speed is CPU time: what else the machine does, and how long a disk takes to be sure, is not in it. All ids are new
in every round, so that no cache of ids helps. ``--against REF`` compares with another commit instead.
"""

from __future__ import annotations

import argparse
import gc
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import count
from multiprocessing import get_context
from pathlib import Path
from unittest.mock import patch

import psutil

from bench import sockets
from bench.against import PAIRS, NotComparableError, compare, report
from bench.fixed_key import CATALOGUE, KEY
from bench.workload import record_count, requests
from cline_otel.catalogue import values
from cline_otel.catalogue.compiled import Catalogue
from cline_otel.catalogue.load import load
from cline_otel.encode.resource_and_scope import ResourceAndScope
from cline_otel.events import AttributeValue, ModelCallStarted, RunStarted
from cline_otel.journal.records import Commit, OutboxItem
from cline_otel.journal.store import Journal
from cline_otel.pipeline import Pipeline
from cline_otel.privacy.policy import Policy
from cline_otel.privacy.pseudonyms import Pseudonyms
from cline_otel.signals import MetricPoint
from cline_otel.sources.interface import Payload
from cline_otel.sources.registry import SOURCES

ROUNDS = 5
RUNS = 60

_run_numbers: Iterator[int] = count(step=1_000)


def _new_requests(runs: int) -> list[bytes]:
    """Requests of so many runs that no round has seen."""
    return requests(runs, next(_run_numbers))


def _new_pipeline(catalogue: Catalogue = CATALOGUE) -> Pipeline:
    resource_and_scope = ResourceAndScope(
        (("service.name", "cline"), ("service.instance.id", "bench")),
        "cline-otel",
        "bench",
        CATALOGUE.profile.schema_url,
    )
    return Pipeline(catalogue, resource_and_scope, resource_and_scope, claim_wait_ns=0)


def _bridge(bodies: list[bytes], directory: Path) -> float:
    """CPU seconds from OTLP bytes in to OTLP bytes in the journal, one durable transaction a request."""
    journal = Journal.open(directory / "journal.db")
    pipeline = _new_pipeline()
    now_ns = time.time_ns()
    started = time.process_time()
    for number, body in enumerate(bodies):
        pipeline.take(Payload("otlp", [body], "protobuf"))
        pipeline.advance_clock(now_ns + number)
        flushed = pipeline.flush()
        commit = Commit(state=flushed.state)
        if flushed.spans:
            commit.outbox.append(OutboxItem("traces", flushed.traces_request().payload, len(flushed.spans)))
        if flushed.logs:
            commit.outbox.append(OutboxItem("logs", flushed.logs_request().payload, len(flushed.logs)))
        journal.commit(commit)
    points = [MetricPoint(total, now_ns, now_ns + 1) for total in pipeline.totals]
    pipeline.metrics_request(points, "cumulative")
    elapsed = time.process_time() - started
    journal.close()
    return elapsed


def _bridge_in_new_directory(bodies: list[bytes]) -> float:
    with tempfile.TemporaryDirectory() as directory:
        return _bridge(bodies, Path(directory))


def _paired(
    ours: Callable[[list[bytes]], float],
    theirs: Callable[[list[bytes]], float],
    runs: int = RUNS,
    their_runs: int | None = None,
) -> tuple[float, float, float]:
    """Medians of both in CPU seconds, and the median of the ratios of neighbouring rounds."""
    pairs = []
    for _ in range(ROUNDS):
        bodies, their_bodies = _new_requests(runs), _new_requests(their_runs or runs)
        gc.collect()
        a = ours(bodies)
        gc.collect()
        pairs.append((a, theirs(their_bodies)))
    return (
        statistics.median(a for a, _ in pairs),
        statistics.median(b for _, b in pairs),
        statistics.median(b / a for a, b in pairs),
    )


def throughput() -> None:
    """What an event costs from socket to socket, beside the plain SDK and a collector that passes logs on."""
    catalogue = load()
    bodies = requests(sockets.RUNS)
    events = sum(len(list(SOURCES.decode(Payload("otlp", [body], "protobuf"), catalogue, {}))) for body in bodies)
    print(sockets.report(sockets.measure(), events, record_count(sockets.RUNS)))


def second_line() -> None:
    """What it costs to look for shapes of secrets in the values that leave, of all the work in memory."""

    def translated(bodies: list[bytes]) -> float:
        # Gates remember what they have seen: each round has its own.
        pipeline = _new_pipeline(load.__wrapped__(Policy(pseudonyms=Pseudonyms(KEY))))
        started = time.process_time()
        for body in bodies:
            pipeline.take(Payload("otlp", [body], "protobuf"))
            pipeline.flush()
        return time.process_time() - started

    def translated_without(bodies: list[bytes]) -> float:
        with patch.object(values, "secret_kind_of", lambda value, *, may_be_random=False: None):
            return translated(bodies)

    with_it, without_it, ratio = _paired(translated, translated_without)
    print(f"The second line of privacy takes {max(1 - ratio, 0):.1%} of the work ({with_it:.3f} s, {without_it:.3f} s)")


def scaling() -> None:
    """Time for ten times the events."""
    few = RUNS // 6
    small, large, ratio = _paired(_bridge_in_new_directory, _bridge_in_new_directory, few, few * 10)
    print(f"Ten times the events take {ratio:.1f} times as long ({small:.3f} s, {large:.3f} s)")


def memory() -> None:
    """What a hundred thousand open runs cost, in a process of their own."""
    runs = 100_000
    with get_context("spawn").Pool(1) as pool:
        before, after = pool.apply(_open, (runs,))
    print(f"{runs:,} open runs take a process from {before / 1e6:.0f} to {after / 1e6:.0f} MB (limit 400 MB)")


def _open(runs: int) -> tuple[int, int]:
    """Bytes of memory before and after so many runs began that do not end."""
    gc.collect()
    before = psutil.Process().memory_info().rss
    pipeline = _new_pipeline()
    for number in range(runs):
        agent, run = f"agent_{number}", f"run_{number}"
        attributes: dict[str, AttributeValue] = {
            "cline.mode": "act",
            "gen_ai.request.model": "gpt-5",
            "gen_ai.provider.name": "openai",
        }
        pipeline.take_events(
            [
                RunStarted("plugin", 10**18, "run.started", "", attributes, f"s{number}", agent, run),
                ModelCallStarted("plugin", 10**18 + 1, "model_call.started", "", {}, f"s{number}", agent, run, 1),
            ]
        )
        if number % 500 == 0:
            pipeline.flush()
    pipeline.flush()
    gc.collect()
    return before, psutil.Process().memory_info().rss


def start_up() -> None:
    """What commands that only look take, from the start of Python to its end."""
    with tempfile.TemporaryDirectory() as home:
        environment = {**os.environ, "HOME": home}
        for arguments in (("--help",), ("status",), ("explain", "task.tokens")):
            command = [str(Path(sys.executable).parent / "cline-otel"), *arguments]
            times, cpu_times = [], []
            for _ in range(11):
                before, started = os.times(), time.perf_counter()
                subprocess.run(command, check=True, capture_output=True, env=environment)
                times.append(time.perf_counter() - started)
                after = os.times()
                cpu_times.append(
                    after.children_user + after.children_system - before.children_user - before.children_system
                )
            print(
                f"cline-otel {' '.join(arguments)} takes {statistics.median(times) * 1e3:.0f} ms, "
                f"{statistics.median(cpu_times) * 1e3:.0f} ms of CPU"
            )


def measure() -> None:
    """Everything, in one run."""
    throughput()
    second_line()
    scaling()
    memory()
    start_up()
    from bench import encode

    encode.main()
    from bench import plugin_cost

    plugin_cost.main()


def main(arguments: list[str] | None = None) -> int:
    """All figures of this tree, or those beside another commit's; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=main.__doc__)
    parser.add_argument("--against", metavar="REF", help="compare with this commit, in pairs of processes")
    parser.add_argument("--pairs", type=int, default=PAIRS, help="how often each side is measured (%(default)s)")
    parser.add_argument(
        "--fail-above", type=float, metavar="PERCENT", help="exit 1 if a stage is slower by more in the median pair"
    )
    chosen = parser.parse_args(arguments)
    if chosen.against is None:
        if chosen.fail_above is not None:
            parser.error("--fail-above says how much slower than REF is too slow; add --against REF")
        measure()
        return 0
    try:
        comparisons = compare(chosen.against, chosen.pairs)
    except NotComparableError as error:
        parser.error(str(error))
    print(report(chosen.against, comparisons))
    if chosen.fail_above is None:
        return 0
    return int(any(comparison.is_slower_by(chosen.fail_above) for comparison in comparisons))


if __name__ == "__main__":
    sys.exit(main())
