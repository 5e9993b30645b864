"""What programs may call: cheap to import, and the same telemetry as a replay makes."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from types import ModuleType

import msgspec
import pytest

import cline_otel
from cline_otel import api, events, signals
from cline_otel.catalogue.load import load
from cline_otel.emitting import bridge as emitting_bridge
from cline_otel.emitting import events as emitted_events
from cline_otel.prices.library import LIBRARY
from cline_otel.replay import replay
from cline_otel.sources import recording
from cline_otel.sources.recording import read_recording
from integration.reading_program import counted

CAPTURES = Path(__file__).parents[1] / "data" / "captures"
EXAMPLE = Path(__file__).parents[2] / "examples" / "delegated-run"


def test_a_recording_is_read_as_what_a_replay_makes_of_it() -> None:
    replayed = replay(read_recording([EXAMPLE]), load(prices=LIBRARY))
    telemetry = cline_otel.read(EXAMPLE)
    assert list(telemetry.spans) == replayed.spans
    assert list(telemetry.logs) == replayed.logs
    assert list(telemetry.metrics) == replayed.totals
    assert telemetry.diagnostics == replayed.diagnostics
    assert {span.name.split(" ")[0] for span in telemetry.spans} == {"invoke_agent", "chat", "execute_tool"}
    assert cline_otel.read(str(EXAMPLE)) == telemetry


@pytest.mark.parametrize(
    "place",
    [
        "vscode_next_plugin",
        "vscode_next_plugin/sessions",
        "vscode_next_plugin/sessions/1795717195326_0brx1",
        "vscode_next_plugin/spool",
        "vscode_next_plugin/spool/315-1795717196157-0.jsonl",
        "vscode_legacy_subagents",
        "vscode_legacy_subagents/legacy",
        "classic_full/otlp_logs.jsonl",
        "yolo/cline.log",
    ],
)
def test_whatever_cline_leaves_is_read_as_traces(place: str) -> None:
    traces = cline_otel.read(CAPTURES / place).traces
    assert traces
    assert {trace.root.name.split(" ")[0] for trace in traces} == {"invoke_agent"}


def test_a_trace_is_a_tree_of_its_spans() -> None:
    telemetry = cline_otel.read(EXAMPLE)
    (trace,) = telemetry.traces
    waiting, seen = [trace.root], []
    while waiting:
        seen.append(waiting.pop())
        waiting += trace.children(seen[-1])
    assert sorted(span.span_id for span in seen) == sorted(span.span_id for span in telemetry.spans)
    assert [span.started_at_ns for span in trace.spans] == sorted(span.started_at_ns for span in telemetry.spans)
    lines = str(trace).splitlines()
    assert len(lines) == len(telemetry.spans)
    assert lines[0].startswith("invoke_agent cline 5.1")
    assert [line for line in lines if not line.startswith(" ")] == lines[:1]


def of_parents(*parents: tuple[int, int]) -> cline_otel.Trace:
    """A trace of spans, each given as its id and its parent's, 0 for none."""
    spans = [
        signals.SpanRecord(
            b"t" * 16,
            bytes([span_id]) * 8,
            bytes([parent_id]) * 8 if parent_id else b"",
            f"span {place}",
            signals.SpanKind.INTERNAL,
            place,
            place + 1,
        )
        for place, (span_id, parent_id) in enumerate(parents)
    ]
    return cline_otel.Trace("74" * 16, tuple(spans))


@pytest.mark.parametrize(
    ("parents", "indents"),
    [
        ([(1, 0), (2, 1), (3, 2), (4, 1)], [(0, 0), (1, 1), (2, 2), (3, 1)]),
        ([(2, 1), (3, 2), (4, 9)], [(0, 0), (1, 1), (2, 0)]),
        ([(1, 1)], [(0, 0)]),
        ([(1, 0), (1, 1)], [(0, 0), (1, 1)]),
        ([(1, 2), (2, 1)], [(0, 0), (1, 1)]),
        ([(3, 1), (1, 2), (2, 1), (4, 0)], [(3, 0), (0, 0), (1, 0), (2, 1)]),
    ],
    ids=["a tree", "parents are missing", "its own parent", "one id", "a circle", "below a circle"],
)
def test_every_span_stands_in_its_trace_once(parents: list[tuple[int, int]], indents: list[tuple[int, int]]) -> None:
    trace = of_parents(*parents)
    lines = str(trace).splitlines()
    shown = [(int(line.split()[1]), (len(line) - len(line.lstrip())) // 2) for line in lines]
    assert shown == indents
    assert trace.root == trace.spans[indents[0][0]]
    below = [each for span in trace.spans for each in trace.children(span)]
    beside = [trace.spans[place] for place, depth in indents if depth == 0]
    assert sorted([*beside, *below], key=lambda span: span.name) == list(trace.spans)


def test_a_trace_is_walked_however_deep_it_is() -> None:
    one = of_parents((1, 0)).spans[0]
    ids = [number.to_bytes(8, "big") for number in range(1, 20_001)]
    above = [b"", *ids[:-1]]
    spans = (msgspec.structs.replace(one, span_id=each, parent_span_id=up) for each, up in zip(ids, above, strict=True))
    trace = cline_otel.Trace("74" * 16, tuple(spans))
    span, depth = trace.root, 1
    while below := trace.children(span):
        (span,) = below
        depth += 1
    assert depth == 20_000


def test_what_a_trace_used_is_the_sum_of_its_calls() -> None:
    telemetry = cline_otel.read(EXAMPLE)
    (trace,) = telemetry.traces
    of_prompt = dict(trace.root.attributes)
    used = of_prompt["cline.prompt.input_tokens"], of_prompt["cline.prompt.output_tokens"]
    assert trace.tokens == sum(int(str(number)) for number in used)
    assert trace.cost_usd == pytest.approx(of_prompt["cline.prompt.cost_usd"])
    assert repr(trace).startswith(f"<Trace {trace.trace_id[:8]}: invoke_agent cline, 2026-")
    assert repr(telemetry).startswith("<Telemetry: 1 traces, 23 spans, ")


def test_a_row_has_all_of_a_span() -> None:
    telemetry = cline_otel.read(EXAMPLE)
    for span, row in zip(telemetry.spans, telemetry.rows(), strict=True):
        assert (row["name"], row["span_id"]) == (span.name, span.span_id.hex())
        assert dict(span.attributes).items() <= row.items()
        assert isinstance(row["started_at"], datetime)
        assert isinstance(row["ended_at"], datetime)
        lasted = row["ended_at"] - row["started_at"]
        assert lasted.total_seconds() == pytest.approx(row["duration_seconds"], abs=1e-5)


def test_the_environment_changes_nothing_of_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    before = cline_otel.read(EXAMPLE)
    monkeypatch.setenv("CLINE_OTEL_BRIDGE_EXCLUDE", "gen_ai.request.model")
    monkeypatch.setenv("CLINE_OTEL_BRIDGE_STATE_DIR", str(tmp_path))
    assert cline_otel.read(EXAMPLE) == before


def test_what_is_no_recording_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "missing.log"
    with pytest.raises(cline_otel.UnreadableRecording, match=str(missing)):
        cline_otel.read(missing)


def test_all_that_is_public_is_there_and_nothing_else() -> None:
    assert all(hasattr(cline_otel, name) for name in cline_otel.__all__)
    assert dir(cline_otel) == sorted(cline_otel.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'reed'"):
        cline_otel.reed  # type: ignore[attr-defined]  # noqa: B018


def definitions(module: ModuleType) -> Iterator[tuple[str, ast.AST]]:
    """Each name that a module defines, with what says the types that are in it."""
    for node in ast.parse(inspect.getsource(module)).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            annotations = [
                each
                for inner in ast.walk(node)
                for each in (getattr(inner, "annotation", None), getattr(inner, "returns", None))
            ]
            yield node.name, ast.List([each for each in annotations if each is not None], ast.Load())
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            yield node.targets[0].id, node.value


def test_every_type_that_can_be_reached_from_what_is_public_is_public() -> None:
    modules = (events, signals, recording, emitted_events, emitting_bridge, api)
    defined = {name: node for module in modules for name, node in definitions(module) if not name.startswith("_")}
    reached, waiting = set[str](), set(cline_otel.__all__) - {"__version__"}
    while waiting:
        name = waiting.pop()
        reached.add(name)
        named = {node.id for node in ast.walk(defined[name]) if isinstance(node, ast.Name)}
        waiting |= (named & defined.keys()) - reached
    assert reached | {"__version__"} == set(cline_otel.__all__) == {*api.__all__, "__version__"}
    assert {"SpanKind", "Attributes", "AttributeValue", "DiagnosticKind"} <= reached


def test_importing_the_package_imports_its_version_alone() -> None:
    code = (
        "import sys, cline_otel; print([name for name in sys.modules if name.startswith(('cline_otel.', 'msgspec'))])"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        == "['cline_otel.version']\n"
    )


def test_a_program_counts_what_a_recording_holds() -> None:
    """`make check-types` holds that the program is typed."""
    assert counted(EXAMPLE)["invoke_agent"] == 4
