"""Fixtures for a real collector."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .collector import FINDER, QUICK_FLUSH, Collector
from .server_process import found_by


@pytest.fixture(scope="session")
def collector_executable() -> Path:
    """The collector to run; a test that needs one fails with the remedy where there is none."""
    return found_by(FINDER)


@pytest.fixture
def make_collector(collector_executable: Path, tmp_path: Path) -> Iterator[Callable[..., Collector]]:
    """Makes collectors that are not started yet; takes what ``Collector`` takes by keyword. All end with the test."""
    made: list[Collector] = []
    numbers = itertools.count(1)

    def make(**options: object) -> Collector:
        directory = tmp_path / f"collector-{next(numbers)}"
        directory.mkdir()
        made.append(Collector(collector_executable, directory, **options))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for each in made:
        each.stop()


@pytest.fixture
def collector(make_collector: Callable[..., Collector]) -> Collector:
    """A running collector with ``collector-config/base.yaml``, on ports of its own."""
    return make_collector(overrides=QUICK_FLUSH).start()
