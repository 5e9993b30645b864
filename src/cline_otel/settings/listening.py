"""What the OTLP receiver needs before it may listen to other machines: a token that its senders show."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

from cline_otel.operating_system.files import open_file, others_may_use
from cline_otel.settings import values
from cline_otel.settings.values import ListenAddress, Secret, SettingsError

LISTEN_VARIABLE: Final = "CLINE_OTEL_BRIDGE_LISTEN"
TOKEN_VARIABLE: Final = "CLINE_OTEL_BRIDGE_LISTEN_TOKEN"  # noqa: S105 - a variable's name
TOKEN_FILE_VARIABLE: Final = "CLINE_OTEL_BRIDGE_LISTEN_TOKEN_FILE"  # noqa: S105 - a variable's name

_TOKEN_FILE_BYTES: Final = 4096


def listen_token(listen: ListenAddress | None, token: Secret | None, token_file: Path | None) -> Secret | None:
    """The receiver's token, from the environment or a file; None if it needs none and has none.

    Raises:
        SettingsError: it cannot be used, or is missing although others could reach the receiver.
    """
    if token_file is not None:
        if token is not None:
            raise SettingsError(f"{TOKEN_FILE_VARIABLE}: {TOKEN_VARIABLE} is set too: unset one of them")
        token = _token_in(token_file)
    if token is None and listen is not None and not listen.is_loopback:
        raise SettingsError(
            f"{LISTEN_VARIABLE}: {listen.host} can be reached from other machines, and nothing would check who sends: "
            f"set {TOKEN_VARIABLE}, or {TOKEN_FILE_VARIABLE}, to a token that senders must show, or listen on 127.0.0.1"
        )
    return token


def notices_of_listening(listen: ListenAddress | None) -> list[str]:
    """What to say of an address that others can reach."""
    if listen is None or listen.is_loopback:
        return []
    notice = (
        f"the OTLP receiver on {listen.host} speaks no TLS: its token and what is sent to it can be read on the way; "
        "put a collector or a proxy with TLS before it"
    )
    return [notice]


def _token_in(path: Path) -> Secret:
    try:
        with os.fdopen(open_file(path, os.O_RDONLY, follow_links=True), "rb") as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise SettingsError(f"{TOKEN_FILE_VARIABLE}: {path} is not a regular file: name one with the token")
            if others_may_use(found):
                raise SettingsError(f"{TOKEN_FILE_VARIABLE}: others may use {path}: `chmod 600` it")
            text = file.read(_TOKEN_FILE_BYTES).decode("ascii", "replace")
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        raise SettingsError(
            f"{TOKEN_FILE_VARIABLE}: {path} cannot be read ({reason}): name a file that holds the token"
        ) from None
    try:
        return values.bearer_token(text)
    except ValueError as error:
        raise SettingsError(f"{TOKEN_FILE_VARIABLE}: {error}") from None
