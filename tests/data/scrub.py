"""Makes a small recording without any content from a capture of the real Cline.

    python tests/data/scrub.py CAPTURE... --output tests/data/captures

Kept are the fields that the catalogue reads, as they were, if their values pass the catalogue's gates.
Fields that are never read keep their names and get harmless values, the first times they occur, so that
dropping them is exercised; so does bookkeeping. Everything else goes: paths, texts, host names, names of teams
and their members.
What the model server, Cline's own clocks and its session files say becomes ``truth.json``, ids and numbers only.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from bench.recorded_hooks import spool_lines  # noqa: E402
from bench.truth import TRUTH_FILE, read_truth  # noqa: E402 - needs the path above
from scrub_sessions import scrub_session  # noqa: E402
from scrub_tasks import scrub_tasks  # noqa: E402

from cline_otel.catalogue.compiled import ATTRIBUTE, SourceEvent  # noqa: E402
from cline_otel.catalogue.load import load  # noqa: E402
from cline_otel.catalogue.values import OTHER  # noqa: E402

HARMLESS = "scrubbed"
SHOWN = 2
"""How often a recording shows a field that is never read."""


class Scrubber:
    """Scrubs one capture; names that people chose are replaced by the same invented name wherever they occur."""

    def __init__(self) -> None:
        self.catalogue = load()
        self.shown: Counter[tuple[str, str]] = Counter()
        self.members: dict[str, str] = {}

    def repeats(self, entry: SourceEvent, source: str) -> bool:
        """Whether this is bookkeeping that the recording has shown already."""
        return entry.kind == "ignored" and self.shown[source, entry.name] >= 1

    def fields(self, source: str, entry: SourceEvent, fields: Iterable[tuple[str, Any]]) -> dict[str, Any]:
        """The fields of one record that may stay."""
        first = not self.shown[source, entry.name]
        self.shown[source, entry.name] += 1
        kept: dict[str, Any] = {}
        conditions = {name for name, _ in entry.when}
        for key, value in fields:
            read = entry.handlers.get(key)
            if read:
                _, name, gate = read[0]
                kept[key] = self.known(value, name, gate(value), read[0].slot)
            elif key in conditions:
                kept[key] = value
            elif first and self.shown[source, key] < SHOWN:
                self.shown[source, key] += 1
                kept[key] = harmless(value)
        return kept

    def known(self, value: Any, name: str, answer: object, slot: int) -> Any:
        """A field that the catalogue reads."""
        if name == "agent_id" and isinstance(value, str) and not value.startswith("agent_"):
            return self.members.setdefault(value, f"member-{len(self.members) + 1}")
        if answer == OTHER or answer == (OTHER,):
            return refused(name, value)
        return value if answer is not None or slot != ATTRIBUTE or value in ("", "undefined", None) else harmless(value)


def refused(name: str, value: Any) -> str:
    """A value that the catalogue does not let out, in the shape that it had."""
    if name == "gen_ai.tool.name":
        return "server__tool" if "__" in str(value) else "unlisted_tool"
    return "a text that is no known value"


def harmless(value: Any) -> Any:
    """A value of the same type that says nothing."""
    if isinstance(value, bool | int | float) or value is None:
        return value
    if isinstance(value, list):
        return [HARMLESS]
    return {HARMLESS: HARMLESS} if isinstance(value, dict) else HARMLESS


def dumped(record: Any) -> bytes:
    return json.dumps(record, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def cline_log(path: Path, scrubber: Scrubber) -> Iterator[bytes]:
    """Lines of ``cline.log``."""
    vocabulary = scrubber.catalogue.vocabularies["cline"]
    known_messages = set(vocabulary.log_messages)
    for number, line in enumerate(path.read_bytes().split(b"\n")):
        if not line.strip():
            continue
        record = msgspec.json.decode(line)
        kept = {"level": record.get("level", 30), "time": record["time"]}
        if number < 3:
            kept |= {"pid": 1, "hostname": "host", "name": "cline.cli", "component": "main"}
        name = record.get("event")
        entry = scrubber.catalogue.vocabularies["cline"].find(name) if name else None
        if name and entry is not None and scrubber.repeats(entry, "cline-log"):
            continue
        if name and entry is not None:
            shown_name = name if name in scrubber.catalogue.vocabularies["cline"].events else f"{entry.name}something"
            kept["event"] = shown_name
            kept["properties"] = scrubber.fields("cline-log", entry, record["properties"].items())
            kept["msg"] = "telemetry.event"
        else:
            text = record.get("msg", "")
            begun = next((begin for begin, _ in vocabulary.read_messages if text.startswith(begin)), "")
            kept["msg"] = text if text in known_messages else begun or "a line that is no telemetry"
        yield dumped(kept)


def plain(value: dict[str, Any]) -> Any:
    """An OTLP JSON value as JSON."""
    ((kind, content),) = value.items() if value else (("stringValue", None),)
    return int(content) if kind == "intValue" else content


def wrapped(value: Any) -> dict[str, Any]:
    """A JSON value as OTLP JSON; what is no scalar is written as a text, as Cline does."""
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": value}
    if isinstance(value, float):
        return {"doubleValue": value}
    return {"stringValue": value if isinstance(value, str) else json.dumps(value)}


def otlp_logs(path: Path, scrubber: Scrubber) -> Iterator[bytes]:
    """Recorded OTLP log requests."""
    for line in path.read_bytes().split(b"\n"):
        if not line.strip():
            continue
        request = msgspec.json.decode(line)["body"]
        for resource in request["resourceLogs"]:
            service = [a for a in resource["resource"]["attributes"] if a["key"] == "service.name"]
            for attribute in service:
                if attribute["value"]["stringValue"] not in ("cline", "cline-hub-daemon"):
                    attribute["value"] = {"stringValue": "an-application"}
            resource["resource"] = {"attributes": service}
            for scope in resource["scopeLogs"]:
                scope["scope"] = {"name": "cline"}
                scope["logRecords"] = [r for r in map(scrubber_record(scrubber), scope["logRecords"]) if r]
        yield dumped({"path": "/v1/logs", "body": request})


def scrubber_record(scrubber: Scrubber) -> Any:
    def scrub(record: dict[str, Any]) -> dict[str, Any] | None:
        name = record["body"]["stringValue"]
        entry = scrubber.catalogue.vocabularies["cline"].find(name)
        if entry is None:
            raise SystemExit(f"{name}: the catalogue does not know this event")
        if scrubber.repeats(entry, "otlp"):
            return None
        shown_name = name if name in scrubber.catalogue.vocabularies["cline"].events else f"{entry.name}something"
        pairs = [(pair["key"], plain(pair["value"])) for pair in record.get("attributes", ())]
        fields = scrubber.fields("otlp", entry, pairs)
        return {
            "timeUnixNano": record["timeUnixNano"],
            "body": {"stringValue": shown_name},
            "attributes": [{"key": key, "value": wrapped(value)} for key, value in fields.items()],
        }

    return scrub


def wire(path: Path, scrubber: Scrubber) -> bytes:
    """One recorded protobuf request."""
    request = ExportLogsServiceRequest.FromString(path.read_bytes())
    for resource in request.resource_logs:
        kept = [a for a in resource.resource.attributes if a.key in ("service.name", "telemetry.sdk.name")]
        del resource.resource.attributes[:]
        resource.resource.attributes.extend(kept)
        for scope in resource.scope_logs:
            for record in scope.log_records:
                entry = scrubber.catalogue.vocabularies["cline"].find(record.body.string_value)
                if entry is None:
                    raise SystemExit(f"{record.body.string_value}: the catalogue does not know this event")
                pairs = [
                    (pair.key, getattr(pair.value, pair.value.WhichOneof("value") or "string_value"))
                    for pair in record.attributes
                ]
                fields = scrubber.fields(
                    "otlp", entry, [(k, v if isinstance(v, str | bool | int | float) else "") for k, v in pairs]
                )
                del record.attributes[:]
                for key, value in fields.items():
                    pair = record.attributes.add(key=key)
                    kind = {bool: "bool_value", int: "int_value", float: "double_value", str: "string_value"}[
                        type(value)
                    ]
                    setattr(pair.value, kind, value)
    return request.SerializeToString(deterministic=True)


def spool(path: Path, scrubber: Scrubber) -> Iterator[tuple[str, bytes]]:
    """File name and lines of each process's spool, as the plugin would have written them."""
    by_process: dict[int, list[bytes]] = {}
    for line in path.read_bytes().split(b"\n"):
        if line.strip():
            by_process.setdefault(msgspec.json.decode(line)["pid"], []).append(line)
    for pid, lines in by_process.items():
        converted = spool_lines(b"\n".join(lines))
        records = [msgspec.json.decode(line) for line in converted.split(b"\n") if line.strip()]
        if not records:
            continue
        name = f"{pid}-{records[0]['time_unix_ms']}-0.jsonl"
        yield name, b"".join(map(dumped, records))


def scrub(capture: Path, output: Path, *, with_otlp: bool) -> None:
    """One capture folder."""
    scrubber = Scrubber()
    target = output / capture.name
    shutil.rmtree(target, ignore_errors=True)
    (target / "spool").mkdir(parents=True)
    if (capture / "cline.log").exists():
        (target / "cline.log").write_bytes(b"".join(cline_log(capture / "cline.log", scrubber)))
    wires = sorted((capture / "wire").glob("*.logs.*pb"))
    if wires:
        largest = max(wires, key=lambda path: path.stat().st_size)
        (target / "logs.pb").write_bytes(wire(largest, scrubber))
    elif with_otlp and (capture / "otlp_logs.jsonl").exists():
        (target / "otlp_logs.jsonl").write_bytes(b"".join(otlp_logs(capture / "otlp_logs.jsonl", scrubber)))
    if (capture / "plugin.jsonl").exists():
        for name, lines in spool(capture / "plugin.jsonl", scrubber):
            (target / "spool" / name).write_bytes(lines)
    if not any((target / "spool").iterdir()):
        (target / "spool").rmdir()
    for session in sorted(path for path in (capture / "sessions").glob("*") if path.is_dir()):
        scrub_session(session, target / "sessions" / session.name)
    if (capture / "legacy").is_dir():
        scrub_tasks(capture / "legacy", target / "legacy")
    truth = read_truth(capture)
    tool_gate = scrubber.catalogue.vocabularies["cline"].events["task.tool_used"].handlers["tool"][0].gate
    named = msgspec.structs.replace(
        truth,
        tool_calls=tuple(
            msgspec.structs.replace(call, tool_name=refused("gen_ai.tool.name", call.tool_name))
            if tool_gate(call.tool_name) == OTHER
            else call
            for call in truth.tool_calls
        ),
        model_calls=tuple(
            msgspec.structs.replace(
                call,
                tools=tuple(refused("gen_ai.tool.name", t) if tool_gate(t) == OTHER else t for t in call.tools),
            )
            for call in truth.model_calls
        ),
    )
    (target / TRUTH_FILE).write_bytes(msgspec.json.encode(named) + b"\n")
    size = sum(path.stat().st_size for path in target.rglob("*") if path.is_file())
    print(f"{target.name}: {size / 1024:.0f} KiB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("captures", nargs="+", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument(
        "--without-otlp", action="append", default=[], metavar="NAME", help="leave its OTLP requests out"
    )
    arguments = parser.parse_args()
    for capture in arguments.captures:
        scrub(capture, arguments.output, with_otlp=capture.name not in arguments.without_otlp)


if __name__ == "__main__":
    main()
