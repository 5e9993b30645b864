"""``preview``: of recordings what would leave, of the installation what left, for people and for machines."""

from __future__ import annotations

import json
import re
import secrets
import subprocess
from pathlib import Path
from typing import Any, get_args

import pytest

from bridge.endpoint import Endpoint
from bridge.process import Bridge, Home, command, is_one_clear_line
from bridge.received import Received
from bridge.workload import EXAMPLE, Recording, WritingProcess, example_copies, otlp_copies
from cli.test_privacy import planted_in_log, planted_in_otlp, planted_in_spool
from cline_otel.export.interface import EncodedRequest
from cline_otel.journal import Commit, Journal, OutboxItem
from cline_otel.preview.fields import Reason
from corpus import CAPTURES
from otlp_json_lines import from_json_line
from waiting import PATIENCE_SECONDS, wait_until

DOCUMENTED = Path(__file__).parents[2] / "docs" / "preview.md"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def preview(home: Home, *arguments: str | Path, **environment: str) -> str:
    answer = home.run("preview", *arguments, environment=environment)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


def documents(home: Home, *arguments: str | Path, **environment: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in preview(home, *arguments, "--json", **environment).splitlines()]


def documented_keys() -> dict[str, set[str]]:
    """The keys that the documentation names, by the paragraph before their table."""
    text = DOCUMENTED.read_text("utf-8").partition("## `--json`")[2]
    tables = re.split(r"^\| key \|.*$", text, flags=re.MULTILINE)[1:]
    names = ("event", "summary", "last")
    return {
        name: set(re.findall(r"^\| `([a-z_.\[\]]+)` \|", table, re.MULTILINE))
        for name, table in zip(names, tables, strict=True)
    }


def keys_of(value: object, path: str = "") -> set[str]:
    """All keys as dotted paths; what OTLP or the catalogue names is not looked into."""
    found: set[str] = set()
    if isinstance(value, list):
        return found.union(*(keys_of(inner, f"{path}[]") for inner in value))
    if isinstance(value, dict) and not re.search(_NAMED_ELSEWHERE, path):
        for key, inner in value.items():
            here = f"{path}.{key}" if path else key
            found |= {here} | keys_of(inner, here)
    return found


_NAMED_ELSEWHERE = (
    r"(span|log_record|resource|scope|attributes|summary\.(events|withheld|items|item_bytes|requests|request_bytes))$"
)


def test_every_reason_that_a_machine_is_told_is_documented_and_no_other() -> None:
    text = DOCUMENTED.read_text("utf-8").partition("| reason | `--json` | |")[2].partition("\n\n")[0]
    assert sorted(re.findall(r"^\|[^|]+\| `(\w+)` \|", text, re.MULTILINE)) == sorted(get_args(Reason))


# --- recordings ---------------------------------------------------------------------------------------------


def test_what_a_machine_is_told_to_leave_is_what_a_replay_writes(home: Home, tmp_path: Path) -> None:
    told = documents(home, EXAMPLE)
    answer = home.run("replay", EXAMPLE, "--output", tmp_path / "out")
    assert answer.returncode == 0, answer.stderr
    files = Received.in_files(tmp_path / "out")
    *steps, last = told
    requests = {
        "traces": [
            {"resourceSpans": [{"scopeSpans": [{"spans": [each["span"] for each in step["spans"]]}]}]} for step in steps
        ],
        "logs": [
            {"resourceLogs": [{"scopeLogs": [{"logRecords": [each["log_record"] for each in step["logs"]]}]}]}
            for step in steps
        ],
    }
    previewed = Received.in_requests(
        {
            "traces": [
                EncodedRequest(from_json_line("traces", json.dumps(each).encode()), 0) for each in requests["traces"]
            ],
            "logs": [EncodedRequest(from_json_line("logs", json.dumps(each).encode()), 0) for each in requests["logs"]],
            "metrics": [],
        }
    )
    assert previewed.spans == files.spans
    assert previewed.logs == files.logs
    sizes = sorted(each["bytes"] for step in steps for each in step["spans"])
    assert sizes == sorted(len(span) for spans in files.spans.values() for span in spans)
    assert last["summary"]["items"]["traces"] == len(files.spans)


def test_the_documented_keys_are_told_and_no_others(home: Home, tmp_path: Path) -> None:
    folder = tmp_path / "recording"
    folder.mkdir()
    line = json.loads((EXAMPLE / "cline.log").read_bytes().splitlines()[0])
    line["properties"]["mood"] = "good"
    (folder / "cline.log").write_text(json.dumps(line) + "\n")
    *steps, last = documents(home, EXAMPLE, folder)
    assert set().union(*map(keys_of, steps)) == documented_keys()["event"]
    assert keys_of(last) == documented_keys()["summary"]


def test_every_reason_is_documented(home: Home) -> None:
    from typing import get_args

    from cline_otel.preview import Outcome, Reason

    text = DOCUMENTED.read_text("utf-8")
    assert [reason for reason in get_args(Reason) if f"| `{reason}` |" not in text] == []
    assert [outcome for outcome in get_args(Outcome) if f"`{outcome}`" not in text] == []


def test_a_person_is_told_in_80_columns_what_leaves_and_why_the_rest_does_not(home: Home) -> None:
    shown = preview(home, CAPTURES / "plugin_mistakes", COLUMNS="80")
    assert max(map(len, shown.splitlines())) <= 80
    assert "\x1b" not in shown, "no colours into a pipe"
    for words in (
        "plugin  run.started",
        "taken",
        "run_id → cline.run.id",
        "not taken",
        "outside the known values",
        "log record  cline.run.started",
        "span  chat ",
        "measured  gen_ai.client.token.usage",
        "Would leave",
    ):
        assert words in shown
    assert list(home.directory.iterdir()) == [], "nothing is written"


def test_a_terminal_without_unicode_gets_ascii(home: Home) -> None:
    answer = home.run("preview", EXAMPLE, environment={"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"})
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.isascii()
    assert "run_id -> cline.run.id" in answer.stdout


@pytest.mark.parametrize("option", [(), ("--json",)], ids=["for people", "for machines"])
def test_whoever_reads_may_stop(home: Home, option: tuple[str, ...]) -> None:
    writing = subprocess.Popen(
        command("preview", CAPTURES / "second_run_plugin_hub", *option),
        env=home.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert writing.stdout is not None
    assert writing.stderr is not None
    with writing:
        assert writing.stdout.readline()
        writing.stdout.close()
        said = writing.stderr.read()
        assert writing.wait(PATIENCE_SECONDS) in (0, 1)
    assert b"Traceback" not in said
    assert b"Exception" not in said


def test_planted_content_is_previewed_nowhere(home: Home, tmp_path: Path) -> None:
    secret = f"planted{secrets.token_hex(12)}"
    example = Recording.read(EXAMPLE, "plugin", "cline-log")
    folder = Recording(
        tuple(planted_in_spool(line, secret) for line in example.spool),
        (*(planted_in_log(line, secret) for line in example.cline_log), f"{secret} is no JSON".encode()),
        tuple(planted_in_otlp(body, secret) for body in otlp_copies(1).otlp_logs),
    ).write(tmp_path / "recording")
    for option in ((), ("--json",)):
        answer = home.run("preview", folder, *option)
        assert answer.returncode == 0, answer.stderr
        assert "not in the catalogue" in answer.stdout or '"unlisted"' in answer.stdout
        assert secret not in answer.stdout + answer.stderr


def test_the_installation_s_key_and_the_user_s_words_count(home: Home) -> None:
    assert home.run("install", environment={"CLINE_DIR": str(home.cline)}).returncode == 0
    recording = CAPTURES / "plugin_skill"

    def attributes(**environment: str) -> dict[str, object]:
        steps = documents(home, recording, **environment)[:-1]
        return {field["attribute"]: field["value"] for step in steps for field in step["taken"]}

    pseudonym = attributes()["cline.skill.hash"]
    assert re.fullmatch("[0-9a-f]{32}", str(pseudonym))
    assert attributes()["cline.skill.hash"] == pseudonym
    assert "cline.skill.hash" not in attributes(CLINE_OTEL_BRIDGE_EXCLUDE="cline.skill.hash")
    assert "cline.skill.name" in attributes(CLINE_OTEL_BRIDGE_INCLUDE_PLAIN="names")


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ([], ("name recordings, or give --last N",)),
        (["--last", "3", "somewhere"], ("one of the two",)),
        (["--last", "3", "--only", "otlp"], ("--only is for recordings",)),
        (["--last", "0"], ("--last",)),
        (["--last", "3"], ("there is no journal", "cline-otel run")),
        (["nowhere.log"], ("nowhere.log", "no such file")),
    ],
)
def test_what_cannot_be_previewed_is_one_clear_line(home: Home, arguments: list[str], parts: tuple[str, ...]) -> None:
    answer = home.run("preview", *arguments)
    assert answer.returncode != 0
    assert answer.stdout == ""
    assert is_one_clear_line(answer.stderr, *parts)


# --- what left --------------------------------------------------------------------------------------------------


def write_example(home: Home, cline: WritingProcess) -> None:
    example = example_copies(1)
    for path, lines in ((home.cline_log, example.cline_log), (home.spool / cline.spool_name(), example.spool)):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"".join(line + b"\n" for line in lines))


def test_beside_a_running_bridge_it_shows_exactly_what_the_endpoint_got(home: Home) -> None:
    with Endpoint() as endpoint, WritingProcess() as cline:
        environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint.listen().url}
        write_example(home, cline)
        with Bridge(home, environment=environment) as bridge:
            wait_until(lambda: home.delivered("traces") == 23 and not home.pending(), lambda: bridge.said)
            told = documents(home, "--last", "10000")
            shown = preview(home, "--last", "1")
            assert bridge.stop() == 0
        received = Received(endpoint.traces(), [], endpoint.logs())
        assert {each["state"] for each in told} == {"left"}
        spans = {bytes.fromhex(each["span"]["spanId"]): each["bytes"] for each in told if "span" in each}
        assert spans == {span_id: len(next(iter(span))) for span_id, span in received.spans.items()}
        uids = {
            next(
                pair["value"]["stringValue"]
                for pair in each["log_record"]["attributes"]
                if pair["key"] == "log.record.uid"
            )
            for each in told
            if "log_record" in each
        }
        assert uids == received.logs.keys()
        assert any(each["request"]["not_sent"] for each in told)
        assert all(each["left_at_ns"] >= each["made_at_ns"] for each in told)
        assert "in one request" in shown
        assert "  left " in shown
        assert endpoint.asked["traces"] == len(endpoint.taken["traces"]), "showing it does not send it again"


def test_what_waits_says_so_and_why_and_off_is_told(home: Home) -> None:
    with Endpoint() as endpoint, WritingProcess() as cline:
        write_example(home, cline)
        with Bridge(home, environment={"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint.url}) as bridge:
            wait_until(
                lambda: (
                    home.pending("traces") == 23
                    and bool(home.status()["signals"]["traces"]["last_error"])
                    and bool(home.status()["signals"]["logs"]["last_error"])
                ),
                lambda: bridge.said,
            )
            shown = preview(home, "--last", "3")
            assert "waits" in shown
            assert "cannot reach" in shown
            assert "the last 3 of its" in shown
            assert home.run("off").returncode == 0
            bridge.wait_for_line("telemetry is off")
            assert "Telemetry is off: switched off with `cline-otel off`" in preview(home, "--last", "3")
            assert home.run("off", "--erase").returncode == 0
            assert "Nothing has left and nothing waits." in preview(home, "--last", "3")
            assert bridge.stop() == 0


def test_what_was_remembered_and_erased_is_gone(home: Home) -> None:
    with Endpoint() as endpoint, WritingProcess() as cline:
        write_example(home, cline)
        with Bridge(home, environment={"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint.listen().url}) as bridge:
            wait_until(lambda: home.delivered("traces") == 23 and not home.pending(), lambda: bridge.said)
            assert bridge.stop() == 0
    call_ids = {
        pair["value"]["stringValue"].encode()
        for each in documents(home, "--last", "10000")
        for pair in each.get("span", {}).get("attributes", ())
        if pair["key"] == "gen_ai.tool.call.id"
    }
    assert call_ids

    def on_disk() -> bytes:
        return b"".join(path.read_bytes() for path in home.state.glob("journal.db*"))

    assert all(call_id in on_disk() for call_id in call_ids)
    answer = home.run("off", "--erase")
    assert answer.returncode == 0, answer.stderr
    assert "that had left" in answer.stdout
    assert [call_id for call_id in call_ids if call_id in on_disk()] == []
    shown = preview(home, "--last", "5")
    assert "nothing of the" in shown
    assert "that have left is kept" in shown
    assert documents(home, "--last", "5") == []


def test_each_request_says_where_it_went_or_why_it_was_refused(home: Home) -> None:
    line = (CAPTURES / "plugin_basic" / "otlp_logs.jsonl").read_bytes().splitlines()[0]
    request = from_json_line("logs", json.dumps(json.loads(line)["body"]).encode())
    with Journal.open(home.journal) as journal:
        diagnostics = {("dropped_field", "otlp", "task.mode:mood"): 3}
        journal.commit(
            Commit(outbox=[OutboxItem("logs", each, 1, diagnostics) for each in (request, request, b"\xff")])
        )  # type: ignore[arg-type]
        first, second, third = journal.pending("logs", limit_bytes=1 << 20, limit_rows=3)
        journal.acknowledge("logs", [first.id], delivered=1, destination="OTLP http/protobuf to http://collector:4318")
        journal.dead_letter("logs", [second.id], reason="HTTP 400 from the collector")
        journal.acknowledge("logs", [third.id], delivered=1)
    told = documents(home, "--last", "100")
    assert set().union(*map(keys_of, told)) == documented_keys()["last"] - {"span"}
    assert [each["state"] for each in told if "problem" in each] == ["left"]
    shown = preview(home, "--last", "100", COLUMNS="80")
    assert max(map(len, shown.splitlines())) <= 80
    for words in ("to OTLP http/protobuf to", "collector:4318", "sent, and refused", "HTTP 400", "not an OTLP"):
        assert words in shown
    assert re.search(r"task\.mode:mood \(otlp .3\)", shown)
