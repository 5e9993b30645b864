"""``CLINE_WRAPPER_PATH`` in the user's own files: which, how, and out of them again to the byte."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from cline_otel.operating_system.user_variables import has_user_variables, setting_command
from cline_otel.plugin.editor_record import EditorRecord, read_record, write_record
from cline_otel.plugin.editor_variable import (
    EnvironmentFile,
    environment_files,
    every_environment_file,
    present_line,
    set_variable,
    take_line_out,
    unset_variable,
    write_line,
)
from cline_otel.plugin.errors import PluginInstallError
from waiting import PATIENCE_SECONDS

HOME = Path("/home/u")
ELSEWHERE = {"XDG_CONFIG_HOME": Path("/x/config"), "ZDOTDIR": Path("/x/zsh")}
FISH = ".config/fish/conf.d/cline-otel.fish"
ENVIRONMENT_D = ".config/environment.d/60-cline-otel.conf"


@pytest.mark.parametrize(
    ("shell", "platform", "there", "expected"),
    [
        ("bash", "linux", [], [".profile"]),
        ("bash", "linux", [".profile", ".bashrc"], [".profile", ".bashrc"]),
        ("bash", "linux", [".bash_login", ".profile"], [".bash_login"]),
        ("bash", "darwin", [".bash_profile", ".bash_login", ".profile"], [".bash_profile"]),
        ("zsh", "darwin", [], [".zprofile"]),
        ("zsh", "linux", [".zshrc", ".bashrc", ".profile"], [".zprofile", ".zshrc"]),
        ("sh", "linux", [".bashrc"], [".profile"]),
        ("fish", "linux", [], [FISH]),
        ("fish", "darwin", [], [FISH]),
        ("nu", "linux", [".profile"], [ENVIRONMENT_D]),
        ("", "linux", [], [ENVIRONMENT_D]),
        ("nu", "darwin", [], []),
        ("bash", "win32", [".profile", ".bashrc"], []),
    ],
)
def test_the_line_belongs_in_what_the_login_shell_reads_and_else_in_environment_d(
    shell: str, platform: str, there: list[str], expected: list[str]
) -> None:
    exists = {HOME / name for name in there}.__contains__
    files = environment_files(shell, HOME, {}, platform, exists)
    assert [file.path for file in files] == [HOME / name for name in expected]


def test_files_that_variables_put_elsewhere_are_written_there() -> None:
    def paths(shell: str) -> list[str]:
        return [file.path.as_posix() for file in environment_files(shell, HOME, ELSEWHERE, "linux", lambda path: True)]

    assert paths("zsh") == ["/x/zsh/.zprofile", "/x/zsh/.zshrc"]
    assert paths("fish") == ["/x/config/fish/conf.d/cline-otel.fish"]
    assert paths("other") == ["/x/config/environment.d/60-cline-otel.conf"]
    assert paths("bash") == ["/home/u/.bash_profile", "/home/u/.bashrc"]


@pytest.mark.parametrize("variables", [{}, ELSEWHERE])
def test_wherever_a_line_may_be_written_it_is_looked_for(variables: dict[str, Path]) -> None:
    looked_for = {file.path for file in every_environment_file(HOME, variables)}
    for shell in ("bash", "zsh", "sh", "dash", "ksh", "fish", "another"):
        for there in (lambda path: True, lambda path: False):
            for platform in ("linux", "darwin"):
                assert {file.path for file in environment_files(shell, HOME, variables, platform, there)} <= looked_for


AWKWARD = [
    "/opt/npm/bin/cline",
    "/a b/c",
    '/it\'s "so"',
    "/$HOME/`id`",
    "/back\\slash\\",
    "/ünï — cödé",
    "/#!*?[]{}~&;",
]


def only_file(shell: str, home: Path) -> EnvironmentFile:
    [file] = environment_files(shell, home, {}, "linux", Path.exists)
    return file


def environment_of(command: Sequence[str], home: Path) -> dict[str, str]:
    """What a process gets that a program starts with an empty environment."""
    answer = subprocess.run(
        command,
        env={"HOME": str(home), "PATH": os.defpath, "LC_ALL": "C.UTF-8"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=PATIENCE_SECONDS,
        check=True,
    )
    return dict(line.split("=", 1) for line in answer.stdout.splitlines() if "=" in line)


@pytest.mark.parametrize("shell", ["sh", "bash", "zsh", "fish"])
def test_a_login_shell_exports_the_very_value(shell: str, tmp_path: Path) -> None:
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"needs {shell}")
    for value in AWKWARD:
        write_line(only_file(shell, tmp_path), value)
        # As VS Code asks for it; `sh` may not know how to be both.
        options = ["-l", "-c"] if shell == "sh" else ["-i", "-l", "-c"]
        assert environment_of([program, *options, "env"], tmp_path)["CLINE_WRAPPER_PATH"] == value


GENERATOR = Path("/usr/lib/systemd/user-environment-generators/30-systemd-environment-d-generator")


@pytest.mark.skipif(not GENERATOR.exists(), reason="needs systemd")
def test_systemd_reads_the_very_value_from_environment_d(tmp_path: Path) -> None:
    for value in AWKWARD:
        write_line(only_file("nu", tmp_path), value)
        answer = subprocess.run(
            ["sh", "-c", f'eval "$({GENERATOR} | sed "s/^/export /")"; env'],
            env={"HOME": str(tmp_path), "PATH": os.defpath, "LC_ALL": "C.UTF-8"},
            capture_output=True,
            encoding="utf-8",
            timeout=PATIENCE_SECONDS,
            check=True,
        )
        assert f"CLINE_WRAPPER_PATH={value}\n" in answer.stdout


def everything_under(directory: Path) -> dict[str, bytes | str | None]:
    return {
        str(path.relative_to(directory)): str(path.readlink())
        if path.is_symlink()
        else path.read_bytes()
        if path.is_file()
        else None
        for path in directory.rglob("*")
    }


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "another"])
@pytest.mark.parametrize("content", [None, b"", b"a=1", b"a=1\n", b"\xff\xfe\x00\n", b"# end without a line"])
def test_what_was_written_is_taken_out_to_the_byte(shell: str, content: bytes | None, tmp_path: Path) -> None:
    file = only_file(shell, tmp_path)
    if content is not None:
        file.path.parent.mkdir(parents=True, exist_ok=True)
        file.path.write_bytes(content)
        file.path.chmod(0o640)
    before = everything_under(tmp_path)
    assert [write_line(file, value) for value in ("/a", "/a", "/b")] == ["written", "unchanged", "updated"]
    assert present_line(file.path) == file.line("/b")
    assert file.path.stat().st_mode & 0o777 == (0o644 if content is None else 0o640)
    assert [take_line_out(file.path) for _ in range(2)] == [True, False]
    assert everything_under(tmp_path) == before


def test_folders_that_others_use_meanwhile_stay(tmp_path: Path) -> None:
    file = only_file("fish", tmp_path)
    write_line(file, "/a")
    other = file.path.with_name("other.fish")
    other.write_text("set -gx A 1\n")
    assert take_line_out(file.path)
    assert everything_under(tmp_path) == {
        ".config": None,
        ".config/fish": None,
        ".config/fish/conf.d": None,
        ".config/fish/conf.d/other.fish": b"set -gx A 1\n",
    }


@pytest.mark.parametrize("content", [None, b"a=1\n"])
def test_a_symbolic_link_stays_one_and_what_it_names_is_written(content: bytes | None, tmp_path: Path) -> None:
    kept = tmp_path / "dotfiles" / "profile"
    kept.parent.mkdir()
    if content is not None:
        kept.write_bytes(content)
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / ".profile").symlink_to("../dotfiles/profile")
    before = everything_under(tmp_path)
    file = only_file("sh", tmp_path / "home")
    assert write_line(file, "/a") == "written"
    assert file.path.is_symlink()
    assert kept.read_bytes().startswith(content or b"#")
    assert take_line_out(file.path)
    assert everything_under(tmp_path) == before


def refused(file: EnvironmentFile) -> str:
    with pytest.raises(PluginInstallError) as caught:
        write_line(file, "/a")
    message = str(caught.value)
    assert str(file.path) in message
    assert message.endswith("; put this where your shell reads it: export CLINE_WRAPPER_PATH=/a")
    return message


def test_a_file_that_is_not_the_users_to_change_stays_as_it_is(tmp_path: Path) -> None:
    file = only_file("sh", tmp_path)
    file.path.write_text("a=1\n")
    file.path.chmod(0o444)
    assert "is read-only" in refused(file)
    file.path.unlink()
    file.path.mkdir()
    assert "is no regular file" in refused(file)
    file.path.rmdir()
    file.path.symlink_to(file.path)
    assert "cannot write" in refused(file)
    assert [path.name for path in tmp_path.iterdir()] == [".profile"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give files away")
def test_a_file_of_somebody_else_stays_as_it_is(tmp_path: Path) -> None:
    file = only_file("sh", tmp_path)
    file.path.write_text("a=1\n")
    write_line(file, "/b")
    os.chown(file.path, 12345, 12345)
    before = file.path.read_bytes()
    assert "belongs to somebody else" in refused(file)
    with pytest.raises(PluginInstallError, match=r"belongs to somebody else.*take the lines of cline-otel out by hand"):
        take_line_out(file.path)
    assert file.path.read_bytes() == before


def test_a_value_that_would_be_more_than_a_line_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PluginInstallError, match="control characters"):
        write_line(only_file("sh", tmp_path), "/a\nrm -rf ~")
    assert list(tmp_path.iterdir()) == []


STAND_INS = {
    # What each keeps, it keeps in a file.
    "launchctl": """
        case $1 in
            getenv) cat "$KEPT" 2>/dev/null; exit 0 ;;
            setenv) printf '%s\\n' "$3" > "$KEPT" ;;
            unsetenv) rm -f "$KEPT" ;;
        esac
    """,
    "setx": """
        printf '%s\\n' "$2" > "$KEPT"
    """,
    "reg": """
        [ "$2" = 'HKCU\\Environment' ] && [ "$4" = CLINE_WRAPPER_PATH ] && [ -e "$KEPT" ] || exit 1
        case $1 in
            query) printf '\\r\\nHKEY\\r\\n    CLINE_WRAPPER_PATH    REG_SZ    %s\\r\\n' "$(cat "$KEPT")" ;;
            delete) rm "$KEPT" ;;
        esac
    """,
}


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file in which the tools of other systems, or what stands for them, keep the variable."""
    for name, script in STAND_INS.items():
        tool = tmp_path / "bin" / name
        tool.parent.mkdir(exist_ok=True)
        tool.write_text(f"#!/bin/sh\n{script}")
        tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.defpath}")
    monkeypatch.setenv("KEPT", str(tmp_path / "kept"))
    return tmp_path / "kept"


@pytest.mark.parametrize("platform", ["darwin", "win32"])
def test_a_variable_that_the_system_keeps_is_set_renewed_and_taken_away(
    platform: str, kept: Path, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    write_record(state, EditorRecord(bootstrap="/kept"))
    for value in ("/a b/cline", "/a b/cline", "/moved/cline"):
        set_variable(state, value, platform)
        assert kept.read_text() == f"{value}\n"
    assert [unset_variable(state, platform) for _ in range(2)] == [True, False]
    assert not kept.exists()
    assert read_record(state) == EditorRecord(bootstrap="/kept")


@pytest.mark.parametrize("platform", ["darwin", "win32"])
def test_a_variable_that_somebody_else_has_set_stays(platform: str, kept: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    kept.write_text("/theirs\n")
    with pytest.raises(PluginInstallError, match="set to /theirs already"):
        set_variable(state, "/ours", platform)
    kept.unlink()
    set_variable(state, "/ours", platform)
    kept.write_text("/theirs\n")
    assert not unset_variable(state, platform)
    assert kept.read_text() == "/theirs\n"


@pytest.mark.parametrize("platform", ["darwin", "win32"])
def test_a_tool_that_fails_or_is_not_there_is_one_clear_line(
    platform: str, kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("launchctl", "setx"):
        (tmp_path / "bin" / name).write_text("#!/bin/sh\n[ $1 = getenv ] || { echo no such >&2; exit 3; }")
    with pytest.raises(PluginInstallError, match=r"failed with exit code 3: no such$"):
        set_variable(tmp_path, "/a", platform)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(PluginInstallError, match=r"^cannot set CLINE_WRAPPER_PATH"):
        set_variable(tmp_path, "/a", platform)
    assert not kept.exists()


def test_what_a_person_would_type_is_said_as_the_systems_shell_takes_it() -> None:
    said = {platform: setting_command("NAME", "/a b", platform) for platform in ("darwin", "win32")}
    assert said == {"darwin": "launchctl setenv NAME '/a b'", "win32": 'setx NAME "/a b"'}
    assert not has_user_variables("linux")
