"""Plugin, followed files and import in any order, with restarts in between: each prompt and call is told once."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

from bench.fixed_key import CATALOGUE, recording_of
from hypothesis import given, settings
from hypothesis import strategies as st

from cline_otel.importing.found import Span
from cline_otel.places import Places
from cline_otel.replay import replay
from cline_otel.signals import SpanRecord
from cline_otel.sources.interface import Payload
from cline_otel.sources.registry import SOURCES
from compressed_copies import COMPRESS, all_json, compressed
from corpus import capture_paths
from import_stage import HOUR_MS, Stage, staged

BOTH: Final = [path for path in capture_paths() if (path / "spool").is_dir() and (path / "sessions").is_dir()]
OF_FILES: Final = [
    path
    for path in capture_paths()
    if any(any(source.past_sessions(Places(path, ()), path)) for source in SOURCES.values())
]
MOMENTS: Final = ("the plugin's next records", "a look at the files", "an import", "a restart")
DAY_MS: Final = 24 * HOUR_MS

Told = tuple[int, Counter[object], int]
"""How many prompts; how often each answer is told; all tokens."""


@cache
def expected(path: Path) -> Told:
    """By whoever owns each prompt; of one session both tell the same (test_files_and_plugin_laws)."""
    return told([attributes_of(span) for span in replay(recording_of([path]), CATALOGUE).spans])


def attributes_of(span: SpanRecord) -> dict[str, Any]:
    return {**dict(span.attributes), "is root": not span.parent_span_id}


def told(spans: Sequence[dict[str, Any]]) -> Told:
    prompts = [span for span in spans if span.get("gen_ai.operation.name") == "invoke_agent" and span["is root"]]
    chats = [span for span in spans if span.get("gen_ai.operation.name") == "chat"]
    answers = Counter(span.get("cline.message.id") for span in chats if "error.type" not in span)
    names = ("gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens")
    return len(prompts), answers, sum(span.get(name, 0) for span in chats for name in names)


def told_on(stage: Stage) -> Told:
    spans = []
    for span in stage.spans():
        values = {pair.key: pair.value for pair in span.attributes}
        found = {name: value.string_value or value.int_value for name, value in values.items()}
        spans.append({**found, "is root": not span.parent_span_id})
    return told(spans)


def play(path: Path, moments: Sequence[str], pieces: int, late_ms: int, stage: Stage) -> None:
    shutil.copytree(path / "sessions", stage.directory, dirs_exist_ok=True)
    newest = max(span.ended_at_ns for span in replay(recording_of([path]), CATALOGUE).spans)
    for file in stage.directory.rglob("*.json"):
        os.utime(file, ns=(newest, newest))
    stage.now_ms = newest // 1_000_000 + late_ms
    waiting = [
        Payload("plugin", piece, writer=spool.stem, place=spool.name)
        for spool in sorted(path.glob("spool/*.jsonl"))
        for piece in cut(spool.read_bytes().splitlines(), pieces)
    ]
    bridge = stage.bridge()
    for moment in [*moments, *MOMENTS[:1] * len(waiting), *MOMENTS[1:], MOMENTS[1]]:
        if moment == MOMENTS[0] and waiting:
            bridge.take(waiting.pop(0))
        elif moment == MOMENTS[1]:
            bridge.poll()
            stage.now_ms += 20_000
        else:
            # A bridge does not run while something is imported.
            if moment == MOMENTS[2]:
                stage.take()
            bridge = stage.bridge()


def cut(lines: list[bytes], pieces: int) -> list[list[bytes]]:
    length = -(-len(lines) // pieces)
    return [lines[start : start + length] for start in range(0, len(lines), length)]


@given(
    st.sampled_from(BOTH),
    st.lists(st.sampled_from(MOMENTS), max_size=12),
    st.integers(1, 6),
    st.sampled_from([0, HOUR_MS // 2, 5 * HOUR_MS, 40 * DAY_MS]),
)
def test_each_prompt_and_call_is_told_once(path: Path, moments: list[str], pieces: int, late_ms: int) -> None:
    with tempfile.TemporaryDirectory() as directory, staged(Path(directory)) as stage:
        play(path, moments, pieces, late_ms, stage)
        prompts, answers, tokens = told_on(stage)
        expected_prompts, expected_answers, expected_tokens = expected(path)
        assert prompts == expected_prompts
        assert answers == expected_answers
        assert tokens == expected_tokens
        ids = [span.span_id for span in stage.spans()]
        assert len(ids) == len(set(ids))


def read(path: Path) -> list[list[list[bytes]]]:
    streams = ([payload.parts for payload in stream] for stream in recording_of([path]).streams)
    return [stream for stream in streams if stream]


def replayed(path: Path) -> list[str]:
    return sorted(map(str, replay(recording_of([path]), CATALOGUE).spans))


@cache
def imported(path: Path) -> list[str]:
    with tempfile.TemporaryDirectory() as directory, staged(Path(directory)) as stage:
        stage.take(Span(), path)
        return sorted(map(str, stage.spans()))


@given(st.sampled_from(OF_FILES), st.data())
@settings(max_examples=40)
def test_compressed_in_any_mix_it_is_imported_and_replayed_as_it_was(path: Path, data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as directory, staged(Path(directory)) as stage:
        copy = shutil.copytree(path, Path(directory) / "copy")
        for file in all_json(copy):
            suffix = data.draw(st.sampled_from(["", *COMPRESS]), label=file.name)
            if suffix:
                compressed(file, suffix)
            elif data.draw(st.booleans()):
                beside = data.draw(st.sampled_from([b"[]", file.read_bytes()]))
                compressed(file, data.draw(st.sampled_from([*COMPRESS])), beside)
        stage.take(Span(), copy)
        assert sorted(map(str, stage.spans())) == imported(path) != []
        assert not any(taken.problem for taken in stage.takes)
        assert read(copy) == read(path) != []
        assert replayed(copy) == replayed(path)
