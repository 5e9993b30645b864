"""Who may send to the OTLP receiver, and what it takes to listen to other machines."""

from __future__ import annotations

import http.client
import os
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from cline_otel.settings import ListenAddress, load_settings
from waiting import PATIENCE_SECONDS

from .process import Bridge, Home, is_one_clear_line
from .workload import otlp_copies

TOKEN_VARIABLE = "CLINE_OTEL_BRIDGE_LISTEN_TOKEN"
FILE_VARIABLE = "CLINE_OTEL_BRIDGE_LISTEN_TOKEN_FILE"


def new_token() -> str:
    return os.urandom(16).hex()


def token_file(directory: Path, token: str, mode: int = 0o600) -> Path:
    path = directory / "token"
    path.write_text(f"{token}\n")
    path.chmod(mode)
    return path


def send(endpoint: str, body: bytes, **headers: str) -> int:
    parts = urlsplit(endpoint)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=PATIENCE_SECONDS)
    try:
        connection.request("POST", "/v1/logs", body, {"Content-Type": "application/json", **headers})
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.mark.parametrize("address", ["0.0.0.0:4319", "[::]:4319", "192.0.2.1:4319"])
def test_listening_to_others_without_a_token_is_refused_with_the_variables_that_help(
    tmp_path: Path, address: str
) -> None:
    home = Home(tmp_path)
    for answer in (
        home.run("run", "--listen", address),
        home.run("run", environment={"CLINE_OTEL_BRIDGE_LISTEN": address}),
    ):
        assert answer.returncode == 2
        assert is_one_clear_line(
            answer.stderr, "CLINE_OTEL_BRIDGE_LISTEN: ", TOKEN_VARIABLE, FILE_VARIABLE, "127.0.0.1"
        )
    assert not home.journal.exists()


def test_with_a_token_only_the_address_decides(tmp_path: Path) -> None:
    # An address that is no machine's (RFC 5737), so that nothing listens; what is refused is not the token.
    answer = Home(tmp_path).run("run", "--listen", "192.0.2.1:4319", environment={TOKEN_VARIABLE: new_token()})
    assert answer.returncode == 1
    assert is_one_clear_line(answer.stderr, "192.0.2.1:4319", "this machine does not have that address")


@pytest.mark.parametrize("from_file", [False, True], ids=["environment", "file"])
def test_every_sender_must_show_the_token(tmp_path: Path, from_file: bool) -> None:
    token = new_token()
    environment = {FILE_VARIABLE: str(token_file(tmp_path, token))} if from_file else {TOKEN_VARIABLE: token}
    home = Home(tmp_path / "home", environment)
    (body, *_) = otlp_copies(1).otlp_logs
    with Bridge(home) as bridge:
        assert send(bridge.endpoint, body) == 401
        assert send(bridge.endpoint, body, Authorization=f"Bearer {token[:-1]}") == 401
        assert send(bridge.endpoint, body, Authorization=f"Basic {token}") == 401
        assert send(bridge.endpoint, body, Authorization=f"Bearer {token}") == 200
        assert bridge.stop() == 0
        assert token not in bridge.said
    assert token not in home.run("status").stdout
    assert token.encode() not in home.written_bytes()


def test_only_named_hosts_reach_it(tmp_path: Path) -> None:
    home = Home(tmp_path, {"CLINE_OTEL_BRIDGE_LISTEN_HOSTS": "bridge.example, Other.example"})
    with Bridge(home) as bridge:
        for host in ("bridge.example", "other.example:4319", "localhost"):
            assert send(bridge.endpoint, b"{}", Host=host) == 200
        for host in ("rebound.example", "bridge.example.evil.example"):
            assert send(bridge.endpoint, b"{}", Host=host) == 403
        assert send(bridge.endpoint, b"{}", Origin="http://bridge.example") == 403
        assert bridge.stop() == 0


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o620])
def test_a_token_file_that_others_may_use_is_refused(tmp_path: Path, mode: int) -> None:
    path = token_file(tmp_path, new_token(), mode)
    answer = Home(tmp_path / "home").run("run", environment={FILE_VARIABLE: str(path)})
    assert answer.returncode == 2
    assert is_one_clear_line(answer.stderr, f"{FILE_VARIABLE}: others may use {path}", "chmod 600")


@pytest.mark.parametrize(
    ("variable", "content", "says"),
    [
        (TOKEN_VARIABLE, "q7Zx9", "at least 16"),
        (TOKEN_VARIABLE, "with a space in its middle", "it is not a bearer token"),
        (FILE_VARIABLE, "q7Zx9", "at least 16"),
        (FILE_VARIABLE, "with a space in its middle", "it is not a bearer token"),
        (FILE_VARIABLE, "", "it is not a bearer token"),
    ],
)
def test_a_token_that_is_none_is_refused_without_showing_it(
    tmp_path: Path, variable: str, content: str, says: str
) -> None:
    value = str(token_file(tmp_path, content)) if variable == FILE_VARIABLE else content
    answer = Home(tmp_path / "home").run("run", environment={variable: value})
    assert answer.returncode == 2
    assert is_one_clear_line(answer.stderr, f"{variable}: ", says)
    assert not content or content not in answer.stderr


def test_a_token_file_that_is_missing_or_no_file_is_refused(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo, 0o600)
    for path, says in (
        (tmp_path / "missing", "No such file"),
        (tmp_path, "Is a directory"),
        (fifo, "not a regular file"),
    ):
        answer = home.run("run", environment={FILE_VARIABLE: str(path)})
        assert answer.returncode == 2
        assert is_one_clear_line(answer.stderr, f"{FILE_VARIABLE}: ", str(path), says)


def test_two_tokens_are_one_too_many(tmp_path: Path) -> None:
    token = new_token()
    environment = {TOKEN_VARIABLE: token, FILE_VARIABLE: str(token_file(tmp_path, token))}
    answer = Home(tmp_path / "home").run("run", environment=environment)
    assert answer.returncode == 2
    assert is_one_clear_line(answer.stderr, FILE_VARIABLE, f"{TOKEN_VARIABLE} is set too")
    assert token not in answer.stderr


@pytest.mark.parametrize("word", ["off", "none"])
def test_the_receiver_can_be_left_out(tmp_path: Path, word: str) -> None:
    home = Home(tmp_path, {"CLINE_OTEL_BRIDGE_LISTEN": word})
    with Bridge(home, listen=None) as bridge:
        assert "OTLP logs on" not in bridge.said
        assert bridge.stop() == 0


def test_a_receiver_for_others_is_told_to_have_no_tls_and_its_token_is_shown_nowhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    token = new_token()
    monkeypatch.setenv("CLINE_OTEL_BRIDGE_LISTEN", "0.0.0.0:4319")
    monkeypatch.setenv(TOKEN_VARIABLE, token)
    settings = load_settings()
    assert settings.listen == ListenAddress("0.0.0.0", 4319)
    assert settings.listen_token is not None
    assert settings.listen_token.value == token
    assert any("speaks no TLS" in notice for notice in settings.notices)
    assert token not in f"{settings!r} {settings.listen_token} {settings.notices}"
