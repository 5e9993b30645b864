"""What a user's variables add to the resource passes the detectors too, and what leaves of it is announced."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from cline_otel.settings import Settings
from cline_otel.settings.load import load_settings
from cline_otel.settings.values import SettingsError

Load = Callable[..., Settings]

SECRETS = {
    "e-mail": "alice@example.com",
    "key": "sk-proj-" + "a1B2" * 8,
    "URL": "https://git.example.com/team",
    "path": "/home/alice/work",
    "random": "a1B2c3D4" * 5,
}


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Load:
    monkeypatch.setenv("CLINE_OTEL_BRIDGE_STATE_DIR", str(tmp_path_factory.mktemp("state")))
    for name in ("OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES"):
        monkeypatch.delenv(name, raising=False)

    def loaded(**variables: str) -> Settings:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        return load_settings()

    return loaded


def sent(settings: Settings) -> str:
    return str(settings.resource("instance"))


@pytest.mark.parametrize(("kind", "value"), SECRETS.items(), ids=SECRETS)
def test_a_value_that_looks_like_a_secret_is_left_out_and_the_start_says_which(
    load: Load, kind: str, value: str
) -> None:
    settings = load(OTEL_RESOURCE_ATTRIBUTES=f"owner={value},team.id=payments", OTEL_SERVICE_NAME=value)
    assert value not in sent(settings)
    assert ("team.id", "payments") in settings.resource("instance")
    assert ("service.name", "cline") in settings.resource("instance")
    [of_attributes, of_name] = [notice for notice in settings.notices if "looks like a secret" in notice]
    assert of_attributes.startswith("OTEL_RESOURCE_ATTRIBUTES: owner is not sent")
    assert of_name.startswith("OTEL_SERVICE_NAME: service.name is not sent")
    assert f"({kind})" in of_attributes
    assert value not in str(settings.notices)


def test_a_name_that_looks_like_a_secret_leaves_as_little_as_a_value_and_is_not_repeated(load: Load) -> None:
    settings = load(OTEL_RESOURCE_ATTRIBUTES=f"team.id=payments,{SECRETS['e-mail']}=1")
    assert SECRETS["e-mail"] not in sent(settings) + str(settings.notices) + str(settings.also_sent)
    assert "attribute 2 is not sent" in str(settings.notices)


def test_what_is_too_long_for_a_name_is_left_out(load: Load) -> None:
    settings = load(OTEL_RESOURCE_ATTRIBUTES="notes=" + "word " * 100)
    assert "word" not in sent(settings)
    assert "longer than 256" in str(settings.notices)


def test_a_service_name_among_the_attributes_counts_where_the_other_may_not_leave(load: Load) -> None:
    settings = load(OTEL_RESOURCE_ATTRIBUTES="service.name=agents", OTEL_SERVICE_NAME=SECRETS["e-mail"])
    assert settings.service_name == "agents"


def test_an_excluded_attribute_is_not_on_the_resource_nor_on_metrics(load: Load) -> None:
    settings = load(
        OTEL_RESOURCE_ATTRIBUTES="user.hash=alice,team.id=payments",
        CLINE_OTEL_BRIDGE_EXCLUDE="user.hash",
    )
    assert "alice" not in sent(settings)
    assert "user.hash is not sent" in str(settings.notices)


def test_what_leaves_beyond_the_catalogue_is_announced_by_name(load: Load) -> None:
    assert load().also_sent == ()
    settings = load(OTEL_RESOURCE_ATTRIBUTES="host.name=build7,team.id=payments", OTEL_SERVICE_NAME="agents")
    [announced] = [opt_in.text for opt_in in settings.also_sent]
    assert announced == "in plain, on the resource: service.name, host.name, team.id"


def test_on_metrics_a_secret_is_still_an_error(load: Load) -> None:
    with pytest.raises(SettingsError, match="looks like a secret"):
        load(
            OTEL_RESOURCE_ATTRIBUTES=f"owner={SECRETS['e-mail']}",
            CLINE_OTEL_BRIDGE_METRIC_ATTRIBUTES="owner",
        )
