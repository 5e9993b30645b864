"""What the tables of the lifecycle are made of: inputs, transitions."""

from __future__ import annotations

from enum import StrEnum
from typing import Generic, NamedTuple, TypeVar

_State = TypeVar("_State", bound=StrEnum)
_Action = TypeVar("_Action")


class Cue(StrEnum):
    """What an event means for a run or a call that it does not name. Further inputs are the kinds of events."""

    MOVED_ON = "moved_on"
    """A later call began: what an ended one waits for will not come."""

    RUN_FAILED = "run_failed"
    """The run failed, which an open model call explains."""

    RUN_CUT_SHORT = "run_cut_short"
    """The run was aborted, or its process is over, and what was open in it ended with it."""

    RUN_OVER = "run_over"
    """The run is over, or its end will never be reported."""


class Transition(NamedTuple, Generic[_State, _Action]):
    """What an input does in a state.

    Attributes:
        to: the state that follows; where there are several, what the event says decides.
        action: the method that brings it about; its docstring says how.
    """

    to: tuple[_State, ...]
    action: _Action
