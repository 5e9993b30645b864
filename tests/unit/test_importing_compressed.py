"""Import reads a copy whose files are compressed like the copy itself; what is followed is never unpacked."""

from __future__ import annotations

import gzip
import os
import shutil
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Final

import pytest
from bench.fixed_key import CATALOGUE
from hypothesis import given
from hypothesis import strategies as st

import tasks
from cline_otel.importing.found import Span
from cline_otel.replay import replay
from cline_otel.signals import SpanRecord
from cline_otel.sources import compressed as compressed_files
from cline_otel.sources.compressed import Unpacked, opened
from cline_otel.sources.conversations import messages
from cline_otel.sources.recording import read_recording
from compressed_copies import COMPRESS, all_json, compressed, replaced
from conversations import SESSION, answer, ask, gave, text, user, write_session
from import_stage import Stage, staged

MIB: Final = 1024 * 1024
SUFFIXES: Final = sorted(COMPRESS)
PROMPT: Final = [
    user(0, text("x")),
    answer(100, ask("c", "read_files")),
    user(200, gave("c", "ok")),
    answer(300, text("done")),
]
OF_ONE: Final = {"chat gpt-5": 2, "execute_tool read_files": 1, "invoke_agent cline": 1}
OF_THE_TASK: Final = {"chat claude-sonnet-4-5": 1, "execute_tool attempt_completion": 1, "invoke_agent cline": 1}


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with staged(tmp_path) as stage:
        yield stage


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of a directory of sessions, with one in it."""
    directory = tmp_path / "copy" / "sessions"
    write_session(directory, PROMPT)
    return directory


def conversation(directory: Path) -> Path:
    return directory / SESSION / f"{SESSION}.messages.json"


def write_task(directory: Path) -> Path:
    chat = [tasks.request(0, 70, 5), tasks.say(140, "completion_result", "done"), tasks.ask(145, "completion_result")]
    return tasks.write_task(directory, chat, [tasks.user(10), tasks.answer(130, tasks.DONE, 70, 5)])


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_compressed_copy_is_taken_from_whichever_folder_is_named_and_a_second_time_nothing(
    stage: Stage, copy: Path, suffix: str
) -> None:
    for path in all_json(copy):
        compressed(path, suffix)
    for named in (copy.parent, copy, copy / SESSION):
        assert len(stage.find(Span(), (), named).wanted) == 1
    assert stage.take(Span(), copy / SESSION) == OF_ONE
    for named in (copy.parent, copy, copy / SESSION):
        assert stage.take(Span(), named) == {}
        assert len(stage.find(Span(), (), named).taken) == 1


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_was_imported_is_not_imported_again_when_it_is_compressed_nor_the_other_way_round(
    stage: Stage, copy: Path, suffix: str, tmp_path: Path
) -> None:
    write_task(copy.parent / "tasks")
    plain = shutil.copytree(copy.parent, tmp_path / "plain")
    for path in all_json(copy.parent):
        compressed(path, suffix)
    first, second = (plain, copy.parent) if suffix == ".gz" else (copy.parent, plain)
    assert stage.take(Span(), first) == OF_ONE | OF_THE_TASK | {"invoke_agent cline": 2}
    assert stage.take(Span(), second) == {}
    assert [taken.problem for taken in stage.takes if taken.problem] == []


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_of_a_file_in_both_forms_the_plain_one_counts(stage: Stage, copy: Path, suffix: str) -> None:
    compressed(conversation(copy), suffix, b'{"messages": [')
    folder = write_task(copy.parent / "tasks")
    for path in all_json(folder):
        compressed(path, suffix, b"[{")
    assert stage.take(Span(), copy.parent) == OF_ONE | OF_THE_TASK | {"invoke_agent cline": 2}
    assert not any(taken.problem for taken in stage.takes)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_cline_itself_works_on_is_never_unpacked(
    stage: Stage, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_ns = stage.now_ms * 1_000_000
    bridge = stage.bridge()
    bridge.poll()
    write_session(stage.directory, PROMPT, changed_at_ns=now_ns)
    task = write_task(stage.tasks)
    for path in [*all_json(stage.directory), *all_json(stage.tasks)]:
        compressed(path, suffix)
    unnamed = stage.directory / "unnamed" / "unnamed.messages.json"
    unnamed.parent.mkdir()
    unnamed.write_bytes(COMPRESS[suffix](b"{}"))
    os.utime(unnamed, ns=(now_ns, now_ns))
    with monkeypatch.context() as patch:
        patch.setattr(compressed_files, "compression_of", None)
        assert bridge.poll() == 0
        stage.now_ms += 60_000
        assert bridge.poll() == 0
        assert "cannot be read to the end" in "".join(bridge.input.problems.values())
        assert [session.size_bytes for session in stage.find().wanted] == [unnamed.stat().st_size]
    unnamed.unlink()
    assert bridge.input.unread(stage.journal.cursors()).size_bytes == 0
    session = stage.directory / SESSION
    for named in (stage.directory, session, stage.tasks, task, stage.tasks.parent):
        assert stage.find(Span(), (), named).wanted == ()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_of_a_session_that_is_cut_off_damaged_or_too_large_what_comes_before_is_taken_and_the_others_are_read(
    stage: Stage, copy: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit_bytes = conversation(copy).stat().st_size + MIB
    monkeypatch.setattr(messages, "opened", lambda path, _=0: opened(path, limit_bytes))
    further = [user(1_000, text("y")), answer(1_100, text(Random(0).randbytes(500_000).hex()))]
    whole = compressed(conversation(copy), suffix).read_bytes()
    for name, said in (
        ("cut", [*PROMPT, *further]),
        ("large", [*PROMPT, *further, answer(1_200, text("z" * MIB))]),
    ):
        other = copy.parent / name
        write_session(other, [{**each, "id": f"{name}{each['id']}"} for each in said])
        (other / SESSION).rename(copy / name)
        packed = compressed(copy / name / f"{SESSION}.messages.json", suffix)
        if name == "cut":
            replaced(packed, packed.read_bytes()[:-2_000])
    shutil.copytree(copy / SESSION, copy / "sum")
    content = bytearray(whole)
    content[-5] ^= 0xFF
    replaced(copy / "sum" / f"{SESSION}.messages.json{suffix}", bytes(content))
    replaced(copy / SESSION / f"{SESSION}.messages.json{suffix}", whole)
    taken = stage.take(Span(), copy)
    assert taken["invoke_agent cline"] == 5
    problems = {Path(each.problem.partition(":")[0]).name: each.problem for each in stage.takes if each.problem}
    assert problems.keys() >= {"cut", "large"}
    assert all("cannot be read to the end; what comes before is taken" in each for each in problems.values())
    assert SESSION not in problems
    if suffix == ".gz":
        assert "sum" in problems, "gzip has a checksum"


@pytest.mark.parametrize("torn", [["ui_messages.json"], ["api_conversation_history.json", "ui_messages.json"]])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_of_a_task_that_is_cut_off_nothing_is_taken_and_it_is_said(
    stage: Stage, tmp_path: Path, suffix: str, torn: list[str]
) -> None:
    directory = tmp_path / "copy" / "tasks"
    for path in all_json(write_task(directory)):
        packed = compressed(path, suffix)
        if path.name in torn:
            replaced(packed, packed.read_bytes()[:12])
    assert stage.take(Span(), directory) == {}
    (problem,) = [taken.problem for taken in stage.takes]
    assert f"{', '.join(torn)} are no JSON" in problem


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_the_list_of_tasks_says_is_known_of_a_compressed_copy(stage: Stage, tmp_path: Path, suffix: str) -> None:
    directory = tmp_path / "copy" / "tasks"
    write_task(directory)
    (directory.parent / "state").mkdir()
    listed = f'[{{"id": "{tasks.TASK}", "ts": {int(tasks.TASK) + 9_000}, "tokensIn": 160, "totalCost": 1.5}}]'
    (directory.parent / "state" / "taskHistory.json").write_text(listed)
    for path in all_json(directory.parent):
        compressed(path, suffix)
    (task,) = stage.find(Span(), (), directory.parent).wanted
    assert (task.tokens, task.cost_usd) == (160, 1.5)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_manifest_is_read_compressed(stage: Stage, tmp_path: Path, suffix: str) -> None:
    usage = {"aggregateUsage": {"inputTokens": 70, "outputTokens": 5, "totalCost": 0.5}}
    folder = write_session(
        tmp_path / "copy", PROMPT, source="vscode", metadata=usage | {"sessionHistoryOrigin": {"version": "4.1.0"}}
    )
    for path in all_json(folder):
        compressed(path, suffix)
    (session,) = stage.find(Span(), (), folder).wanted
    assert (session.surface, session.tokens, session.cost_usd) == ("vscode", 75, 0.5)
    assert session.size_bytes == (folder / f"{SESSION}.messages.json{suffix}").stat().st_size


@given(st.binary(max_size=3_000), st.lists(st.integers(0, 900)), st.sampled_from(SUFFIXES), st.integers(0, 4_000))
def test_a_file_is_unpacked_as_it_was_and_no_further_than_the_limit(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, sizes: list[int], suffix: str, limit_bytes: int
) -> None:
    path = tmp_path_factory.mktemp("of") / f"a.json{suffix}"
    path.write_bytes(COMPRESS[suffix](content))
    with opened(path, limit_bytes) as file:
        read = b""
        for size in sizes:
            piece = file.read(size)
            assert piece == content[:limit_bytes][len(read) : len(read) + size]
            read += piece
        assert read + file.read() == content[:limit_bytes]
        assert isinstance(file, Unpacked)
        assert file.is_cut_off == (len(content) > limit_bytes)


@given(st.binary(min_size=1, max_size=3_000), st.data(), st.sampled_from(SUFFIXES))
def test_a_file_that_is_cut_off_anywhere_ends_there_and_says_so(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, data: st.DataObject, suffix: str
) -> None:
    packed = COMPRESS[suffix](content)
    path = tmp_path_factory.mktemp("of") / f"a.json{suffix}"
    path.write_bytes(packed[: data.draw(st.integers(4, len(packed) - 1))])
    with opened(path) as file:
        assert content.startswith(file.read())
        assert file.read() == b""
        assert isinstance(file, Unpacked)
        assert file.is_cut_off


def test_what_is_called_compressed_and_is_not_is_read_as_it_is(stage: Stage, copy: Path) -> None:
    path = conversation(copy)
    path.rename(path.with_name(f"{path.name}.gz"))
    assert stage.take(Span(), copy) == OF_ONE


def test_no_more_is_in_memory_than_was_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "a.json.gz"
    path.write_bytes(gzip.compress(bytes(64 * MIB)))
    tracemalloc.start()
    try:
        with opened(path) as file:
            while file.read(MIB):
                pass
        _, most_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most_bytes < 8 * MIB


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_subagent_s_conversation_of_which_nothing_can_be_read_is_said(stage: Stage, copy: Path, suffix: str) -> None:
    folder = write_session(copy, PROMPT, agents={"agent_1": PROMPT})
    packed = compressed(folder / "agent_1.messages.json", suffix)
    replaced(packed, packed.read_bytes()[:8])
    assert stage.take(Span(), copy) == OF_ONE
    (problem,) = [taken.problem for taken in stage.takes]
    assert "agent_1.messages.json cannot be read to the end" in problem


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_one_compressed_conversation_or_a_task_s_file_is_replayed_with_what_is_beside_it(
    copy: Path, suffix: str
) -> None:
    write_task(copy.parent / "tasks")
    paths = all_json(copy.parent)
    expected = {path: spans_of(path) for path in paths if "messages" in path.name}
    assert all(expected.values())
    for path in paths:
        compressed(path, suffix)
    assert {path: spans_of(path.with_name(path.name + suffix)) for path in expected} == expected


def spans_of(path: Path) -> list[SpanRecord]:
    return replay(read_recording([path]), CATALOGUE).spans


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_of_a_manifest_no_more_is_unpacked_than_fits_into_memory(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.json{suffix}"
    path.write_bytes(COMPRESS[suffix](b'{"a": 1}'))
    assert messages.table_of(path) == {"a": 1}
    path.write_bytes(COMPRESS[suffix](b" " * 64 * MIB + b'{"a": 1}'))
    assert messages.table_of(path) == {}
