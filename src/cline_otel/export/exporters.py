"""From destinations to exporters: which class serves which destination, and how it is described to people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from cline_otel.destinations import Destination, FileDestination, OtlpDestination
from cline_otel.export.fanout import FanoutExporter
from cline_otel.export.interface import Exporter, ExporterError
from cline_otel.export.otlp_file import OtlpFileExporter
from cline_otel.grpc_library import quiet_grpc
from cline_otel.signals import SignalName


class Exporters:
    """The exporters of every signal. A signal without a destination has none: it is not exported."""

    def __init__(self, destinations: Mapping[SignalName, Sequence[Destination]]) -> None:
        """Prepare every exporter, without connecting.

        Raises:
            ExporterError: an exporter or a TLS file cannot be used.
        """
        self._destinations = destinations
        self._exporters: dict[SignalName, tuple[Exporter, ...]] = {
            signal: tuple(_exporter(destination) for destination in signal_destinations)
            for signal, signal_destinations in destinations.items()
        }

    def of_outbox(self, signal: SignalName) -> Exporter | None:
        """What the outbox of traces or logs is emptied into; None when that signal is not exported."""
        exporters = self._exporters.get(signal, ())
        if len(exporters) > 1:
            return FanoutExporter(exporters)
        return exporters[0] if exporters else None

    def of_metrics(self) -> tuple[Exporter, ...]:
        """What metrics are sent through."""
        return self._exporters.get("metrics", ())

    def describe(self) -> list[str]:
        """One line a signal, without secrets."""
        return [f"{signal}: {_described(self._exporters.get(signal, ()))}" for signal in ("traces", "metrics", "logs")]

    def abort(self) -> None:
        """Break off what is being sent."""
        for exporters in self._exporters.values():
            for exporter in exporters:
                exporter.abort()

    async def close(self) -> None:
        """Close every exporter."""
        for exporters in self._exporters.values():
            for exporter in exporters:
                await exporter.close()


def _described(exporters: Iterable[Exporter]) -> str:
    return ", and ".join(exporter.description for exporter in exporters) or "not exported"


def _exporter(destination: Destination) -> Exporter:
    # Each kind is imported only where it is used: gRPC and the SDK cost start-up time.
    if isinstance(destination, FileDestination):
        return OtlpFileExporter(destination)
    if isinstance(destination, OtlpDestination):
        try:
            if destination.protocol == "grpc":
                # A failed handshake too: the result says it once, with the remedy.
                with quiet_grpc():
                    from cline_otel.export.otlp_grpc import OtlpGrpcExporter

                return OtlpGrpcExporter(destination)
            from cline_otel.export.otlp_http import OtlpHttpExporter

            return OtlpHttpExporter(destination)
        except OSError as error:
            raise ExporterError(
                f"{destination.signal}: the TLS files cannot be used ({error.strerror or type(error).__name__}): "
                "check OTEL_EXPORTER_OTLP_CERTIFICATE, OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE "
                "and OTEL_EXPORTER_OTLP_CLIENT_KEY, which name PEM files"
            ) from None
    from cline_otel.export.sdk import SdkExporter, load_exporter

    return SdkExporter(destination, load_exporter(destination))
