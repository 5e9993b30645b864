"""A source in one folder is seen everywhere, and nothing outside its folder had to change for it."""

from __future__ import annotations

import ast
import asyncio
import json
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from shutil import copytree
from typing import Any, NoReturn

import pytest
from click.testing import CliRunner, Result

import cline_otel
from cline_otel.bridge import Bridge, Observer, Started
from cline_otel.catalogue.load import CatalogueError, built_in_sources
from cline_otel.cli.main import main
from cline_otel.consent.erase import erase_inputs
from cline_otel.journal.records import Commit
from cline_otel.journal.store import Journal
from cline_otel.places import Places
from cline_otel.replay import replay
from cline_otel.settings import load_settings
from cline_otel.signals import Diagnostics
from cline_otel.sources.interface import Input, Intake, Listening, Payload, Receiver, UndeletableFile
from cline_otel.sources.recording import read_recording
from cline_otel.sources.registry import SOURCES, Registry
from corpus import CAPTURES
from toy_source.toy import TOY, ToyFiles, ToySource

ROOT = Path(__file__).parents[2]
RECORDING = CAPTURES / "plugin_basic"
SOURCES_AND_TOY = Registry((*SOURCES.values(), TOY))
TIME_MS = 1_790_000_000_000
IDS = {"session": f"{TIME_MS}_toyto", "agent": f"agent_{TIME_MS}_toyto", "run": "run_toytoyt0"}
RECORDS: list[dict[str, Any]] = [
    {"what": "toy.began", "at": TIME_MS, **IDS, "prompt": "the words of a child"},
    {"what": "toy.asked", "at": TIME_MS + 10, **IDS, "turn": 1, "model": "gpt-5", "provider": "openai"},
    {"what": "toy.answered", "at": TIME_MS + 90, **IDS, "turn": 1, "model": "gpt-5", "words": 7, "colour": "blue"},
    {"what": "toy.ended", "at": TIME_MS + 100, **IDS, "how": "completed"},
]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state directory and a Cline directory of a test's own."""
    for name, value in {
        "CLINE_OTEL_BRIDGE_STATE_DIR": tmp_path / "state",
        "CLINE_DIR": tmp_path / "cline",
        "HOME": tmp_path / "home",
        "CLINE_OTEL_BRIDGE_LISTEN": "none",
        "CLINE_OTEL_BRIDGE_CLAIM_WAIT_SECONDS": "0",
        "COLUMNS": "200",
    }.items():
        monkeypatch.setenv(name, str(value))
    return tmp_path


def write(path: Path, records: list[dict[str, Any]] = RECORDS) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(records, separators=(",", ":")), encoding="utf-8")
    return path


def command(*arguments: str | Path, sources: Registry = SOURCES_AND_TOY) -> Result:
    return CliRunner().invoke(main, [*map(str, arguments)], obj=sources)


def shown(*arguments: str | Path) -> str:
    result = command(*arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


class StopsAtOnce(Observer):
    """Stops a bridge when it runs: a stop reads what is left and sends what waits."""

    def __init__(self) -> None:
        self.reads: tuple[str, ...] = ()
        self.bridge: Bridge | None = None

    def started(self, started: Started) -> None:
        assert self.bridge is not None
        self.reads = started.reads
        self.bridge.stop()


async def live(sources: Registry = SOURCES_AND_TOY) -> StopsAtOnce:
    observer = StopsAtOnce()
    observer.bridge = Bridge(load_settings(), observer, sources)
    await observer.bridge.run()
    return observer


def spans_in(directory: Path) -> list[dict[str, Any]]:
    requests = [json.loads(line) for path in directory.glob("traces*") for line in path.read_bytes().splitlines()]
    return [
        span
        for request in requests
        for resource in request["resourceSpans"]
        for scope in resource["scopeSpans"]
        for span in scope["spans"]
    ]


def source_of(span: dict[str, Any]) -> str | None:
    said = {pair["key"]: pair["value"].get("stringValue") for pair in span["attributes"]}
    return said.get("cline.telemetry.source")


def test_it_is_decoded() -> None:
    diagnostics: Diagnostics = {}
    payload = Payload("toy", [json.dumps(record).encode() for record in RECORDS])
    events = list(SOURCES_AND_TOY.decode(payload, SOURCES_AND_TOY.catalogue(), diagnostics))
    assert [(event.kind, event.source) for event in events] == [
        ("run.started", "toy"),
        ("model_call.started", "toy"),
        ("model_call.finished", "toy"),
        ("run.finished", "toy"),
    ]
    assert diagnostics == {("dropped_field", "toy", "toy.answered:colour"): 1}


def test_a_recording_of_it_is_recognised_and_replayed_beside_the_others(home: Path) -> None:
    write(home / "recording" / "a.toy")
    (home / "recording" / "notes.txt").write_text("none", encoding="utf-8")
    recording = read_recording([home / "recording"], sources=SOURCES_AND_TOY)
    assert [(path.name, source) for path, source in recording.read] == [("a.toy", "toy")]
    assert [path.name for path in recording.skipped] == ["notes.txt"]
    replayed = replay(recording, SOURCES_AND_TOY.catalogue(), sources=SOURCES_AND_TOY)
    assert [span.name for span in replayed.spans] == ["chat gpt-5", "invoke_agent cline"]


def test_the_commands_know_its_name(home: Path) -> None:
    path = write(home / "a.toy")
    shown("replay", path, "--only", "toy", "--output", home / "out")
    spans = spans_in(home / "out")
    assert [span["name"] for span in spans] == ["chat gpt-5", "invoke_agent cline"]
    assert {source_of(span) for span in spans} - {None} == {"toy"}
    refused = command("replay", path, "--only", "plugin")
    assert (refused.exit_code, "nothing to replay there for source plugin" in refused.output) == (2, True)
    assert f"[{'|'.join([*SOURCES, 'toy'])}]" in "".join(shown("replay", "--help").split())
    assert "a toy file" in shown("replay", "--help")
    assert "a toy file" in command("replay", write(home / "b", [])).output
    unknown = command("replay", path, sources=SOURCES)
    assert (unknown.exit_code, "not a recording of a known source" in unknown.output) == (2, True)


def test_it_is_previewed_field_by_field(home: Path) -> None:
    steps = [json.loads(line) for line in shown("preview", "--json", write(home / "a.toy")).splitlines()]
    read = [step for step in steps if step.get("source") == "toy"]
    assert [step["event"] for step in read] == ["toy.began", "toy.asked", "toy.answered", "toy.ended"]
    taken = {field["field"]: (field["attribute"], field["value"]) for field in read[2]["taken"]}
    assert taken["words"] == ("gen_ai.usage.output_tokens", 7)
    assert {each["field"]: each["reason"] for each in read[2]["withheld"]}["colour"] == "unlisted"
    assert {each["field"]: each["reason"] for each in read[0]["withheld"]}["prompt"] == "never_read"
    assert [span["span"]["name"] for step in read for span in step["spans"]] == ["chat gpt-5", "invoke_agent cline"]
    assert "the words of a child" not in shown("preview", home / "a.toy")


def test_it_is_explained() -> None:
    assert "toy.began  reported by toy files" in shown("explain", "toy.began")
    assert "toy.answered" in shown("explain")
    assert "prompt" in shown("explain", "--privacy")
    assert command("explain", "toy.began", sources=SOURCES).exit_code == 2


async def test_a_bridge_reads_it_and_goes_on_where_it_was(home: Path) -> None:
    path = write(home / "cline" / "toys" / "a.toy", RECORDS[:2])
    assert f"toys in {home / 'cline' / 'toys'}" in (await live()).reads
    assert spans_in(home / "state" / "telemetry") == []
    write(path)
    for _ in range(2):
        await live()
        spans = spans_in(home / "state" / "telemetry")
        assert [span["name"] for span in spans] == ["chat gpt-5", "invoke_agent cline"]
    with Journal.open_read_only(home / "state" / "journal.db") as journal:
        assert journal.cursor("toy/a.toy") == b"4"


async def test_status_says_what_was_read_of_it_and_what_was_not(home: Path) -> None:
    path = write(home / "cline" / "toys" / "a.toy", RECORDS[:3])
    await live()
    write(path)
    sources = {source["source"]: source for source in json.loads(shown("status", "--json"))["sources"]}
    assert list(sources) == [*SOURCES, "toy"]
    toy = sources["toy"]
    assert (toy["places"], toy["received"], toy["events"], toy["unread_lines"]) == ([str(path.parent)], 3, 3, 1)
    assert toy["last_read_at_ns"] > 0
    assert str(path.parent) in shown("status")


DAMAGED = [
    pytest.param(1, id="no object"),
    pytest.param({key: value for key, value in RECORDS[1].items() if key != "what"}, id="without its name"),
    pytest.param({key: value for key, value in RECORDS[1].items() if key != "at"}, id="without its time"),
    pytest.param({"what": ["toy.asked"], "at": "yesterday"}, id="of other types"),
]


@pytest.mark.parametrize("record", DAMAGED)
async def test_a_record_that_is_none_is_counted_and_those_after_it_are_read(home: Path, record: Any) -> None:
    path = write(home / "cline" / "toys" / "a.toy", [RECORDS[0], record, *RECORDS[1:]])
    await live()
    assert [span["name"] for span in spans_in(home / "state" / "telemetry")] == ["chat gpt-5", "invoke_agent cline"]
    with Journal.open_read_only(home / "state" / "journal.db") as journal:
        assert {
            (count.kind, count.name): count.count for count in journal.status().counts if count.source == "toy"
        } == {
            ("received", "records"): 5,
            ("events", "records"): 4,
            ("malformed", "record"): 1,
            ("dropped_field", "toy.answered:colour"): 1,
        }
    *steps, last = [json.loads(line) for line in shown("preview", "--json", path).splitlines()]
    assert [step["outcome"] for step in steps if step["source"] == "toy"].count("malformed") == 1
    assert {"kind": "malformed", "source": "toy", "name": "record", "count": 1} in last["summary"]["not_sent"]


async def test_a_half_written_file_is_read_when_it_is_whole(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(home / "cline" / "toys" / "b.toy")
    path = write(home / "cline" / "toys" / "a.toy", [record | {"run": "run_other"} for record in RECORDS])
    whole = path.read_bytes()
    path.write_bytes(whole[:-9])
    await live()
    assert len(spans_in(home / "state" / "telemetry")) == 2
    assert [message for message in caplog.messages if "not whole yet" in message]
    path.write_bytes(whole)
    await live()
    assert len(spans_in(home / "state" / "telemetry")) == 4


def test_a_file_that_is_gone_when_it_is_read_is_passed_by(home: Path) -> None:
    write(home / "toys" / "b.toy")
    (home / "toys" / "a.toy").symlink_to(home / "toys" / "gone")  # listed, and not there
    files = ToyFiles("toy", home / "toys")
    assert [reading.key for reading in files.read({}, 1000)] == ["toy/b.toy"]
    assert (files.ends(), files.unread({}).records, files.problems) == ({"toy/b.toy": b"4"}, 4, {})


def test_a_torn_recording_is_counted_and_the_others_are_replayed(home: Path) -> None:
    write(home / "recording" / "a.toy")
    torn = write(home / "recording" / "b.toy")
    torn.write_bytes(torn.read_bytes()[:-9])
    shown_of_both = shown("replay", home / "recording")
    assert "invoke_agent cline" in shown_of_both
    assert "1 malformed: could not be decoded" in shown_of_both
    assert "files of toy files that could not be decoded" in shown("preview", torn)


def test_of_a_damaged_cursor_status_asks_nothing_and_on_reads_on_from_the_end(home: Path) -> None:
    write(home / "cline" / "toys" / "a.toy", RECORDS[:2])
    asyncio.run(live())
    with Journal.open(home / "state" / "journal.db", limit_bytes=1 << 30) as journal:
        journal.commit(Commit(cursors={"toy/a.toy": b"not a number"}))
    toy = next(source for source in json.loads(shown("status", "--json"))["sources"] if source["source"] == "toy")
    assert (toy["unread_lines"], toy["problem"]) == (2, "")
    (home / "state" / "off").touch()
    shown("on")
    with Journal.open_read_only(home / "state" / "journal.db") as journal:
        assert journal.cursor("toy/a.toy") == b"2"


def test_erasing_and_switching_on_know_every_source_and_look_nowhere_else(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_in: list[tuple[Path, ...]] = []

    class Kept(ToySource):
        def inputs(self, places: Places) -> tuple[Input, ...]:
            looked_in.append(tuple(each.directory for each in places.installations))
            return (Erasable(self.name, places.state_directory / "toys"),)

    class Erasable(ToyFiles):
        def erase(self) -> int:
            return 3

    sources = Registry((*SOURCES.values(), Kept()))
    assert "3 spooled files" in command("off", "--erase", sources=sources).output
    command("on", sources=sources)
    assert set(looked_in) == {(home / "cline",)}
    monkeypatch.setenv("CLINE_DIR", "~nobody-of-that-name/cline")
    looked_in.clear()
    assert "3 spooled files" in command("off", "--erase", sources=sources).output
    assert set(looked_in) == {()}


class Failing(ToySource):
    """A toy whose methods of some names raise what quotes a secret."""

    __module__ = ToySource.__module__

    def __init__(self, *failing: str) -> None:
        for name in failing:
            setattr(self, name, self.fail)

    def fail(self, *_: object) -> NoReturn:
        raise LookupError("the words of a child")

    def inputs(self, places: Places) -> tuple[Input, ...]:
        return tuple(map(self.failing_too, super().inputs(places)))

    def failing_too(self, each: Input) -> Input:
        for name in ("read", "unread", "ends"):
            if name in vars(self):
                setattr(each, name, self.fail)
        return each


async def test_a_bridge_outlives_a_source_that_cannot_be_read(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(home / "cline" / "toys" / "a.toy")
    spool = home / "state" / "spool" / "11-1000-0.jsonl"
    spool.parent.mkdir(parents=True)
    spool.write_bytes(b"no line of a spool\n")
    sources = Registry((*SOURCES.values(), Failing("read", "unread")))
    await live(sources)
    assert [message.partition(" at ")[0] for message in caplog.messages if "toy" in message] == [
        "source toy cannot be read, the others are: LookupError"
    ]
    assert "child" not in caplog.text
    read = {
        source["source"]: source
        for source in json.loads(command("status", "--json", sources=sources).stdout)["sources"]
    }
    assert (read["plugin"]["received"], read["toy"]["received"]) == (1, 0)
    assert read["toy"]["problem"].startswith("cannot be looked at: LookupError at ")
    answer = command("status", sources=sources)
    assert (answer.exit_code, "toy: cannot be looked at" in answer.output, "child" in answer.output) == (0, True, False)


async def test_what_a_decoder_fails_on_is_counted_and_what_others_report_is_taken(home: Path) -> None:
    write(home / "cline" / "toys" / "a.toy")
    spool = home / "state" / "spool" / "11-1000-0.jsonl"
    spool.parent.mkdir(parents=True)
    spool.write_bytes(b"no line of a spool\n")
    await live(Registry((*SOURCES.values(), Failing("decode"))))
    with Journal.open_read_only(home / "state" / "journal.db") as journal:
        counted = {(count.kind, count.source, count.name): count.count for count in journal.status().counts}
        assert journal.cursor("toy/a.toy") == b"4"
    assert counted["defect", "toy", "file"] == 1
    assert counted["malformed", "plugin", "line"] == 1


@pytest.mark.parametrize("method", ["decode", "explode", "recorded", "recognises"])
def test_a_source_that_fails_on_a_recording_is_counted_and_the_others_are_shown(home: Path, method: str) -> None:
    write(home / "recording" / "a.toy")
    copytree(RECORDING, home / "recording", dirs_exist_ok=True)
    sources = Registry((*SOURCES.values(), Failing(method)))
    for name in ("preview",) if method == "explode" else ("replay", "preview"):
        answer = command(name, home / "recording", sources=sources)
        assert (answer.exit_code, "invoke_agent cline" in answer.output) == (0, True)
        assert "please report" in answer.output
        assert "child" not in answer.output
    *_, last = command("preview", "--json", home / "recording", sources=sources).output.splitlines()
    defects = [each for each in json.loads(last)["summary"]["not_sent"] if each["kind"] == "defect"]
    assert {(each["source"], each["name"]) for each in defects} == {
        ("toy", "file" if method in ("decode", "explode") else "recording")
    }


def test_what_one_source_cannot_erase_keeps_nothing_of_the_others(home: Path) -> None:
    first, last = ToyFiles("toy", home), ToyFiles("toy", home)
    erased: list[str] = []
    first.erase = partial(refuse, home)
    last.erase = lambda: erased.append("last") or 1
    with pytest.raises(UndeletableFile):
        erase_inputs([first, last])
    assert erased == ["last"]


def refuse(path: Path) -> NoReturn:
    raise UndeletableFile(f"{path}: cannot be deleted")


def test_of_two_sources_of_one_name_none_is_taken() -> None:
    class Other(ToySource):
        pass

    with pytest.raises(ValueError, match=r"two sources are called toy: ToySource and .*Other; rename one"):
        Registry((TOY, Other()))


def test_of_two_sources_that_are_sent_none_listens(home: Path) -> None:
    class Sent(ToySource):
        __module__ = ToySource.__module__

        def receivers(
            self, listening: Listening, intake: Intake, report: Callable[[str], None]
        ) -> tuple[Receiver, ...]:
            return SOURCES["otlp"].receivers(listening, intake, report)

    addresses = "--listen", "127.0.0.1:0", "--listen-grpc", "localhost:0"
    refused = command("run", *addresses, sources=Registry((*SOURCES.values(), Sent())))
    assert refused.exit_code == 1
    assert "the sources otlp and toy would all listen on 127.0.0.1:0 and localhost:0" in refused.output


def test_sources_stand_in_the_order_of_their_ranks() -> None:
    assert list(SOURCES.tables.sources) == list(SOURCES)
    with pytest.raises(CatalogueError, match=f"order of rank, which is {', '.join(SOURCES)}, toy"):
        Registry((TOY, *SOURCES.values())).catalogue()


def test_every_folder_of_a_source_is_in_the_registry_and_the_other_way_round() -> None:
    assert set(built_in_sources()) == {source.catalogue_text() for source in SOURCES.values()}


@pytest.mark.parametrize(
    ("page", "line"),
    [
        ("docs/status.md", "| `sources` | "),
        ("docs/status.md", "| `counts[].source` | "),
        ("docs/preview.md", "| `source` | "),
    ],
)
def test_where_a_page_lists_the_sources_it_lists_all(page: str, line: str) -> None:
    (row,) = [row for row in (ROOT / page).read_text(encoding="utf-8").splitlines() if row.startswith(line)]
    assert [name for name in re.findall(r"`([^`]+)`", row.removeprefix(line)) if name in SOURCES] == list(SOURCES)


@pytest.mark.parametrize(("page", "heading"), [("README.md", "## Sources, and"), ("docs/sources.md", "# What each")])
def test_where_a_page_compares_the_sources_each_stands_over_a_column(page: str, heading: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    header = next(row for row in text[text.index(heading) :].splitlines() if row.startswith("| |"))
    titles = [table.title for table in SOURCES.tables.sources.values()]
    assert [title for cell in header.split(" | ")[1:] for title in re.split(r", ", cell.strip(" |`"))] == titles


def test_every_source_is_named_as_its_catalogue_names_it() -> None:
    for name, source in SOURCES.items():
        assert f'name = "{name}"' in source.catalogue_text().text


PACKAGE = Path(cline_otel.__file__).parent
EXPORTERS = {"settings", "export", "destinations.py"}
"""Where ``otlp`` is not a source but the name of an exporter (OTEL_TRACES_EXPORTER)."""


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_no_source_is_named_outside_sources_and_the_catalogue(path: Path) -> None:
    package = path.relative_to(PACKAGE).parts[0]
    if package in ("sources", "catalogue"):
        return
    constants = [
        node.value
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    named = SOURCES.keys() & set(constants)
    assert named <= ({"otlp"} if package in EXPORTERS else set())
