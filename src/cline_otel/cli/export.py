"""Sends what a replay or demo made to the endpoint that the settings name, once, without a journal.

Metrics go as points over the recording's own time, in the temporality that the endpoint takes.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine, Mapping
from typing import Any, Final

import click

from cline_otel.catalogue.compiled import Catalogue
from cline_otel.cli.consent import consent_now
from cline_otel.cli.errors import fail
from cline_otel.consent import opt_out_sources_of
from cline_otel.consent.watch import WATCH_INTERVAL_SECONDS, ConsentWatch
from cline_otel.destinations import FileDestination
from cline_otel.export.exporters import Exporters
from cline_otel.export.interface import (
    Batch,
    Delivered,
    EncodedRequest,
    Exporter,
    ExporterError,
    ExportResult,
    Paused,
    Retry,
    Unreachable,
)
from cline_otel.replay import ReplayResult, metric_requests
from cline_otel.running import announced_to_user, this_process
from cline_otel.settings import Settings, SettingsError
from cline_otel.signals import SignalName

_NOUNS: Final[dict[SignalName, str]] = {"traces": "spans", "logs": "log records", "metrics": "metric data points"}


def export_replayed(replayed: ReplayResult, catalogue: Catalogue, settings: Settings, *, metrics: bool) -> None:
    """Sends traces and logs, and metrics if asked; the first failure is one line and a non-zero exit."""
    signals: tuple[SignalName, ...] = ("traces", "logs", "metrics") if metrics else ("traces", "logs")
    try:
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
    except (ExporterError, SettingsError) as error:
        fail(str(error), 2)
    requests: dict[SignalName, list[list[EncodedRequest]]] = {
        "traces": [replayed.requests["traces"]],
        "logs": [replayed.requests["logs"]],
        "metrics": [
            metric_requests(
                replayed.measurements,
                catalogue,
                replayed.resource_and_scope,
                replayed.ended_at_ns,
                destination.temporality,
                settings.histogram_aggregation,
            )
            for destination in destinations.get("metrics", ())
        ],
    }
    with announced_to_user(this_process("replay --send", settings.state_directory)):
        try:
            watch = ConsentWatch(opt_out_sources_of(settings, os.environ))
        except SettingsError as error:
            fail(str(error), 2)
        try:
            asyncio.run(_export_while_on(watch, exporters, _export_all(exporters, requests, signals)))
        except _NotSentError as error:
            fail(str(error))


class _NotSentError(Exception):
    """What is not sent, and why, for people. A task that exits by itself would end the loop under what waits for it."""


async def _export_while_on(watch: ConsentWatch, exporters: Exporters, export: Coroutine[Any, Any, None]) -> None:
    exporting = asyncio.create_task(export)
    while watch.look().is_on and not exporting.done():
        await asyncio.wait({exporting}, timeout=WATCH_INTERVAL_SECONDS)
    if not exporting.done():
        exporting.cancel()
        exporters.abort()
    try:
        await exporting
    except asyncio.CancelledError:
        raise _NotSentError(f"the rest was not sent, because telemetry is {watch.consent.describe()}") from None


async def _export_all(
    exporters: Exporters, requests: Mapping[SignalName, list[list[EncodedRequest]]], signals: tuple[SignalName, ...]
) -> None:
    click.echo()
    try:
        for signal in signals:
            queued = exporters.of_outbox(signal) if signal != "metrics" else None
            of_signal = exporters.of_metrics() if signal == "metrics" else (queued,) if queued is not None else ()
            for exporter, of_exporter in zip(of_signal, requests[signal], strict=False):
                if of_exporter:
                    sent = await _export(signal, exporter, of_exporter)
                    click.echo(f"Sent {sent} {_NOUNS[signal]}: {exporter.description}")
    finally:
        await exporters.close()


async def _export(signal: SignalName, exporter: Exporter, requests: list[EncodedRequest]) -> int:
    """How many items the destination has taken."""
    sent = 0
    for request in requests:
        result = await exporter.export(Batch([request]))
        if not isinstance(result, Delivered):
            before = f" after {sent} {_NOUNS[signal]}" if sent else ""
            raise _NotSentError(f"{signal} were not sent{before}: {_reason_and_remedy(signal, result)}")
        if result.rejected:
            click.echo(f"note: {result.rejected} {_NOUNS[signal]} were rejected: {result.message}", err=True)
        sent += request.item_count - min(result.rejected, request.item_count)
    return sent


def _reason_and_remedy(signal: SignalName, result: ExportResult) -> str:
    if isinstance(result, Paused):
        return f"{result.reason}; {result.remedy}"
    if isinstance(result, Retry | Unreachable):
        return f"{result.reason}; start a collector there or set OTEL_EXPORTER_OTLP_ENDPOINT, then try again"
    assert not isinstance(result, Delivered)  # noqa: S101 - asked only of failures
    refused = f"{result.reason}; the destination does not take this content"
    return f"{refused}; many backends take no metrics of the past" if signal == "metrics" else refused
