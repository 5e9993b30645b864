"""The installation's key, in a file that the plugin reads too.

``pseudonyms.json`` in the state directory: ``version``, ``key`` (hex), ``built_in_tools`` (names that need
no pseudonym) and ``plain_names`` (whether the user lets names leave as they are). Only its owner can read it.
"""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from cline_otel.catalogue.load import read_tables
from cline_otel.operating_system.files import replace
from cline_otel.privacy.policy import Policy
from cline_otel.privacy.pseudonyms import KEY_BYTES, Pseudonyms
from cline_otel.private_files import open_private, private_directory, written_beside
from cline_otel.state_directory import PSEUDONYMS_FILE_NAME

_VERSION: Final = 1


class PseudonymsFileError(Exception):
    """The file cannot be read or written; one line with what, where and the remedy, never with the key."""


class _Content(msgspec.Struct):
    version: int
    key: str
    built_in_tools: list[str]
    plain_names: bool

    def __repr__(self) -> str:
        """Never with the key."""
        return "pseudonyms.json"


def ensure_pseudonyms(state_directory: Path, *, plain_names: bool | None = None) -> Pseudonyms:
    """The installation's pseudonyms; the file is made if there is none, and brought up to date.

    Args:
        state_directory: ours; made if it is not there.
        plain_names: whether the plugin may write names as they are; None leaves what the file says.

    Raises:
        PseudonymsFileError: the file cannot be read or written.
    """
    path = state_directory / PSEUDONYMS_FILE_NAME
    present = _read(path)
    if present is None:
        _write(path, _content(secrets.token_bytes(KEY_BYTES), plain_names=plain_names is True), replacing=False)
        present = _read(path)
        if present is None:
            raise PseudonymsFileError(f"{path} was removed while it was made; try again")
    key = bytes.fromhex(present.key)
    wanted = _content(key, plain_names=present.plain_names if plain_names is None else plain_names)
    if wanted != present:
        _write(path, wanted, replacing=True)
    return Pseudonyms(key)


def installed_policy(policy: Policy, state_directory: Path) -> Policy:
    """The user's decisions with the installation's pseudonyms.

    Raises:
        PseudonymsFileError: the file cannot be read or written.
    """
    pseudonyms = ensure_pseudonyms(state_directory, plain_names=policy.is_plain("names"))
    return msgspec.structs.replace(policy, pseudonyms=pseudonyms)


def present_policy(policy: Policy, state_directory: Path) -> Policy:
    """The same for a command that writes nothing: without pseudonyms where nothing is installed yet.

    Raises:
        PseudonymsFileError: the file cannot be read.
    """
    present = _read(state_directory / PSEUDONYMS_FILE_NAME)
    pseudonyms = Pseudonyms(bytes.fromhex(present.key)) if present is not None else None
    return msgspec.structs.replace(policy, pseudonyms=pseudonyms)


def rotate_key(state_directory: Path) -> None:
    """A new key: from now on every name has another pseudonym.

    Raises:
        PseudonymsFileError: the file cannot be written.
    """
    path = state_directory / PSEUDONYMS_FILE_NAME
    plain_names = False
    # A file that cannot be understood is what a new key is the remedy for.
    with suppress(PseudonymsFileError):
        present = _read(path)
        plain_names = present is not None and present.plain_names
    _write(path, _content(secrets.token_bytes(KEY_BYTES), plain_names=plain_names), replacing=True)


def _read(path: Path) -> _Content | None:
    try:
        with os.fdopen(open_private(path, os.O_RDONLY), "rb") as file:
            content = msgspec.json.decode(file.read(), type=_Content)
        if content.version != _VERSION or len(bytes.fromhex(content.key)) != KEY_BYTES:
            raise PseudonymsFileError(f"{path} is of another release: `cline-otel key rotate` makes a new one")
        return content
    except FileNotFoundError:
        return None
    except (msgspec.MsgspecError, UnicodeDecodeError, ValueError, RecursionError):
        # Not "from error", which could quote the key.
        raise PseudonymsFileError(f"{path} does not hold a key: `cline-otel key rotate` makes a new one") from None
    except OSError as error:
        raise PseudonymsFileError(f"cannot read {path}: {error.strerror}; check who owns it") from None


def _content(key: bytes, *, plain_names: bool) -> _Content:
    return _Content(_VERSION, key.hex(), read_tables().built_in_tools, plain_names)


def _write(path: Path, content: _Content, *, replacing: bool) -> None:
    """Whole or not at all; where nothing is to be replaced, what another process has just made stays."""
    try:
        private_directory(path.parent)
        with written_beside(path, msgspec.json.format(msgspec.json.encode(content)) + b"\n") as temporary:
            if replacing:
                replace(temporary, path)
            else:
                with suppress(FileExistsError):
                    path.hardlink_to(temporary)
    except OSError as error:
        raise PseudonymsFileError(f"cannot write {path}: {error.strerror}; check who owns the directory") from None
