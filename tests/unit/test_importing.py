"""Import takes each prompt of the past once, whole, whoever else tells of it and however often it is broken off."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from bench.fixed_key import CATALOGUE, recording_of

import tasks
from cline_otel.encode.resource_and_scope import ResourceAndScope
from cline_otel.encode.traces import encode_traces
from cline_otel.importing.found import Found, Span
from cline_otel.importing.taking import Outcome
from cline_otel.journal.records import Commit
from cline_otel.places import Places
from cline_otel.replay import replay
from cline_otel.signals import MetricDelta
from cline_otel.sources.interface import Payload
from cline_otel.sources.registry import SOURCES
from conversations import SESSION, START_MS, Message, answer, ask, gave, text, user, write_session
from corpus import capture_paths
from import_stage import HOUR_MS, Stage, spans_in, staged

WITH_SESSIONS: Final = [path for path in capture_paths() if any(path.glob("sessions/*"))]
OF_FILES: Final = [
    (path, source)
    for path in capture_paths()
    for source in sorted({source for _, source in recording_of([path]).read})
    if any(SOURCES[source].past_sessions(Places(path, ()), path))
]


def prompt(at: int, *further: Message) -> list[Message]:
    """A prompt ``at`` ms after the start, with a tool call, unless it goes on otherwise."""
    middle = further or (answer(at + 100, ask(f"c{at}", "read_files")), user(at + 200, gave(f"c{at}", "ok")))
    return [user(at, text("x")), *middle, answer(at + 300, text("done"))]


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with staged(tmp_path) as stage:
        yield stage


def old(stage: Stage) -> int:
    """A time of change long before a bridge would look."""
    return (stage.now_ms - 5 * HOUR_MS) * 1_000_000


TWO: Final = [*prompt(0), *prompt(1_000)]
OF_TWO: Final = {"chat gpt-5": 4, "execute_tool read_files": 2, "invoke_agent cline": 2}


def test_every_prompt_is_told_once_and_a_second_import_tells_nothing(stage: Stage) -> None:
    write_session(stage.directory, TWO, changed_at_ns=old(stage))
    assert stage.take() == OF_TWO
    assert len({span.span_id for span in stage.spans()}) == 8
    found = stage.find()
    assert (found.wanted, len(found.taken)) == ((), 1)
    assert stage.take() == {}


@pytest.mark.parametrize(("path", "source"), OF_FILES, ids=lambda each: getattr(each, "name", each))
def test_an_import_tells_of_a_recording_what_its_replay_tells(path: Path, source: str, stage: Stage) -> None:
    stage.take(Span(), path)
    replayed = replay(recording_of([path], source), CATALOGUE)
    expected = spans_in(encode_traces(replayed.spans, ResourceAndScope((), "", "", "")))
    assert sorted(map(str, stage.spans())) == sorted(map(str, expected))
    assert len(stage.spans()) == len(expected)
    summed = {"cline.tokens", "cline.cost", "cline.sessions", "cline.tool.calls"}
    sums: dict[tuple[str, str], float] = {}
    for measured, signed in ((stage.measurements(), 1), (replayed.measurements, -1)):
        for each in measured:
            if each.metric in summed:
                series = (each.metric, each.service)
                sums[series] = sums.get(series, 0.0) + signed * each.value
    assert sums == pytest.approx(dict.fromkeys(sums, 0.0))


@pytest.mark.parametrize("path", [p for p in WITH_SESSIONS if any(p.glob("spool/*"))], ids=lambda path: path.name)
def test_what_the_plugin_told_is_not_imported(path: Path, stage: Stage) -> None:
    bridge = stage.bridge()
    for spool in sorted(path.glob("spool/*.jsonl")):
        bridge.take(Payload("plugin", spool.read_bytes().splitlines(), writer=spool.stem, place=spool.name))
    bridge.pipeline.close_open_runs()
    bridge.take(Payload("plugin"))
    told = len(stage.spans())
    assert told
    assert stage.take(Span(), path) == {}
    assert len(stage.spans()) == told


def test_live_reading_tells_nothing_of_what_was_imported_and_goes_on_after_it(stage: Stage) -> None:
    write_session(stage.directory, TWO, changed_at_ns=old(stage))
    stage.take()
    bridge = stage.bridge()
    assert bridge.poll() == 0
    assert bridge.poll() == 0
    write_session(stage.directory, [*TWO, *prompt(9_000_000)], changed_at_ns=stage.now_ms * 1_000_000)
    stage.now_ms += 20_000
    before = len(stage.spans())
    bridge.poll()
    assert [span.name for span in stage.spans()[before:]].count("invoke_agent cline") == 1
    assert stage.take() == {}


def test_import_after_live_tells_the_rest_before_and_after(stage: Stage) -> None:
    recent = stage.now_ms - START_MS - HOUR_MS // 2
    bridge = stage.bridge()
    bridge.poll()
    write_session(stage.directory, [*TWO, *prompt(recent)], changed_at_ns=(stage.now_ms - 20_000) * 1_000_000)
    bridge.poll()
    assert sum(span.name == "invoke_agent cline" for span in stage.spans()) == 1
    later = stage.now_ms - START_MS
    messages = [*TWO, *prompt(recent), *prompt(later)]
    write_session(stage.directory, messages, changed_at_ns=(stage.now_ms + 1_000) * 1_000_000)
    stage.now_ms += 60_000
    assert stage.take()["invoke_agent cline"] == 3
    assert stage.takes[0].prompts == 3
    ids = [span.span_id for span in stage.spans()]
    assert len(ids) == len(set(ids)) == 4 * 4
    assert stage.bridge().poll() == 0
    assert sum(each.value for each in stage.measurements() if each.metric == "cline.sessions") == 0, "live counted it"


def test_a_prompt_of_which_the_bridge_told_a_part_is_the_bridge_s_to_end(stage: Stage) -> None:
    at = stage.now_ms - START_MS
    begun = [user(at, text("x")), answer(at + 100, ask("c", "read_files")), user(at + 200, gave("c", "ok"))]
    bridge = stage.bridge()
    bridge.poll()
    write_session(stage.directory, begun, "running", changed_at_ns=stage.now_ms * 1_000_000)
    bridge.poll()
    whole = [*begun, answer(at + 300, text("done"))]
    write_session(stage.directory, whole, changed_at_ns=stage.now_ms * 1_000_000)
    stage.now_ms += 60_000
    assert stage.take() == {}
    assert [taken.outcome for taken in stage.takes] == [Outcome.AT_WORK]
    stage.bridge().poll()
    assert sum(span.name == "invoke_agent cline" for span in stage.spans()) == 1


def test_a_prompt_that_is_not_over_is_left_and_told_when_it_is(stage: Stage) -> None:
    going_on = [*prompt(0), user(1_000, text("y")), answer(1_100, ask("c", "x")), user(1_200, gave("c", "ok"))]
    write_session(stage.directory, going_on, "running", changed_at_ns=stage.now_ms * 1_000_000)
    assert stage.take()["invoke_agent cline"] == 1
    assert stage.takes[0].at_work == 1
    write_session(stage.directory, [*going_on, answer(1_300, text("done"))], changed_at_ns=old(stage))
    assert stage.take()["invoke_agent cline"] == 1
    assert stage.take() == {}


def test_since_and_until_choose_prompts_and_the_others_are_there_for_the_next_import(stage: Stage) -> None:
    write_session(stage.directory, [*TWO, *prompt(2_000)], changed_at_ns=old(stage))
    second = (START_MS + 1_000) * 1_000_000
    assert stage.take(Span(second, second + 1))["invoke_agent cline"] == 1
    assert stage.take(Span(second, second + 1)) == {}
    assert stage.bridge().poll() == 0, "none of it is live"
    assert stage.take(Span(since_ns=second))["invoke_agent cline"] == 1
    assert stage.take()["invoke_agent cline"] == 1
    links = [span.name for span in stage.spans() if span.name == "invoke_agent cline" and span.links]
    assert len(links) == 1, "the third follows the second; neither of the others follows a later one"


def test_an_import_that_is_broken_off_between_two_pieces_goes_on(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cline_otel.sources.conversations.past.RECORDS_PER_PAYLOAD", 1)
    write_session(
        stage.directory, [each for at in range(0, 5_000, 1_000) for each in prompt(at)], changed_at_ns=old(stage)
    )
    (session,) = stage.find().wanted
    pieces = stage.taking().take(session)
    for _ in range(2):
        next(pieces)
    pieces.close()
    committed = len(stage.spans())
    assert committed == 4 * 2
    stage.take()
    ids = [span.span_id for span in stage.spans()]
    assert len(ids) == len(set(ids)) == 4 * 5
    started = [each for each in stage.measurements() if each.metric == "cline.task.started"]
    assert len(started) == 1


def test_a_prompt_of_several_pieces_is_told_as_a_whole_or_not_at_all(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cline_otel.sources.conversations.past.RECORDS_PER_PAYLOAD", 1)
    monkeypatch.setattr("cline_otel.sources.conversations.past.MOST_RECORDS_PER_PAYLOAD", 4)
    write_session(stage.directory, prompt(0), changed_at_ns=old(stage))
    (session,) = stage.find().wanted
    pieces = stage.taking().take(session)
    assert next(pieces).spans > 0
    pieces.close()
    assert stage.spans() == []
    stage.take()
    assert len(stage.spans()) == len({span.span_id for span in stage.spans()}) == 4


def test_a_broken_session_costs_itself_alone_and_is_said(stage: Stage) -> None:
    folder = write_session(stage.directory, TWO, changed_at_ns=old(stage))
    broken = folder.rename(stage.directory / "broken")
    path = broken / f"{SESSION}.messages.json"
    path.write_bytes(path.read_bytes()[:-700])
    os.utime(path, ns=(old(stage), old(stage)))
    whole = json.loads(json.dumps(TWO).replace("msg_", "other_"))
    write_session(stage.directory, whole, changed_at_ns=old(stage))
    (stage.directory / "empty").mkdir()
    (stage.directory / "nothing").mkdir()
    path = stage.directory / "nothing" / "nothing.messages.json"
    path.write_bytes(b"\xff\x00{{{")
    os.utime(path, ns=(old(stage), old(stage)))
    told = stage.take()
    assert told["invoke_agent cline"] >= 2
    problems = [taken.problem for taken in stage.takes if taken.problem]
    assert len(problems) == 2
    assert all("cannot be read to the end" in problem for problem in problems)


def test_a_surface_and_a_folder_choose_sessions(stage: Stage, tmp_path: Path) -> None:
    usage = {"inputTokens": 7_000, "outputTokens": 500, "totalCost": 0.5}
    metadata = {"aggregateUsage": usage, "sessionHistoryOrigin": {"version": "4.1.0"}}
    folder = write_session(stage.directory, TWO, source="vscode", metadata=metadata, changed_at_ns=old(stage))
    (session,) = stage.find().wanted
    assert (session.surface, session.tokens, session.cost_usd) == ("vscode", 7_500, 0.5)
    assert session.size_bytes == sum(path.stat().st_size for path in folder.glob("*.messages.json"))
    assert stage.find(Span(), ("cline-cli",)) == Found((), (), 1)
    for path in (folder, folder.parent, tmp_path):
        assert [each.key for each in stage.find(Span(), (), path).wanted] == [session.key]
    assert stage.find(Span(), (), tmp_path / "state").wanted == ()


def test_measurements_come_in_the_order_of_time_however_they_overlap(stage: Stage) -> None:
    times = [[5, 9, 9, 40], [1, 2, 3], [4, 30], [41], [2, 50]]
    for each in times:
        stage.journal.commit(Commit(imported=[MetricDelta("cline.sessions", 1, (), at) for at in each]))
    assert [each.occurred_at_ns for each in stage.measurements()] == sorted(at for each in times for at in each)


# --- tasks ------------------------------------------------------------------------------------------------

CHAT: Final = [
    tasks.request(0, 70, 5),
    tasks.say(150, "text", "Reading."),
    tasks.ask(160, "tool", "{}"),
    tasks.request(200, 90, 6),
    tasks.say(340, "completion_result", "all done"),
    tasks.ask(345, "completion_result"),
]
HISTORY: Final = [
    tasks.user(10),
    tasks.answer(140, tasks.READ, 70, 5),
    tasks.user(190, "[read_file for 'a.py'] Result:\nx"),
    tasks.answer(330, tasks.DONE, 90, 6),
]


def write_past_task(stage: Stage, name: str = tasks.TASK) -> Path:
    return tasks.write_task(stage.tasks, CHAT, HISTORY, name=name, changed_at_ns=old(stage))


def test_what_the_list_of_tasks_says_is_known_before_a_task_is_read(stage: Stage) -> None:
    folder = write_past_task(stage)
    (unlisted,) = stage.find().wanted
    assert (unlisted.surface, unlisted.tokens, unlisted.cost_usd) == ("cline-cli", None, None)
    assert unlisted.size_bytes == sum(each.stat().st_size for each in folder.iterdir())
    listed = {"id": folder.name, "ts": int(folder.name) + 9_000, "tokensIn": 160, "tokensOut": 11, "totalCost": 1.5}
    (stage.tasks.parent / "state").mkdir()
    (stage.tasks.parent / "state" / "taskHistory.json").write_text(json.dumps([listed]))
    (session,) = stage.find().wanted
    assert (session.tokens, session.cost_usd) == (171, 1.5)
    assert (session.began_at_ns, session.ended_at_ns) == (int(folder.name) * 10**6, listed["ts"] * 10**6)
    (copied,) = stage.find(Span(), (), shutil.copytree(stage.tasks.parent, stage.directory / "copy")).wanted
    assert (copied.surface, copied.tokens) == ("vscode", 171)


def test_a_task_is_told_once_wherever_a_copy_of_it_is(stage: Stage) -> None:
    write_past_task(stage)
    assert stage.take() == {
        "chat claude-sonnet-4-5": 2,
        "execute_tool attempt_completion": 1,
        "execute_tool read_file": 1,
        "invoke_agent cline": 1,
    }
    assert stage.take() == {}
    copy = shutil.copytree(stage.tasks, stage.directory.parent / "copy" / "tasks")
    for path in (copy.parent, copy, copy / tasks.TASK):
        found = stage.find(Span(), (), path)
        assert len(found.wanted) + len(found.taken) == 1
        assert stage.take(Span(), path) == {}


def test_a_task_that_goes_on_is_left_and_told_when_it_is_over(stage: Stage) -> None:
    changed_at_ns = stage.now_ms * 1_000_000
    tasks.write_task(stage.tasks, CHAT[:3], HISTORY[:2], changed_at_ns=changed_at_ns)
    assert stage.take() == {}
    assert [taken.at_work for taken in stage.takes] == [1]
    write_past_task(stage)
    assert stage.take()["invoke_agent cline"] == 1


def test_a_task_that_telemetry_told_as_a_whole_is_not_imported(stage: Stage) -> None:
    """Its run there is known by the name that Cline's list has for the task."""
    path = next(path for path in capture_paths() if path.name == "classic_full")
    bridge = stage.bridge()
    for payload in (payload for stream in recording_of([path], "otlp").streams for payload in stream):
        bridge.take(payload)
    bridge.pipeline.close_open_runs()
    bridge.take(Payload("otlp"))
    told = len(stage.spans())
    assert told
    assert stage.take(Span(), path) == {}
    assert len(stage.spans()) == told


def test_a_task_that_is_no_json_is_said_once_it_is_not_being_written(stage: Stage) -> None:
    folder = write_past_task(stage)
    (folder / "ui_messages.json").write_text("[{")
    os.utime(folder / "ui_messages.json", ns=(stage.now_ms * 1_000_000,) * 2)
    assert stage.take() == {}
    assert not any(taken.problem for taken in stage.takes)
    os.utime(folder / "ui_messages.json", ns=(old(stage),) * 2)
    assert stage.take() == {}
    (problem,) = [taken.problem for taken in stage.takes]
    assert "ui_messages.json are no JSON" in problem


def test_what_is_kept_of_a_session_does_not_grow_with_it(stage: Stage) -> None:
    sizes_bytes = []
    for prompts in (1, 40):
        write_session(
            stage.directory, [each for at in range(prompts) for each in prompt(at * 1_000)], changed_at_ns=old(stage)
        )
        (session,) = stage.find().wanted
        stage.take()
        sizes_bytes.append(len(stage.journal.cursor(session.key) or b""))
    assert 0 < sizes_bytes[1] <= sizes_bytes[0]
