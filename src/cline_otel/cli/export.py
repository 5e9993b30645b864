"""Sends what a replay or demo made to the endpoint that the settings name, once, without a journal."""

from __future__ import annotations

import asyncio
from typing import Final

import click
import msgspec

from cline_otel.cli.consent import consent_now
from cline_otel.cli.errors import fail
from cline_otel.destinations import FileDestination
from cline_otel.export.exporters import Exporters
from cline_otel.export.interface import Batch, Delivered, Exporter, ExporterError, ExportResult, Paused, Retry
from cline_otel.replay import ReplayResult
from cline_otel.settings import SettingsError, load_settings
from cline_otel.signals import SignalName


class _Request(msgspec.Struct, frozen=True):
    id: int
    payload: bytes
    item_count: int


_NOUNS: Final[dict[SignalName, str]] = {"traces": "spans", "logs": "log records", "metrics": "metric series"}


def export_replayed(replayed: ReplayResult, *, metrics: bool) -> None:
    """Sends traces and logs, and metrics if asked; the first failure is one line and a non-zero exit."""
    signals: tuple[SignalName, ...] = ("traces", "logs", "metrics") if metrics else ("traces", "logs")
    try:
        settings = load_settings()
        consent = consent_now(settings)
        if not consent.is_on:
            fail(f"nothing was sent, because telemetry is {consent.describe()}")
        # Local files are left out: they are a running bridge's.
        destinations = {
            signal: tuple(destination for destination in destinations if not isinstance(destination, FileDestination))
            for signal, destinations in settings.destinations.items()
            if signal in signals
        }
        if not any(destinations.values()):
            fail(
                f"no endpoint to send {' or '.join(signals)} to; "
                "set OTEL_EXPORTER_OTLP_ENDPOINT, for example http://localhost:4318",
                2,
            )
        exporters = Exporters(destinations)
    except (SettingsError, ExporterError) as error:
        fail(str(error), 2)
    asyncio.run(_export_all(exporters, replayed, signals))


async def _export_all(exporters: Exporters, replayed: ReplayResult, signals: tuple[SignalName, ...]) -> None:
    counts = {"traces": len(replayed.spans), "logs": len(replayed.logs), "metrics": len(replayed.totals)}
    click.echo()
    try:
        for signal in signals:
            queued = exporters.of_outbox(signal) if signal != "metrics" else None
            of_signal = exporters.of_metrics() if signal == "metrics" else (queued,) if queued is not None else ()
            for exporter in of_signal if counts[signal] else ():
                rejected = await _export(signal, exporter, replayed.requests[signal])
                click.echo(f"Sent {counts[signal] - rejected} {_NOUNS[signal]}: {exporter.description}")
    finally:
        await exporters.close()


async def _export(signal: SignalName, exporter: Exporter, requests: list[bytes]) -> int:
    """How many items the destination rejected of what it took."""
    rejected = 0
    for number, request in enumerate(requests):
        result = await exporter.export(Batch([_Request(number, request, 1)]))
        if not isinstance(result, Delivered):
            fail(f"{signal} were not sent: {_reason_and_remedy(result)}")
        if result.rejected:
            click.echo(f"note: {result.rejected} {_NOUNS[signal]} were rejected: {result.message}", err=True)
        rejected += result.rejected
    return rejected


def _reason_and_remedy(result: ExportResult) -> str:
    if isinstance(result, Paused):
        return f"{result.reason}; {result.remedy}"
    if isinstance(result, Retry):
        return f"{result.reason}; start a collector there or set OTEL_EXPORTER_OTLP_ENDPOINT, then try again"
    assert not isinstance(result, Delivered)  # noqa: S101 - asked only of failures
    return f"{result.reason}; the destination does not take this content"
