"""Writes the vocabulary of public model names, from Cline's published catalogue, the price table and the words here.

``make model-names`` runs it: the catalogue's ``model_names.json`` and the plugin's module of the same words.
A name that the words make already stands in no list, so that the lists are as short as they can be.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import Final

from cline_otel import catalogue
from cline_otel.privacy import model_names

from .cline_release import install_cline
from .node_runtime import find_node

JSON_FILE: Final = Path(catalogue.__file__).with_name("model_names.json")
MODULE: Final = Path(__file__).parents[2] / "src" / "cline-plugin" / "mapping" / "model_words.js"

FAMILIES: Final = """
    gpt chatgpt claude gemini gemma llama codellama learnlm qwen qwq qvq deepseek mistral mixtral ministral codestral
    devstral magistral pixtral voxtral mathstral grok glm chatglm codegeex kimi moonshot minimax abab nova titan command
    aya phi nemotron granite jamba hermes ernie hunyuan doubao seed step falcon yi solar sonar palmyra mercury olmo tulu
    starcoder internlm internvl longcat skywork codex sonic mimo exaone dbrx opt zephyr dolphin smollm opus sonnet haiku
    o lfm mai moa sonoma anubis chimera embedding coder kat wizardlm
    vicuna bge nomic compound ling ring stablelm orca arctic reka
    inkling laguna trinity
    virtuoso maestro spotlight
    fake mock dummy stub demo test echo example sample
"""
"""Families of models, and words for what only stands in for a model, which say nothing of anybody."""

WORDS: Final = """
    a b e h i k m p q r s t v x it vl oss pro mini nano max plus ultra large medium small tiny micro lite light fast
    flash turbo instant highspeed high low air airx flashx base core chat instruct thinking think reasoning reasoner
    reason deep research vision vl omni audio image realtime transcribe embed embedding embeddings text code coder
    coding math search preview latest beta alpha exp experimental rc stable default next new original free cloud maas
    tee distill distilled gguf ggml mlx awq gptq fp nvfp mxfp bf int bit qat moe bnb unsloth l xl xs d f us eu apac
    global gov jp au ca anthropic amazon meta openai google microsoft cohere nvidia alibaba moonshotai zai databricks
    copilot ai ds spark super agent scout maverick build canvas maxi sky edition open extended safeguard guard premier
    express heavy multi agentic non no think auto tool use tools multimodal long context series model by version v ev
    dense hybrid c nemo mamba groq arcee turbos venice or batch live tts ocr hf
"""
"""Words beside a family's: sizes, versions, forms, regions, and publishers in a name."""

OWNERS: Final = """
    anthropic openai google vertex vertex_ai vertexai bedrock converse azure azure_ai azure-openai amazon aws meta
    meta-llama mistral mistralai deepseek deepseek-ai qwen alibaba alibaba-cloud z-ai zai-org zai zhipuai thudm
    moonshotai moonshot minimax minimaxai nvidia microsoft cohere cohereforai x-ai xai perplexity baidu tencent
    bytedance bytedance-seed stepfun stepfun-ai inception liquid ai21 ibm-granite arcee-ai arcee_ai nousresearch
    cognitivecomputations thedrummer tngtech tiiuae bigcode huggingfaceh4 huggingfacetb allenai unsloth mradermacher
    bartowski mlx-community thebloke lmstudio-community 01-ai skywork meituan meituan-longcat opengvlab internlm
    inclusionai databricks facebook eleutherai stabilityai lgai lgai-exaone togethercomputer together together_ai
    together-ai groq cerebras fireworks fireworks_ai fireworks-ai accounts models publishers openrouter litellm ollama
    lmstudio huggingface hf gemini cline github github-copilot copilot deepinfra novita siliconflow @cf kwaipilot xiaomi
    xiaomimo sao10k upstage reka rekaai library pro
    ~anthropic ~openai ~google ~deepseek ~moonshotai ~x-ai ~z-ai
"""
"""Publishers and platforms before a slash. ``accounts`` passes only with a publisher of this list after it."""

LISTING: Final = """
const llms = await import(process.argv[1]);
const names = new Set();
for (const collection of Object.values(llms.MODEL_COLLECTIONS_BY_PROVIDER_ID))
  for (const id of Object.keys(collection.models)) names.add(id);
for (const provider of llms.getProviderIds())
  for (const id of Object.keys(llms.getGeneratedModelsForProvider(provider))) names.add(id);
console.log(JSON.stringify([...names].sort()));
"""


def words_of(text: str) -> list[str]:
    """The words of a list, sorted, once each."""
    return sorted({*text.split()})


def published_names(node: str, release: Path) -> list[str]:
    """The ids of all models in the catalogue of an installed Cline; ``release``: its ``node_modules``."""
    listed = subprocess.run(
        [node, "--input-type=module", "-e", LISTING, (release / "@cline" / "llms" / "dist" / "index.js").as_uri()],
        capture_output=True, check=True, timeout=120,
    )  # fmt: skip
    names: list[str] = json.loads(listed.stdout)
    return names


def priced_names() -> list[str]:
    """The ids of all models in the price table (genai-prices).

    Raises:
        ModuleNotFoundError: the environment has no price table.
    """
    return sorted({model.id for provider in import_module("genai_prices.data").providers for model in provider.models})


def vocabulary_of(names: Iterable[str]) -> dict[str, list[str]]:
    """What the bridge and the plugin read; ``names``: public ones, of which those are kept that no words make."""
    table = {"families": words_of(FAMILIES), "words": words_of(WORDS), "owners": words_of(OWNERS)}
    made = model_names.Vocabulary(*map(frozenset, table.values()), names=frozenset())
    kept = {name.lower() for name in names if not model_names.is_public(name.lower(), made)}
    return {**table, "names": sorted(kept)}


def module_of(table: dict[str, list[str]]) -> str:
    """The plugin's module with the same words."""
    sets = "".join(
        f'export const MODEL_{part.upper()} = new Set(\n  "{" ".join(entries)}".split(\n    " ",\n  ),\n);\n'
        for part, entries in table.items()
    )
    return f"// Words of public model names, made by `make model-names`.\n\n{sets}"


def main() -> None:
    """Writes both files."""
    node = find_node()
    release = install_cline(node).parents[3]
    table = vocabulary_of([*published_names(str(node.node), release), *priced_names()])
    JSON_FILE.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
    MODULE.write_text(module_of(table), encoding="utf-8")


if __name__ == "__main__":
    main()
