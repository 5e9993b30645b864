"""The findings that there are, and which of them hold: a table, and a rule for each. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple

import msgspec

from cline_otel.translate.state import State
from cline_otel.translate.stored import Session

WAIT_NS: Final = 120 * 10**9
"""How long it may take until a source tells of a session: a weaker one waits up to a minute for a better one."""


class Surroundings(NamedTuple):
    """What this machine shows, beside what Cline reports.

    Attributes:
        plugin_installed_at_ns: when the plugin was put in place, nanoseconds since the Unix epoch; None if it was not.
        unread_directories: data directories in which Cline keeps something and which nobody reads, for people.
        reading_since_ns: since when sources are read, nanoseconds since the Unix epoch.
        other_plugins: installed plugins that are not as this release installs them, for people.
    """

    plugin_installed_at_ns: int | None = None
    unread_directories: tuple[str, ...] = ()
    reading_since_ns: int = 0
    other_plugins: tuple[str, ...] = ()


class Finding(msgspec.Struct, frozen=True):
    """Something that is missed.

    Attributes:
        name: which finding it is.
        seen: what was seen, for people.
        remedy: what to do about it.
        times: how many sessions, failures or places it is about.
    """

    name: str
    seen: str
    remedy: str
    times: int

    def describe(self) -> str:
        """All of it, in a line."""
        return f"{self.name}: {self.seen}; {self.remedy}"


class _Kind(NamedTuple):
    """A kind of finding: how often it holds, 0 for not at all; what one and what several read; the remedy."""

    times: Callable[[State, Surroundings, int], int]
    one: str
    several: str
    remedy: str


def detect(state: State, surroundings: Surroundings, now_ns: int) -> list[Finding]:
    """The findings that hold.

    Args:
        state: what is remembered of Cline.
        surroundings: what this machine shows.
        now_ns: nanoseconds since the Unix epoch.
    """
    found: list[Finding] = []
    for name, kind in KINDS.items():
        times = kind.times(state, surroundings, now_ns)
        if times:
            seen = (kind.one if times == 1 else kind.several).format(
                times=times,
                directories=", ".join(surroundings.unread_directories),
                plugins=", ".join(surroundings.other_plugins),
            )
            found.append(Finding(name, seen, kind.remedy, times))
    return found


def _sessions_without_run(state: State, surroundings: Surroundings, now_ns: int) -> int:
    """Sessions that Cline says it has registered."""
    return _untold(state, surroundings, now_ns, lambda session: 0 if session.untold_at_ns else session.heard_at_ns)


def _sessions_without_conversation(state: State, surroundings: Surroundings, now_ns: int) -> int:
    """Sessions whose files say that there was a prompt."""
    return _untold(state, surroundings, now_ns, lambda session: session.untold_at_ns)


def _untold(state: State, surroundings: Surroundings, now_ns: int, heard_at_ns: Callable[[Session], int]) -> int:
    return sum(
        now_ns - max(at_ns, surroundings.reading_since_ns) >= WAIT_NS
        for session_id, session in state.sessions.glance()
        if (at_ns := heard_at_ns(session))
        and not _is_told(session_id, session, state.prompts)
        and state.heard.is_to_be_told(session_id, at_ns)
    )


def _is_told(session_id: str, session: Session, prompts: Mapping[str, Iterable[object]]) -> bool:
    """Whether a run of a session is known, or the plugin was there to report one; or that was forgotten."""
    return bool(session.was_claimed or session.last_root or session.lost or session_id in prompts)


def _plugin_not_loaded(state: State, surroundings: Surroundings, now_ns: int) -> int:
    return state.heard.not_loaded


def _plugin_silent(state: State, surroundings: Surroundings, now_ns: int) -> int:
    """Where Cline could load it since it is there. That Cline could not is a finding of its own."""
    heard, installed_at_ns = state.heard, surroundings.plugin_installed_at_ns
    if installed_at_ns is None or heard.claimed_at_ns or heard.not_loaded:
        return 0
    if any(session.was_claimed for _, session in state.sessions.glance()):
        return 0
    held = installed_at_ns < heard.session_at_ns <= now_ns - WAIT_NS
    return int(held and now_ns - surroundings.reading_since_ns >= WAIT_NS)


def _directories_not_read(state: State, surroundings: Surroundings, now_ns: int) -> int:
    return len(surroundings.unread_directories)


def _other_plugins(state: State, surroundings: Surroundings, now_ns: int) -> int:
    return len(surroundings.other_plugins)


KINDS: Final[Mapping[str, _Kind]] = {
    "session_without_run": _Kind(
        _sessions_without_run,
        "a session began of which no source tells more",
        "{times} sessions began of which no source tells more",
        "install the plugin (`cline-otel install`), or name Cline's data directory in "
        "CLINE_OTEL_BRIDGE_CLINE_DATA_DIRS if `status` does not list it",
    ),
    "session_without_conversation": _Kind(
        _sessions_without_conversation,
        "a session's files hold a prompt and nothing that came of it",
        "the files of {times} sessions hold a prompt each and nothing that came of it",
        "if the model cannot be reached, mend that; the plugin (`cline-otel install`) reports such prompts too",
    ),
    "plugin_not_loaded": _Kind(
        _plugin_not_loaded,
        "Cline could not load its plugins and went on without them",
        "{times} times Cline could not load its plugins and went on without them",
        "give it more time: CLINE_PLUGIN_IMPORT_TIMEOUT_MS=60000 in the environment that Cline starts in",
    ),
    "plugin_silent": _Kind(
        _plugin_silent,
        "the plugin is installed and has never reported anything, though Cline held sessions since",
        "",
        "end a Cline that runs since before (`cline hub stop`), and see that Cline's settings do not list the plugin "
        "under disabledPlugins",
    ),
    "plugin_differs": _Kind(
        _other_plugins,
        "{plugins} is not as this release installs it: of another one, of another state directory, or changed",
        "{plugins} are not as this release installs them: of another one, of another state directory, or changed",
        "`cline-otel install` puts it right",
    ),
    "data_directory_not_read": _Kind(
        _directories_not_read,
        "Cline keeps data in {directories}, which is not read",
        "Cline keeps data in {directories}, which are not read",
        "name what is to be read in CLINE_OTEL_BRIDGE_CLINE_DATA_DIRS",
    ),
}
"""By name, in the order in which they are shown."""

STATE_PREFIXES: Final = ("heard/", "prompt/", "session/")
"""The stored state that they are detected from."""
