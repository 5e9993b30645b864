"""Sends what a replay or demo made to the endpoint that the settings name, once, without a journal."""

from __future__ import annotations

import asyncio
import os
from typing import Final

import click
import msgspec

from cline_otel.cli.errors import fail
from cline_otel.consent import decide, evidence_of
from cline_otel.destinations import FileTarget
from cline_otel.export.exporters import DestinationError, Destinations
from cline_otel.export.interface import Batch, Delivered, Hold, Outcome, Retry, Sender
from cline_otel.replay import Replayed
from cline_otel.settings import SettingsError, load_settings
from cline_otel.signals import SignalName


class _Row(msgspec.Struct, frozen=True):
    id: int
    payload: bytes
    item_count: int


_NOUNS: Final[dict[SignalName, str]] = {"traces": "spans", "logs": "log records", "metrics": "metric series"}


def send_replayed(replayed: Replayed, *, metrics: bool) -> None:
    """Sends traces and logs, and metrics if asked; the first failure is one line and a non-zero exit."""
    signals: tuple[SignalName, ...] = ("traces", "logs", "metrics") if metrics else ("traces", "logs")
    try:
        settings = load_settings()
        consent = decide(evidence_of(settings, os.environ).look())
        if not consent.is_on:
            fail(f"nothing was sent, because telemetry is {consent.describe()}")
        # Local files are left out: they are a running bridge's.
        targets = {
            signal: tuple(target for target in targets if not isinstance(target, FileTarget))
            for signal, targets in settings.targets.items()
            if signal in signals
        }
        if not any(targets.values()):
            fail(
                f"no endpoint to send {' or '.join(signals)} to; "
                "set OTEL_EXPORTER_OTLP_ENDPOINT, for example http://localhost:4318",
                2,
            )
        destinations = Destinations(targets)
    except (SettingsError, DestinationError) as error:
        fail(str(error), 2)
    asyncio.run(_send_all(destinations, replayed, signals))


async def _send_all(destinations: Destinations, replayed: Replayed, signals: tuple[SignalName, ...]) -> None:
    counts = {"traces": len(replayed.spans), "logs": len(replayed.logs), "metrics": len(replayed.totals)}
    click.echo()
    try:
        for signal in signals:
            queued = destinations.queued(signal) if signal != "metrics" else None
            senders = destinations.snapshots() if signal == "metrics" else (queued,) if queued is not None else ()
            for sender in senders if counts[signal] else ():
                rejected = await _send(signal, sender, replayed.requests[signal])
                click.echo(f"Sent {counts[signal] - rejected} {_NOUNS[signal]}: {sender.description}")
    finally:
        await destinations.close()


async def _send(signal: SignalName, sender: Sender, requests: list[bytes]) -> int:
    """How many items the destination rejected of what it took."""
    rejected = 0
    for number, request in enumerate(requests):
        outcome = await sender.send(Batch([_Row(number, request, 1)]))
        if not isinstance(outcome, Delivered):
            fail(f"{signal} were not sent: {_reason_and_remedy(outcome)}")
        if outcome.rejected:
            click.echo(f"note: {outcome.rejected} {_NOUNS[signal]} were rejected: {outcome.message}", err=True)
        rejected += outcome.rejected
    return rejected


def _reason_and_remedy(outcome: Outcome) -> str:
    if isinstance(outcome, Hold):
        return f"{outcome.reason}; {outcome.remedy}"
    if isinstance(outcome, Retry):
        return f"{outcome.reason}; start a collector there or set OTEL_EXPORTER_OTLP_ENDPOINT, then try again"
    assert not isinstance(outcome, Delivered)  # noqa: S101 - asked only of failures
    return f"{outcome.reason}; the destination does not take this content"
