"""What Cline is asked to do, scenario by scenario. Each runs in a home and a network of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class ClineRun:
    """One start of the Cline command.

    Attributes:
        script: what the model plays for the root agent.
        arguments: further command line arguments; words in braces are planted words.
        exit_code: how Cline is expected to end; negative for a signal.
        signalled: what happens once the script's long command runs: ``ctrl-c`` sends SIGINT to Cline's whole
            process group, as a terminal does; ``sigint`` and ``sigkill`` go to the Cline process alone.
        in_hub: whether the run is expected to execute in the hub daemon that an earlier run left behind.
    """

    script: str
    arguments: tuple[str, ...] = ()
    exit_code: int = 0
    signalled: Literal["", "ctrl-c", "sigint", "sigkill"] = ""
    in_hub: bool = False

    @property
    def outcome(self) -> str:
        """How the runs of all its agents are expected to end."""
        if self.signalled:
            return "incomplete" if self.signalled == "sigkill" else "aborted"
        return "failed" if self.exit_code else "completed"


@dataclass(frozen=True)
class Scenario:
    """Steps in order; the runs of one step run at the same time.

    Attributes:
        name: the scenario's name, also of its results folder.
        steps: the Cline runs.
        provider: Cline's provider id, which also decides the dialect.
        model: the model id.
        bridge_starts: ``before`` the first step or ``after`` the last one.
        mcp_server: whether an MCP server is configured.
        plugin: whether the plugin is installed.
        protocol: how the bridge speaks to the collector, as ``OTEL_EXPORTER_OTLP_PROTOCOL`` has it.
    """

    name: str
    steps: tuple[tuple[ClineRun, ...], ...]
    provider: Literal["openai-compatible", "anthropic"] = "openai-compatible"
    model: str = "claude-sonnet-4.6"
    bridge_starts: Literal["before", "after"] = "before"
    mcp_server: bool = False
    plugin: bool = True
    protocol: Literal["http/protobuf", "grpc"] = "http/protobuf"

    @property
    def runs(self) -> tuple[ClineRun, ...]:
        """Every Cline run, in order."""
        return tuple(run for step in self.steps for run in step)


SCENARIOS: tuple[Scenario, ...] = (
    Scenario("many_tools", ((ClineRun("many_tools"),),)),
    Scenario("subagents", ((ClineRun("delegating"),),), provider="anthropic", model="claude-haiku-4-5"),
    Scenario("team", ((ClineRun("leading", ("--team-name", "{team_word}")),),)),
    Scenario("mcp_error", ((ClineRun("asking_a_server"),),), mcp_server=True),
    Scenario(
        "cached_tokens",
        ((ClineRun("with_a_cache", ("--thinking", "low")),),),
        provider="anthropic",
        model="claude-sonnet-4-5-20250929",
    ),
    Scenario("retried_refusals", ((ClineRun("refused_at_first"),),)),
    Scenario(
        "fatal_refusal",
        ((ClineRun("refused_for_good", exit_code=1),),),
        provider="anthropic",
        model="claude-haiku-4-5",
    ),
    Scenario("ctrl_c", ((ClineRun("long_command", signalled="ctrl-c"),),)),
    Scenario("sigint", ((ClineRun("long_command", signalled="sigint"),),)),
    Scenario("sigkill", ((ClineRun("long_command", signalled="sigkill", exit_code=-9),),)),
    Scenario("hub", ((ClineRun("brief"),), (ClineRun("delegating", in_hub=True),))),
    Scenario("two_at_once", ((ClineRun("many_tools"), ClineRun("delegating")),), protocol="grpc"),
    Scenario("late_bridge", ((ClineRun("delegating"),),), bridge_starts="after"),
)

WITHOUT_PLUGIN = Scenario("without_plugin", ((ClineRun("many_tools"),),), plugin=False)
HUB_WITHOUT_PLUGIN = Scenario(
    "hub_without_plugin", ((ClineRun("brief"),), (ClineRun("delegating", in_hub=True),)), plugin=False
)
"""Where the bridge has nothing but Cline's own files to go by, which know less: they have laws of their own."""
