"""What leaves of a CI job: which it is, and nothing that says what it works on."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cline_otel.catalogue.load import read_tables
from cline_otel.privacy.policy import Policy
from cline_otel.privacy.pseudonyms import Pseudonyms
from cline_otel.settings.ci_jobs import CI_SYSTEMS, CiSystem, job_attributes
from cline_otel.settings.privacy import policy_of

PAGE = (Path(__file__).parents[2] / "docs" / "ci.md").read_text(encoding="utf-8")
KEY = Pseudonyms(bytes(range(32)))
POLICY = Policy(pseudonyms=KEY)
PLAIN = Policy(pseudonyms=KEY, plain=frozenset({"names"}))
RESOURCE = {name for name, each in read_tables().attributes.resource.items() if each.only_in_jobs}
by_name = pytest.mark.parametrize("system", CI_SYSTEMS, ids=lambda system: system.name)


def variables_of(system: CiSystem) -> dict[str, str]:
    values = {
        system.marker: "true",
        system.run_id: "9753949763",
        system.job_run_id: "0192f0c1-1111-7222-8333-444455556666",
        system.attempt: "2",
        system.pipeline_name: "Build of the shop",
        system.job_name: "test",
    }
    return {name: value for name, value in values.items() if name}


def test_outside_of_a_job_nothing_is_said() -> None:
    assert job_attributes({}, POLICY) == ()
    assert job_attributes({"CI": "true", "GITHUB_RUN_ID": "1", "GITHUB_ACTIONS": ""}, POLICY) == ()


@by_name
def test_a_job_is_named_by_numbers_and_keyed_hashes(system: CiSystem) -> None:
    said = dict(job_attributes(variables_of(system), POLICY))
    assert said["cline.ci.system"] == system.name
    assert said["cicd.pipeline.run.id"] == "9753949763"
    assert said.keys() <= RESOURCE
    assert "shop" not in repr(said)
    assert "cicd.pipeline.name" not in said
    if system.pipeline_name:
        assert said["cline.ci.pipeline.hash"] == KEY.of("ci_pipeline", "Build of the shop")
    if system.attempt:
        assert said["cline.ci.attempt"] == 2


@by_name
def test_without_a_key_names_do_not_leave(system: CiSystem) -> None:
    said = dict(job_attributes(variables_of(system), Policy()))
    assert not {name for name in said if name.endswith((".hash", ".name"))}


def test_names_leave_as_they_are_where_that_is_allowed_unless_they_look_like_a_secret() -> None:
    variables = {
        "GITHUB_ACTIONS": "true",
        "GITHUB_WORKFLOW": "Build of the shop",
        "GITHUB_JOB": "ghp_" + "0123456789" * 2,
    }
    said = dict(job_attributes(variables, PLAIN))
    assert said == {"cline.ci.system": "github_actions", "cicd.pipeline.name": "Build of the shop"}


@pytest.mark.parametrize("value", ["", "feature/shop", "12 34", "a" * 40, "https://ci.example/1", "1" * 21])
def test_what_is_no_number_or_uuid_is_no_id(value: str) -> None:
    said = job_attributes({"GITLAB_CI": "true", "CI_PIPELINE_ID": value, "CI_JOB_ID": value}, POLICY)
    assert dict(said) == {"cline.ci.system": "gitlab_ci"}


@pytest.mark.parametrize("name", sorted(RESOURCE))
def test_each_can_be_excluded(name: str) -> None:
    policy = policy_of((), (), (), (name,))
    for system in CI_SYSTEMS:
        assert name not in dict(job_attributes(variables_of(system), policy))


@by_name
def test_the_page_says_what_is_read(system: CiSystem) -> None:
    (row,) = re.findall(rf"^\| `{system.name}` \|.*$", PAGE, re.MULTILINE)
    cells = [cell.strip().strip("`") for cell in row.strip("|").split("|")]
    assert cells == [
        system.name,
        system.run_id,
        system.job_run_id,
        system.attempt,
        system.pipeline_name,
        system.job_name,
    ]
