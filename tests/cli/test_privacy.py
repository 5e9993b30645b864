"""Content that is planted in every input comes out nowhere: not in telemetry, nor in words, nor on the disk."""

from __future__ import annotations

import json
import secrets
import signal
from pathlib import Path

from bridge.endpoint import Endpoint
from bridge.feeding import post
from bridge.process import Bridge, Home
from bridge.workload import EXAMPLE, Recording, WritingProcess, otlp_copies
from waiting import wait_until


def planted_in_log(line: bytes, secret: str) -> bytes:
    """A line of ``cline.log`` with content beside and inside its fields."""
    document = json.loads(line)
    document["properties"] |= {
        "cwd": f"/home/{secret}/project",
        "error_message": f"cannot open {secret}",
        "prompt": secret,
        f"{secret} as a name": 1,
        "nested": {"deep": [secret]},
    }
    return json.dumps(document | {"hostname": secret, "msg": f"{document['msg']} {secret}"}).encode()


def planted_in_spool(line: bytes, secret: str) -> bytes:
    """A line of the spool with fields that the plugin would never write."""
    return json.dumps({**json.loads(line), "input": secret, "output": {"text": secret}}).encode()


def planted_in_otlp(body: bytes, secret: str) -> bytes:
    """A request with content in the resource, in each record's attributes and in records of their own."""
    request = json.loads(body)
    planted = {"key": "error_message", "value": {"stringValue": f"no such file: {secret}"}}
    for resource_logs in request["resourceLogs"]:
        resource_logs["resource"]["attributes"].append({"key": "host.name", "value": {"stringValue": secret}})
        for scope_logs in resource_logs["scopeLogs"]:
            for record in scope_logs["logRecords"]:
                record["attributes"] += [planted, {"key": f"{secret} key", "value": {"boolValue": True}}]
            scope_logs["logRecords"].append(
                {"timeUnixNano": "1795357900000000000", "body": {"stringValue": f"{secret} said something"}}
            )
    return json.dumps(request).encode()


def test_planted_content_is_found_nowhere(tmp_path: Path) -> None:
    secret = f"planted{secrets.token_hex(12)}"
    example = Recording.read(EXAMPLE, "plugin", "cline-log")
    log = [planted_in_log(line, secret) for line in example.cline_log]
    log += [f"{secret} is no JSON".encode(), b'{"level":30,"msg":"%s"}' % secret.encode()]
    spool = [planted_in_spool(line, secret) for line in example.spool] + [f"{{{secret}".encode()]
    bodies = [planted_in_otlp(body, secret) for body in otlp_copies(1).otlp_logs]
    home = Home(
        tmp_path / "home",
        {
            "OTEL_EXPORTER_OTLP_HEADERS": f"api-key={secret}",
            "OTEL_TRACES_EXPORTER": "otlp,otlp_file",
            "OTEL_LOG_LEVEL": "debug",
        },
    )
    home.cline_log.parent.mkdir(parents=True)
    home.spool.mkdir(parents=True)
    said: list[str] = []
    with Endpoint() as endpoint, WritingProcess() as cline:
        endpoint.answer = lambda signal, request: (503, b"") if endpoint.asked[signal] < 2 else (200, b"")
        environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint.listen().url}
        home.cline_log.write_bytes(b"".join(line + b"\n" for line in log))
        spool_file = home.spool / cline.spool_name()
        spool_file.write_bytes(b"".join(line + b"\n" for line in spool))
        with Bridge(home, environment=environment) as bridge:
            for body in bodies:
                assert post(bridge.endpoint, body)[0] == 200
            for path, wrong in (("logs", b"{%s"), ("logs", b'{"resourceLogs":"%s"}'), ("traces", b'{"%s":1}')):
                post(bridge.endpoint, wrong % secret.encode(), signal=path)
            wait_until(lambda: home.counted("received", "cline-log") == len(log), lambda: bridge.said)
            wait_until(lambda: home.delivered("traces") >= 39, lambda: bridge.said)
            bridge.signal(signal.SIGINT)
            assert bridge.wait() == 0
            said.append(bridge.said)
        cline.end()
        with Bridge(home, environment=environment) as bridge:
            assert bridge.stop() == 0
            said.append(bridge.said)
        home.cline_log.unlink()
        spool_file.unlink(missing_ok=True)
        for arguments in (["status"], ["status", "--json"]):
            answer = home.run(*arguments, environment=environment)
            said += [answer.stdout, answer.stderr]
        for signal_name, requests in endpoint.taken.items():
            assert requests or signal_name == "metrics"
            assert all(secret.encode() not in request.SerializeToString() for request in requests)
    assert secret not in "\n".join(said)
    assert (home.journal).exists()
    assert secret.encode() not in home.written_bytes()


def test_planted_content_does_not_come_out_of_a_replay(tmp_path: Path) -> None:
    secret = f"planted{secrets.token_hex(12)}"
    example = Recording.read(EXAMPLE, "plugin", "cline-log")
    folder = Recording(
        tuple(planted_in_spool(line, secret) for line in example.spool),
        tuple(planted_in_log(line, secret) for line in example.cline_log),
        tuple(planted_in_otlp(body, secret) for body in otlp_copies(1).otlp_logs),
    ).write(tmp_path / "recording")
    home = Home(tmp_path / "home")
    for arguments in (["replay", folder], ["replay", folder, "--output", home.directory / "out"]):
        answer = home.run(*arguments)
        assert answer.returncode == 0, answer.stderr
        assert secret not in answer.stdout + answer.stderr
    assert secret.encode() not in home.written_bytes()
