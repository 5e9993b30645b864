"""The shipped configurations' third line of privacy, on the real collector.

Secrets are made up here, by shape, and planted in every place that the processor reads.
"""

from __future__ import annotations

import base64
import random
import string
from typing import Any

import pytest
import yaml

from .collector import CONFIGURATION_DIRECTORY, Collector
from .official_telemetry import ORDINARY, official_requests
from .transport import SIGNALS, carry

SENDING_CONFIGURATIONS = ("datadog.yaml", "grafana.yaml", "newrelic.yaml")

_random = random.Random(20260101)  # the same secrets in every worker, so that test ids agree


def letters(count: int, alphabet: str = string.ascii_letters + string.digits) -> str:
    return "".join(_random.choices(alphabet, k=count))


def upper(count: int) -> str:
    return letters(count, string.ascii_uppercase + string.digits)


def host() -> str:
    return f"{letters(9, string.ascii_lowercase)}.example"


def web_token() -> str:
    parts = (f'{{"alg":"{letters(6)}"}}', f'{{"sub":"{letters(12)}"}}', letters(24))
    return ".".join(base64.urlsafe_b64encode(part.encode()).decode().rstrip("=") for part in parts)


SECRETS = {
    "key with a service prefix": f"sk-{letters(24)}",
    "key with a dashed prefix": f"sk-{letters(3)}-api03-{letters(24)}",
    "repository token": f"ghp_{letters(20)}",
    "fine-grained repository token": f"github_pat_{letters(30)}",
    "cloud access key": f"AKIA{upper(16)}",
    "map service key": f"AIza{letters(35)}",
    "chat token": f"xoxb-{letters(12)}-{letters(12)}",
    "signed token": web_token(),
    "bearer header": f"Bearer {letters(30)}",
    "private key": f"-----BEGIN RSA PRIVATE KEY-----\n{letters(64)}\n{letters(64)}\n-----END RSA PRIVATE KEY-----",
    "e-mail address": f"{letters(8)}.{letters(6)}@{host()}",
    "URL with credentials": f"https://{letters(8)}:{letters(12)}@git.{host()}/a.git",
    "URL with a password alone": f"postgres://:{letters(12)}@{host()}:5432/main",
    "home directory": f"/home/{letters(8)}/{letters(8)}/main.py",
    "home directory on macOS": f"/Users/{letters(8)}/{letters(8)}",
    "home directory on Windows": rf"C:\Users\{letters(8)}\{letters(8)}",
}


def told_after(collector: Collector, **planted: Any) -> str:
    for signal, request in official_requests(**planted).items():
        carry("http", collector.http_endpoint, collector.grpc_target, signal, request.SerializeToString())
    collector.stop()
    return "\n".join(part for signal in SIGNALS for told in collector.told(signal) for part in told)


@pytest.mark.collector
def test_no_planted_secret_comes_out_of_the_collector(collector: Collector) -> None:
    everywhere = " then ".join(SECRETS.values())
    planted: dict[str, Any] = {f"cline.planted.{number}": secret for number, secret in enumerate(SECRETS.values())}
    planted["cline.sentence"] = f"failed with {everywhere} at the end"
    planted["cline.list"] = ("first", *SECRETS.values())
    told_after(
        collector,
        attributes=ORDINARY | planted,
        body=f"Run failed: {everywhere}",
        resource={f"cline.resource.{number}": secret for number, secret in enumerate(SECRETS.values())},
    )
    written = collector.written_bytes().decode()
    for what, secret in SECRETS.items():
        for line in secret.splitlines():
            if "PRIVATE KEY" not in line:
                assert line not in written, what
    for value in ("anthropic/claude-sonnet-4-20250514", "01JQ3W8ZK4N0T5V6X7Y8Z9ABCD", "a1b2c3d4", "tool_calls"):
        assert value in written


@pytest.mark.collector
@pytest.mark.parametrize(
    "name", ["db.password", "http.request.header.authorization", "vendor_api_key", "client.secret.value"]
)
def test_a_value_whose_name_says_secret_is_masked_whatever_it_looks_like(collector: Collector, name: str) -> None:
    value = letters(11)
    told = told_after(collector, attributes={name: value, "cline.mode": "act"})
    assert value not in told
    assert name in told
    assert 'string_value: "act"' in told


@pytest.mark.collector
def test_what_was_masked_is_counted_on_its_record_and_nothing_else_is_marked(collector: Collector) -> None:
    told = told_after(collector, attributes={"cline.planted": SECRETS["repository token"]})
    assert "redaction.masked.count" in told
    assert "redaction.masked.keys" not in told


@pytest.mark.collector
def test_token_counts_are_no_secrets(collector: Collector) -> None:
    told = told_after(collector, attributes={"gen_ai.usage.input_tokens": 17, "gen_ai.token.type": "input"})
    assert "int_value: 17" in told
    assert 'string_value: "input"' in told
    assert "redaction." not in told


def loaded(name: str) -> dict[str, Any]:
    document = yaml.safe_load((CONFIGURATION_DIRECTORY / name).read_text(encoding="utf-8"))
    assert isinstance(document, dict)
    return document


@pytest.mark.parametrize("name", SENDING_CONFIGURATIONS)
def test_every_configuration_masks_what_the_base_masks(name: str) -> None:
    assert loaded(name)["processors"]["redaction"] == loaded("base.yaml")["processors"]["redaction"]


@pytest.mark.parametrize("name", ["base.yaml", *SENDING_CONFIGURATIONS])
def test_every_pipeline_that_takes_telemetry_in_redacts_it(name: str) -> None:
    for pipeline, parts in loaded(name)["service"]["pipelines"].items():
        if "otlp" in parts["receivers"]:
            assert "redaction" in parts["processors"], pipeline


@pytest.mark.parametrize("name", ["base.yaml", *SENDING_CONFIGURATIONS])
def test_every_configuration_listens_on_loopback_unless_told_otherwise(name: str) -> None:
    document = loaded(name)
    listeners = [*document["receivers"]["otlp"]["protocols"].values(), document["extensions"]["health_check"]]
    for listener in listeners:
        assert ":-127.0.0.1:" in listener["endpoint"]


@pytest.mark.parametrize("name", SENDING_CONFIGURATIONS)
def test_secrets_come_from_the_environment_alone(name: str) -> None:
    document = loaded(name)
    (exporter,) = document["exporters"].values()
    secrets = [value for header, value in exporter.get("headers", {}).items() if header.endswith("api-key")]
    secrets += [
        value
        for extension in document["extensions"].values()
        for value in (extension or {}).get("client_auth", {}).values()
    ]
    assert secrets
    for secret in secrets:
        assert secret.startswith("${env:")
        assert ":-" not in secret
