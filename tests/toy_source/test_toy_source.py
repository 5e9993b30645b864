"""A source in one folder is seen everywhere, and nothing outside its folder had to change for it."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import cline_otel
from cline_otel.bridge import Bridge, Observer, Started
from cline_otel.catalogue.load import CatalogueError
from cline_otel.cli.main import main
from cline_otel.journal.store import Journal
from cline_otel.replay import replay
from cline_otel.settings import load_settings
from cline_otel.signals import Diagnostics
from cline_otel.sources.interface import Payload
from cline_otel.sources.recording import read_recording
from cline_otel.sources.registry import SOURCES, Registry
from toy_source.toy import TOY

SOURCES_AND_TOY = Registry((*SOURCES.values(), TOY))
TIME_MS = 1_790_000_000_000
IDS = {"session": f"{TIME_MS}_toyto", "agent": f"agent_{TIME_MS}_toyto", "run": "run_toytoyto"}
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


async def live() -> StopsAtOnce:
    observer = StopsAtOnce()
    observer.bridge = Bridge(load_settings(), observer, SOURCES_AND_TOY)
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
    assert "[plugin|cline-log|otlp|toy]" in shown("replay", "--help")
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
    assert list(sources) == ["plugin", "cline-log", "otlp", "toy"]
    toy = sources["toy"]
    assert (toy["place"], toy["received"], toy["events"], toy["unread_lines"]) == (str(path.parent), 3, 3, 1)
    assert toy["last_read_at_ns"] > 0
    assert str(path.parent) in shown("status")


def test_sources_stand_in_the_order_of_their_ranks() -> None:
    assert list(SOURCES.tables.sources) == list(SOURCES)
    with pytest.raises(CatalogueError, match="order of rank, which is plugin, cline-log, otlp, toy"):
        Registry((TOY, *SOURCES.values())).catalogue()


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
