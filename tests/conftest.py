"""Options and fixtures that several tests share."""

from __future__ import annotations

import os

import pytest
from bench.fixed_key import CATALOGUE
from hypothesis import HealthCheck, settings

from cline_otel.catalogue.load import Catalogue

settings.register_profile(
    "default", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
settings.register_profile("thorough", settings.get_profile("default"), max_examples=2_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="rewrite the golden files, then fail")


@pytest.fixture
def catalogue() -> Catalogue:
    return CATALOGUE
