"""This tree and another commit, side by side: CPU time by stage, in pairs.

Both sides run under this interpreter, with its dependencies and the same driver, ``bench.stages``, which says by
which interfaces each stage is entered. Only ``cline_otel`` differs: the other side's comes from ``git archive``.
Each side has a process of its own for each stage; they take turns, A B A B, in steps of a fraction of a second on
the same input, so that what else the machine does falls on both; each ratio is of one pair.
"""

from __future__ import annotations

import io
import statistics
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from math import comb
from pathlib import Path
from typing import Final, Self

import msgspec

from bench.stages import STAGES, Order, Spent, isolated_environment

PAIRS: Final = 15
RUNS: Final = 60
TOLERATED_PERCENT: Final = 3.0
"""What is slower by more than this is named so; below it is the noise of a shared machine."""

_ROOT: Final = Path(__file__).parents[1]

Pair = tuple[Spent, Spent]
"""What this tree spent, and what the other did."""


class NotComparableError(Exception):
    """The comparison cannot be made; the text says why."""


class Comparison(msgspec.Struct, frozen=True):
    """The pairs of one stage."""

    stage: str
    pairs: tuple[Pair, ...]

    @property
    def ratios(self) -> list[float]:
        """CPU time an event of this tree by the other's, pair by pair: above 1, this tree is slower."""
        return [(ours.seconds / ours.events) / (theirs.seconds / theirs.events) for ours, theirs in self.pairs]

    @property
    def slower_percent(self) -> float:
        """By how much this tree is slower in the median pair; negative where it is faster."""
        return (statistics.median(self.ratios) - 1) * 100

    @property
    def is_certain(self) -> bool:
        """Whether the pairs agree on who is slower: a sign test, with one chance in twenty of a false alarm."""
        slower = sum(ratio > 1 for ratio in self.ratios)
        return _chance_of(max(slower, len(self.ratios) - slower), len(self.ratios)) <= 0.05

    def is_slower_by(self, percent: float) -> bool:
        """Whether this tree is slower by more than ``percent``, and the pairs agree on it."""
        return self.slower_percent > percent and self.is_certain

    def line(self) -> str:
        """One line of the table."""
        ours, theirs = (
            statistics.median(pair[side].events / pair[side].seconds for pair in self.pairs) for side in (0, 1)
        )
        ratios = self.ratios
        verdict = ""
        if self.slower_percent > TOLERATED_PERCENT:
            verdict = f"SLOWER by {self.slower_percent:.1f} %" if self.is_certain else "too noisy to tell; more --pairs"
        figures = f"{min(ratios):8.3f}{statistics.median(ratios):8.3f}{max(ratios):8.3f}"
        return f"{self.stage:<10}{ours:>12,.0f}{theirs:>12,.0f}{figures}  {verdict}".rstrip()


def _chance_of(agreeing: int, pairs: int) -> float:
    """How likely so many or more of the pairs agree, one way or the other, where both sides are equally fast."""
    ways = sum(comb(pairs, number) for number in range(agreeing, pairs + 1))
    return min(1.0, ways / (1 << pairs) * 2)


def compare(ref: str, pairs: int = PAIRS, runs: int = RUNS) -> list[Comparison]:
    """This tree beside another commit.

    Args:
        ref: the other commit, as git names it.
        pairs: how often each side is measured.
        runs: recorded runs that a process takes in at each turn, about a hundred events each.

    Raises:
        NotComparableError: there is no such commit, or nothing of it can be measured.
    """
    commit = _git("rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}").decode().strip()
    out = _ROOT / ".out"
    out.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="against-", dir=out) as folder:
        with tarfile.open(fileobj=io.BytesIO(_git("archive", commit, "src"))) as archive:
            archive.extractall(folder, filter="data")
        sides = (_ROOT / "src", Path(folder) / "src")
        measured = [pair for stage in STAGES for pair in _measured(stage.__name__, sides, pairs, runs)]
    stages = list(dict.fromkeys(stage for ours, theirs in measured for stage in ours if stage in theirs))
    if not stages:
        raise NotComparableError(f"no stage can be measured in both this tree and {ref}")
    return [
        Comparison(stage, tuple((a[stage], b[stage]) for a, b in measured if stage in a and stage in b))
        for stage in stages
    ]


def _measured(
    stage: str, sides: tuple[Path, Path], pairs: int, runs: int
) -> Iterator[tuple[dict[str, Spent], dict[str, Spent]]]:
    """What a stage function's process of each side spent, pair by pair; the first pair is for warming up."""
    with _Process(stage, sides[0]) as ours, _Process(stage, sides[1]) as theirs:
        for number in range(pairs + 1):
            order = Order(runs, first=number * runs)
            pair = ours.obey(order), theirs.obey(order)
            if number:
                yield pair


class _Process:
    """One side's process for one stage function."""

    def __init__(self, stage: str, src: Path) -> None:
        self._what = f"{stage} of {src}"
        self._folder = tempfile.TemporaryDirectory()
        folder = Path(self._folder.name)
        self._errors = (folder / "stderr").open("w+b")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.stages", stage, str(src)],
            cwd=folder,
            env=isolated_environment(folder, [src, _ROOT]),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._process.kill()
        self._process.communicate()
        self._errors.close()
        self._folder.cleanup()

    def obey(self, order: Order) -> dict[str, Spent]:
        """What the process spent on an order.

        Raises:
            NotComparableError: it ended.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(BrokenPipeError):
            self._process.stdin.write(msgspec.json.encode(order).decode() + "\n")
            self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            self._errors.seek(0)
            said = self._errors.read().decode(errors="replace").strip().splitlines() or ["it did not say why"]
            raise NotComparableError(f"{self._what} ended: {said[-1]}")
        return msgspec.json.decode(answer, type=dict[str, Spent])


def _git(*arguments: str) -> bytes:
    finished = subprocess.run(["git", *arguments], cwd=_ROOT, capture_output=True, check=False)
    if finished.returncode != 0:
        said = finished.stderr.decode().strip()
        raise NotComparableError(said or f"git {' '.join(arguments)}: no such commit")
    return finished.stdout


def report(ref: str, comparisons: Iterable[Comparison]) -> str:
    """The comparison as a table."""
    heading = f"{'stage':<10}{'this tree':>12}{'other':>12}{'min':>8}{'median':>8}{'max':>8}"
    lines = [
        f"Events per second of CPU time, and this tree's CPU time as a multiple of {ref}'s, pair by pair:",
        heading,
    ]
    return "\n".join([*lines, *(comparison.line() for comparison in comparisons)])
