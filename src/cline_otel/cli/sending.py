"""Sends what a replay or demo made to the endpoint that the settings name, once, without a journal."""

from __future__ import annotations

import asyncio

import click
import msgspec

from cline_otel.cli.main import fail
from cline_otel.export.destinations import DestinationError, Destinations
from cline_otel.export.outcome import Batch, Delivered, Outcome, Sender
from cline_otel.replay import Replayed
from cline_otel.settings import SettingsError, load_settings
from cline_otel.signals import SignalName


class _Row(msgspec.Struct, frozen=True):
    id: int
    payload: bytes
    item_count: int


def send_replayed(replayed: Replayed, *, metrics: bool) -> None:
    """Sends traces and logs, and metrics if asked; a failure is one line and a non-zero exit."""
    try:
        settings = load_settings()
        if not settings.has_endpoint:
            fail("no endpoint to send to; set OTEL_EXPORTER_OTLP_ENDPOINT, for example http://localhost:4318", 2)
        destinations = Destinations(settings.targets)
    except (SettingsError, DestinationError) as error:
        fail(str(error), 2)
    signals: list[SignalName] = ["traces", "logs", *(["metrics"] if metrics else [])]  # type: ignore[list-item]
    counts: dict[SignalName, int] = {
        "traces": len(replayed.spans),
        "logs": len(replayed.logs),
        "metrics": len(replayed.totals),
    }
    problems = asyncio.run(_send_all(destinations, replayed, signals, counts))
    if problems:
        fail("; ".join(problems))
    sent = ", ".join(f"{counts[signal]} {_NOUNS[signal]}" for signal in signals)
    click.echo(f"\nSent {sent}:")
    for line in destinations.describe():
        if line.split(":")[0] in signals:
            click.echo(f"  {line}")


_NOUNS: dict[SignalName, str] = {"traces": "spans", "logs": "log records", "metrics": "metric series"}


async def _send_all(
    destinations: Destinations, replayed: Replayed, signals: list[SignalName], counts: dict[SignalName, int]
) -> list[str]:
    problems = []
    try:
        for signal in signals:
            sender = destinations.snapshots()[0] if signal == "metrics" else destinations.queued(signal)
            requests = replayed.requests[signal]
            if sender is None or not requests:
                continue
            outcome = await _send(sender, requests, counts[signal])
            if not isinstance(outcome, Delivered):
                problems.append(f"{signal}: {sender.description}: {outcome.reason}")
    finally:
        await destinations.close()
    return problems


async def _send(sender: Sender, requests: list[bytes], item_count: int) -> Outcome:
    outcome: Outcome = Delivered()
    for number, request in enumerate(requests):
        outcome = await sender.send(Batch([_Row(number, request, item_count if len(requests) == 1 else 1)]))
        if not isinstance(outcome, Delivered):
            break
    return outcome
