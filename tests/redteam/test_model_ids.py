"""Of a model's name the public part alone is in the clear, whatever somebody puts before, behind or into it."""

from __future__ import annotations

import json
import shutil
import subprocess
from importlib.resources import files
from typing import Final

import pytest
from bench.fixed_key import KEY

from cline_otel.catalogue.gates import Gates
from cline_otel.catalogue.load import read_tables
from cline_otel.catalogue.values import Gate
from cline_otel.privacy.policy import Policy
from cline_otel.privacy.pseudonyms import Pseudonyms
from waiting import PATIENCE_SECONDS

PUBLIC: Final = ("gpt-4o", "claude-sonnet-4-5-20250929", "openai/gpt-4o", "deepseek-r1:14b")
AROUND: Final = (
    "{}-zebracorp", "zebracorp-{}", "zebracorp/{}", "{}:zebracorp", "{}@zebracorp", "openai/zebracorp/{}",
    "{} for alice", "ft:{}:zebracorp::9aBcDeFg", "accounts/zebracorp/models/{}", "{}%2Fzebra", "zebra\uff0d{}",
    "{}#alice",
    "https://llm.zebracorp.internal/{}", "10.1.2.3/{}", "{}-4917112345678", "{}-550-123-4567", "/home/alice/{}",
    "{}\u200bzebra", "{}.gguf.alice", "arn:aws:bedrock:us-east-1:123456789012:custom-model/{}.zebra",
    "projects/zebracorp/models/{}", "alice@{}",
)  # fmt: skip
CHOSEN: Final = [around.format(name) for around in AROUND for name in PUBLIC]


@pytest.mark.parametrize("name", CHOSEN)
def test_a_name_with_something_private_in_it_is_a_pseudonym(name: str) -> None:
    assert gate()(name) == Pseudonyms(KEY).custom_name("model", name)


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_name_is_in_the_clear(name: str) -> None:
    assert gate()(name) == name


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
def test_the_plugin_gives_each_name_the_result_of_the_bridge() -> None:
    plugin = files("cline_otel.plugin").joinpath("cline-otel.js")
    script = f"""
        import {{ pathToFileURL }} from "node:url";
        const {{ createPseudonyms }} = await import(pathToFileURL({json.dumps(str(plugin))}));
        const ofKey = createPseudonyms({{ version: 1, key: "{KEY.hex()}", built_in_tools: [] }});
        console.log(JSON.stringify({json.dumps([*CHOSEN, *PUBLIC])}.map((name) => ofKey.model(name))));
    """
    printed = subprocess.run(
        ["node", "--input-type=module", "--eval", script], stdout=subprocess.PIPE, check=True, timeout=PATIENCE_SECONDS
    )
    assert json.loads(printed.stdout) == [gate()(name) for name in [*CHOSEN, *PUBLIC]]


def gate() -> Gate:
    return Gates(read_tables().attributes, Policy(pseudonyms=Pseudonyms(KEY))).of("gen_ai.request.model")
