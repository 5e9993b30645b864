"""What is stored has a version; what cannot be read costs its row and nothing else."""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest

import cline_otel
from cline_otel.aggregation import totals
from cline_otel.journal import imported, sent_history
from cline_otel.journal.schema import MIGRATIONS
from cline_otel.signals import MetricDelta, MetricTotal
from cline_otel.sources.cline_log import writers
from cline_otel.sources.files import tailing
from cline_otel.state_format import Format, UnreadableRow
from cline_otel.translate import heard, seen_events, state
from cline_otel.translate.state import State
from cline_otel.translate.stored import Agent, Observation, Run, RunState, Session
from stored_layouts import breaches, layouts

LAYOUTS = Path(__file__).parents[1] / "data" / "stored_layouts.json"
FORMATS: tuple[Format[Any], ...] = (
    state.RUN,
    state.AGENT,
    state.SESSION,
    state.OBSERVATIONS,
    seen_events.ROW,
    heard.HEARD,
    imported.MEASUREMENTS,
    totals.TOTAL,
    tailing.POSITION,
    writers.WATCHED,
    sent_history.DIAGNOSTICS,
)


class Old(msgspec.Struct, array_like=True):
    name: str


class New(msgspec.Struct, array_like=True):
    number: int
    name: str
    more: str = "appended"


NEW = Format("new", New, lambda row: row, lambda row: [7, *row])


def present_layouts() -> dict[str, Any]:
    return layouts(FORMATS, len(MIGRATIONS))


def as_written(listed: dict[str, Any]) -> str:
    return json.dumps(listed, indent=1) + "\n"


def written_anew(path: Path) -> list[str]:
    """Writes the list at ``path`` if nothing speaks against it, and returns what does."""
    found = breaches(json.loads(path.read_text(encoding="utf-8")), present_layouts())
    if not found:
        path.write_text(as_written(present_layouts()), encoding="utf-8")
    return found


def test_a_layout_changes_by_an_append_or_by_a_migration_alone() -> None:
    """Write the list anew by running this file, and read what changed."""
    assert breaches(json.loads(LAYOUTS.read_text(encoding="utf-8")), present_layouts()) == []


def test_the_list_of_layouts_is_current() -> None:
    assert json.loads(LAYOUTS.read_text(encoding="utf-8")) == present_layouts()


@pytest.mark.parametrize("now", ["open", "opened"])
def test_the_list_is_written_anew_only_where_nothing_speaks_against_it(tmp_path: Path, now: str) -> None:
    path = tmp_path / "layouts.json"
    listed = as_written(present_layouts()).replace("'open'", f"'{now}'")
    path.write_text(listed, encoding="utf-8")
    assert bool(written_anew(path)) is (now != "open")
    assert path.read_text(encoding="utf-8") == listed


Stored = Literal["one", "two"]
AnEnum = StrEnum("AnEnum", {"OPEN": "open", "CLOSED": "closed"})


def tagged(tag: str) -> type[msgspec.Struct]:
    return msgspec.defstruct(f"Tagged{tag}", [("name", str)], tag=tag, array_like=True)


FIELDS: list[Any] = [("number", int), ("names", list[str], []), ("state", AnEnum, AnEnum.OPEN), ("word", Stored, "one")]
EVENTS = (("events", list[tagged("a") | tagged("b")], []),)  # type: ignore[misc]


def stored(*fields: Any, version: int = 1, schema: int = 1) -> dict[str, Any]:
    struct = msgspec.defstruct("Row", fields, array_like=True)
    return layouts([Format("row", struct, *[lambda row: row] * (version - 1))], schema)


def enum_of(*values: str) -> Any:
    return ("state", StrEnum("AnEnum", {value.upper(): value for value in values}), values[0])


MORE = ("more", str, "")
BROKEN: dict[str, tuple[Any, ...]] = {
    "a field in the middle": (FIELDS[0], MORE, *FIELDS[1:], *EVENTS),
    "a field less": (*FIELDS[:-1],),
    "two fields changed places": (FIELDS[0], FIELDS[2], FIELDS[1], FIELDS[3], *EVENTS),
    "another type": (("number", float), *FIELDS[1:], *EVENTS),
    "another type within": (FIELDS[0], ("names", list[int], []), *FIELDS[2:], *EVENTS),
    "another value": (*FIELDS[:2], enum_of("opened", "closed"), FIELDS[3], *EVENTS),
    "a value more": (*FIELDS[:2], enum_of("open", "closed", "new"), FIELDS[3], *EVENTS),
    "a literal less": (*FIELDS[:3], ("word", Literal["one"], "one"), *EVENTS),
    "another tag": (*FIELDS, ("events", list[tagged("a") | tagged("c")], [])),  # type: ignore[misc]
    "a tag more": (*FIELDS, ("events", list[tagged("a") | tagged("b") | tagged("c")], [])),  # type: ignore[misc]
}


@pytest.mark.parametrize("fields", BROKEN.values(), ids=BROKEN)
def test_a_change_that_would_make_rows_unreadable_is_a_breach_without_a_new_version_and_schema(fields: Any) -> None:
    before = stored(*FIELDS, *EVENTS)
    assert breaches(before, stored(*fields))
    assert breaches(before, stored(*fields, version=2))
    assert breaches(before, stored(*fields, version=2, schema=2)) == []
    assert breaches(stored(*FIELDS, version=2, schema=2), stored(*FIELDS, version=1, schema=2))


def test_a_field_appended_with_a_default_is_no_breach() -> None:
    before = stored(*FIELDS, *EVENTS)
    assert breaches(before, stored(*FIELDS, *EVENTS, MORE)) == []
    # Required fields cannot follow others, so here nothing has a default.
    assert breaches(stored(FIELDS[0]), stored(FIELDS[0], ("more", str)))


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
def test_a_stored_value_says_its_version(form: Format[Any]) -> None:
    values: dict[str, Any] = {
        "run": Run("a", "r", ("a", "r")),
        "agent": Agent(),
        "session": Session(),
        "observations": [Observation(1, 2, ["plugin"])],
        "seen_events": {b"identity": 1},
        "heard": heard.Heard(),
        "imported_measurements": [MetricDelta("m", 1)],
        "total": MetricTotal("m", ()),
        "position": tailing.Position(1, 2, 3, b"head"),
        "log_writers": writers.Watched(((1, 2),)),
        "diagnostics": [("late", "plugin", "run.started", 1)],
    }
    stored = form.encode(values[form.name])
    version, _ = msgspec.msgpack.decode(stored)
    assert version == form.version > 1
    assert form.encode(form.decode(stored)) == stored


def test_nothing_is_stored_without_a_version() -> None:
    """Whatever writes MessagePack does it by a Format, so that it stands in the list of layouts."""
    sources = Path(cline_otel.__file__).parent
    writing = {path.name for path in sources.rglob("*.py") if "msgpack" in path.read_text(encoding="utf-8")}
    assert writing == {"state_format.py"}


def test_each_older_version_goes_through_the_migrations_after_it() -> None:
    assert NEW.decode(msgspec.msgpack.encode(["a"])) == New(7, "a")
    assert NEW.decode(msgspec.msgpack.encode([2, ["a"]])) == New(7, "a")
    assert NEW.decode(msgspec.msgpack.encode([3, [1, "a"]])) == New(1, "a", "appended")


@pytest.mark.parametrize(
    "row",
    [
        b"",
        b"\xc1",
        b"\x00",
        msgspec.msgpack.encode(None),
        msgspec.msgpack.encode([3, ["no number", "a"]]),
        "no number",
        3,
        0.5,
        None,
    ],
    ids=["empty", "no MessagePack", "a number", "nothing", "wrong types", "TEXT", "INTEGER", "REAL", "NULL"],
)
def test_what_is_no_such_struct_is_unreadable_and_never_quoted(row: Any) -> None:
    with pytest.raises(UnreadableRow) as raised:
        NEW.decode(row)
    assert "no number" not in str(raised.value)
    assert raised.value.__cause__ is None


def test_a_row_of_a_release_to_come_is_unreadable() -> None:
    with pytest.raises(UnreadableRow, match="new of version 4; this release knows 3"):
        NEW.decode(msgspec.msgpack.encode([4, {"b": 1}]))


def test_an_unreadable_row_costs_that_row_and_is_deleted() -> None:
    before = State()
    before.agent("kept").session_id = "s"
    for run_id in ("kept", "broken"):
        run = before.runs["a", run_id] = Run("a", run_id, ("a", run_id), RunState.OPEN, started_at_ns=1)
        before.touch_run(run)
    rows = {key: value for key, value in before.changes().items() if value is not None}
    rows["run/a/broken"] = b"\xc1"
    rows["agent/broken"] = msgspec.msgpack.encode([9, ["of", "tomorrow"]])
    after = State.restore(rows.items())
    assert set(after.runs) == {("a", "kept")}
    assert after.agents == {"kept": Agent("s")}
    assert after.unreadable == {"run": 1, "agent": 1}
    assert after.changes() == {"run/a/broken": None, "agent/broken": None}
    assert after.changes() == {}


if __name__ == "__main__":
    sys.exit("\n".join(written_anew(LAYOUTS)) or None)
