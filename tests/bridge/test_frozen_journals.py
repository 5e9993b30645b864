"""What a released layout stored, this release opens, continues and delivers as that release would have."""

from __future__ import annotations

import base64
import json
import re
import shutil
import sqlite3
from pathlib import Path
from typing import Any, Final

import pytest
from bench.fixed_key import CATALOGUE
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from cline_otel.journal import Journal
from cline_otel.sources.files.lines import tail_key

from .endpoint import Endpoint
from .freeze import CLINE_LOG, EXPECTED, JOURNAL, continued
from .process import Bridge, Home, wait_until
from .received import Received

FROZEN = sorted(path for path in (Path(__file__).parents[1] / "data" / "journals").iterdir() if path.is_dir())
RECORDS: Final[dict[str, type[Span | LogRecord]]] = {"spans": Span, "logs": LogRecord}
NAMES_OF_THEN: Final = {"cline.agent.id": "gen_ai.agent.id"}
NUMBER: Final = re.compile(r"(?<=subagent) \d+")


@pytest.mark.parametrize("folder", FROZEN, ids=lambda path: path.name)
def test_a_frozen_journal_is_opened_continued_and_delivered(folder: Path, tmp_path: Path) -> None:
    expected = json.loads((folder / EXPECTED).read_text(encoding="utf-8"))

    def is_all(received: Received) -> bool:
        spans = {span_id.hex() for span_id in received.spans}
        return spans >= expected["spans"].keys() and received.logs.keys() >= expected["logs"].keys()

    delivered = in_names_of_then(continued(folder, tmp_path, is_all), expected)
    of_then = in_names_of_then(expected, expected)
    for kind in RECORDS:
        assert delivered[kind].keys() == of_then[kind].keys()
        differing = {key for key, value in of_then[kind].items() if delivered[kind][key] != value}
        assert not differing, kind
    assert delivered["totals"] == [with_edges_of_today(*total) for total in expected["totals"]]


def in_names_of_then(delivered: dict[str, Any], expected: dict[str, Any]) -> dict[str, Any]:
    """What was delivered without attributes and metrics that came since; series that they alone keep apart are one."""
    labels: dict[str, set[str]] = {}
    for metric, pairs, *_ in expected["totals"]:
        labels.setdefault(metric, set()).update(name for name, _ in pairs)
    attributes: set[str] = set()
    for kind, record in RECORDS.items():
        for value in expected[kind].values():
            attributes |= {attribute.key for each in carriers(read(record, value)) for attribute in each.attributes}
    then: dict[str, Any] = {
        kind: {key: in_words_of_then(read(record, value), attributes) for key, value in delivered[kind].items()}
        for kind, record in RECORDS.items()
    }
    sums: dict[str, list[Any]] = {}
    for metric, pairs, total, count, buckets in delivered["totals"]:
        if metric in labels:
            known = [pair for pair in pairs if pair[0] in labels[metric]]
            one = sums.setdefault(json.dumps([metric, known]), [metric, known, 0.0, 0, [0] * len(buckets)])
            one[2:] = [round(one[2] + total, 9), one[3] + count, [a + b for a, b in zip(one[4], buckets, strict=True)]]
    then["totals"] = sorted(sums.values())
    return then


def read(record: type[Span | LogRecord], value: str) -> Span | LogRecord:
    return record.FromString(base64.b64decode(value))


def carriers(record: Span | LogRecord) -> list[Any]:
    """What has attributes: the record, and a span's events."""
    return [record, *(record.events if isinstance(record, Span) else ())]


def in_words_of_then(record: Span | LogRecord, names: set[str]) -> bytes:
    """A span or log record with what had these names then, called as it was then, in the order of the names.

    What waited in the journal as a request has the names of then in any case, what comes of open runs those of today.
    """
    for each in carriers(record):
        kept = {}
        for attribute in each.attributes:
            attribute.key = NAMES_OF_THEN.get(attribute.key, attribute.key)
            for value in attribute.value.array_value.values:
                value.string_value = value.string_value.replace("tool_call", "tool-calls")
            if attribute.key == "gen_ai.agent.name":
                attribute.value.string_value = NUMBER.sub("", attribute.value.string_value)
            if attribute.key in names:
                kept[attribute.key] = attribute
        del each.attributes[:]
        each.attributes.extend(attribute for _, attribute in sorted(kept.items()))
    if isinstance(record, Span):
        record.name = NUMBER.sub("", record.name)
        record.status.message = ""
    return record.SerializeToString(deterministic=True)


def with_edges_of_today(metric: str, attributes: Any, total: float, count: int, buckets: list[int]) -> list[Any]:
    """A total as it was, with the buckets that its metric got since: edges are only ever appended."""
    missing = len(CATALOGUE.metrics[metric].boundaries) + 1 - len(buckets) if buckets else 0
    return [metric, attributes, total, count, [*buckets[:-1], *[0] * missing, *buckets[-1:]]]


def test_an_unreadable_row_is_said_and_counted_and_everything_else_goes_on(tmp_path: Path) -> None:
    expected = json.loads((FROZEN[0] / EXPECTED).read_text(encoding="utf-8"))
    with Endpoint() as endpoint:
        home = Home(tmp_path / "home", {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint.listen().url})
        home.state.mkdir(mode=0o700, parents=True)
        shutil.copyfile(FROZEN[0] / JOURNAL, home.journal)
        with sqlite3.connect(home.journal) as connection:
            for kind, value in {"run": "x'c1'", "agent": "'no BLOB'", "session": "5", "total": "x'c1'"}.items():
                first = f"SELECT min(key) FROM state WHERE key LIKE '{kind}/%'"
                assert connection.execute(f"UPDATE state SET value = {value} WHERE key = ({first})").rowcount == 1
        with Journal.open(home.journal):
            # brought forward, so that it can be looked at
            cursor = connection.execute("SELECT min(key) FROM cursors WHERE key LIKE 'cline-log/%'").fetchone()[0]
        home.cline_log.parent.mkdir(parents=True)
        home.cline_log.write_bytes((FROZEN[0] / CLINE_LOG).read_bytes())
        ours = tail_key("cline-log", home.cline_log)
        with sqlite3.connect(home.journal) as connection:
            changed = "UPDATE cursors SET key = ?, position = 'no BLOB' WHERE key = ?"
            assert connection.execute(changed, (ours, cursor)).rowcount == 1
        waiting, read = home.pending("traces"), home.counted("received", "cline-log")
        with Bridge(home) as bridge:
            bridge.wait_for_line("holds 1 run record that this release cannot read: discarded, the rest is kept")
            wait_until(lambda: home.delivered("traces") >= waiting, lambda: f"what waited delivered\n{bridge.said}")
            bridge.wait_for_line("does not say how far 1 file was read: reading continues at the end")
            wait_until(lambda: home.counted("unreadable", "journal") == 5, "four rows and a cursor counted")
            assert bridge.stop() == 0
        spans = {span_id.hex() for span_id in Received(endpoint.traces(), (), ()).spans}
    assert home.counted("received", "cline-log") == read
    assert spans & expected["spans"].keys()
    assert "damaged or of another release: discarded" in home.run("status").stdout
