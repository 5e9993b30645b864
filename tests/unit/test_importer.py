"""The import as it runs: what it took waits where nobody takes it, and it stops when telemetry goes off."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from bench.fixed_key import CATALOGUE

from bridge.endpoint import Endpoint
from cline_otel.importing.found import Span, find
from cline_otel.importing.importer import Importer, ImportResult
from cline_otel.journal.store import Journal
from cline_otel.settings import Settings, load_settings
from cline_otel.sources.registry import SOURCES
from conversations import answer, text, user, write_session

SPANS_OF_A_PROMPT = 2


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with Endpoint() as endpoint:
        yield endpoint


@pytest.fixture
def settings(tmp_path: Path, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name, value in {
        "HOME": str(tmp_path),
        "CLINE_DIR": str(tmp_path / ".cline"),
        "CLINE_OTEL_BRIDGE_STATE_DIR": str(tmp_path / "state"),
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint.url,
        "NO_PROXY": "*",
    }.items():
        monkeypatch.setenv(name, value)
    return load_settings()


def write_sessions(directory: Path, number: int) -> None:
    """Sessions of one prompt each, as copies of one another with ids of their own."""
    for each in range(number):
        of_session = directory / str(each)
        messages = [
            user(0, text("x"), id=f"msg_u{each:07}"),
            {**answer(100, text("done")), "id": f"msg_a{each:07}"},
        ]
        folder = write_session(of_session, messages)
        for path in folder.iterdir():
            content = path.read_text().replace(folder.name, f"{folder.name}{each}")
            path.write_text(content)
            path.rename(folder / path.name.replace(folder.name, f"{folder.name}{each}"))
        folder.rename(directory / f"{folder.name}{each}")
        of_session.rmdir()


def run(
    settings: Settings,
    directory: Path,
    patience_seconds: float,
    off_after: int | None = None,
) -> ImportResult:
    with Journal.open(settings.journal_path) as journal:
        found = find(SOURCES, settings.places, [directory], journal.cursors(), Span(), ())
        reports = 0

        def report(read_bytes: int, result: ImportResult) -> None:
            nonlocal reports
            reports += 1
            if off_after is not None and result.sessions >= off_after:
                (settings.state_directory / "off").touch()

        importer = Importer(
            settings,
            journal,
            CATALOGUE,
            SOURCES,
            Span(),
            sends_metrics=False,
            report=report,
            patience_seconds=patience_seconds,
        )
        result = asyncio.run(importer.run(found))
        assert reports
        return result


def test_what_nobody_takes_waits_for_the_next_import(settings: Settings, endpoint: Endpoint, tmp_path: Path) -> None:
    write_sessions(tmp_path / "sessions", 3)
    result = run(settings, tmp_path / "sessions", patience_seconds=0.2)
    assert (result.prompts, result.left) == (3, 0)
    assert result.waiting >= 3 * SPANS_OF_A_PROMPT
    assert result.reason
    endpoint.listen()
    assert run(settings, tmp_path / "sessions", patience_seconds=300).waiting == 0
    assert endpoint.span_count() == 3 * SPANS_OF_A_PROMPT


def test_it_stops_when_telemetry_goes_off_and_goes_on_when_it_is_on_again(
    settings: Settings, endpoint: Endpoint, tmp_path: Path
) -> None:
    endpoint.listen()
    write_sessions(tmp_path / "sessions", 30)
    stopped = run(settings, tmp_path / "sessions", patience_seconds=300, off_after=2)
    assert stopped.stopped_by is not None
    assert not stopped.stopped_by.is_on
    (settings.state_directory / "off").unlink()
    run(settings, tmp_path / "sessions", patience_seconds=300)
    spans = [
        span.span_id for r in endpoint.traces() for p in r.resource_spans for s in p.scope_spans for span in s.spans
    ]
    assert len(set(spans)) == 30 * SPANS_OF_A_PROMPT
