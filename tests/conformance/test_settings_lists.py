"""Headers and resource attributes, which are lists in one variable, are read as the official packages read them."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.resources import OTELResourceDetector
from opentelemetry.util.re import parse_env_headers

from cline_otel.settings import SettingsError, load_settings, values

REFUSAL = re.compile(
    r"header \d+ (is not of the form name=value: separate headers by commas and percent-encode spaces, commas, "
    r"semicolons, quotes \(\"\) and backslashes in values|has control characters in it, or a name that is no "
    r"header's: take them out)|the header (connection|content-[a-z]+|expect|host|keep-alive|proxy-connection|te|"
    r"trailer|transfer-encoding|upgrade) is set by the exporter itself: take it out"
)


@given(
    st.lists(st.text(alphabet=st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=20), max_size=4).map(
        ",".join
    )
)
def test_any_headers_text_is_read_as_officially_or_refused(text: str) -> None:
    try:
        ours = dict(values.headers(text))
    except ValueError as error:
        # What it says is fixed, so it repeats no header.
        refusal = str(error)
    else:
        assert ours == dict(parse_env_headers(text, liberal=True))
        return
    assert REFUSAL.fullmatch(refusal)


@pytest.mark.parametrize(
    "name",
    [
        "host",
        "Content-Length",
        "transfer-encoding",
        "CONNECTION",
        "content-type",
        "content-encoding",
        "te",
        "upgrade",
        "trailer",
        "%68ost",
    ],
)
@pytest.mark.parametrize("variable", ["OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_LOGS_HEADERS"])
def test_headers_that_say_how_a_request_is_sent_are_refused_by_their_names(
    name: str, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "https://collector.example")
    monkeypatch.setenv(variable, f"x-key=a,{name}=planted-value")
    with pytest.raises(SettingsError) as caught:
        load_settings()
    shown = name.lower().replace("%68", "h")
    assert str(caught.value) == f"{variable}: the header {shown} is set by the exporter itself: take it out"


@pytest.mark.parametrize(
    "text",
    [
        "a=b",
        "a=b,c=d",
        " a = b , c = d ",
        "a=b%2Cc%3Dd%20e",
        "a=b=c",
        "a=,b=x",
        "a=1,a=2",
        "service.name=from-attributes,a=b",
        "a=caf%C3%A9",
        "a=%FF",
        "",
    ],
)
@pytest.mark.parametrize("service_name", ["", "named"])
def test_resource_attributes_resolve_as_officially(
    text: str, service_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", text)
    monkeypatch.setenv("OTEL_SERVICE_NAME", service_name)
    official = dict(OTELResourceDetector().detect().attributes)
    settings = load_settings()
    assert settings.service_name == official.pop("service.name", "")
    assert dict(settings.resource_attributes) == official


@pytest.mark.parametrize(
    ("text", "theirs", "ours"),
    [("a%2Cb=c", {"a%2Cb": "c"}, {"a,b": "c"}), ("a=b,nonsense", {"a": "b"}, SettingsError)],
    ids=["keys are decoded too", "a pair without = is refused"],
)
def test_resource_attributes_differ_where_the_specification_does(
    text: str, theirs: dict[str, str], ours: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", text)
    assert dict(OTELResourceDetector().detect().attributes) == theirs
    if ours is SettingsError:
        with pytest.raises(SettingsError, match=r"^OTEL_RESOURCE_ATTRIBUTES: attribute 2 "):
            load_settings()
    else:
        assert dict(load_settings().resource_attributes) == ours
