"""What is at rest is as if it were not: tables answer as dictionaries do, and translation is the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from bench.fixed_key import CATALOGUE, recording_of
from hypothesis import given
from hypothesis import strategies as st

from cline_otel.encode.resource_and_scope import ResourceAndScope
from cline_otel.pipeline import Pipeline
from cline_otel.sources.interface import MalformedPayload
from cline_otel.state_format import Format
from cline_otel.translate.tables import Table
from corpus import HOUR_NS, capture_paths

ORIGIN = ResourceAndScope((("service.name", "test"),), "test", "", "")
LINES = 7


class Counted(msgspec.Struct, array_like=True):
    name: str = ""
    last_at_ns: int = 0


KEYS = st.sampled_from("abcdef")
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), KEYS),
        st.tuples(st.just("change"), KEYS),
        st.tuples(st.just("drop"), KEYS),
        st.tuples(st.just("rest"), st.lists(KEYS, max_size=3)),
    ),
    max_size=40,
)


@given(STEPS, st.integers(0, 3))
def test_a_table_is_a_dictionary_whatever_of_it_is_at_rest(steps: list[tuple[str, Any]], most_awake: int) -> None:
    table: Table[str, Counted] = Table(Format("counted", Counted))
    table.most_awake = most_awake  # type: ignore[misc]
    plain: dict[str, Counted] = {}
    for number, (what, key) in enumerate(steps):
        if what == "rest":
            table.rest(key)
            assert len(table._awake) <= most_awake
        elif what == "put":
            table[key], plain[key] = Counted(key, number), Counted(key, number)
        elif what == "drop":
            assert table.pop(key, None) == plain.pop(key, None)
        elif key in plain:
            table[key].last_at_ns += 1
            plain[key].last_at_ns += 1
        assert dict(table.glance()) == plain
        assert set(table.last_before(number)) == {key for key, each in plain.items() if each.last_at_ns < number}
        assert {each.name for _, each in table.glance("c")} >= {"c"} & plain.keys()
        assert (len(table), sorted(table), "a" in table) == (len(plain), sorted(plain), "a" in plain)
        assert [table.get(each) for each in "abcdef"] == [plain.get(each) for each in "abcdef"]
        table.rest()


def test_a_table_without_a_key_says_so() -> None:
    table: Table[str, Counted] = Table(Format("counted", Counted))
    with pytest.raises(KeyError, match="nobody"):
        table["nobody"]
    with pytest.raises(KeyError, match="nobody"):
        del table["nobody"]


def test_what_did_not_change_for_longest_rests_first() -> None:
    table: Table[str, Counted] = Table(Format("counted", Counted))
    table.most_awake = 2  # type: ignore[misc]
    for key in "abc":
        table[key] = Counted(key)
    table.rest(["a"])
    assert sorted(table._awake) == ["a", "c"]


@pytest.mark.parametrize("path", capture_paths(), ids=lambda path: path.name)
def test_a_recording_becomes_the_same_with_everything_at_rest_between_its_pieces(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    awake = made_of(path)
    assert any(spans for spans, *_ in awake)
    monkeypatch.setattr(Table, "most_awake", 0)
    assert made_of(path) == awake


def made_of(path: Path) -> list[Any]:
    """All that a pipeline makes of a recording, with a save after each piece."""
    pipeline = Pipeline(CATALOGUE, ORIGIN, ORIGIN)
    made: list[Any] = []
    now_ns = 1_795_400_000_000_000_000
    for stream in recording_of([path]).streams:
        for payload in stream:
            for start in range(0, len(payload.parts), LINES):
                try:
                    pipeline.take(payload._replace(parts=payload.parts[start : start + LINES]))
                except MalformedPayload:
                    continue
                now_ns += 1_000_000_000
                pipeline.advance_clock(now_ns)
                made.append(pipeline.flush(now_ns))
    pipeline.advance_clock(now_ns + 30 * HOUR_NS)
    made.append(pipeline.flush(now_ns + 30 * HOUR_NS))
    return [[getattr(each, name) for name in ("spans", "logs", "metrics", "diagnostics", "state")] for each in made]
