"""What the user excludes does not leave, whoever made it."""

from __future__ import annotations

import msgspec
import pytest
from bench.fixed_key import CATALOGUE, KEY, recording_of

from cline_otel.catalogue.load import load
from cline_otel.privacy.policy import Policy
from cline_otel.privacy.pseudonyms import Pseudonyms
from cline_otel.replay import ReplayResult, replay
from corpus import CAPTURES

RECORDING = CAPTURES / "subagents_plugin"


def names_that_leave(replayed: ReplayResult) -> set[str]:
    on_spans = {name for span in replayed.spans for name, _ in span.attributes}
    on_events = {name for span in replayed.spans for event in span.events for name, _ in event.attributes}
    on_logs = {name for record in replayed.logs for name, _ in record.attributes}
    on_metrics = {name for total in replayed.totals for name, _ in total.attributes}
    return on_spans | on_events | on_logs | on_metrics


LEAVING = sorted(names_that_leave(replay(recording_of([RECORDING]), CATALOGUE)))


@pytest.mark.parametrize("name", LEAVING)
def test_an_excluded_attribute_is_on_no_signal(name: str) -> None:
    policy = Policy(pseudonyms=Pseudonyms(KEY), excluded=frozenset({name}))
    replayed = replay(recording_of([RECORDING]), load(policy))
    assert name not in names_that_leave(replayed)


def test_an_excluded_model_is_in_no_text_either() -> None:
    models = {
        dict(span.attributes).get("gen_ai.request.model") for span in replay(recording_of([RECORDING]), CATALOGUE).spans
    }
    policy = Policy(pseudonyms=Pseudonyms(KEY), excluded=frozenset({"gen_ai.request.model"}))
    replayed = replay(recording_of([RECORDING]), load(policy))
    told = msgspec.json.encode([replayed.spans, replayed.logs, replayed.totals], enc_hook=repr)
    assert [model for model in models if isinstance(model, str) and model.encode() in told] == []
    assert {span.name for span in replayed.spans if span.name.startswith("chat")} == {"chat _OTHER"}
