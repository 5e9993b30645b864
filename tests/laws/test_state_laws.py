"""The translator's memory, saved and read back at any cut, without a bridge: it goes on to the same bytes."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from pathlib import Path

from bench.fixed_key import CATALOGUE, replay_of
from hypothesis import given, settings
from hypothesis import strategies as st

from cline_otel.encode.logs import encode_logs
from cline_otel.encode.resource_and_scope import ResourceAndScope
from cline_otel.encode.traces import encode_traces
from cline_otel.events import Event, tick
from cline_otel.signals import MetricDelta
from cline_otel.translate.state import State
from cline_otel.translate.step import CLAIM_WAIT_NS, Translator
from corpus import capture_paths, live_steps, streams_of

ORIGIN = ResourceAndScope((("service.name", "cline"),), "cline-otel", "0", "")

paths = st.sampled_from([path for path in capture_paths() if streams_of(path)])


def through(steps: Sequence[Event], cuts: Collection[int]) -> tuple[bytes, bytes, list[MetricDelta], dict[str, bytes]]:
    """Requests of spans and logs, metrics and the stored rows; at each cut the memory is read back from the rows."""
    rows: dict[str, bytes] = {}
    traces, logs = b"", b""
    metrics: list[MetricDelta] = []
    translator = Translator(CATALOGUE, claim_wait_ns=CLAIM_WAIT_NS)
    for number, step in enumerate(steps):
        if number in cuts:
            translator = Translator(CATALOGUE, State.restore(rows.items()), CLAIM_WAIT_NS)
            translator.step(tick(steps[number - 1].occurred_at_ns))
        translator.step(step)
        outputs = translator.take()
        traces += encode_traces(outputs.spans, ORIGIN) if outputs.spans else b""
        logs += encode_logs(outputs.logs, ORIGIN) if outputs.logs else b""
        metrics += outputs.metrics
        for key, value in translator.state.changes().items():
            if value is None:
                rows.pop(key, None)
            else:
                rows[key] = value
    return traces, logs, metrics, rows


@settings(max_examples=30)
@given(paths, st.data())
def test_memory_read_back_at_any_cut_goes_on_to_the_same_bytes(path: Path, data: st.DataObject) -> None:
    """After a tick, as the bridge commits: a commit knows the time that its events were told at."""
    steps = live_steps(path)
    ticks = [number for number in range(1, len(steps)) if steps[number - 1].kind == "tick"]
    cuts = data.draw(st.one_of(st.just(ticks), st.lists(st.sampled_from(ticks), min_size=1, max_size=4)))
    whole, cut = through(steps, ()), through(steps, set(cuts))
    assert whole[:3] == cut[:3]
    assert whole[3] == cut[3]


# --- a process that Cline ended for idleness ----------------------------------------------------------


def spool(folder: Path, process: str, *lines: dict[str, object]) -> None:
    path = folder / "spool" / f"{process}-1795357897000-0.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps({"v": 1} | line) + "\n" for line in lines), encoding="utf-8")


def test_a_run_goes_on_in_the_next_process_however_often_the_idle_one_s_end_is_told(tmp_path: Path) -> None:
    """The plugin tells it, and then whoever sees that the process is gone."""
    agent = {"agent_id": "agent_1795357897484_pat33n", "run_id": "run_KW5LBoy9"}
    began_ms = 1_795_357_897_000
    idle_ended = {"event": "process.exited", "reason": "terminated"}
    spool(
        tmp_path,
        "71",
        {"event": "run.started", "time_unix_ms": began_ms, **agent, "agent_kind": "root"},
        {**idle_ended, "time_unix_ms": began_ms + 1_000},
        {"event": "process.exited", "time_unix_ms": began_ms + 2_000},
    )
    spool(
        tmp_path,
        "72",
        {"event": "run.finished", "time_unix_ms": began_ms + 9_000, **agent, "iteration": 1, "status": "completed"},
    )
    (span,) = replay_of([tmp_path]).spans
    attributes = dict(span.attributes)
    assert span.ended_at_ns - span.started_at_ns == 9_000_000_000
    assert attributes["cline.outcome"] == "completed"
    assert "cline.incomplete" not in attributes
    steps = live_steps(tmp_path)
    assert through(steps, range(2, len(steps), 2)) == through(steps, ())
