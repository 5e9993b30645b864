"""The installation's key: made once, readable by its owner alone, never quoted, and replaced only on demand."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cline_otel.catalogue.load import read_tables
from cline_otel.privacy.policy import Policy
from cline_otel.privacy.pseudonyms import KEY_BYTES, Pseudonyms
from cline_otel.settings.pseudonyms_file import (
    PseudonymsFileError,
    ensure_pseudonyms,
    installed_policy,
    present_policy,
    rotate_key,
)
from cline_otel.state_directory import PSEUDONYMS_FILE_NAME
from waiting import PATIENCE_SECONDS

KEY = "5a" * KEY_BYTES
"""Hex digits that are easy to find again."""

ENSURE = """
import sys
from pathlib import Path
from cline_otel.settings.pseudonyms_file import ensure_pseudonyms
print("ready", flush=True)
sys.stdin.readline()
print(ensure_pseudonyms(Path(sys.argv[1])).of("tool", "a"))
"""


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


def content_of(state: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((state / PSEUDONYMS_FILE_NAME).read_bytes())
    return content


def write(state: Path, content: object, mode: int = 0o600) -> Path:
    """Puts a file there; what is no bytes is written as JSON."""
    state.mkdir(mode=0o700, exist_ok=True)
    path = state / PSEUDONYMS_FILE_NAME
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    path.chmod(mode)
    return path


def whole(**changes: object) -> dict[str, object]:
    """A file's content as it should be, with changes."""
    tools = read_tables().built_in_tools
    return {"version": 1, "key": KEY, "built_in_tools": tools, "plain_names": False, **changes}


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_file_holds_what_the_plugin_needs_and_only_its_owner_can_read_it(state: Path) -> None:
    pseudonyms = ensure_pseudonyms(state)
    content = content_of(state)
    assert content.keys() == {"version", "key", "built_in_tools", "plain_names"}
    assert (content["version"], content["plain_names"]) == (1, False)
    assert content["built_in_tools"] == read_tables().built_in_tools
    assert pseudonyms == Pseudonyms(bytes.fromhex(content["key"]))
    assert mode_of(state / PSEUDONYMS_FILE_NAME) == 0o600
    assert mode_of(state) == 0o700
    assert [path.name for path in state.iterdir()] == [PSEUDONYMS_FILE_NAME]


def test_the_file_is_made_once_and_not_written_again_while_it_says_the_same(state: Path) -> None:
    first = ensure_pseudonyms(state, plain_names=False)
    made = (state / PSEUDONYMS_FILE_NAME).stat()
    assert ensure_pseudonyms(state) == ensure_pseudonyms(state, plain_names=False) == first
    again = (state / PSEUDONYMS_FILE_NAME).stat()
    assert (again.st_ino, again.st_mtime_ns) == (made.st_ino, made.st_mtime_ns)


def test_two_installations_have_two_keys(tmp_path: Path) -> None:
    keys = set()
    for name in ("a", "b", "c"):
        ensure_pseudonyms(tmp_path / name)
        keys.add(content_of(tmp_path / name)["key"])
    assert len(keys) == 3


def test_processes_that_race_to_make_it_have_the_same_key(state: Path) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", ENSURE, str(state)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8",
        )
        for _ in range(2)
    ]  # fmt: skip
    try:
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        answers = []
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        for process in processes:
            answers.append(process.communicate(timeout=PATIENCE_SECONDS)[0])
            assert process.returncode == 0
    finally:
        for process in processes:
            process.kill()
            process.wait()
    assert len(set(answers)) == 1
    assert answers[0].strip() == ensure_pseudonyms(state).of("tool", "a")
    assert [path.name for path in state.iterdir()] == [PSEUDONYMS_FILE_NAME]


def test_one_who_comes_second_in_the_middle_of_making_it_takes_the_key_of_the_first(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import cline_otel.settings.pseudonyms_file as module

    first = state.parent / "first"
    ensure_pseudonyms(first)
    write_really = module._write

    def another_was_quicker(path: Path, content: Any, *, replacing: bool) -> None:
        write(state, content_of(first))
        write_really(path, content, replacing=replacing)

    monkeypatch.setattr(module, "_write", another_was_quicker)
    assert ensure_pseudonyms(state) == ensure_pseudonyms(first)
    assert content_of(state) == content_of(first)


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o660, 0o604, 0o666])
@pytest.mark.parametrize(
    "read",
    [ensure_pseudonyms, rotate_key, lambda state: present_policy(Policy(), state)],
    ids=["ensured", "rotated", "looked at"],
)
def test_wide_permissions_are_tightened(state: Path, mode: int, read: Callable[[Path], object]) -> None:
    path = write(state, whole(), mode)
    read(state)
    assert mode_of(path) == 0o600


def test_what_the_release_knows_is_brought_up_to_date_and_the_key_stays(state: Path) -> None:
    write(state, whole(built_in_tools=["gone"], plain_names=True))
    assert ensure_pseudonyms(state) == Pseudonyms(bytes.fromhex(KEY))
    assert content_of(state) == whole(plain_names=True)


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("said", [True, False, None])
def test_whether_names_are_plain_is_as_it_was_said_last(state: Path, before: bool, said: bool | None) -> None:
    write(state, whole(plain_names=before))
    ensure_pseudonyms(state, plain_names=said)
    assert content_of(state) == whole(plain_names=before if said is None else said)


def test_the_bridge_s_policy_says_whether_the_plugin_may_write_plain_names(state: Path) -> None:
    for plain in (frozenset({"names"}), frozenset()):
        policy = installed_policy(Policy(plain=plain), state)  # type: ignore[arg-type]
        assert content_of(state)["plain_names"] is bool(plain)
        assert policy.pseudonyms == ensure_pseudonyms(state)
        assert policy.plain == plain


def test_a_command_that_only_looks_makes_no_key(state: Path) -> None:
    assert present_policy(Policy(), state).pseudonyms is None
    assert not state.exists()
    ensure_pseudonyms(state)
    assert present_policy(Policy(), state).pseudonyms == ensure_pseudonyms(state)


# --- a new key -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("plain_names", [True, False])
def test_a_new_key_keeps_what_else_the_file_says(state: Path, plain_names: bool) -> None:
    path = write(state, whole(plain_names=plain_names))
    rotate_key(state)
    content = content_of(state)
    assert content["key"] != KEY
    assert len(bytes.fromhex(content["key"])) == KEY_BYTES
    assert content == whole(plain_names=plain_names, key=content["key"])
    assert mode_of(path) == 0o600
    assert [path.name for path in state.iterdir()] == [PSEUDONYMS_FILE_NAME]
    assert ensure_pseudonyms(state) == Pseudonyms(bytes.fromhex(content["key"]))


def test_a_new_key_is_made_where_there_was_none(state: Path) -> None:
    rotate_key(state)
    assert content_of(state) == whole(key=content_of(state)["key"])


# --- a file that cannot be used --------------------------------------------------------------------------

BROKEN: dict[str, object] = {
    "empty": b"",
    "torn": json.dumps(whole()).encode()[:90],
    "no JSON": KEY.encode(),
    "not text": b"\xff\xfe" + bytes.fromhex(KEY),
    "a list": [whole()],
    "no key": {name: value for name, value in whole().items() if name != "key"},
    "a key of another type": whole(key=[KEY]),
    "a key that is no hex": whole(key="z" + KEY[1:]),
    "a key that is too short": whole(key=KEY[2:]),
    "a key that is too long": whole(key=KEY + "5a"),
    "another version": whole(version=2),
    "no version": {name: value for name, value in whole().items() if name != "version"},
    "tools of another type": whole(built_in_tools=KEY),
    "words for plain names": whole(plain_names=KEY),
    "nested too deep": b"[" * 10_000,
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN.keys())
@pytest.mark.parametrize(
    "read", [ensure_pseudonyms, lambda state: present_policy(Policy(), state)], ids=["ensured", "looked at"]
)
def test_a_broken_file_is_one_clear_line_that_names_the_remedy_and_never_the_key(
    state: Path, content: object, read: Callable[[Path], object]
) -> None:
    path = write(state, content)
    before = path.read_bytes()
    with pytest.raises(PseudonymsFileError) as raised:
        read(state)
    text = str(raised.value)
    assert "\n" not in text
    assert str(path) in text
    assert "`cline-otel key rotate`" in text
    assert path.read_bytes() == before
    told = "".join(traceback.format_exception(raised.value)) + repr(raised.value)
    assert KEY[:16] not in told.lower()


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN.keys())
def test_a_new_key_repairs_a_broken_file(state: Path, content: object) -> None:
    write(state, content)
    rotate_key(state)
    assert content_of(state) == whole(key=content_of(state)["key"])
    assert ensure_pseudonyms(state) == ensure_pseudonyms(state)


def test_a_directory_in_its_place_is_one_clear_line(state: Path) -> None:
    (state / PSEUDONYMS_FILE_NAME).mkdir(parents=True)
    for act in (ensure_pseudonyms, rotate_key):
        with pytest.raises(PseudonymsFileError) as raised:
            act(state)
        assert str(state / PSEUDONYMS_FILE_NAME) in str(raised.value)
        assert "\n" not in str(raised.value)
    assert [path.name for path in state.iterdir()] == [PSEUDONYMS_FILE_NAME]


def test_a_state_directory_that_is_a_file_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "state").write_bytes(b"")
    for act in (ensure_pseudonyms, rotate_key):
        with pytest.raises(PseudonymsFileError, match="state") as raised:
            act(tmp_path / "state")
        assert "\n" not in str(raised.value)


def test_the_key_is_in_no_repr(state: Path) -> None:
    import cline_otel.settings.pseudonyms_file as module

    write(state, whole())
    policy = installed_policy(Policy(), state)
    said = [repr(policy), repr(policy.pseudonyms), str(policy.pseudonyms), f"{policy}"]
    said.append(repr(module._read(state / PSEUDONYMS_FILE_NAME)))
    key = bytes.fromhex(KEY)
    for text in said:
        assert KEY not in text
        assert repr(key) not in text
