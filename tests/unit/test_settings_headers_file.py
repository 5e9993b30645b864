"""Headers that expire come from a file: read again when it changes, never shown, refused if open to others."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cline_otel.destinations import OtlpDestination
from cline_otel.export.exporters import Exporters
from cline_otel.export.interface import Batch, Delivered, EncodedRequest, Paused
from cline_otel.settings import SettingsError, load_settings
from cline_otel.settings.headers_file import HEADERS_FILE_VARIABLE
from loopback_server import Answer, HttpRequest, LoopbackServer

FIRST, SECOND = "planted-first-token", "planted-second-token"


@pytest.fixture
def headers_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "headers"
    monkeypatch.setenv(HEADERS_FILE_VARIABLE, str(path))
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318")
    monkeypatch.setenv("CLINE_OTEL_BRIDGE_STATE_DIR", str(tmp_path / "state"))
    write(path, f"authorization=Bearer {FIRST}\nx-tenant=a\n")
    return path


def write(path: Path, text: str, mode: int = 0o600) -> None:
    """In place of what was there, as programs that renew tokens do."""
    new = path.with_suffix(".new")
    new.write_text(text)
    new.chmod(mode)
    new.replace(path)


def destination() -> OtlpDestination:
    (found,) = load_settings().destinations["traces"]
    assert isinstance(found, OtlpDestination)
    return found


async def test_a_token_that_is_renewed_in_the_file_is_sent_from_then_on_and_never_shown(
    headers_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []

    def answer(request: HttpRequest) -> Answer:
        sent.append(request.headers["authorization"])
        text = f"{request.headers['authorization']} is not valid".encode()
        return (200, b"") if SECOND in sent[-1] else (401, text, {"Content-Type": "text/plain"})

    with LoopbackServer(answer).listen() as server:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.url)
        given = destination()
        exporters = Exporters({"traces": [given]})
        exporter = exporters.of_outbox("traces")
        assert exporter is not None
        refused = await exporter.export(Batch([EncodedRequest(b"", 1)]))
        assert isinstance(refused, Paused)
        write(headers_file, f"authorization=Bearer {SECOND}")
        assert await exporter.export(Batch([EncodedRequest(b"", 1)])) == Delivered()
        await exporters.close()
    assert sent == [f"Bearer {FIRST}", f"Bearer {SECOND}"]
    assert FIRST not in refused.reason + exporter.description + repr(given)
    assert "headers from a file" in exporter.description


def test_what_the_file_held_holds_while_it_is_missing_or_not_whole(headers_file: Path) -> None:
    given = destination()
    before = given.headers_now()
    assert dict(before) == {"authorization": f"Bearer {FIRST}", "x-tenant": "a"}
    write(headers_file, "authorization")
    assert given.headers_now() == before
    headers_file.unlink()
    assert given.headers_now() == before
    write(headers_file, f"authorization=Bearer {SECOND}")
    assert dict(given.headers_now()) == {"authorization": f"Bearer {SECOND}"}


def test_the_file_goes_before_the_environment(headers_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=old,x-more=b")
    assert dict(destination().headers_now()) == {
        "authorization": f"Bearer {FIRST}",
        "x-more": "b",
        "x-tenant": "a",
    }


@pytest.mark.parametrize(
    ("text", "mode", "problem"),
    [
        ("a=b", 0o644, "others may use"),
        (f"authorization Bearer {FIRST}", 0o600, "not of the form"),
        ("content-length=3", 0o600, "content-length"),
    ],
)
@pytest.mark.skipif(os.name == "nt", reason="NO MODES: Windows has access lists")
def test_a_file_that_cannot_be_used_ends_the_start_with_one_line(
    headers_file: Path, text: str, mode: int, problem: str
) -> None:
    write(headers_file, text, mode)
    with pytest.raises(SettingsError, match=problem) as raised:
        load_settings()
    assert str(raised.value).startswith(HEADERS_FILE_VARIABLE)
    assert FIRST not in str(raised.value)


def test_a_missing_file_ends_the_start(headers_file: Path) -> None:
    headers_file.unlink()
    with pytest.raises(SettingsError, match="cannot be read"):
        load_settings()
