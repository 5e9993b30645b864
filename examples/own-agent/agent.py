"""An agent of one's own, with the same traces as Cline's: `python examples/own-agent/agent.py`."""

from __future__ import annotations

import time
import uuid

from cline_otel import (
    AgentModelCallFinished,
    AgentRun,
    AgentRunFinished,
    AgentRunStarted,
    AgentToolCallFinished,
    AgentToolCallStarted,
    Bridge,
)

FILES = {"README.md": "An agent.\n", "agent.py": "print('hello')\n"}


def answer(asked: list[str]) -> str | None:
    """Stands for a model: the file that it wants to see next; None once it has seen all."""
    return next((name for name in FILES if name not in asked), None)


def work(bridge: Bridge, session_id: str) -> None:
    """One prompt: model and tool take turns."""
    run = AgentRun(session_id=session_id, agent_id=f"agent_{uuid.uuid4()}", run_id=f"run_{uuid.uuid4()}")
    bridge.emit(AgentRunStarted(run=run, mode="act"))
    asked: list[str] = []
    while True:
        call_id, started_at_ns = f"msg_{uuid.uuid4()}", time.time_ns()
        name = answer(asked)
        bridge.emit(
            AgentModelCallFinished(
                run=run,
                model_call_id=call_id,
                started_at_ns=started_at_ns,
                provider="anthropic",
                model="claude-sonnet-4-5",
                input_tokens=1_200,
                output_tokens=40,
                tool_calls=0 if name is None else 1,
            )
        )
        if name is None:
            break
        asked.append(name)
        tool_call_id = f"call_{uuid.uuid4()}"
        bridge.emit(
            AgentToolCallStarted(run=run, model_call_id=call_id, tool_call_id=tool_call_id, tool_name="read_files")
        )
        bridge.emit(
            AgentToolCallFinished(
                run=run,
                model_call_id=call_id,
                tool_call_id=tool_call_id,
                tool_name="read_files",
                outcome="success",
                output_bytes=len(FILES[name]),
            )
        )
    bridge.emit(AgentRunFinished(run=run, outcome="completed"))


if __name__ == "__main__":
    with Bridge("own-agent") as own_bridge:
        work(own_bridge, f"session_{uuid.uuid4()}")
