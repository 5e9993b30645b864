"""Headers that expire: a file that another program keeps up to date, read again whenever it changes."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from cline_otel.operating_system.files import status_at
from cline_otel.settings import values
from cline_otel.settings.secret_files import read_secret_file
from cline_otel.settings.values import SettingsError

HEADERS_FILE_VARIABLE: Final = "CLINE_OTEL_BRIDGE_HEADERS_FILE"

_MOST_BYTES: Final = 64 * 1024

Headers = tuple[tuple[str, str], ...]


class HeadersFile:
    """The headers in a file, in the form of ``OTEL_EXPORTER_OTLP_HEADERS``, on one line or on several."""

    def __init__(self, path: Path, *, is_for_grpc: bool) -> None:
        """Reads it.

        Raises:
            SettingsError: it cannot be read or used, or others may use it.
        """
        self._path = path
        self._is_for_grpc = is_for_grpc
        self._status = status_at(self._path)
        self._headers = self._read()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, HeadersFile) and self._path == other._path

    def __hash__(self) -> int:
        return hash(self._path)

    def headers(self) -> Headers:
        """What the file holds now; what it held before while it is missing, half written, or open to others."""
        status = status_at(self._path)
        if status and status != self._status:
            try:
                self._headers = self._read()
            except SettingsError:
                return self._headers
            # The older of the two: a change in between is found at the next look.
            self._status = status
        return self._headers

    def _read(self) -> Headers:
        content = read_secret_file(
            self._path,
            _MOST_BYTES,
            not_regular=f"{HEADERS_FILE_VARIABLE}: {self._path} is not a regular file: name one with headers",
            open_to_others=f"{HEADERS_FILE_VARIABLE}: others may use {self._path}: `chmod 600` it",
            unreadable=lambda reason: (
                f"{HEADERS_FILE_VARIABLE}: {self._path} cannot be read ({reason}): name a file that holds headers"
            ),
        )
        try:
            headers = values.headers(",".join(content.decode("utf-8", "replace").splitlines()))
            if self._is_for_grpc and (number := values.first_header_not_for_grpc(headers)):
                raise ValueError(values.not_for_grpc(number))
        except ValueError as error:
            raise SettingsError(f"{HEADERS_FILE_VARIABLE}: {error}") from None
        return headers
