"""The ``OTEL_EXPORTER_OTLP_*`` variables, for all signals and for one, and the destination they name together."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from cline_otel.destinations import Compression, OtlpDestination, OtlpProtocol
from cline_otel.settings import values
from cline_otel.settings.headers_file import HeadersFile
from cline_otel.settings.values import SettingsError
from cline_otel.settings.variables import OTLP_PREFIX, OtlpVariables
from cline_otel.signals import SignalName, Temporality

DEFAULT_HTTP_ENDPOINT: Final = "http://localhost:4318"
DEFAULT_GRPC_ENDPOINT: Final = "http://localhost:4317"
DEFAULT_TIMEOUT_SECONDS: Final = 10.0


class OtlpSettings:
    """Both layers for one signal: what is said of the signal counts, then what is said of all."""

    def __init__(
        self,
        signal: SignalName,
        generic: OtlpVariables,
        specific: OtlpVariables,
        temporality: Temporality = "cumulative",
        headers_file: Path | None = None,
    ) -> None:
        """``specific`` was read with the signal's own prefix; ``temporality`` is that of metrics.

        ``headers_file`` holds further headers.
        """
        self._temporality: Temporality = temporality if signal == "metrics" else "cumulative"
        self._headers_file = headers_file
        self._signal = signal
        self._generic = generic
        self._specific = specific

    @property
    def has_endpoint(self) -> bool:
        """Whether an endpoint is set that this signal would go to."""
        return self._pick("endpoint") is not None

    def destination(self, protocol: OtlpProtocol | None = None) -> OtlpDestination:
        """The resolved destination; ``protocol`` is given where the exporter's name fixes it.

        Raises:
            SettingsError: a value, or a combination of them, cannot be used.
        """
        resolved: OtlpProtocol = protocol or self._pick("protocol") or "http/protobuf"
        compression: Compression = self._pick("compression") or "none"
        headers = self._pick("headers") or ()
        if resolved == "grpc":
            endpoint, insecure = self._grpc_endpoint()
            self._check_for_grpc(compression, headers)
        else:
            endpoint, insecure = self._http_endpoint()
        return OtlpDestination(
            signal=self._signal,
            protocol=resolved,
            endpoint=endpoint,
            headers=headers,
            changing_headers=self._changing_headers(is_for_grpc=resolved == "grpc"),
            timeout_seconds=self._pick("timeout") or DEFAULT_TIMEOUT_SECONDS,
            compression=compression,
            insecure=insecure,
            certificate_file=self._file("certificate", insecure),
            client_key_file=self._file("client_key", insecure),
            client_certificate_file=self._file("client_certificate", insecure),
            temporality=self._temporality,
        )

    def _changing_headers(self, *, is_for_grpc: bool) -> HeadersFile | None:
        return None if self._headers_file is None else HeadersFile(self._headers_file, is_for_grpc=is_for_grpc)

    def _http_endpoint(self) -> tuple[str, bool]:
        own = self._specific.endpoint
        try:
            parts = values.http_endpoint(own or self._generic.endpoint or DEFAULT_HTTP_ENDPOINT)
        except ValueError as error:
            raise self._error("endpoint", str(error)) from None
        if own is None:
            # Before the query, which some backends want their token in.
            parts = parts._replace(path=f"{parts.path.removesuffix('/')}/v1/{self._signal}")
        return parts.geturl(), parts.scheme == "http"

    def _grpc_endpoint(self) -> tuple[str, bool]:
        try:
            endpoint, insecure = values.grpc_endpoint(self._pick("endpoint") or DEFAULT_GRPC_ENDPOINT)
        except ValueError as error:
            raise self._error("endpoint", str(error)) from None
        if insecure is None:
            insecure = bool(self._pick("insecure"))
        return endpoint, insecure

    def _check_for_grpc(self, compression: Compression, headers: tuple[tuple[str, str], ...]) -> None:
        if compression == "deflate":
            raise self._error("compression", "gRPC takes no deflate: use gzip or none")
        if number := values.first_header_not_for_grpc(headers):
            raise self._error("headers", values.not_for_grpc(number))

    def _file(self, name: str, insecure: bool) -> str | None:
        path: str | None = self._pick(name)
        # Without TLS the file is not read, so its absence is no error.
        if not insecure and path is not None and not Path(path).exists():
            raise self._error(name, f"there is no file {path}: give the path of a PEM file")
        return path

    def _pick(self, name: str) -> Any:
        own = getattr(self._specific, name)
        return own if own is not None else getattr(self._generic, name)

    def _error(self, name: str, problem: str) -> SettingsError:
        own = getattr(self._specific, name) is not None
        prefix = f"{OTLP_PREFIX}{self._signal.upper()}_" if own else OTLP_PREFIX
        return SettingsError(f"{prefix}{name.upper()}: {problem}")
