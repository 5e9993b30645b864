"""What calls cost by the price lists: hand-reckoned amounts, and the user's own file."""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from genai_prices import Usage
from genai_prices.data import providers
from genai_prices.data_snapshot import DataSnapshot, set_custom_snapshot

from cline_otel.catalogue.load import load, read_tables
from cline_otel.prices.library import LIBRARY, PROVIDERS, LibraryPrices
from cline_otel.prices.own import OwnPrice, OwnPrices
from cline_otel.prices.table import FirstKnown, NoPrices, Rate, Rates, Tokens
from cline_otel.settings import SettingsError, load_settings
from cline_otel.settings.price_file import read_price_file

M = 1_000_000
PAGE = Path(__file__).parents[2] / "docs" / "costs.md"


def ns(year: int, month: int, day: int, hour: int = 12) -> int:
    return int(datetime(year, month, day, hour, tzinfo=UTC).timestamp()) * 10**9


NOW = ns(2026, 11, 1)

FIXTURES = {
    "anthropic: cache read and write": (
        "anthropic", "claude-sonnet-4-5-20250929", NOW, Tokens(2_000, 4_000, 3_000, 400, 12),
        (2_000 * 3 + 4_000 * 0.30 + 3_000 * 3.75 + (400 + 12) * 15) / M,
    ),
    "anthropic: exactly at the bound of a tier": (
        "anthropic", "claude-sonnet-4-5", NOW, Tokens(150_000, 50_000, 0, 1_000),
        (150_000 * 3 + 50_000 * 0.30 + 1_000 * 15) / M,
    ),
    "anthropic: past it, all tokens are dearer": (
        "anthropic", "claude-sonnet-4-5", NOW, Tokens(150_001, 50_000, 0, 1_000),
        (150_001 * 6 + 50_000 * 0.60 + 1_000 * 22.5) / M,
    ),
    "anthropic on Bedrock": (
        "aws.bedrock", "us.anthropic.claude-sonnet-4-5-20250929-v1:0", NOW, Tokens(1_000, 2_000, 500, 100),
        (1_000 * 3.3 + 2_000 * 0.33 + 500 * 4.125 + 100 * 16.5) / M,
    ),
    "anthropic on Vertex": (
        "gcp.vertex_ai", "claude-sonnet-4-5@20250929", NOW, Tokens(1_000, 0, 0, 100),
        (1_000 * 3 + 100 * 15) / M,
    ),
    "openai: reasoning costs what output does": (
        "openai", "gpt-5", NOW, Tokens(10_000, 6_000, 0, 300, 700),
        (10_000 * 1.25 + 6_000 * 0.125 + (300 + 700) * 10) / M,
    ),
    "gemini: cheaper up to 200,000 tokens": (
        "gcp.gemini", "gemini-2.5-pro", NOW, Tokens(100_000, 50_000, 0, 2_000, 500),
        (100_000 * 1.25 + 50_000 * 0.125 + 2_500 * 10) / M,
    ),
    "gemini: dearer past them": (
        "gcp.gemini", "gemini-2.5-pro", NOW, Tokens(200_000, 50_000, 0, 2_000, 500),
        (200_000 * 2.5 + 50_000 * 0.25 + 2_500 * 15) / M,
    ),
    "deepseek: by day": (
        "deepseek", "deepseek-chat", ns(2025, 6, 1, hour=12), Tokens(3_000, 1_000, 0, 500),
        (3_000 * 0.27 + 1_000 * 0.07 + 500 * 1.10) / M,
    ),
    "deepseek: by night": (
        "deepseek", "deepseek-chat", ns(2025, 6, 1, hour=20), Tokens(3_000, 1_000, 0, 500),
        (3_000 * 0.135 + 1_000 * 0.035 + 500 * 0.55) / M,
    ),
    "xai": (
        "x_ai", "grok-4", NOW, Tokens(8_000, 2_000, 0, 250),
        (8_000 * 3 + 2_000 * 0.75 + 250 * 15) / M,
    ),
    "moonshot: a cache without a price of its own costs what input does": (
        "moonshot", "kimi-k2", NOW, Tokens(1_000, 500, 0, 100),
        ((1_000 + 500) * 0.57 + 100 * 2.3) / M,
    ),
    "groq: what is cheaper in a batch is not for Cline": (
        "groq", "openai/gpt-oss-120b", NOW, Tokens(2_000, 1_000, 0, 300),
        (2_000 * 0.15 + 1_000 * 0.075 + 300 * 0.60) / M,
    ),
    "openrouter by Cline's own provider": (
        "cline", "anthropic/claude-sonnet-4.5", NOW, Tokens(1_000, 2_000, 3_000, 100),
        (1_000 * 3 + 2_000 * 0.30 + 3_000 * 3.75 + 100 * 15) / M,
    ),
    "openrouter: a free model": (
        "openrouter", "agentica-org/deepcoder-14b-preview:free", NOW, Tokens(5_000, 0, 0, 500), 0.0,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("provider", "model", "at_ns", "tokens", "usd"), FIXTURES.values(), ids=FIXTURES)
def test_a_call_costs_what_a_hand_reckons(provider: str, model: str, at_ns: int, tokens: Tokens, usd: float) -> None:
    price = LIBRARY.price(provider, model, at_ns)
    assert price is not None
    assert price.rates.cost_usd(tokens) == pytest.approx(usd, rel=1e-12)


def test_every_listed_model_costs_what_the_library_itself_reckons() -> None:
    """The arithmetic is ours, since the library's takes longer than the rest of a call; it has to be the same."""
    compared: set[Rates] = set()
    for ours, theirs in PROVIDERS.items():
        provider = next(each for each in providers if each.id == theirs)
        for model in provider.models:
            price = LIBRARY.price(ours, model.id, NOW)
            found = provider.find_model(model.id)
            if price is None or found is not model or price.rates in compared:
                continue
            for tokens in (Tokens(2_000, 4_000, 3_000, 400, 50), Tokens(150_000, 100_000, 30_000, 4_000, 500)):
                usage = Usage(
                    input_tokens=sum(tokens[:3]),
                    cache_read_tokens=tokens.cache_read,
                    cache_write_tokens=tokens.cache_write,
                    output_tokens=tokens.output + tokens.reasoning,
                    output_reasoning_tokens=tokens.reasoning,
                    **dict.fromkeys(("input_audio_tokens", "output_audio_tokens", "cache_audio_read_tokens"), 0),
                )
                by_library = model.calc_price(
                    usage, provider, genai_request_timestamp=datetime.fromtimestamp(NOW / 1e9, UTC)
                ).total_price
                assert price.rates.cost_usd(tokens) == pytest.approx(float(by_library), rel=1e-9), (theirs, model.id)
            compared.add(price.rates)
    assert len(compared) > 300


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("anthropic", "claude-of-my-own"),
        ("anthropic", ""),
        ("ollama", "llama-3"),
        ("openai-compatible", "gpt-5"),
        ("openai", "text-embedding-3-large"),
        ("_OTHER", "gpt-5"),
    ],
)
def test_what_no_list_has_is_not_guessed(provider: str, model: str) -> None:
    assert LIBRARY.price(provider, model, NOW) is None


def test_every_provider_with_prices_is_one_that_the_catalogue_and_the_library_know() -> None:
    table = read_tables().attributes
    leaving = {table.providers.get(provider, provider) for provider in table.values["providers"]}
    assert set(PROVIDERS) <= leaving
    assert set(PROVIDERS.values()) <= {provider.id for provider in providers}


def test_the_library_is_imported_with_the_first_price_and_without_a_thread_or_a_connection() -> None:
    program = """
import socket, sys, threading
def refuse(*_):
    raise AssertionError("network")
socket.socket.connect = refuse
from cline_otel.settings import load_settings
from cline_otel.catalogue.load import load
from cline_otel.prices.library import LIBRARY
load(prices=LIBRARY)
assert "genai_prices" not in sys.modules
assert LIBRARY.price("anthropic", "claude-sonnet-4-5", 0) is not None
assert "genai_prices" in sys.modules
assert threading.active_count() == 1
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)


def test_a_list_that_something_else_in_the_process_fetches_changes_no_price() -> None:
    """An SDK exporter may bring its own use of the package along."""
    before = LIBRARY.price("anthropic", "claude-sonnet-4-5", NOW)
    set_custom_snapshot(DataSnapshot([], from_auto_update=True))
    try:
        assert before is not None
        assert LibraryPrices().price("anthropic", "claude-sonnet-4-5", NOW) == before
    finally:
        set_custom_snapshot(None)


@pytest.mark.parametrize("at_ns", [0, -1, 2**63, 2**64 - 1])
def test_a_price_that_changes_by_the_hour_has_an_answer_at_any_time_that_an_event_can_have(at_ns: int) -> None:
    assert LIBRARY.price("deepseek", "deepseek-chat", at_ns) is not None


# --- prices of one's own ----------------------------------------------------------------------------------


def own(provider: str, model: str, usd: float, from_ns: int = 0) -> OwnPrice:
    return OwnPrice(provider, model, Rates(Rate(usd), Rate(usd)), from_ns)


@pytest.mark.parametrize(
    ("provider", "model", "at_ns", "usd"),
    [
        ("ollama", "llama-3", 5, 0.0),
        ("azure", "team-gpt", 99, 1.0),
        ("azure", "team-gpt", 100, 2.0),
        ("azure", "team-gpt-mini", 100, None),
        ("groq", "qwen3-coder", 5, 3.0),
        ("groq", "qwen3", 5, 3.0),
        ("groq", "my-qwen3", 5, None),
    ],
)
def test_of_entries_that_fit_the_last_counts(provider: str, model: str, at_ns: int, usd: float | None) -> None:
    entries = (
        own("ollama", "*", 0.0),
        own("azure", "team-gpt", 1.0),
        own("azure", "team-gpt", 2.0, from_ns=100),
        own("*", "qwen3*", 3.0),
    )
    price = OwnPrices("own 1", entries).price(provider, model, at_ns)
    assert (price.rates.input.usd if price is not None else None) == usd


def test_the_entries_of_a_model_are_looked_for_once() -> None:
    asked: list[str] = []

    class Counted(OwnPrice):
        def fits(self, provider: str, model: str) -> bool:
            asked.append(model)
            return super().fits(provider, model)

    entries = (Counted(*own("azure", "*", 1.0)), Counted(*own("azure", "team-gpt", 2.0, from_ns=100)))
    prices = OwnPrices("own 1", entries)
    found = [prices.price("azure", "team-gpt", at_ns) for at_ns in (99, 100, 99, 100)]
    assert [price.rates.input.usd for price in found if price is not None] == [1.0, 2.0, 1.0, 2.0]
    assert asked == ["team-gpt"] * len(entries)


def test_the_first_list_that_knows_a_model_counts() -> None:
    mine = OwnPrices("own 7", (own("openai", "gpt-5", 1.0),))
    both = FirstKnown((mine, LIBRARY))
    ours, theirs = both.price("openai", "gpt-5", NOW), both.price("anthropic", "claude-sonnet-4-5", NOW)
    assert ours is not None
    assert theirs is not None
    assert (ours.table, theirs.table.split()[0]) == ("own 7", "genai-prices")
    assert FirstKnown((NoPrices(), mine)).price("xai", "gpt-5", NOW) is None


def test_entries_may_have_the_names_that_cline_has_and_a_refused_name_prices_no_other() -> None:
    private = "ft:gpt-4o:team::id1"
    mine = OwnPrices("own 7", (own("azure", "team-gpt", 1.0), own("azure", private, 2.0)))
    prices = load(prices=FirstKnown((mine, NoPrices()))).prices
    price = prices.price("azure.ai.openai", "team-gpt", NOW)
    assert price is not None
    assert price.rates.input.usd == 1.0
    assert load().vocabularies["cline"].events["task.tokens"].handlers["model"][0].gate(private) == "_OTHER"
    assert prices.price("azure.ai.openai", "_OTHER", NOW) is None


FILE = """
version = "2026-11"
[[models]]
provider = "azure.ai.openai"
model = "team-gpt"
usd_per_million_tokens = { input = 1.25, cache_read = 0.125, output = 10 }
[[models.tiers]]
above_input_tokens = 200000
usd_per_million_tokens = { input = 2.5, output = 15 }
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "prices.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_price_file_prices_by_its_rates_and_tiers(tmp_path: Path) -> None:
    prices = read_price_file(written(tmp_path, FILE), "V")
    price = prices.price("azure.ai.openai", "team-gpt", NOW)
    assert price is not None
    assert price.table == "own 2026-11"
    small, large = Tokens(1_000, 2_000, 500, 100, 50), Tokens(100_000, 110_000, 0, 100, 50)
    assert price.rates.cost_usd(small) == pytest.approx(((1_000 + 500) * 1.25 + 2_000 * 0.125 + 150 * 10) / M)
    assert price.rates.cost_usd(large) == pytest.approx((210_000 * 2.5 + 150 * 15) / M)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (('version = "2026-11"', ""), "version: Field required"),
        (('"2026-11"', '"acme"'), "version: String should match pattern"),
        (
            ("input = 1.25", "input = -1"),
            "models.1.usd_per_million_tokens.input: Input should be greater than or equal",
        ),
        (("input = 1.25", 'input = "1.25"'), "models.1.usd_per_million_tokens.input: Input should be a valid number"),
        (("input = 1.25", "input = nan"), "models.1.usd_per_million_tokens.input: Input should be"),
        (("cache_read", "cached"), "models.1.usd_per_million_tokens.cached: Extra inputs are not permitted"),
        (('model = "team-gpt"', ""), "models.1.model: Field required"),
        (("200000", "0"), "models.1.tiers.1.above_input_tokens: Input should be greater than 0"),
        (("[[models.tiers]]", "[[models.tiers"), "is not TOML"),
    ],
)
def test_a_price_file_with_a_fault_is_refused_and_the_entry_is_named(
    tmp_path: Path, change: tuple[str, str], reason: str
) -> None:
    path = written(tmp_path, FILE.replace(*change))
    with pytest.raises(SettingsError, match=re.escape(reason)) as raised:
        read_price_file(path, "CLINE_OTEL_BRIDGE_PRICES")
    assert str(raised.value).startswith(f"CLINE_OTEL_BRIDGE_PRICES: {path}")


def test_tiers_that_do_not_ascend_are_refused(tmp_path: Path) -> None:
    again = FILE[FILE.index("[[models.tiers]]") :]
    with pytest.raises(SettingsError, match="each has to begin above the one before it"):
        read_price_file(written(tmp_path, FILE + again), "V")


def test_settings_read_the_file_that_the_variable_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings().prices is LIBRARY
    monkeypatch.setenv("CLINE_OTEL_BRIDGE_PRICES", str(written(tmp_path, FILE)))
    price = load_settings().prices.price("azure.ai.openai", "team-gpt", NOW)
    assert price is not None
    assert price.table == "own 2026-11"
    monkeypatch.setenv("CLINE_OTEL_BRIDGE_PRICES", str(tmp_path / "none.toml"))
    with pytest.raises(SettingsError, match=r"CLINE_OTEL_BRIDGE_PRICES: .*none.toml cannot be read"):
        load_settings()


def test_the_example_of_the_page_is_a_price_file_and_its_amounts_are_right(tmp_path: Path) -> None:
    text = PAGE.read_text(encoding="utf-8")
    example = re.search(r"```toml\n(.*?)```", text, re.DOTALL)
    assert example is not None
    prices = load(prices=FirstKnown((read_price_file(written(tmp_path, example[1]), "V"), LIBRARY))).prices
    rows = re.findall(r"^\| `([^`]+)` \| `([^`]+)` \| ([\d, /]+) \| \$([\d.]+) \| `([^`]+)` \|$", text, re.MULTILINE)
    assert len(rows) >= 4
    for provider, model, counts, usd, table in rows:
        price = prices.price(provider, model, NOW)
        assert price is not None, (provider, model)
        tokens = Tokens(*(int(each.replace(",", "")) for each in counts.split(" / ")))
        assert Decimal(str(round(price.rates.cost_usd(tokens), 6))) == Decimal(usd), (provider, model)
        assert price.table.split()[0] == table
