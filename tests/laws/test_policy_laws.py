"""The user's decisions, over whole recordings: who it was, the key, names in plain, and what is excluded."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from functools import lru_cache
from hashlib import sha256
from itertools import combinations
from typing import Any, Final, get_args

import msgspec
import pytest
from bench.fixed_key import KEY, recording_of
from hypothesis import given, settings
from hypothesis import strategies as st

from cline_otel.catalogue.document import catalogued_privacy
from cline_otel.catalogue.load import load
from cline_otel.catalogue.values import OTHER
from cline_otel.events import AttributeValue
from cline_otel.prices.library import LIBRARY
from cline_otel.privacy.policy import ALWAYS_INCLUDED, Group, Policy
from cline_otel.privacy.pseudonyms import PseudonymKind, Pseudonyms
from cline_otel.replay import ReplayResult, replay
from cline_otel.signals import Attributes
from cline_otel.sources.recording import Recording
from corpus import CAPTURES
from payloads import log_lines

GROUPS: Final[tuple[Group, ...]] = get_args(Group)
SUBSETS = [frozenset(found) for count in range(len(GROUPS) + 1) for found in combinations(GROUPS, count)]
ATTRIBUTES, _ = catalogued_privacy()
CONTENT = frozenset(name for name, attribute in ATTRIBUTES.attributes.items() if attribute.privacy == "content")
HERE, ELSEWHERE = Pseudonyms(KEY), Pseudonyms(bytes(range(32)))

WHO: Final = {
    "user_id": "usr_planted_7",
    "device_id": sha256(b"a machine").hexdigest(),
    "organization_id": "org_planted_7",
    "organization_name": "Planted And Daughters",
}
"""In the forms that Cline gives them: the device's is a hash of its own."""

IDENTITY: Final[dict[str, tuple[Group, str, PseudonymKind | None]]] = {
    "user.hash": ("user", "user_id", "user"),
    "user.id": ("user", "user_id", None),
    "cline.device.hash": ("device", "device_id", "device"),
    "cline.device.id": ("device", "device_id", None),
    "cline.organization.hash": ("organization", "organization_id", "organization"),
    "cline.organization.id": ("organization", "organization_id", None),
    "cline.organization.name": ("organization", "organization_name", None),
}
NAMED: Final = {
    ("cline.skill.hash", "cline.skill.name"): "planted skill",
    ("cline.team.hash", "cline.team.name"): "planted team",
    ("cline.mcp.server.hash", "cline.mcp.server.name"): "planted server",
}
REPOSITORY: Final = "cline.repository.hash"
"""Only the plugin knows its name, so only the plugin hashes it."""

RUN: Final = {"agentId": "planted agent", "runId": "planted run", "ulid": "planted session", "iteration": 1}
TOLD: Final[tuple[tuple[str, dict[str, Any]], ...]] = (
    ("task.agent_created", {"modelId": "gpt-5", "provider": "openai-native", "teamAgentId": "planted mate"}),
    ("agent.run-started", {}),
    ("task.agent_team_created", {"teamName": "planted team"}),
    ("task.provider_request_started", {"provider": "openai-native", "model": "gpt-5"}),
    ("agent.usage-updated", {}),
    ("task.tokens", {"tokensIn": 5, "tokensOut": 7, "totalCost": 0.5, "provider": "openai-native", "model": "gpt-5"}),
    ("agent.tool-started", {}),
    ("agent.tool-finished", {}),
    ("task.tool_used", {"tool": "planted__tool", "success": False}),
    ("task.skill_used", {"skillSource": "project", "skillName": "planted skill"}),
    ("task.mcp_tool_called", {"status": "error", "serverName": "planted server", "toolName": "planted tool"}),
    ("sdk.error", {"error_message": "a planted text", "component": "core"}),
    ("task.provider_api_error", {"errorMessage": "401 a planted text", "errorStatus": 401}),
    ("agent.run-failed", {"status": "failed"}),
)


@lru_cache(1)
def signed_in() -> Recording:
    """The log of a user who is signed in and names things, and a plugin's spool beside it."""
    lines = [
        json.dumps(
            {
                "time": 1_790_000_000_000 + 1_000 * number,
                "event": event,
                "properties": {**WHO, "distinct_id": WHO["user_id"], **RUN, **fields},
            }
        ).encode()
        for number, (event, fields) in enumerate(TOLD)
    ]
    recording = recording_of([CAPTURES / "plugin_mcp_tools"])
    others = [
        [payload._replace(parts=[without_pseudonyms(part) for part in payload.parts]) for payload in stream]
        for stream in recording.streams
        if stream[0].source != "cline-log"
    ]
    return msgspec.structs.replace(recording, streams=[*others, [log_lines(lines)]])


def without_pseudonyms(line: bytes) -> bytes:
    """A line of the spool without those that the plugin makes, with whatever key it has found."""
    fields = json.loads(line or b"{}")
    return json.dumps({key: value for key, value in fields.items() if not key.endswith("_hash")}).encode()


def carriers(replayed: ReplayResult) -> Iterable[Attributes]:
    """The attributes of each span, event on a span, and log record."""
    for span in replayed.spans:
        yield span.attributes
        yield from (event.attributes for event in span.events)
    yield from (record.attributes for record in replayed.logs)


def leaving(replayed: ReplayResult) -> dict[str, set[AttributeValue]]:
    """Every attribute that leaves on spans and log records, with its values."""
    found: dict[str, set[AttributeValue]] = {}
    for attributes in carriers(replayed):
        for name, value in attributes:
            found.setdefault(name, set()).add(value)
    return found


def told(replayed: ReplayResult) -> str:
    """All of it, texts included."""
    return repr((replayed.spans, replayed.logs, replayed.totals, replayed.diagnostics))


def test_the_recording_has_everything_to_be_decided_about() -> None:
    everything = Policy(pseudonyms=HERE, included=frozenset(GROUPS), content=CONTENT)
    found = leaving(replay(signed_in(), load(everything)))
    hashes = {name for name, attribute in ATTRIBUTES.attributes.items() if attribute.hashes}
    assert (hashes - {REPOSITORY}) | CONTENT <= found.keys()
    assert HERE.of("id", "planted session") in found["gen_ai.conversation.id"]
    plain = leaving(replay(signed_in(), load(msgspec.structs.replace(everything, plain=frozenset(GROUPS)))))
    names = {name for name, attribute in ATTRIBUTES.attributes.items() if attribute.privacy == "pseudonym"} - hashes
    assert names <= plain.keys()


@pytest.mark.parametrize("included", SUBSETS, ids=lambda groups: ",".join(sorted(groups)))
def test_whose_run_it_was_leaves_only_where_it_is_included_hashed_unless_plain_and_never_on_a_metric(
    included: frozenset[Group],
) -> None:
    included |= ALWAYS_INCLUDED
    for plain in SUBSETS:
        policy = Policy(pseudonyms=HERE, included=included, plain=plain, content=CONTENT)
        replayed = replay(signed_in(), load(policy))
        found = leaving(replayed)
        for name, (group, field, kind) in IDENTITY.items():
            wanted = group in included and (group in plain) == (kind is None)
            value = WHO[field] if kind is None else HERE.of(kind, WHO[field])
            assert found.get(name) == ({value} if wanted else None), name
            assert (WHO[field] in told(replayed)) == (group in included & plain), field
        assert replayed.totals
        assert not IDENTITY.keys() & {name for total in replayed.totals for name, _ in total.attributes}
        hashed = {HERE.of(kind, WHO[field]) for _, field, kind in IDENTITY.values() if kind is not None}
        assert not any(value in repr(replayed.totals) for value in {*WHO.values(), *hashed})


@pytest.mark.parametrize("included", SUBSETS, ids=lambda groups: ",".join(sorted(groups)))
def test_which_repository_it_was_leaves_only_where_it_is_included_on_spans_and_on_metrics(
    included: frozenset[Group],
) -> None:
    recording = recording_of([CAPTURES / "plugin_basic"], "plugin")
    said = b"".join(part for stream in recording.streams for payload in stream for part in payload.parts)
    (pseudonym,) = {found.decode() for found in re.findall(rb'"repository_hash":"([^"]+)"', said)}
    policy = Policy(pseudonyms=HERE, included=included | ALWAYS_INCLUDED)
    replayed = replay(recording, load(policy, prices=LIBRARY))
    assert leaving(replayed).get(REPOSITORY) == ({pseudonym} if "repository" in included else None)
    by_metric = {total.metric for total in replayed.totals if (REPOSITORY, pseudonym) in total.attributes}
    of_prompts = {"cline.run.started", "cline.run.completed", "cline.tokens", "cline.active.time"}
    assert by_metric == (of_prompts if "repository" in included else set())


def test_a_hash_and_the_plain_name_never_leave_together() -> None:
    for plain in SUBSETS:
        replayed = replay(signed_in(), load(Policy(pseudonyms=HERE, included=frozenset(GROUPS), plain=plain)))
        found = leaving(replayed)
        for (hashed, named), name in NAMED.items():
            kind = ATTRIBUTES.attributes[hashed].hashes
            assert kind is not None
            wanted = (None, {name}) if "names" in plain else ({HERE.of(kind, name)}, None)
            assert (found.get(hashed), found.get(named)) == wanted
        for attributes in carriers(replayed):
            said = dict(attributes)
            assert "cline.tool.hash" not in said or said.get("gen_ai.tool.name", OTHER) == OTHER
        assert ("planted__tool" in told(replayed)) == ("names" in plain)


def test_a_new_key_changes_every_pseudonym_and_nothing_else() -> None:
    def parted(pseudonyms: Pseudonyms) -> tuple[set[AttributeValue], list[tuple[str, AttributeValue]]]:
        replayed = replay(signed_in(), load(Policy(pseudonyms=pseudonyms, included=frozenset(GROUPS))))
        said = [pair for attributes in carriers(replayed) for pair in attributes if pair[0] != "log.record.uid"]
        ids = {pseudonyms.of("id", value) for value in RUN.values() if isinstance(value, str)}
        hashed = {value for name, value in said if name.endswith(".hash") or value in ids}
        return hashed, [(name, OTHER if value in hashed else value) for name, value in said]

    here, rest_here = parted(HERE)
    elsewhere, rest_elsewhere = parted(ELSEWHERE)
    assert len(here) == len(elsewhere) >= 10
    assert here.isdisjoint(elsewhere)
    assert rest_here == rest_elsewhere


@pytest.mark.parametrize("included", SUBSETS, ids=lambda groups: ",".join(sorted(groups)))
def test_without_a_key_there_are_no_pseudonyms_and_no_names_either(included: frozenset[Group]) -> None:
    replayed = replay(signed_in(), load(Policy(included=included | ALWAYS_INCLUDED)))
    assert not [name for name in leaving(replayed) if name.endswith(".hash")]
    assert "planted" not in told(replayed).lower()


def test_content_leaves_only_where_it_is_asked_for() -> None:
    without = replay(signed_in(), load(Policy(pseudonyms=HERE, included=frozenset(GROUPS), plain=frozenset(GROUPS))))
    assert "a planted text" not in told(without)
    asked = replay(signed_in(), load(Policy(pseudonyms=HERE, content=CONTENT)))
    assert leaving(asked)["exception.message"] == {"a planted text", "401 a planted text"}
    assert "planted" not in repr(asked.totals)


@settings(max_examples=30)
@given(
    st.frozensets(st.sampled_from(sorted(ATTRIBUTES.attributes)), max_size=20),
    st.sampled_from(SUBSETS),
    st.sampled_from(SUBSETS),
)
def test_what_is_excluded_leaves_on_no_signal_whatever_is_included(
    excluded: frozenset[str], included: frozenset[Group], plain: frozenset[Group]
) -> None:
    policy = Policy(
        pseudonyms=HERE, included=included | ALWAYS_INCLUDED, plain=plain, content=CONTENT, excluded=excluded
    )
    replayed = replay(signed_in(), load(policy))
    on_metrics = {name for total in replayed.totals for name, _ in total.attributes}
    assert not {*leaving(replayed), *on_metrics} & excluded


def test_everything_can_be_excluded() -> None:
    policy = Policy(
        pseudonyms=HERE, included=frozenset(GROUPS), content=CONTENT, excluded=frozenset(ATTRIBUTES.attributes)
    )
    replayed = replay(signed_in(), load(policy))
    assert replayed.spans
    assert replayed.logs
    assert leaving(replayed) == {}
    assert all(total.attributes == () for total in replayed.totals)
    assert "planted" not in told(replayed).lower()
