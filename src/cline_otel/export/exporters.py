"""From targets to senders: which class serves which target, and what to tell people of it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence

from cline_otel.destinations import FileTarget, OtlpTarget, Target
from cline_otel.export.fanout import Fanout
from cline_otel.export.interface import Sender
from cline_otel.export.otlp_file import FileSender
from cline_otel.signals import SignalName


class DestinationError(Exception):
    """A destination cannot be used; the message names the setting and the remedy."""


class Destinations:
    """The senders of every signal. A signal without a target has none: it is not exported."""

    def __init__(self, targets: Mapping[SignalName, Sequence[Target]]) -> None:
        """Prepare every sender, without connecting.

        Raises:
            DestinationError: an exporter or a TLS file cannot be used.
        """
        self._targets = targets
        self._senders: dict[SignalName, tuple[Sender, ...]] = {
            signal: tuple(_sender(target) for target in signal_targets) for signal, signal_targets in targets.items()
        }

    def queued(self, signal: SignalName) -> Sender | None:
        """What the queue of traces or logs is delivered to; None when that signal is not exported."""
        senders = self._senders.get(signal, ())
        if len(senders) > 1:
            return Fanout(senders)
        return senders[0] if senders else None

    def snapshots(self) -> tuple[Sender, ...]:
        """What metrics are sent to."""
        return self._senders.get("metrics", ())

    def describe(self) -> list[str]:
        """One line a signal, without secrets."""
        return [f"{signal}: {_described(self._targets.get(signal, ()))}" for signal in ("traces", "metrics", "logs")]

    async def close(self) -> None:
        """Close every sender."""
        for senders in self._senders.values():
            for sender in senders:
                await sender.close()


def _described(targets: Iterable[Target]) -> str:
    return ", and ".join(target.describe() for target in targets) or "not exported"


def _sender(target: Target) -> Sender:
    # Each kind is imported only where it is used: gRPC and the SDK cost start-up time.
    if isinstance(target, FileTarget):
        return FileSender(target)
    if isinstance(target, OtlpTarget):
        try:
            if target.protocol == "grpc":
                # gRPC would tell stderr of every failed handshake; the outcome says it once, with the remedy.
                os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
                from cline_otel.export.otlp_grpc import OtlpGrpcSender

                return OtlpGrpcSender(target)
            from cline_otel.export.otlp_http import OtlpHttpSender

            return OtlpHttpSender(target)
        except OSError as error:
            raise DestinationError(
                f"{target.signal}: the TLS files cannot be used ({error.strerror or type(error).__name__}): "
                "check OTEL_EXPORTER_OTLP_CERTIFICATE, OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE "
                "and OTEL_EXPORTER_OTLP_CLIENT_KEY, which name PEM files"
            ) from None
    from cline_otel.export.sdk import ExporterNotFoundError, SdkSender, load_exporter

    try:
        return SdkSender(target, load_exporter(target))
    except ExporterNotFoundError as error:
        raise DestinationError(str(error)) from None
