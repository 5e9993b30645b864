"""Plays each scenario once, two at a time, and hands its evidence and telemetry to every test that asks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from surroundings import variables_as_found

from .cline_release import install_classic_cline, install_cline
from .evidence import Evidence
from .launcher import SCENARIO_TIMEOUT_SECONDS
from .live_evidence import LiveEvidence
from .live_stage import LiveScenario
from .matching import Matching
from .namespace import NamespaceUnavailableError, namespace_command
from .node_runtime import find_node
from .scenarios import SCENARIOS, Scenario
from .stage import Programs
from .summary import HEADER, summarise
from .telemetry import Telemetry

SCENARIOS_AT_A_TIME = 2
_CHECKOUT = Path(__file__).resolve().parents[2]
_COLLECTOR_CONFIG = _CHECKOUT / "collector-config" / "base.yaml"
_SKIP_REASON = pytest.StashKey[str]()
_SUMMARY = pytest.StashKey[list[str]]()


class Theatre:
    """Plays scenarios in namespaces, each in a folder of its own, in the order they will be asked for."""

    def __init__(self, programs: Programs, folder: Path, scenarios: list[Scenario]) -> None:
        self._folder = folder
        self._programs = folder / "programs.json"
        self._programs.write_text(json.dumps(asdict(programs)))
        self._workers = ThreadPoolExecutor(SCENARIOS_AT_A_TIME)
        self._plays: dict[str, Future[Path]] = {
            scenario.name: self._workers.submit(self._play, scenario) for scenario in scenarios
        }

    def results(self, scenario: Scenario) -> Path:
        """The results folder of a scenario, once it is played."""
        if scenario.name not in self._plays:
            self._plays[scenario.name] = self._workers.submit(self._play, scenario)
        return self._plays[scenario.name].result()

    def close(self) -> None:
        """Waits for what is being played, and plays nothing more."""
        self._workers.shutdown(cancel_futures=True)

    def _play(self, scenario: Scenario) -> Path:
        folder = self._folder / scenario.name
        folder.mkdir()
        assert __package__
        root = Path(__file__).resolve().parents[__package__.count(".") + 1]
        command = [sys.executable, "-m", f"{__package__}.launcher", scenario.name, str(folder), str(self._programs)]
        with (folder / "launcher.log").open("w") as log:
            # When the launcher ends, which it does in bounded time, so does everything in its namespace.
            subprocess.run(
                [*namespace_command(), *command],
                env={**os.environ, "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                check=False,
                timeout=2 * SCENARIO_TIMEOUT_SECONDS,
            )
        if not (folder / "outcome.json").exists():
            raise RuntimeError(f"{scenario.name} was not played: {(folder / 'launcher.log').read_text()[-2000:]}")
        return folder


@pytest.fixture(scope="session")
def programs(request: pytest.FixtureRequest) -> Programs:
    """The pinned Cline, the bridge of this environment and a collector; skips where Cline can't be kept off the net."""
    try:
        namespace_command()
    except NamespaceUnavailableError as error:
        request.config.stash[_SKIP_REASON] = str(error)
        pytest.skip("no real Cline was run, for want of a network namespace: see the end of the report")
    with variables_as_found():
        node = find_node()
        return Programs(
            cline=str(install_cline(node)),
            classic_cline=str(install_classic_cline(node)),
            node_folder=str(node.node.parent),
            bridge=str(Path(sys.executable).with_name("cline-otel")),
            collector=_find_collector(),
            collector_config=str(_COLLECTOR_CONFIG),
        )


def _find_collector() -> str:
    finder = _CHECKOUT / "collector-config" / "find_or_build.py"
    answer = subprocess.run(
        [sys.executable, str(finder), "--config", str(_COLLECTOR_CONFIG)],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, "no OpenTelemetry Collector could be found or built, see above"
    return answer.stdout.strip()


@pytest.fixture(scope="session")
def theatre(
    programs: Programs, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Theatre]:
    """Plays the scenarios of the selected tests."""
    wanted: dict[str, Scenario] = {}
    for item in request.session.items:
        if isinstance(item, pytest.Function) and hasattr(item, "callspec"):
            for scenario in item.callspec.params.values():
                if isinstance(scenario, Scenario):
                    wanted[scenario.name] = scenario
    theatre = Theatre(programs, tmp_path_factory.mktemp("e2e"), list(wanted.values()))
    yield theatre
    theatre.close()


@pytest.fixture(scope="session", params=SCENARIOS, ids=lambda scenario: scenario.name)
def scenario(request: pytest.FixtureRequest) -> Scenario:
    """Each scenario in turn."""
    chosen: Scenario = request.param
    return chosen


@pytest.fixture(scope="session")
def evidence(scenario: Scenario, theatre: Theatre) -> Evidence:
    """What really happened."""
    return Evidence(theatre.results(scenario))


@pytest.fixture(scope="session")
def telemetry(evidence: Evidence) -> Telemetry:
    """What reached the collector; not looked at where the scenario broke off, which is a failed test already."""
    if evidence.failure:
        pytest.skip(f"{evidence.scenario.name} was not played to its end")
    return Telemetry(evidence.folder / "collector")


@pytest.fixture(scope="session")
def status(telemetry: Telemetry, evidence: Evidence) -> dict[str, Any]:
    """What ``cline-otel status --json`` said last."""
    answer: dict[str, Any] = json.loads((evidence.folder / "bridge" / "status.json").read_text())
    return answer


@pytest.fixture(scope="session")
def matching(evidence: Evidence, telemetry: Telemetry, pytestconfig: pytest.Config) -> Matching:
    """Which span tells of which call."""
    matching = Matching(evidence, telemetry)
    pytestconfig.stash.setdefault(_SUMMARY, [HEADER]).append(summarise(matching))
    return matching


@pytest.fixture(scope="session")
def live(request: pytest.FixtureRequest, theatre: Theatre) -> LiveEvidence:
    """What a live scenario left behind; to be parametrized indirectly with the scenario."""
    scenario: LiveScenario = request.param
    evidence = LiveEvidence(theatre.results(scenario), scenario)
    assert not evidence.failure, f"{evidence.failure}; see {evidence.folder}"
    expected = [(run.script, run.exit_code) for run in scenario.runs]
    assert [(run["script"], run["exit_code"]) for run in evidence.runs] == expected, f"see {evidence.folder}"
    return evidence


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks every test of this folder, so that ``-m "not cline"`` leaves them out."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.cline)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Says what was compared, or loudly that nothing was, and why."""
    if table := config.stash.get(_SUMMARY, []):
        terminalreporter.section("real Cline against its telemetry")
        terminalreporter.line("\n".join(table))
    if reason := config.stash.get(_SKIP_REASON, ""):
        terminalreporter.section("END-TO-END TESTS SKIPPED: NO REAL CLINE WAS RUN", sep="!", red=True, bold=True)
        terminalreporter.line(reason)
