"""The job of a CI system that a command runs in, as its environment variables tell it: what of it may leave.

Nothing else of those variables is read: no URL, branch, commit, repository, runner or user.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from cline_otel.catalogue.load import read_tables
from cline_otel.events import AttributeValue
from cline_otel.privacy.policy import Policy
from cline_otel.privacy.pseudonyms import PseudonymKind
from cline_otel.privacy.secret_detectors import secret_kind_of
from cline_otel.signals import Attributes


class CiSystem(NamedTuple):
    """A CI system: the variable that is set in its jobs, and those that say something of the job; empty for none."""

    name: str
    marker: str
    run_id: str
    job_run_id: str = ""
    attempt: str = ""
    pipeline_name: str = ""
    job_name: str = ""


CI_SYSTEMS: Final = (
    CiSystem(
        "github_actions", "GITHUB_ACTIONS", "GITHUB_RUN_ID", "", "GITHUB_RUN_ATTEMPT", "GITHUB_WORKFLOW", "GITHUB_JOB"
    ),
    CiSystem("gitlab_ci", "GITLAB_CI", "CI_PIPELINE_ID", "CI_JOB_ID", "", "CI_PIPELINE_NAME", "CI_JOB_NAME"),
    CiSystem("circleci", "CIRCLECI", "CIRCLE_WORKFLOW_ID", "CIRCLE_WORKFLOW_JOB_ID", "", "", "CIRCLE_JOB"),
    CiSystem(
        "azure_pipelines",
        "TF_BUILD",
        "BUILD_BUILDID",
        "SYSTEM_JOBID",
        "SYSTEM_JOBATTEMPT",
        "BUILD_DEFINITIONNAME",
        "SYSTEM_JOBNAME",
    ),
    CiSystem(
        "buildkite",
        "BUILDKITE",
        "BUILDKITE_BUILD_ID",
        "BUILDKITE_JOB_ID",
        "",
        "BUILDKITE_PIPELINE_SLUG",
        "BUILDKITE_STEP_KEY",
    ),
    CiSystem("jenkins", "JENKINS_URL", "BUILD_NUMBER", "", "", "JOB_NAME", "STAGE_NAME"),
)
"""The first whose marker is set counts."""

_RUN_ID: Final = re.compile("[0-9]{1,20}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_ATTEMPT: Final = re.compile("[0-9]{1,6}")


def ci_system_of(environment: Mapping[str, str]) -> CiSystem | None:
    """The CI system whose job this is; None outside of jobs."""
    return next((system for system in CI_SYSTEMS if environment.get(system.marker)), None)


def job_attributes(environment: Mapping[str, str], policy: Policy) -> Attributes:
    """What the resource says of the job; nothing outside of jobs.

    Args:
        environment: the variables that the CI system sets.
        policy: the user's decisions; without a key names do not leave.
    """
    system = ci_system_of(environment)
    if system is None:
        return ()

    def said(variable: str, form: re.Pattern[str]) -> str | None:
        value = environment.get(variable, "") if variable else ""
        return value if form.fullmatch(value) else None

    attempt = said(system.attempt, _ATTEMPT)
    found: dict[str, AttributeValue | None] = {
        "cline.ci.system": system.name,
        "cicd.pipeline.run.id": said(system.run_id, _RUN_ID),
        "cicd.pipeline.task.run.id": said(system.job_run_id, _RUN_ID),
        "cline.ci.attempt": int(attempt) if attempt is not None else None,
        **_named(
            system.pipeline_name, "ci_pipeline", "cline.ci.pipeline.hash", "cicd.pipeline.name", environment, policy
        ),
        **_named(system.job_name, "ci_job", "cline.ci.job.hash", "cicd.pipeline.task.name", environment, policy),
    }
    return tuple((name, value) for name, value in found.items() if value is not None and name not in policy.excluded)


def _named(
    variable: str, kind: PseudonymKind, hashed: str, plain: str, environment: Mapping[str, str], policy: Policy
) -> dict[str, str]:
    """A name that somebody chose, as a keyed hash, or as it is where that is allowed."""
    name = environment.get(variable, "") if variable else ""
    if not name or "names" not in policy.included:
        return {}
    if not policy.is_plain("names"):
        return {hashed: policy.pseudonyms.of(kind, name)} if policy.pseudonyms is not None else {}
    form = read_tables().attributes.patterns["name"]
    return {plain: name} if re.fullmatch(form, name) and secret_kind_of(name) is None else {}
