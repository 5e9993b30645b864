"""The second line: what has the shape of a secret does not leave, and names of models are not taken for one."""

from __future__ import annotations

import json
import random
import string
from pathlib import Path

import pytest
from bench.fixed_key import CATALOGUE
from hypothesis import given
from hypothesis import strategies as st

from cline_otel.catalogue.values import OTHER, REDACTED
from cline_otel.privacy.pseudonyms import CUSTOM_NAME, GENERATED_ID, PSEUDONYM
from cline_otel.privacy.secret_detectors import secret_kind_of

HANDLERS = CATALOGUE.vocabularies["cline"].events["task.tokens"].handlers
MODEL, AGENT = HANDLERS["model"][0].gate, HANDLERS["agentId"][0].gate
ALPHANUMERIC = string.ascii_letters + string.digits


def made(count: int, alphabet: str = ALPHANUMERIC, seed: int = 0) -> str:
    """Random characters, the same in every run; no secret of anybody stands in this file."""
    return "".join(random.Random(count + 1_000 * seed).choices(alphabet, k=count))


KEYS = {
    "OpenAI": f"sk-{made(48)}",
    "OpenAI project": f"sk-proj-{made(32)}",
    "OpenAI service account": f"sk-svcacct-{made(40)}",
    "Anthropic": f"sk-ant-api03-{made(40)}",
    "OpenRouter": f"sk-or-v1-{made(64, string.hexdigits[:16])}",
    "Stripe": f"sk_live_{made(24)}",
    "Stripe restricted": f"rk_test_{made(24)}",
    "GitHub": f"ghp_{made(36)}",
    "GitHub app": f"ghs_{made(36)}",
    "GitHub fine-grained": f"github_pat_{made(22)}_{made(59)}",
    "GitLab": f"glpat-{made(20)}",
    "AWS": f"AKIA{made(16, string.ascii_uppercase + string.digits)}",
    "AWS session": f"ASIA{made(16, string.ascii_uppercase + string.digits)}",
    "Google": f"AIza{made(35)}",
    "Slack": f"xoxb-{made(12, string.digits)}-{made(24)}",
    "npm": f"npm_{made(36)}",
    "Hugging Face": f"hf_{made(34)}",
    "Groq": f"gsk_{made(52)}",
    "xAI": f"xai-{made(80)}",
    "signed token": f"eyJ{made(20)}.eyJ{made(30)}.{made(43)}",
}
by_issuer = pytest.mark.parametrize("key", KEYS.values(), ids=KEYS.keys())

E_MAILS = ("someone@mail.test", "some.one+tag@sub.mail.test", "o_n%e-1@a-b.test", "x@y.zz")
URLS = (
    "https://name:word@git.host.test/team/project.git",
    "ssh://git@git.host.test:22/team/project",
    "postgres://user:word@db.host.test:5432/name",
    "https://host.test/path?token=word",
    "file:///C:/code/notes",
    "name:word@host.test",
)
PATHS = (
    "/home/someone/code/app",
    "/Users/someone",
    "/srv/models/own",
    "~/code/notes",
    "./own/model",
    "../own/model",
    "C:\\Users\\someone\\app",
    "D:/code/app",
    "\\\\server\\share\\app",
    "x/home/someone/y",
    "models/own-llama.gguf",
    "weights.safetensors",
    "notes.txt",
)


@by_issuer
@pytest.mark.parametrize("around", ["{}", "agent_{}", "model:{}", "owner/{}", "{}-x", "a.{}.b", "key={}"])
def test_a_key_is_recognised_wherever_in_a_string_it_stands(key: str, around: str) -> None:
    assert secret_kind_of(around.format(key), may_be_random=True) == "key"


@by_issuer
@pytest.mark.parametrize("around", ["{}", "agent_{}", "{}-x"])
def test_a_key_where_an_id_or_a_name_belongs_does_not_leave(key: str, around: str) -> None:
    value = around.format(key)
    assert CUSTOM_NAME.fullmatch(str(MODEL(value)))
    answer = AGENT(value)
    assert answer in (OTHER, REDACTED) or (isinstance(answer, str) and PSEUDONYM.fullmatch(answer))


@pytest.mark.parametrize(("shape", "value"), [
    *(("e-mail", value) for value in E_MAILS),
    *(("URL", value) for value in URLS),
    *(("path", value) for value in PATHS),
])  # fmt: skip
def test_addresses_and_paths_are_recognised(shape: str, value: str) -> None:
    assert secret_kind_of(value) is not None
    assert CUSTOM_NAME.fullmatch(str(MODEL(value)))
    if not any(mark in value for mark in ("@", "://")):
        assert secret_kind_of(value) == shape


@given(st.text(ALPHANUMERIC, min_size=32, max_size=80).filter(lambda run: any(map(str.isdigit, run))))
def test_a_long_run_of_letters_and_digits_is_random(run: str) -> None:
    if not run.isdigit():
        assert secret_kind_of(run) is not None
        assert secret_kind_of(f"name-{run}") is not None
        assert secret_kind_of(run, may_be_random=True) in (None, "key")


def test_most_random_runs_of_20_to_31_characters_are_recognised() -> None:
    runs = [made(20 + seed % 12, seed=seed) for seed in range(1_000)]
    assert sum(secret_kind_of(run) is not None for run in runs) >= 900


MODEL_IDS = Path(__file__).parents[1] / "plugin" / "model_ids.json"
MODELS = [name for name, result in json.loads(MODEL_IDS.read_text(encoding="utf-8")).items() if name == result]
"""As providers, routers and local servers name them."""


def test_there_are_enough_names_of_models_to_learn_from() -> None:
    assert len(set(MODELS)) >= 250


@pytest.mark.parametrize("model", sorted(set(MODELS)))
def test_the_name_of_a_real_model_has_no_shape_of_a_secret(model: str) -> None:
    assert secret_kind_of(model) is None


def test_a_random_run_is_no_name_of_a_model() -> None:
    assert CUSTOM_NAME.fullmatch(str(MODEL(made(40))))


NAMES = [
    "task-breakdown-and-planning", "flask-api-development-guide", "network-engineer-specialist", "ask-user-for-details",
    "risk-assessment-report", "disk-usage-and-cleanup-helper", "desk-research-2025", "kiosk_mode_configuration",
    "Code Review Team", "frontend team 2", "github__create_pull_request", "context7__resolve-library-id",
    "postgres-mcp", "playwright__browser_take_screenshot", "subagent_code_reviewer", "com.example/tool",
    "awslabs.aws-documentation-mcp-server", "mcp-server-filesystem", "React19MigrationHelper2025", "i18n-l10n-a11y",
    "sequential-thinking", "xai-grok-4-fast-reasoning-latest", "fw-deployment-and-rollback-guide",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_the_name_of_a_tool_a_skill_or_a_team_has_no_shape_of_a_secret(name: str) -> None:
    assert secret_kind_of(name) is None


@pytest.mark.parametrize("version", ["3.0.65", "2.18.0", "3.82.0-nightly.20260822", "1.96.2", "0.0.86", "24.19.0"])
def test_a_version_has_no_shape_of_a_secret(version: str) -> None:
    assert secret_kind_of(version) is None


IDS = {
    "Cline's session": "1795358814083_ukyix",
    "Cline's agent": "agent_1795358457443_0mn430",
    "Cline's run": "run_-OZ2HV2E",
    "Cline's run, short": "run_U_Ofmmt8",
    "classic task": "1795358814083",
    "ULID": made(26, "0123456789ABCDEFGHJKMNPQRSTVWXYZ"),
    "UUID": "0d2f1c7e-8a44-4c1b-9d3e-5b6f7a8c9d0e",
    "pseudonym": made(32, "0123456789abcdef"),
}
CALL_IDS = {
    "Anthropic": f"toolu_01{made(22)}",
    "Bedrock": f"tooluse_{made(22)}",
    "OpenAI": f"call_{made(24)}",
    "OpenAI responses": f"call_{made(24)}|fc_{made(48, '0123456789abcdef')}",
    "Anthropic message": f"msg_01{made(22)}",
    "OpenAI response": f"resp_{made(50, '0123456789abcdef')}",
    "OpenAI completion": f"chatcmpl-{made(29)}",
    "OpenRouter": f"gen-1795358814-{made(20)}",
}


@pytest.mark.parametrize("value", IDS.values(), ids=IDS.keys())
def test_an_id_that_a_machine_made_leaves(value: str) -> None:
    assert GENERATED_ID.fullmatch(value)
    assert secret_kind_of(value, may_be_random=True) is None
    assert AGENT(value) == value


@pytest.mark.parametrize("value", CALL_IDS.values(), ids=CALL_IDS.keys())
def test_an_id_that_a_provider_made_has_no_shape_of_a_secret(value: str) -> None:
    assert secret_kind_of(value, may_be_random=True) is None
