"""``CLINE_WRAPPER_PATH`` in the environment of editors: by it their Cline finds what runs plugins, in npm's ``cline``.

An editor that is started from a desktop asks the user's login shell for the environment, as do VS Code's kin and the
IDEs of JetBrains; a server has that of the shell that starts it, and asks it as well. So the shell's own files are
where a line about it belongs, between two marks. Where the shell is none whose files are known, Linux has
``environment.d``; macOS and Windows keep variables themselves.
"""

from __future__ import annotations

import re
import shlex
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from cline_otel.operating_system.files import is_ours, replace, set_mode
from cline_otel.operating_system.user_variables import (
    has_user_variables,
    set_user_variable,
    unset_user_variable,
    user_variable,
)
from cline_otel.plugin.editor_record import EditorRecord, read_record, write_record
from cline_otel.plugin.errors import PluginInstallError
from cline_otel.plugin.marked_block import line_in, with_block, without_block
from cline_otel.private_files import written_beside

Outcome = Literal["written", "updated", "unchanged"]

WRAPPER_VARIABLE: Final = "CLINE_WRAPPER_PATH"
_NAME: Final = WRAPPER_VARIABLE.encode()
_NEW_FILE_MODE: Final = 0o644

_LOGIN_FILES: Final[Mapping[str, tuple[str, ...]]] = {
    "bash": (".bash_profile", ".bash_login", ".profile"),
    "zsh": (".zprofile",),
    "sh": (".profile",),
    "dash": (".profile",),
    "ksh": (".profile",),
}
"""What a login shell reads of the user's: the first that there is, else the last is made."""

_INTERACTIVE_FILES: Final[Mapping[str, str]] = {"bash": ".bashrc", "zsh": ".zshrc"}
"""What a shell reads in a terminal that has no login shell."""


@dataclass(frozen=True, slots=True)
class EnvironmentFile:
    """A file that says what is in the environment.

    Attributes:
        path: it may be a symbolic link.
        assign: makes a line for it of a value.
    """

    path: Path
    assign: Callable[[str], str]

    def line(self, value: str) -> str:
        """The line that sets the variable, without its end."""
        return self.assign(value)


def environment_files(
    shell: str, home: Path, variables: Mapping[str, Path], platform: str, exists: Callable[[Path], bool]
) -> list[EnvironmentFile]:
    """Which files a line belongs in; none where the system's own variables have to do.

    Args:
        shell: the name of the login shell's program.
        home: the user's home directory.
        variables: ``XDG_CONFIG_HOME`` and ``ZDOTDIR``, where they are set.
        platform: as ``sys.platform``.
        exists: whether a file is there.
    """
    if platform == "win32":
        return []
    if shell == "fish":
        return [_fish_file(home, variables)]
    if shell not in _LOGIN_FILES:
        return [_environment_d_file(home, variables)] if platform == "linux" else []
    directory = variables.get("ZDOTDIR", home) if shell == "zsh" else home
    of_login = [directory / name for name in _LOGIN_FILES[shell]]
    paths = [next(filter(exists, of_login), of_login[-1])]
    if shell in _INTERACTIVE_FILES and exists(interactive := directory / _INTERACTIVE_FILES[shell]):
        paths.append(interactive)
    return [EnvironmentFile(path, _for_posix_shells) for path in paths]


def every_environment_file(home: Path, variables: Mapping[str, Path]) -> Iterator[EnvironmentFile]:
    """Where a line may be that was written for whatever shell the user had."""
    directories = dict.fromkeys((home, variables.get("ZDOTDIR", home)))
    names = dict.fromkeys(name for names in _LOGIN_FILES.values() for name in names)
    for directory in directories:
        for name in (*names, *_INTERACTIVE_FILES.values()):
            yield EnvironmentFile(directory / name, _for_posix_shells)
    yield _fish_file(home, variables)
    yield _environment_d_file(home, variables)


def _fish_file(home: Path, variables: Mapping[str, Path]) -> EnvironmentFile:
    return EnvironmentFile(_configuration(home, variables) / "fish" / "conf.d" / "cline-otel.fish", _for_fish)


def _environment_d_file(home: Path, variables: Mapping[str, Path]) -> EnvironmentFile:
    file = _configuration(home, variables) / "environment.d" / "60-cline-otel.conf"
    return EnvironmentFile(file, _for_environment_d)


def _configuration(home: Path, variables: Mapping[str, Path]) -> Path:
    return variables.get("XDG_CONFIG_HOME", home / ".config")


def _for_posix_shells(value: str) -> str:
    return f"export {WRAPPER_VARIABLE}={shlex.quote(value)}"


def _for_fish(value: str) -> str:
    escaped = re.sub(r"([\\'])", r"\\\1", value)
    return f"set -gx {WRAPPER_VARIABLE} '{escaped}'"


def _for_environment_d(value: str) -> str:
    # Quotes and variables are two passes: a backslash keeps no dollar from the second.
    escaped = re.sub(r'([\\"`])', r"\\\1", value).replace("$", "$$")
    return f'{WRAPPER_VARIABLE}="{escaped}"'


def write_line(file: EnvironmentFile, value: str) -> Outcome:
    """Puts the line into a file, or brings one of ours up to date; all else in it stays as it is.

    Raises:
        PluginInstallError: the file is not the user's own or cannot be written.
    """
    if not value.isprintable():
        raise PluginInstallError(f"a path with control characters cannot be written into {file.path}")
    line = file.line(value)
    real, content, mode = _read(file.path, line)
    missing = 0 if content is not None else sum(not each.exists() for each in real.parents)
    wanted = with_block(content, line.encode(), _NAME, missing)
    if wanted == content:
        return "unchanged"
    try:
        real.parent.mkdir(parents=True, exist_ok=True)
        _write(real, wanted, mode)
    except OSError as error:
        raise _not_written(file.path, error, line) from error
    return "written" if content is None or line_in(content, _NAME) is None else "updated"


def take_line_out(path: Path) -> bool:
    """Makes a file what it was before; whether there was something to do.

    Raises:
        PluginInstallError: the file is not the user's own or cannot be written.
    """
    try:
        undo = without_block(path.read_bytes(), _NAME)
    except OSError:
        # What cannot be read was not written by us: we could read it then.
        return False
    if undo is None:
        return False
    real, _, mode = _read(path, None)
    try:
        if undo.content is not None:
            _write(real, undo.content, mode)
            return True
        real.unlink()
    except OSError as error:
        raise _not_written(path, error, None) from error
    for folder in real.parents[: undo.new_folders]:
        try:
            folder.rmdir()
        except OSError:
            break
    return True


def present_line(path: Path) -> str | None:
    """The line of ours that is in a file; None if there is none."""
    try:
        line = line_in(path.read_bytes(), _NAME)
    except OSError:
        return None
    return None if line is None else line.decode(errors="replace")


def set_variable(state_directory: Path, value: str, platform: str) -> None:
    """Sets the system's own variable and notes that it is ours.

    Args:
        state_directory: ours, in which that is noted.
        value: what to set it to.
        platform: as ``sys.platform``, of a system that keeps such variables.

    Raises:
        PluginInstallError: it cannot be set, or somebody else has set it.
    """
    record = read_record(state_directory)
    try:
        present = user_variable(WRAPPER_VARIABLE, platform)
        if present is not None and present != record.variable:
            raise PluginInstallError(
                f"{WRAPPER_VARIABLE} is set to {present} already, and not by cline-otel: it stays as it is"
            )
        if present != value:
            set_user_variable(WRAPPER_VARIABLE, value, platform)
    except OSError as error:
        raise PluginInstallError(f"cannot set {WRAPPER_VARIABLE} for editors: {error.strerror}") from error
    write_record(state_directory, EditorRecord(value, record.bootstrap))


def unset_variable(state_directory: Path, platform: str) -> bool:
    """Takes away the system's own variable if it is as we have set it; whether there was something to do.

    Raises:
        PluginInstallError: it cannot be taken away.
    """
    record = read_record(state_directory)
    if record.variable is None or not has_user_variables(platform):
        return False
    try:
        is_there = user_variable(WRAPPER_VARIABLE, platform) == record.variable
        if is_there:
            unset_user_variable(WRAPPER_VARIABLE, platform)
    except OSError as error:
        raise PluginInstallError(f"cannot take {WRAPPER_VARIABLE} away: {error.strerror}") from error
    write_record(state_directory, EditorRecord(None, record.bootstrap))
    return is_there


def _read(path: Path, line: str | None) -> tuple[Path, bytes | None, int]:
    """Where a file really is, what it holds (None if it is not there) and its mode; it is the user's to change.

    Raises:
        PluginInstallError: it is not.
    """
    try:
        real = path.resolve()
        found = real.stat()
        if not stat.S_ISREG(found.st_mode):
            raise PluginInstallError(f"{path} is no regular file: it stays as it is{_by_hand(line)}")
        if not is_ours(found):
            raise PluginInstallError(f"{path} belongs to somebody else: it stays as it is{_by_hand(line)}")
        if not found.st_mode & stat.S_IWUSR:
            raise PluginInstallError(f"{path} is read-only: it stays as it is{_by_hand(line)}")
        return real, real.read_bytes(), stat.S_IMODE(found.st_mode)
    except FileNotFoundError:
        return real, None, _NEW_FILE_MODE
    except (OSError, RuntimeError) as error:
        raise _not_written(path, error, line) from error


def _write(path: Path, content: bytes, mode: int) -> None:
    with written_beside(path, content) as temporary:
        set_mode(temporary, mode)
        replace(temporary, path)


def _not_written(path: Path, error: Exception, line: str | None) -> PluginInstallError:
    why = error.strerror if isinstance(error, OSError) else "symbolic links in a circle"
    return PluginInstallError(f"cannot write {path}: {why}{_by_hand(line)}")


def _by_hand(line: str | None) -> str:
    return (
        "; take the lines of cline-otel out by hand"
        if line is None
        else f"; put this where your shell reads it: {line}"
    )
