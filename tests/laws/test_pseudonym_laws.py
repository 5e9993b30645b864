"""Pseudonyms: one for each name, none to be guessed; and what an event or a user tightens stays tight."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import blake2b, md5, sha1, sha256
from itertools import chain, combinations
from pathlib import Path
from typing import Final, get_args

import pytest
from bench.fixed_key import CATALOGUE, KEY, recording_of
from google.protobuf.json_format import Parse
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from cline_otel.catalogue.compiled import SourceEvent
from cline_otel.catalogue.document import catalogued_privacy
from cline_otel.catalogue.gates import Gates
from cline_otel.catalogue.load import _compile_source, load
from cline_otel.catalogue.model import SourceFile
from cline_otel.catalogue.values import LONGEST_NAME, OTHER, REDACTED
from cline_otel.decode.fields import to_event
from cline_otel.events import AttributeValue, Event
from cline_otel.privacy.policy import ALWAYS_INCLUDED, Group, Policy, PrivacyClass
from cline_otel.privacy.pseudonyms import GENERATED_ID, PSEUDONYM, PseudonymKind, Pseudonyms
from cline_otel.signals import Diagnostics
from payloads import decoded, log_lines, otlp_request, spool_lines

KINDS: Final[tuple[PseudonymKind, ...]] = get_args(PseudonymKind)
GROUPS: Final[tuple[Group, ...]] = get_args(Group)
CLASSES: Final[tuple[PrivacyClass, ...]] = get_args(PrivacyClass)
ATTRIBUTES, SOURCES = catalogued_privacy()
CONTENT = frozenset(name for name, attribute in ATTRIBUTES.attributes.items() if attribute.privacy == "content")
HERE, ELSEWHERE = Pseudonyms(KEY), Pseudonyms(bytes(range(32)))
SUBSETS = [frozenset(found) for count in range(5) for found in combinations(GROUPS, count)]
TIME_MS = 1_790_000_000_000

names = st.text(min_size=1, max_size=LONGEST_NAME) | st.text("0123456789abcdef", min_size=32, max_size=32)
kinds = st.sampled_from(KINDS)
keys = st.binary(min_size=32, max_size=32)
policies = st.builds(
    Policy,
    pseudonyms=st.sampled_from([HERE, None]),
    included=st.sampled_from(SUBSETS).map(lambda groups: groups | ALWAYS_INCLUDED),
    plain=st.sampled_from(SUBSETS),
    content=st.sampled_from([frozenset(), CONTENT]),
    excluded=st.frozensets(st.sampled_from(sorted(ATTRIBUTES.attributes)), max_size=12),
)


def surely_absent(value: str) -> bool:
    """What classic Cline writes for a missing value."""
    return value in ("", "undefined", "null", OTHER)


# --- pseudonyms ------------------------------------------------------------------------------------------


@given(keys, kinds, names)
def test_a_name_has_always_the_same_pseudonym_and_a_pseudonym_one_form(
    key: bytes, kind: PseudonymKind, name: str
) -> None:
    pseudonym = Pseudonyms(key).of(kind, name)
    assert Pseudonyms(bytes(key)).of(kind, name) == pseudonym
    assert PSEUDONYM.fullmatch(pseudonym)


@given(keys, keys, kinds, kinds, names)
def test_another_key_or_another_kind_makes_another_pseudonym(
    key: bytes, other_key: bytes, kind: PseudonymKind, other_kind: PseudonymKind, name: str
) -> None:
    same = Pseudonyms(key).of(kind, name) == Pseudonyms(other_key).of(other_kind, name)
    assert same == (key == other_key and kind == other_kind)


@given(kinds, st.text(min_size=1, max_size=LONGEST_NAME))
def test_a_pseudonym_neither_contains_nor_is_the_name_nor_a_hash_that_anybody_could_make(
    kind: PseudonymKind, name: str
) -> None:
    pseudonym = HERE.of(kind, name)
    raw = name.encode("utf-8", "surrogatepass")
    if len(name) > 3:
        assert name not in pseudonym
    for text in (raw, kind.encode() + b"\0" + raw, kind.encode() + raw):
        for function in (sha256, md5, sha1, blake2b):
            assert pseudonym not in function(text).hexdigest()


def test_nothing_joins_the_pseudonyms_of_two_installations_or_of_two_kinds() -> None:
    known = [f"name {number}" for number in range(2_000)]
    sets = {
        (place, kind): {maker.of(kind, name) for name in known}
        for place, maker in (("here", HERE), ("elsewhere", ELSEWHERE))
        for kind in KINDS
    }
    everything = list(chain.from_iterable(sets.values()))
    assert len(set(everything)) == len(everything) == 2 * len(KINDS) * len(known)
    # Nor is one made from the other: between the two of each name lies something else each time.
    apart = {int(HERE.of("id", name), 16) ^ int(ELSEWHERE.of("id", name), 16) for name in known}
    assert len(apart) == len(known)


# --- gates -----------------------------------------------------------------------------------------------

HASHING = [
    (entry.name, field, target)
    for entry in CATALOGUE.vocabularies["cline"].events.values()
    for field, targets in entry.fields.items()
    for target in targets
    if (attribute := ATTRIBUTES.attributes.get(target)) is not None and attribute.hashes and entry.kind != "ignored"
]
INCLUDING = load(Policy(pseudonyms=HERE, included=frozenset(GROUPS)))


@given(st.sampled_from(HASHING), names)
def test_a_name_that_cline_says_leaves_as_its_pseudonym_whatever_it_looks_like(
    place: tuple[str, str, str], name: str
) -> None:
    event_name, field, target = place
    event = taken(INCLUDING.vocabularies["cline"].events[event_name], {field: name})
    attribute = ATTRIBUTES.attributes[target]
    if name in ATTRIBUTES.values.get(attribute.values_from or "", ()) or surely_absent(name):
        assert target not in event.attributes
    elif attribute.hashes is not None:
        assert event.attributes[target] == HERE.of(attribute.hashes, name)


def taken(entry: SourceEvent, fields: Mapping[str, object]) -> Event:
    """The event of a record that meets the entry's conditions."""
    conditions = {name: sorted(accepted)[0] for name, accepted in entry.when}
    event = to_event(entry, "cline-log", 1, {**fields, **conditions}, {})
    assert event is not None
    return event


def ids_from_everywhere(raw: str) -> list[str]:
    """The session's id in the events that each source makes of one raw id."""
    diagnostics: Diagnostics = {}
    line = {"time": TIME_MS, "event": "session.stopped", "properties": {"sessionId": raw}}
    spool = {"v": 1, "event": "session.claimed", "time_unix_ms": TIME_MS, "session_id": raw}
    record = {
        "timeUnixNano": str(TIME_MS * 1_000_000),
        "body": {"stringValue": "session.stopped"},
        "attributes": [{"key": "sessionId", "value": {"stringValue": raw}}],
    }
    request = json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]}).encode()
    protobuf = Parse(request, ExportLogsServiceRequest()).SerializeToString()
    events: list[Event] = []
    events += decoded(log_lines([json.dumps(line).encode()]), diagnostics)
    events += decoded(spool_lines([json.dumps(spool).encode()]), diagnostics)
    events += decoded(otlp_request(request), diagnostics)
    events += decoded(otlp_request(protobuf, "protobuf"), diagnostics)
    assert len(events) == 4
    return [event.session_id for event in events]


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=60) | st.from_regex(GENERATED_ID, fullmatch=True))
def test_an_id_is_the_same_from_every_source_and_its_own_only_if_a_machine_made_it(raw: str) -> None:
    found = ids_from_everywhere(raw)
    if surely_absent(raw) and raw != OTHER:
        assert found == [""] * 4
    elif GENERATED_ID.fullmatch(raw):
        assert found in ([raw] * 4, [""] * 4)  # none where it has the shape of a key besides
    else:
        assert found == [HERE.of("id", raw)] * 4


CHOSEN_IDS = [
    "alpha", "a b c", "prüfung 7", "run 12", "名前", "🦜 one", "x" * 300, "a/b", "1795358814083-x", "-", "_a",
    # As if a provider had made them, who makes ids of calls and answers only.
    "req-payroll-merger", "gen-quarterly_numbers", "msg_dear_reader", "call_of_duty", "team-0123",
]  # fmt: skip


def test_the_plugin_itself_makes_the_same_pseudonyms(tmp_path: Path) -> None:
    calls = [
        {"kind": "setup", "t_ns": str(TIME_MS * 1_000_000 + number), "pid": 1, "ctx": {"session": {"sessionId": raw}}}
        for number, raw in enumerate([*CHOSEN_IDS, "1795358814083_ukyix"])
    ]
    capture = tmp_path / "plugin.jsonl"
    capture.write_text("".join(json.dumps(call) + "\n" for call in calls), encoding="utf-8")
    [[payload]] = recording_of([capture]).streams
    events = decoded(payload)
    claimed = [event.session_id for event in events if event.kind == "session.claimed"]
    assert claimed == [*(HERE.of("id", raw) for raw in CHOSEN_IDS), "1795358814083_ukyix"]


@pytest.mark.parametrize("raw", CHOSEN_IDS)
def test_an_id_that_somebody_chose_leaves_as_its_pseudonym(raw: str) -> None:
    assert ids_from_everywhere(raw) == [HERE.of("id", raw)] * 4


# --- tightening ------------------------------------------------------------------------------------------

FIELDS: Final = [
    (file, name, field)
    for file, table in SOURCES.items()
    for name, event in table.events.items()
    if event.kind != "ignored"
    for field in (*event.fields, *table.common.fields, *table.common.fallbacks)
]
VALUES: Final[tuple[object, ...]] = (
    "act", "TypeError", "AbortError", "core", "openai-native", "gpt-5", "skill of ours", "read_files", "own__tool",
    "usr_7", "0" * 32, "1795358814083_ukyix", "connect ECONNREFUSED at /srv/own", "401 Unauthorized", 5, 1.5, True,
    ["stop"],
)  # fmt: skip


def compiled(
    file: str,
    name: str,
    policy: Policy,
    private: Mapping[PrivacyClass, list[str]],
    of_all: Mapping[PrivacyClass, list[str]] | None = None,
) -> SourceEvent:
    """One event of a source, with further fields called private by it or by all its like, as a policy makes it."""
    table = SOURCES[file]
    event = table.events[name]
    both = {said: [*event.private.get(said, ()), *private.get(said, ())] for said in CLASSES}
    changed = SourceFile(
        keys=table.keys,
        common=replace(table.common, private={**table.common.private, **(of_all or {})}),
        events={name: replace(event, private={said: found for said, found in both.items() if found})},
        prefixes={},
        log_messages=table.log_messages,
    )
    return _compile_source(changed, Gates(ATTRIBUTES, policy)).events[name]


def looseness(name: str, value: AttributeValue) -> int:
    """How much a value may tell: nothing, a pseudonym, one of a list, itself."""
    attribute = ATTRIBUTES.attributes.get(name)
    if value in (OTHER, REDACTED):
        return 0
    if attribute is not None and attribute.hashes:
        return 1
    return 2 if attribute is not None and attribute.privacy == "bounded" and attribute.group is None else 3


def check_tightening(before: Event, after: Event) -> None:
    assert after.attributes.keys() <= before.attributes.keys()
    for name, value in after.attributes.items():
        loose = before.attributes[name]
        assert value == loose or looseness(name, value) <= looseness(name, loose), (name, value, loose)
    for part in ("session_id", "agent_id", "run_id", "iteration", "call_id"):
        assert getattr(after, part) in ("", 0, getattr(before, part))


@pytest.mark.parametrize("said", CLASSES)
@pytest.mark.parametrize("plain", [frozenset(), frozenset({"names", "device"})], ids=["hashed", "plain"])
def test_to_be_stricter_with_any_field_of_any_event_lets_nothing_further_out(
    plain: frozenset[Group], said: PrivacyClass
) -> None:
    policy = Policy(pseudonyms=HERE, included=frozenset(GROUPS), plain=plain, content=CONTENT)
    for file, name, field in FIELDS:
        loose, strict = compiled(file, name, policy, {}), compiled(file, name, policy, {said: [field]})
        for value in VALUES:
            check_tightening(taken(loose, {field: value}), taken(strict, {field: value}))


@settings(max_examples=300)
@given(st.data(), st.sampled_from(FIELDS), st.sampled_from(CLASSES), policies)
def test_to_be_stricter_lets_nothing_further_out_under_any_policy(
    data: st.DataObject, place: tuple[str, str, str], said: PrivacyClass, policy: Policy
) -> None:
    file, name, field = place
    others = [*SOURCES[file].events[name].fields, *SOURCES[file].common.fields, *SOURCES[file].common.fallbacks]
    value = st.sampled_from(VALUES) | st.text(max_size=40)
    fields = {**data.draw(st.dictionaries(st.sampled_from(others), value, max_size=4)), field: data.draw(value)}
    check_tightening(
        taken(compiled(file, name, policy, {}), fields), taken(compiled(file, name, policy, {said: [field]}), fields)
    )


@pytest.mark.parametrize(("file", "name", "field"), FIELDS)
def test_a_field_that_its_event_calls_secret_says_nothing_at_all(file: str, name: str, field: str) -> None:
    entry = compiled(
        file, name, Policy(pseudonyms=HERE, included=frozenset(GROUPS), content=CONTENT), {"secret": [field]}
    )
    silent = taken(entry, {})
    assert [value for value in VALUES if taken(entry, {field: value}) != silent] == []


@pytest.mark.parametrize("said", CLASSES[:-1])
def test_what_is_said_of_a_field_of_all_events_no_event_takes_back(said: PrivacyClass) -> None:
    policy = Policy(pseudonyms=HERE, included=frozenset(GROUPS), content=CONTENT)
    for file, name, field in FIELDS:
        strict = compiled(file, name, policy, {}, {"content": [field]})
        retracted = compiled(file, name, policy, {said: [field]}, {"content": [field]})
        for value in VALUES:
            assert taken(retracted, {field: value}) == taken(strict, {field: value}), (name, field)


@settings(max_examples=200)
@given(st.sampled_from(FIELDS), st.sampled_from(VALUES), policies, policies)
def test_a_user_who_includes_less_and_excludes_more_lets_nothing_further_out(
    place: tuple[str, str, str], value: object, some: Policy, other: Policy
) -> None:
    stricter = Policy(
        pseudonyms=some.pseudonyms,
        included=some.included & other.included,
        plain=some.plain,
        content=some.content & other.content,
        excluded=some.excluded | other.excluded,
    )
    file, name, field = place
    before = taken(compiled(file, name, some, {}), {field: value})
    after = taken(compiled(file, name, stricter, {}), {field: value})
    assert after.attributes.items() <= before.attributes.items()
    assert not after.attributes.keys() & stricter.excluded
