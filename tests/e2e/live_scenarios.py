"""The live scenarios by name, for the launcher."""

from __future__ import annotations

from .classic_over_grpc import CLASSIC_OVER_GRPC
from .ending import ENDED_IN_HUB, ENDED_IN_LOG, ENDED_LOCALLY
from .executing import EXECUTED
from .importing import IMPORTED
from .in_an_editor import IN_AN_EDITOR
from .live_stage import LiveScenario
from .resting import AT_REST
from .switching import BRIDGE_KILLED, ERASED, OFF_AND_ON, OPTED_OUT
from .tracing_commands import TRACED_COMMANDS

LIVE_SCENARIOS: dict[str, LiveScenario] = {
    each.name: each
    for each in (
        AT_REST,
        *OPTED_OUT,
        OFF_AND_ON,
        ERASED,
        BRIDGE_KILLED,
        CLASSIC_OVER_GRPC,
        EXECUTED,
        IMPORTED,
        IN_AN_EDITOR,
        ENDED_LOCALLY,
        ENDED_IN_LOG,
        ENDED_IN_HUB,
        TRACED_COMMANDS,
    )
}
