"""``cline-otel preview``: what of recordings would leave, and what of this installation did leave."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from cline_otel.cli.consent import consent_now
from cline_otel.cli.errors import fail
from cline_otel.cli.reading import read_paths
from cline_otel.cli.sources import known_sources
from cline_otel.consent import Consent
from cline_otel.journal.records import JournalError, JournalStatus, KeptRequest
from cline_otel.journal.store import Journal
from cline_otel.preview import Item, Preview, Sender, Step, Summary, items_of
from cline_otel.replay import instance_id_of
from cline_otel.running import find_running
from cline_otel.settings import SettingsError, load_settings
from cline_otel.signals import Diagnostics
from cline_otel.terminal.preview import PreviewView

_NO_KEY: Final = (
    "This installation has no key yet: `cline-otel install` makes one. With it, names and ids that "
    "somebody chose leave as pseudonyms; here they do not leave."
)
_CONTENT_KEYS: Final = {"traces": "span", "logs": "log_record"}


class ShownRequest(msgspec.Struct, frozen=True):
    """A request of the journal, opened: as many of its last items as are wanted.

    ``problem`` says why it could not be opened; empty if it could.
    """

    kept: KeptRequest
    items: list[Item]
    problem: str = ""


def preview_paths(paths: list[Path], only: str | None, *, as_json: bool) -> None:
    """Goes through recordings and prints what would leave of them, event by event."""
    recording, policy, settings = read_paths(paths, only, purpose="preview")
    sources = known_sources()
    preview = Preview(
        recording,
        sources.catalogue(policy, settings.prices, settings.profile, settings.service_name),
        policy,
        settings.resource(instance_id_of(recording)),
        sources,
        settings.metric_attributes,
    )
    if as_json:
        for step in preview.steps():
            _print_json(_step_document(step))
        _print_json({"summary": _summary_document(preview.summary)})
        if policy.pseudonyms is None:
            click.echo(_NO_KEY, err=True)
        return
    view = PreviewView()
    for step in preview.steps():
        view.print_step(step)
    view.print_summary(preview.summary, preview.resource_and_scope)
    if policy.pseudonyms is None:
        view.print_note(_NO_KEY)


def preview_last(items: int, *, as_json: bool) -> None:
    """Prints the newest spans and log records that left or wait, as the journal has them; a bridge may run."""
    try:
        settings = load_settings()
        with Journal.open_read_only(settings.journal_path) as journal:
            kept = journal.newest(items)
            status = journal.status()
        consent = consent_now(settings, find_running(settings.state_directory))
    except SettingsError as error:
        fail(str(error), 2)
    except (JournalError, ValueError) as error:
        fail(str(error))
    except OSError as error:
        fail(f"{settings.state_directory}: cannot be read ({error.strerror}); check who owns it")
    requests = list(_opened(kept, items))
    if as_json:
        for request in requests:
            for document in _request_documents(request):
                _print_json(document)
        for note in _notes(requests, status, consent):
            click.echo(note, err=True)
        return
    view = PreviewView()
    for request in requests:
        trouble = status.signals[request.kept.signal]
        view.print_request(request.kept, request.items, request.problem, trouble)
    for note in _notes(requests, status, consent):
        view.print_note(note)


def _opened(kept: list[KeptRequest], items: int) -> Iterator[ShownRequest]:
    """The requests with their last ``items`` items together."""
    surplus = max(sum(request.item_count for request in kept) - items, 0)
    for request in kept:
        try:
            found = items_of(request.signal, request.payload)
            yield ShownRequest(request, found[surplus:])
        except ValueError as error:
            yield ShownRequest(request, [], str(error))
        surplus = 0


def _notes(requests: list[ShownRequest], status: JournalStatus, consent: Consent) -> Iterator[str]:
    """What there is to say besides: that nothing is there and why, that telemetry is off."""
    if not requests:
        before = sum(status.signals[signal].delivered_items for signal in ("traces", "logs"))
        if before:
            yield (
                f"Nothing waits, and nothing of the {before:,} spans and log records that have left is kept: "
                "it was erased, or left before this release."
            )
        else:
            yield "Nothing has left and nothing waits."
    if not consent.is_on:
        yield f"Telemetry is {consent.describe()}: nothing leaves now."


# --- for machines: docs/preview.md says what these mean ---------------------------------------------------


def _print_json(document: dict[str, Any]) -> None:
    sys.stdout.write(msgspec.json.encode(document).decode() + "\n")


def _item_document(item: Item) -> dict[str, Any]:
    return {"bytes": item.size_bytes, _CONTENT_KEYS[item.signal]: item.content}


def _step_document(step: Step) -> dict[str, Any]:
    return {
        "at_ns": step.at_ns,
        "source": step.source,
        "event": step.event,
        "outcome": step.outcome,
        "taken": msgspec.to_builtins(step.taken),
        "withheld": msgspec.to_builtins(step.withheld),
        "around": list(step.around),
        "spans": [_item_document(item) for item in step.spans],
        "logs": [_item_document(item) for item in step.logs],
        "measurements": [
            {
                "bytes": each.size_bytes,
                "metric": each.metric,
                "value": each.value,
                "unit": each.unit,
                "attributes": each.attributes,
            }
            for each in step.measurements
        ],
    }


def _summary_document(summary: Summary) -> dict[str, Any]:
    return {
        "events": summary.events,
        "lines_without_event": summary.lines_without_event,
        "taken": summary.taken,
        "withheld": summary.withheld,
        "items": summary.items,
        "item_bytes": summary.item_bytes,
        "requests": summary.requests,
        "request_bytes": summary.request_bytes,
        "not_sent": _diagnostics_document(summary.diagnostics),
        "services": summary.services,
    }


def _diagnostics_document(diagnostics: Diagnostics) -> list[dict[str, Any]]:
    return [
        {"kind": kind, "source": source, "name": name, "count": times}
        for (kind, source, name), times in diagnostics.items()
    ]


def _request_documents(request: ShownRequest) -> Iterator[dict[str, Any]]:
    if request.problem:
        yield {**_request_document(request.kept, Sender()), "problem": request.problem}
    for item in request.items:
        yield {**_request_document(request.kept, item.sender), **_item_document(item)}


def _request_document(kept: KeptRequest, sender: Sender) -> dict[str, Any]:
    return {
        "signal": kept.signal,
        "state": kept.state,
        "made_at_ns": kept.created_at_ns,
        "left_at_ns": kept.left_at_ns,
        "destination": kept.destination,
        "reason": kept.reason,
        "request": {
            "bytes": len(kept.payload),
            "items": kept.item_count,
            "resource": sender.resource,
            "scope": sender.scope,
            "schema_url": sender.schema_url,
            "not_sent": _diagnostics_document(kept.diagnostics),
        },
    }
