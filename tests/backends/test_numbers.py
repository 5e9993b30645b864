"""`make numbers` finds every number of the bundled recordings everywhere, and whatever differs."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

import msgspec
import pytest
from bench import numbers
from bench.at_backends import BACKENDS
from bench.numbers import Blind, Blindness, failures
from bench.sums import METRICS, SPANS, STAGES, Measured, Numbers, Row, measure_all
from bench.truth import TRUTH_FILE, read_truth

from cline_otel.aggregation.totals import MAX_SERIES
from corpus import CAPTURES

SOME: Final = Numbers(8, 7, 47_913, 302, 0.035475)
LESS: Final = SOME._replace(tool_calls=5)
ROW: Final = Row("a run", "all", ("plugin",), dict.fromkeys(STAGES, SOME))
NOTHING_MISSING: Final = Blindness({}, frozenset({"a run"}), {})


def test_every_number_of_the_bundled_recordings_is_the_same_everywhere(
    prometheus_executable: Path, tmp_path: Path
) -> None:
    """Else: ``make numbers ARGUMENTS=--write``, if it is the page alone that differs."""
    measured, blind = measure_all(CAPTURES, prometheus_executable, tmp_path), numbers.blindness()
    assert failures(measured, blind) == []
    assert {row.recording for row in measured.rows} == {folder.name for folder in CAPTURES.iterdir()}
    assert numbers.PAGE.read_text(encoding="utf-8") == numbers.as_page(measured, blind)


@pytest.mark.usefixtures("prometheus_executable")
def test_a_number_that_differs_is_said_and_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = shutil.copytree(CAPTURES / "plugin_skill", tmp_path / "plugin_skill")
    truth = read_truth(folder)
    one_more = msgspec.structs.replace(truth, model_calls=(*truth.model_calls, truth.model_calls[0]))
    (folder / TRUTH_FILE).write_bytes(msgspec.json.encode(one_more))
    assert numbers.main(["--captures", str(tmp_path)]) == 1
    assert "differs: plugin_skill (all): model_calls in spans: 2, expected 3" in capsys.readouterr().err


def changed(*stages: str, **changes: object) -> Row:
    return msgspec.structs.replace(ROW, stages={**ROW.stages, **dict.fromkeys(stages, LESS)}, **changes)


def said(**nevertheless: Numbers) -> Blindness:
    return msgspec.structs.replace(
        NOTHING_MISSING, recordings={"a run": {"all": Blind(("teammates",), **nevertheless)}}
    )


@pytest.mark.parametrize(
    ("row", "blind", "sentences"),
    [
        (ROW, NOTHING_MISSING, []),
        (changed(SPANS), NOTHING_MISSING, ["tool_calls in spans: 5, expected 7"]),
        (changed(METRICS, *BACKENDS), NOTHING_MISSING, ["tool_calls in metrics: 5, expected 7"]),
        *[(changed(name), NOTHING_MISSING, [f"tool_calls in {name}: 5, expected 7"]) for name in BACKENDS],
        (changed(SPANS), said(spans=LESS), []),
        (changed(METRICS, *BACKENDS), said(metrics=LESS), []),
        (changed(METRICS), said(metrics=LESS), [f"tool_calls in {name}: 7, expected 5" for name in BACKENDS]),
        (ROW, said(spans=SOME), ["nothing is missing, but numbers_blind.toml says so"]),
        (ROW, said(spans=LESS), ["tool_calls in spans: 7, expected 5"]),
        (
            ROW,
            msgspec.structs.replace(NOTHING_MISSING, with_cost=frozenset()),
            ["Cline reports 0.035475 USD, but numbers_blind.toml says otherwise"],
        ),
        (
            changed(series=frozenset(("cline.cost", (("n", each),)) for each in range(MAX_SERIES + 1))),
            NOTHING_MISSING,
            ["2001 series of cline.cost, at most 2000"],
        ),
    ],
)
def test_whatever_differs_and_is_not_said_to_is_a_failure(row: Row, blind: Blindness, sentences: list[str]) -> None:
    assert failures(Measured((row,)), blind) == [f"a run (all): {sentence}" for sentence in sentences]


def test_what_a_backend_refuses_is_a_failure() -> None:
    assert failures(Measured((ROW,), ("Datadog: cumulative temporality",)), NOTHING_MISSING) == [
        "Datadog: cumulative temporality"
    ]


def test_every_reason_is_explained() -> None:
    blind = numbers.blindness()
    words = {word for readings in blind.recordings.values() for each in readings.values() for word in each.why}
    assert words | {numbers.COST} == blind.reasons.keys()


def test_a_cell_says_once_what_is_the_same_everywhere_and_names_what_is_not() -> None:
    def cell(row: Row) -> str:
        return numbers.rows(Measured((row,)), NOTHING_MISSING)[0][4]

    assert cell(ROW) == "7"
    assert cell(changed(SPANS)) == "7, spans 5"
    assert cell(changed(METRICS, *BACKENDS)) == "7, metrics 5"
    assert cell(changed(BACKENDS[0])) == f"7, {BACKENDS[0]} 5"
