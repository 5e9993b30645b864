"""Every word that Cline's published package has for a bounded set is in the catalogue, or left out for a reason."""

from __future__ import annotations

import pytest

from cline_otel.catalogue.values import OTHER
from surroundings import variables_as_found

from .cline_release import install_cline
from .node_runtime import find_node
from .published_sets import MODELS, TABLE, Comparison, bounded_sets, compare, is_known


@pytest.fixture(scope="module")
def compared() -> dict[str, Comparison]:
    """The catalogue beside the pinned Cline, by the name of the set."""
    with variables_as_found():
        node = find_node()
        release = install_cline(node).parents[3]
    return {comparison.name: comparison for comparison in compare(str(node.node), release)}


def test_every_bounded_set_is_compared_or_says_why_not() -> None:
    assert {*TABLE["sets"], *TABLE["own"], MODELS} == bounded_sets()


@pytest.mark.parametrize("name", [MODELS, *TABLE["sets"]])
def test_what_cline_publishes_is_in_the_catalogue_or_left_out_for_a_reason(
    compared: dict[str, Comparison], name: str
) -> None:
    comparison = compared[name]
    assert comparison.silent == (), "Cline says these elsewhere now: mend published_sets.toml"
    assert comparison.missing == (), "add them to the catalogue, or to left_out in published_sets.toml with the reason"
    assert comparison.stale == (), "take them out of left_out"


@pytest.mark.parametrize("name", [*TABLE["sets"]])
def test_a_word_that_nobody_publishes_is_in_no_set(name: str) -> None:
    assert not is_known(name)("zebra-corp")
    assert not is_known(name)(OTHER)
