"""What the plugin has to know as the bridge knows it: who says no, what a generated id is, what a pseudonym is."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tomllib
from hashlib import blake2b
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from cline_otel import ids
from cline_otel.consent import decide, opt_out_sources_of
from cline_otel.privacy.pseudonyms import GENERATED_ID, PROVIDER_ID, Pseudonyms
from cline_otel.privacy.secret_detectors import _KEY
from cline_otel.settings import load_settings
from plugin import known_words
from waiting import PATIENCE_SECONDS

HERE = Path(__file__).parent
PLUGIN = HERE.parents[1] / "src" / "cline_otel" / "plugin"
LAW: list[dict[str, Any]] = json.loads((HERE / "consent_law.json").read_text(encoding="utf-8"))
NODE = shutil.which("node")

needs_node = pytest.mark.skipif(NODE is None, reason="needs node")


def node(*arguments: str | Path, given: bytes = b"") -> str:
    assert NODE is not None
    return subprocess.run(
        [NODE, *arguments], input=given, stdout=subprocess.PIPE, check=True, timeout=PATIENCE_SECONDS
    ).stdout.decode()


def put(root: Path, place: str, content: object) -> None:
    """Writes a text or JSON; a place that ends with a slash is a folder; None takes either away."""
    path = root / place
    path.parent.mkdir(parents=True, exist_ok=True)
    if place.endswith("/"):
        path.mkdir()
    elif content is not None:
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    elif path.is_dir():
        path.rmdir()
    else:
        path.unlink()


@pytest.mark.parametrize("case", LAW, ids=lambda case: case["name"])
def test_the_bridge_decides_as_the_law_says_that_the_plugin_obeys_too(
    case: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = {name: value.replace("{root}", str(tmp_path)) for name, value in case["environment"].items()}
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name, value in environment.items():
        if name.startswith("CLINE_"):
            monkeypatch.setenv(name, value)
    settings = load_settings(state_directory=tmp_path / "state", cline_directory=tmp_path / "cline")
    evidence = opt_out_sources_of(settings, environment)

    for step in case["steps"]:
        for place, content in step["files"].items():
            put(tmp_path, place, content)
        assert decide(evidence.look()).state == step["expect"], step


@needs_node
def test_ids_and_keys_have_one_pattern_in_both() -> None:
    script = (
        "const { PATTERNS } = await import(process.argv[1]);"
        "const texts = Object.entries(PATTERNS).map(([name, { source }]) => [name, source]);"
        "console.log(JSON.stringify(Object.fromEntries(texts)));"
    )
    plugin = json.loads(node("--input-type=module", "-e", script, (PLUGIN / "cline-otel.js").as_uri()))
    catalogue = tomllib.loads(files("cline_otel.catalogue").joinpath("attributes.toml").read_text(encoding="utf-8"))

    assert plugin["generatedId"] == f"^(?:{GENERATED_ID.pattern})$"
    assert plugin["providerId"] == f"^(?:{PROVIDER_ID.pattern})$"
    assert plugin["key"] == re.sub(r"\s+(#.*)?", "", _KEY)
    assert plugin["version"] == f"^{catalogue['patterns']['version']}$"


@needs_node
def test_an_error_has_the_class_in_the_spool_that_the_bridge_gives_it() -> None:
    script = (
        "const { CLASSES } = await import(process.argv[1]);"
        "console.log(JSON.stringify(CLASSES.map(([name, { source, flags }]) => [name, source, flags])));"
    )
    classes = HERE.parents[1] / "src" / "cline-plugin" / "mapping" / "error_classes.js"
    plugin = json.loads(node("--input-type=module", "-e", script, classes.as_uri()))
    catalogue = tomllib.loads(files("cline_otel.catalogue").joinpath("attributes.toml").read_text(encoding="utf-8"))
    assert plugin == [[name, pattern, "i"] for name, pattern in catalogue["classes"]["error.type"].items()]


@needs_node
def test_a_name_has_the_pseudonym_in_the_spool_that_the_bridge_gives_it() -> None:
    names = HERE / "fixtures" / "chosen_names.jsonl"
    printed = node(
        HERE.parents[1] / "bench" / "spool_from_capture.mjs", HERE / "pseudonyms.json", given=names.read_bytes()
    )
    records = [json.loads(line) for line in printed.splitlines()]
    pseudonyms = Pseudonyms(bytes(32))

    said = {(field, record[field]) for record in records for field in record if field.endswith(("_id", "_hash"))}
    assert said >= {
        ("session_id", pseudonyms.of("id", "Invoice checker 42")),
        ("agent_id", pseudonyms.of("id", "prüferin")),
        ("run_id", pseudonyms.of("id", "april")),
        ("tool_name_hash", pseudonyms.of("tool", "crm__find_record")),
        ("tool_name_hash", pseudonyms.of("tool", "crm__always_fails")),
        ("mcp_server_hash", pseudonyms.of("mcp_server", "crm")),
    }


@needs_node
def test_the_plugin_computes_the_ids_that_the_bridge_gives() -> None:
    texts = ["", "a", "x" * 127, "x" * 128, "x" * 129, "y" * 1_000, "agent_ü_\U0001f600"]
    modules = PLUGIN.parents[1] / "cline-plugin" / "mapping"
    program = f"""
        import {{ blake2b }} from {json.dumps(modules.joinpath("blake2b.js").as_uri())};
        import {{ toolCallSpanId, traceId }} from {json.dumps(modules.joinpath("span_ids.js").as_uri())};
        const texts = {json.dumps(texts)};
        console.log(JSON.stringify(texts.map((text) => [
          blake2b(text, 8), blake2b(text, 64), traceId(text, "run"), toolCallSpanId("agent", text, 12, 3),
        ])));
    """
    for text, made in zip(texts, json.loads(node("--input-type=module", "-", given=program.encode())), strict=True):
        assert made == [
            blake2b(text.encode(), digest_size=8).hexdigest(),
            blake2b(text.encode()).hexdigest(),
            ids.trace_id(text, "run").hex(),
            ids.tool_call_span_id("agent", text, 12, 3).hex(),
        ]


def test_the_words_that_the_plugin_lets_pass_are_those_of_the_catalogue() -> None:
    text = known_words.MODULE.read_text(encoding="utf-8")
    for name, what, words in known_words.lists():
        said = re.search(rf"// {re.escape(what)}\nexport const {name} = new Set\((.*?)\n\);", text, re.DOTALL)
        assert said is not None, name
        assert set("".join(re.findall(r'"([^"]*)"', said[1])).split()) == set(words), "run `make plugin`"
