"""Golden recordings: what a whole recording becomes, told by all of its sources and by each alone.

``tests/golden/recordings/RECORDING.SOURCE.txt`` has a line for each span, log record, metric total and diagnostic.
``pytest --update-golden`` rewrites the files that no longer hold, and fails for those alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bench.fixed_key import CATALOGUE, recording_of
from test_golden import readable_log, readable_span

from cline_otel.replay import ReplayResult, replay
from cline_otel.signals import MetricTotal
from cline_otel.sources.registry import SOURCES
from corpus import CAPTURES

FOLDER = Path(__file__).parent / "recordings"
EVERY = "all"


def told() -> Iterator[tuple[Path, str]]:
    """The recordings, each with the sources that tell it."""
    for path in sorted(path for path in CAPTURES.iterdir() if path.is_dir()):
        for source in (EVERY, *SOURCES):
            if recording_of([path], None if source == EVERY else source).read:
                yield path, source


def readable_total(total: MetricTotal) -> dict[str, Any]:
    readable = {"metric": total.metric, "attributes": dict(total.attributes), "sum": round(total.sum, 9)}
    readable |= {"service": total.service}
    return readable | ({"count": total.count, "buckets": total.bucket_counts} if total.bucket_counts else {})


def lines_of(replayed: ReplayResult) -> Iterator[str]:
    made: list[dict[str, Any]] = [
        *map(readable_span, replayed.spans),
        *map(readable_log, replayed.logs),
        *map(readable_total, replayed.totals),
        *({"diagnostic": " ".join(key), "times": times} for key, times in sorted(replayed.diagnostics.items())),
    ]
    for each in made:
        yield json.dumps({name: value for name, value in each.items() if value not in ("", [], {})}, ensure_ascii=False)


@pytest.mark.parametrize(("path", "source"), list(told()), ids=lambda each: getattr(each, "name", each))
def test_a_recording_becomes_what_its_golden_file_says(path: Path, source: str, request: pytest.FixtureRequest) -> None:
    expected = FOLDER / f"{path.name}.{source}.txt"
    replayed = replay(recording_of([path], None if source == EVERY else source), CATALOGUE)
    text = "".join(f"{line}\n" for line in lines_of(replayed))
    known = expected.read_text(encoding="utf-8") if expected.exists() else ""
    if request.config.getoption("--update-golden") and text != known:
        expected.write_text(text, encoding="utf-8")
        pytest.fail(f"rewrote {expected.name}; read the difference, then run again")
    assert known, f"no {expected.name}; make it with --update-golden and read it"
    assert text.splitlines() == known.splitlines()


def test_every_golden_recording_is_one_of_the_tests_recordings() -> None:
    assert {path.name for path in FOLDER.iterdir()} == {f"{path.name}.{source}.txt" for path, source in told()}
