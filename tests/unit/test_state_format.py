"""What is stored has a version; what cannot be read costs its row and nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

import cline_otel
from cline_otel.aggregation import totals
from cline_otel.journal import sent_history
from cline_otel.journal.schema import MIGRATIONS
from cline_otel.signals import MetricTotal
from cline_otel.sources.files import tailing
from cline_otel.state_format import Format, UnreadableRow
from cline_otel.translate import state
from cline_otel.translate.state import Agent, Observation, Run, RunState, Session, State

LAYOUTS = Path(__file__).parents[1] / "data" / "stored_layouts.json"
FORMATS: tuple[Format[Any], ...] = (
    state.RUN,
    state.AGENT,
    state.SESSION,
    state.OBSERVATIONS,
    totals.TOTAL,
    tailing.POSITION,
    sent_history.DIAGNOSTICS,
)


class Old(msgspec.Struct, array_like=True):
    name: str


class New(msgspec.Struct, array_like=True):
    number: int
    name: str
    more: str = "appended"


NEW = Format("new", New, lambda row: row, lambda row: [7, *row])


def layout(struct: Any) -> dict[str, list[str]]:
    """The fields of a struct and of every struct that it holds, in their order, those without default marked."""
    found: dict[str, list[str]] = {}

    def visit(shape: Any) -> None:
        for each in getattr(shape, "__args__", ()):
            visit(each)
        if isinstance(shape, type) and issubclass(shape, msgspec.Struct) and shape.__name__ not in found:
            fields = msgspec.structs.fields(shape)
            found[shape.__name__] = [f"{field.name}{' (required)' * field.required}" for field in fields]
            for field in fields:
                visit(field.type)

    visit(struct)
    return found


def present_layouts() -> dict[str, Any]:
    structs = {form.name: {"version": form.version, "fields": layout(form.struct)} for form in FORMATS}
    return {"schema": len(MIGRATIONS), "structs": structs}


def test_a_layout_changes_by_an_append_or_by_a_migration_alone() -> None:
    """A new version may look as it likes; write the list anew by running this file, and read what changed."""
    listed = json.loads(LAYOUTS.read_text(encoding="utf-8"))
    present = present_layouts()
    assert present["structs"].keys() == listed["structs"].keys()
    for name, now in present["structs"].items():
        before = listed["structs"][name]
        assert now["version"] >= before["version"], name
        if now["version"] > before["version"]:
            assert present["schema"] > listed["schema"], (
                "older releases must refuse the file: add a migration of the schema"
            )
            continue
        for struct, fields in before["fields"].items():
            now_fields = now["fields"][struct]
            assert now_fields[: len(fields)] == fields, f"{name}: {struct} lost, moved or renamed a field: migrate"
            added = now_fields[len(fields) :]
            assert not [field for field in added if "(required)" in field], f"{name}: {struct}: no default: migrate"


def test_the_list_of_layouts_is_current() -> None:
    assert json.loads(LAYOUTS.read_text(encoding="utf-8")) == present_layouts()


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
def test_a_stored_value_says_its_version(form: Format[Any]) -> None:
    values: dict[str, Any] = {
        "run": Run("a", "r", ("a", "r")),
        "agent": Agent(),
        "session": Session(),
        "observations": [Observation(1, 2, ["plugin"])],
        "total": MetricTotal("m", ()),
        "position": tailing.Position(1, 2, 3, b"head"),
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
    [b"", b"\xc1", b"\x00", msgspec.msgpack.encode(None), msgspec.msgpack.encode([3, ["no number", "a"]])],
    ids=["empty", "no MessagePack", "a number", "nothing", "wrong types"],
)
def test_what_is_no_such_struct_is_unreadable_and_never_quoted(row: bytes) -> None:
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
    LAYOUTS.write_text(json.dumps(present_layouts(), indent=1) + "\n", encoding="utf-8")
