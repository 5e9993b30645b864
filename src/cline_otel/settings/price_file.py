"""The user's own price file, which CLINE_OTEL_BRIDGE_PRICES names: TOML, checked in full before any of it counts."""

from __future__ import annotations

import os
import tomllib
from datetime import UTC, date, datetime, time
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from cline_otel.operating_system.owners import UntrustedFileError
from cline_otel.prices.own import OwnPrice, OwnPrices
from cline_otel.prices.table import Rate, Rates
from cline_otel.private_files import open_trusted
from cline_otel.settings.values import SettingsError

MAX_BYTES: Final = 1024 * 1024

_Usd = Annotated[float, Field(ge=0, allow_inf_nan=False, le=1_000_000)]
_Name = Annotated[str, Field(min_length=1, max_length=200)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


class UsdPerMillionTokens(_Strict):
    """What a million tokens cost, US dollars; what is left out costs what it is part of."""

    input: _Usd
    output: _Usd
    cache_read: _Usd | None = None
    cache_write: _Usd | None = None
    reasoning: _Usd | None = None


class Tier(_Strict):
    """What all tokens of a call cost that has more input tokens than ``above_input_tokens``."""

    above_input_tokens: Annotated[int, Field(gt=0)]
    usd_per_million_tokens: UsdPerMillionTokens


class Model(_Strict):
    """One model at one provider, from a day on."""

    provider: _Name
    model: _Name
    usd_per_million_tokens: UsdPerMillionTokens
    from_day: date | None = None
    tiers: list[Tier] = []

    @model_validator(mode="after")
    def _ascending(self) -> Model:
        bounds = [tier.above_input_tokens for tier in self.tiers]
        if any(low >= high for low, high in pairwise(bounds)):
            raise ValueError("tiers: each has to begin above the one before it")
        return self


class PriceFile(_Strict):
    """The whole file. ``version`` leaves with every span that it priced, so it holds digits alone."""

    version: Annotated[str, Field(pattern=r"^[0-9]{1,8}(?:[.-][0-9]{1,8}){0,3}$")]
    models: Annotated[list[Model], Field(min_length=1)]


def _text_of(path: Path) -> str:
    with os.fdopen(open_trusted(path), "r", encoding="utf-8") as file:
        return file.read()


def read_price_file(path: Path, variable: str) -> OwnPrices:
    """The price list in a file.

    Args:
        path: the file.
        variable: the variable that names it, for the message.

    Raises:
        SettingsError: it cannot be read, is no TOML, or holds what no price file does; says which entry.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise SettingsError(f"{variable}: {path} is larger than {MAX_BYTES} bytes")
        tables = tomllib.loads(_text_of(path))
    except UntrustedFileError as error:
        raise SettingsError(f"{variable}: {error}") from None
    except OSError as error:
        raise SettingsError(f"{variable}: {path} cannot be read ({error.strerror})") from None
    except ValueError as error:
        raise SettingsError(f"{variable}: {path} is not TOML: {error}") from None
    try:
        return _prices_of(PriceFile.model_validate(tables))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part + 1 if isinstance(part, int) else part) for part in first["loc"])
        reason = first["msg"].removeprefix("Value error, ")
        raise SettingsError(f"{variable}: {path}: {where}: {reason}") from None


def _prices_of(file: PriceFile) -> OwnPrices:
    entries = tuple(
        OwnPrice(
            each.provider,
            each.model,
            _rates_of(each),
            _beginning_ns(each.from_day) if each.from_day is not None else 0,
        )
        for each in file.models
    )
    return OwnPrices(f"own {file.version}", entries)


def _beginning_ns(day: date) -> int:
    """Of a day in UTC, nanoseconds since the Unix epoch."""
    return int(datetime.combine(day, time(), UTC).timestamp()) * 1_000_000_000


def _rates_of(model: Model) -> Rates:
    base = model.usd_per_million_tokens

    def rate(name: str, part_of: str) -> Rate:
        def usd(table: UsdPerMillionTokens) -> float:
            own: float | None = getattr(table, name)
            whole: float = getattr(table, part_of)
            return whole if own is None else own

        tiers = tuple((tier.above_input_tokens, usd(tier.usd_per_million_tokens)) for tier in model.tiers)
        return Rate(usd(base), tiers)

    return Rates(
        rate("input", "input"),
        rate("output", "output"),
        rate("cache_read", "input"),
        rate("cache_write", "input"),
        rate("reasoning", "output"),
    )
