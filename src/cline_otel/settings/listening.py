"""Where the OTLP receivers listen, and what they need before they may listen to other machines: a token."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from cline_otel.destinations import Destination, OtlpDestination
from cline_otel.settings import values
from cline_otel.settings.secret_files import read_secret_file
from cline_otel.settings.values import ListenAddress, Secret, SettingsError

LISTEN_VARIABLE: Final = "CLINE_OTEL_BRIDGE_LISTEN"
LISTEN_GRPC_VARIABLE: Final = "CLINE_OTEL_BRIDGE_LISTEN_GRPC"
TOKEN_VARIABLE: Final = "CLINE_OTEL_BRIDGE_LISTEN_TOKEN"  # noqa: S105 - a variable's name
TOKEN_FILE_VARIABLE: Final = "CLINE_OTEL_BRIDGE_LISTEN_TOKEN_FILE"  # noqa: S105 - a variable's name

_TOKEN_FILE_BYTES: Final = 4096


def listen_token(
    addresses: Mapping[str, ListenAddress | None], token: Secret | None, token_file: Path | None
) -> Secret | None:
    """The receivers' token, from the environment or a file; None if they need none and have none.

    Args:
        addresses: where each receiver listens, by the variable that says so.
        token: from the environment.
        token_file: where else it may be.

    Raises:
        SettingsError: it cannot be used, or is missing although others could reach a receiver.
    """
    if token_file is not None:
        if token is not None:
            raise SettingsError(f"{TOKEN_FILE_VARIABLE}: {TOKEN_VARIABLE} is set too: unset one of them")
        token = _token_in(token_file)
    for variable, listen in addresses.items():
        if token is None and listen is not None and not listen.is_loopback:
            raise SettingsError(
                f"{variable}: {listen.host} can be reached from other machines, and nothing would check who sends: "
                f"set {TOKEN_VARIABLE}, or {TOKEN_FILE_VARIABLE}, to a token that senders must show, "
                "or listen on 127.0.0.1"
            )
    return token


def notices_of_listening(addresses: Iterable[ListenAddress | None]) -> list[str]:
    """What to say of addresses that others can reach."""
    return [
        f"the OTLP receiver on {host} speaks no TLS: its token and what is sent to it can be read on the way; "
        "put a collector or a proxy with TLS before it"
        for host in dict.fromkeys(each.host for each in addresses if each is not None and not each.is_loopback)
    ]


def clear_of_destinations(
    variable: str, listen: ListenAddress | None, destinations: Iterable[Destination], notices: list[str]
) -> ListenAddress | None:
    """Where to listen; None where telemetry is sent to that address: what is to be there comes first.

    The bridge would take what it sent itself, and drop it.
    """
    if listen is None or not any(_is_at(listen, each) for each in destinations):
        return listen
    notices.append(
        f"{variable}: telemetry is sent to {listen.authority}, so nothing listens there for what Cline sends: "
        "name another address, or `off`"
    )
    return None


def _is_at(listen: ListenAddress, destination: Destination) -> bool:
    if not isinstance(destination, OtlpDestination):
        return False
    endpoint = destination.endpoint
    parts = urlsplit(endpoint if "://" in endpoint else f"//{endpoint}")
    try:
        port = parts.port
    except ValueError:
        return False
    host = parts.hostname or ""
    is_here = host == listen.host or (values.is_loopback(host) and (listen.is_loopback or listen.is_every_address))
    return listen.port != 0 and port == listen.port and is_here


def _token_in(path: Path) -> Secret:
    content = read_secret_file(
        path,
        _TOKEN_FILE_BYTES,
        not_regular=f"{TOKEN_FILE_VARIABLE}: {path} is not a regular file: name one with the token",
        open_to_others=f"{TOKEN_FILE_VARIABLE}: others may use {path}: `chmod 600` it",
        unreadable=lambda reason: (
            f"{TOKEN_FILE_VARIABLE}: {path} cannot be read ({reason}): name a file that holds the token"
        ),
    )
    try:
        return values.bearer_token(content.decode("ascii", "replace"))
    except ValueError as error:
        raise SettingsError(f"{TOKEN_FILE_VARIABLE}: {error}") from None
