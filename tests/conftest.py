"""Options and fixtures that several tests share."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from bench.fixed_key import CATALOGUE
from hypothesis import HealthCheck, settings

from cline_otel.catalogue.compiled import Catalogue
from surroundings import plain_surroundings

# A test may fork while a server of another runs in this process; gRPC's own handling of that ends the child.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")

settings.register_profile(
    "default", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
settings.register_profile("thorough", settings.get_profile("default"), max_examples=2_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores: tests of processes wait for them now and then."""
    return (os.cpu_count() or 1) + 1


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden", action="store_true", help="rewrite the golden files that no longer hold, and fail for those"
    )


@pytest.fixture(scope="session", autouse=True)
def surroundings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with plain_surroundings(tmp_path_factory.mktemp("home")):
        yield


@pytest.fixture(autouse=True)
def _nothing_of_the_user_is_left() -> Iterator[None]:
    """What is off for a user is off for the tests that come after in the same home."""
    yield
    shutil.rmtree(Path.home() / ".cline-otel", ignore_errors=True)


@pytest.fixture
def catalogue() -> Catalogue:
    return CATALOGUE
