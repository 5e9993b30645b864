"""`make mutants`: small changes of the code that no test notices.

A sample of all possible changes is tried, one at a time, in copies of the tree under ``.out``; the work tree is only
read. A change that makes a test fail, or run for too long, is killed; one that does not is a survivor: a line of code
whose meaning no test states. ``docs/adr/0011-mutants-of-our-own.md`` says why this is no library.
"""

from __future__ import annotations

import argparse
import os
import queue
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import msgspec

from bench.mutations import Mutant, mutants_of

_ROOT: Final = Path(__file__).parents[1]


class Target(msgspec.Struct, frozen=True):
    """Code to change, and the tests that shall notice.

    Attributes:
        code: globs of modules; at least one must match.
        tests: globs of test files, the fastest first; each must match.
    """

    code: tuple[str, ...]
    tests: tuple[str, ...]

    @property
    def name(self) -> str:
        """The package of the first code."""
        return Path(self.code[0]).parent.name


_WHOLE: Final = (
    "tests/golden/test_*.py",
    "tests/laws/test_limit_laws.py",
    "tests/laws/test_log_event_laws.py",
    "tests/laws/test_subset_laws.py",
    "tests/laws/test_state_laws.py",
    "tests/laws/test_ownership_laws.py",
    "tests/laws/test_replay_laws.py",
)
TARGETS: Final = (
    Target(
        ("src/cline_otel/translate/*.py",),
        (
            "tests/laws/test_limit_laws.py",
            "tests/unit/test_translate*.py",
            "tests/unit/test_state_*.py",
            "tests/unit/test_lifecycle*.py",
            "tests/golden/test_golden_recordings.py",
            "tests/unit/test_totals*.py",
            "tests/unit/test_pipeline*.py",
            "tests/unit/test_costs.py",
            "tests/unit/test_mcp_calls.py",
            "tests/unit/test_repeats.py",
            "tests/unit/test_waits.py",
            "tests/unit/test_active_time.py",
            "tests/laws/test_saved_state_laws.py",
            *_WHOLE,
        ),
    ),
    Target(
        (
            "src/cline_otel/decode/*.py",
            "src/cline_otel/sources/*/decod*.py",
            "src/cline_otel/sources/*/partial_schema.py",
        ),
        (
            "tests/unit/test_decode*.py",
            "tests/laws/test_explode_laws.py",
            "tests/laws/test_decoder_laws.py",
            *_WHOLE,
            "tests/laws/test_privacy_laws.py",
        ),
    ),
    Target(
        ("src/cline_otel/encode/*.py",),
        (
            "tests/laws/test_encode_edge_laws.py",
            "tests/unit/test_profiles.py",
            "tests/conformance/test_encode*.py",
            "tests/laws/test_encode_laws.py",
            *_WHOLE[:1],
        ),
    ),
    Target(
        ("src/cline_otel/journal/*.py",),
        (
            "tests/unit/test_journal_limits.py",
            "tests/unit/test_journal_files.py",
            "tests/unit/test_journal_metric_marks.py",
            "tests/unit/test_journal_sent_history.py",
            "tests/unit/test_journal*.py",
            "tests/unit/test_state*.py",
            "tests/unit/test_consent*.py",
            "tests/unit/test_metric_producer.py",
        ),
    ),
    Target(
        ("src/cline_otel/privacy/*.py",),
        (
            "tests/laws/test_random_run_laws.py",
            "tests/laws/test_policy_order_laws.py",
            "tests/unit/test_privacy_secret_detectors*.py",
            "tests/laws/test_masking_laws.py",
            "tests/unit/test_masked_text*.py",
            "tests/unit/test_pseudonyms*.py",
            "tests/unit/test_bounded_patterns.py",
            "tests/plugin/test_one_result_of_names.py",
            "tests/laws/test_p*_laws.py",
            *_WHOLE[:1],
        ),
    ),
)

_TIMEOUT_FLOOR_SECONDS: Final = 60.0
_TIMEOUT_TIMES: Final = 4
"""A mutant that takes so many times as long as the unchanged code is killed: it does not come to an end."""

_UNCHANGED: Final = (0, 0)
"""When a file that is not changed was written: bytecode of it is never taken for that of a mutant, which is newer."""

_PYTEST_OPTIONS: Final = ("-n0", "-x", "-q", "-p", "no:cacheprovider")


class UntestableError(Exception):
    """The tests of a target cannot be run, or fail without any change; the text says which."""


class Verdict(msgspec.Struct, frozen=True):
    """What became of the sample of one target."""

    target: Target
    tried: int
    possible: int
    survivors: tuple[Mutant, ...]

    @property
    def percent(self) -> float:
        """Survivors of what was tried."""
        return 100 * len(self.survivors) / self.tried if self.tried else 0.0

    def is_judged(self, at_most: float) -> bool:
        """Whether all were tried, or so many that a single survivor is not more than ``at_most`` percent."""
        return self.tried >= min(100 / at_most if at_most else 1, max(self.possible, 1))

    def is_over(self, at_most: float) -> bool:
        """Whether more than ``at_most`` percent survived, of enough that were tried."""
        return self.is_judged(at_most) and self.percent > at_most

    def describe(self, at_most: float) -> str:
        """For people, in a line."""
        judged = (
            f"over {at_most:g} %" if self.is_over(at_most) else "" if self.is_judged(at_most) else "too few to judge"
        )
        return (
            f"{self.target.name}: {len(self.survivors)} of {self.tried} mutants survived ({self.percent:.1f} %), "
            f"of {self.possible} possible ones{judged and f': {judged}'}"
        )


def _matching(root: Path, globs: Iterable[str]) -> list[Path]:
    found = [path.relative_to(root) for glob in globs for path in sorted(root.glob(glob))]
    return list(dict.fromkeys(found))


def _tests_of(root: Path, target: Target) -> list[str]:
    for glob in target.tests:
        if not _matching(root, [glob]):
            raise UntestableError(f"{glob}: no such test; name the tests of {target.code[0]} in bench/mutants.py")
    return [str(path) for path in _matching(root, target.tests)]


def _copy(root: Path, folder: Path) -> None:
    """Copies a tree as git sees it, all files as old as can be."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root,
        capture_output=True,
        check=True,
    )
    for name in map(os.fsdecode, listed.stdout.split(b"\0")):
        if name and (root / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(root / name, folder / name)
            os.utime(folder / name, _UNCHANGED)


class _Copy:
    """A copy of the tree in which one mutant at a time is tried."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def passes(self, tests: Sequence[str], seed: int, timeout_seconds: float | None, *, keep: bool = False) -> bool:
        """Whether the tests pass; their bytecode is kept for the next ones if nothing is changed."""
        path = os.pathsep.join([str(self.folder / "src"), str(self.folder)])
        no_bytecode = {"PYTHONDONTWRITEBYTECODE": "" if keep else "1"}
        try:
            finished = subprocess.run(
                [sys.executable, "-m", "pytest", *_PYTEST_OPTIONS, f"--hypothesis-seed={seed}", *tests],
                cwd=self.folder,
                env=os.environ | {"PYTHONPATH": path} | no_bytecode,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                check=False,
                timeout=timeout_seconds,
            )
        except subprocess.TimeoutExpired:
            return False
        return finished.returncode == 0

    def survives(self, mutant: Mutant, tests: Sequence[str], seed: int, timeout_seconds: float) -> bool:
        """Whether the tests pass with the change; afterwards it is undone."""
        path = self.folder / mutant.path
        path.write_text(mutant.changed, encoding="utf-8")
        try:
            return self.passes(tests, seed, timeout_seconds)
        finally:
            path.write_text(mutant.source, encoding="utf-8")
            os.utime(path, _UNCHANGED)


def possible_mutants(root: Path, targets: Iterable[Target]) -> list[tuple[Target, Mutant]]:
    """Every mutant of the targets' code, with the target that it is of.

    Raises:
        UntestableError: a target has no code.
    """
    possible: list[tuple[Target, Mutant]] = []
    for target in targets:
        modules = _matching(root, target.code)
        if not modules:
            raise UntestableError(f"{target.code[0]}: no such code; name it anew in bench/mutants.py")
        possible += [(target, mutant) for module in modules for mutant in mutants_of(root, module)]
    return possible


def sample_of(possible: Sequence[tuple[Target, Mutant]], sample: int, seed: int) -> list[tuple[Target, Mutant]]:
    """So many of them in any order, of each target as many as of any other; the same seed gives the same ones.

    Of a target that has less than its share all are taken, and the others share the rest.
    """
    chance = random.Random(seed)
    by_target: dict[Target, list[tuple[Target, Mutant]]] = {}
    for item in possible:
        by_target.setdefault(item[0], []).append(item)
    chosen: list[tuple[Target, Mutant]] = []
    for left, items in zip(range(len(by_target), 0, -1), sorted(by_target.values(), key=len), strict=True):
        chosen += chance.sample(items, min((sample - len(chosen)) // left, len(items)))
    chance.shuffle(chosen)
    return chosen


def hunt(root: Path, targets: Sequence[Target], sample: int, seed: int, minutes: float, jobs: int) -> list[Verdict]:
    """Tries a sample of all possible mutants, and returns what became of it, a verdict for each target.

    Args:
        root: a git work tree; it is only read.
        targets: what to change, and which tests shall notice.
        sample: how many mutants to try at most.
        seed: which ones, and what hypothesis tries on them.
        minutes: no new mutant is tried so long after the tests of the unchanged code.
        jobs: how many are tried at the same time.

    Raises:
        UntestableError: a target has no code or no tests, or its tests fail without any change.
    """
    possible = possible_mutants(root, targets)
    chosen = sample_of(possible, sample, seed)
    tests = {target: _tests_of(root, target) for target in targets}
    out = root / ".out"
    out.mkdir(exist_ok=True)
    with ExitStack() as stack:
        folders = [stack.enter_context(tempfile.TemporaryDirectory(prefix="mutants-", dir=out)) for _ in range(jobs)]
        _copy(root, Path(folders[0]))
        timeouts = _timeouts(_Copy(Path(folders[0])), {target: tests[target] for target, _ in chosen}, seed)
        give_up_at = time.monotonic() + 60 * minutes
        copies: queue.SimpleQueue[_Copy] = queue.SimpleQueue()
        for folder in folders:
            if folder != folders[0]:
                shutil.copytree(folders[0], folder, dirs_exist_ok=True)
            copies.put(_Copy(Path(folder)))

        def survives(item: tuple[Target, Mutant]) -> bool | None:
            target, mutant = item
            copy = copies.get()
            try:
                if time.monotonic() > give_up_at:
                    return None
                survived = copy.survives(mutant, tests[target], seed, timeouts[target])
            finally:
                copies.put(copy)
            if survived:
                print(mutant.report(), flush=True)
            return survived

        with ThreadPoolExecutor(jobs) as pool:
            try:
                results = list(pool.map(survives, chosen))
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise
    tried = [(*item, survived) for item, survived in zip(chosen, results, strict=True) if survived is not None]
    return [
        Verdict(
            target,
            sum(each is target for each, _, _ in tried),
            sum(each is target for each, _ in possible),
            tuple(mutant for each, mutant, survived in tried if each is target and survived),
        )
        for target in targets
    ]


def _timeouts(copy: _Copy, tests: dict[Target, list[str]], seed: int) -> dict[Target, float]:
    timeouts = {}
    for target, paths in tests.items():
        started = time.monotonic()
        if not copy.passes(paths, seed, None, keep=True):
            raise UntestableError(f"the tests of {target.code[0]} fail without any change: {' '.join(paths)}")
        timeouts[target] = max(_TIMEOUT_TIMES * (time.monotonic() - started), _TIMEOUT_FLOOR_SECONDS)
    return timeouts


def main(arguments: list[str] | None = None) -> int:
    """Change the code a little, one change at a time, and say which changes no test notices."""
    parser = argparse.ArgumentParser(prog="python -m bench.mutants", description=main.__doc__)
    parser.add_argument("--sample", type=int, default=100, metavar="N", help="how many to try (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="which ones (%(default)s)")
    parser.add_argument("--minutes", type=float, default=30, metavar="M", help="no new one after so long (%(default)s)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="how many at once (%(default)s)")
    parser.add_argument("--only", metavar="WORD", help="only code whose path holds this word, such as translate")
    parser.add_argument(
        "--at-most",
        type=float,
        default=5,
        metavar="PERCENT",
        help="exit 1 if more survive of any package, or too few were tried to say so of even one (%(default)s)",
    )
    chosen = parser.parse_args(arguments)
    targets = [target for target in TARGETS if chosen.only is None or any(chosen.only in code for code in target.code)]
    if not targets:
        parser.error(f"--only {chosen.only}: no code that is changed has this in its path")
    try:
        verdicts = hunt(_ROOT, targets, chosen.sample, chosen.seed, chosen.minutes, chosen.jobs)
    except UntestableError as error:
        parser.error(str(error))
    except KeyboardInterrupt:
        return 130
    print(*(verdict.describe(chosen.at_most) for verdict in verdicts), f"seed {chosen.seed}", sep="\n")
    tried, possible = (sum(getattr(verdict, field) for verdict in verdicts) for field in ("tried", "possible"))
    if tried < min(chosen.sample // len(targets) * len(targets), possible):
        print(f"stopped after {chosen.minutes:g} minutes")
    is_judged = any(verdict.is_judged(chosen.at_most) for verdict in verdicts)
    return int(not is_judged or any(verdict.is_over(chosen.at_most) for verdict in verdicts))


if __name__ == "__main__":
    sys.exit(main())
