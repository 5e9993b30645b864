"""TLS over HTTP and gRPC with certificates made for the test by the openssl program."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import grpc.aio
import pytest
from aiohttp import web

from cline_otel.destinations import OtlpDestination, OtlpProtocol
from cline_otel.export.exporters import Exporters
from cline_otel.export.interface import (
    Batch,
    Delivered,
    EncodedRequest,
    ExporterError,
    ExportResult,
    Paused,
    Retry,
    Unreachable,
)
from waiting import PATIENCE_SECONDS

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="NO TLS TEST: there is no openssl program")

PROTOCOLS: list[OtlpProtocol] = ["http/protobuf", "grpc"]


class Certificates(NamedTuple):
    authority: Path
    server: Path
    server_key: Path
    client: Path
    client_key: Path


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    directory = tmp_path_factory.mktemp("certificates")

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], check=True, capture_output=True, cwd=directory)

    new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl(
        "req", "-x509", *new_key, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=test authority"
    )
    for name in ("server", "client"):
        openssl("req", *new_key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        (directory / f"{name}.ext").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
        openssl(
            *("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"),
            *("-days", "2", "-out", f"{name}.pem", "-extfile", f"{name}.ext"),
        )
    return Certificates(
        *(directory / name for name in ("ca.pem", "server.pem", "server.key", "client.pem", "client.key"))
    )


@asynccontextmanager
async def serving(protocol: OtlpProtocol, certificates: Certificates, *, clients_must_show: bool) -> AsyncIterator[int]:
    """A server that takes everything, if the client's certificate is in order where one is asked for."""
    if protocol == "grpc":
        server = grpc.aio.server()
        handler = grpc.unary_unary_rpc_method_handler(_take_call)
        service = "opentelemetry.proto.collector.trace.v1.TraceService"
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {"Export": handler}),))
        credentials = grpc.ssl_server_credentials(
            [(certificates.server_key.read_bytes(), certificates.server.read_bytes())],
            certificates.authority.read_bytes() if clients_must_show else None,
            clients_must_show,
        )
        port = server.add_secure_port("127.0.0.1:0", credentials)
        await server.start()
        try:
            yield port
        finally:
            await server.stop(None)
        return
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.server, certificates.server_key)
    if clients_must_show:
        context.load_verify_locations(certificates.authority)
        context.verify_mode = ssl.CERT_REQUIRED
    runner = web.ServerRunner(web.Server(_take_post))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def _take_call(request: bytes, context: grpc.aio.ServicerContext) -> bytes:
    return b""


async def _take_post(_: web.BaseRequest) -> web.StreamResponse:
    return web.Response(headers={"Content-Type": "application/x-protobuf"})


def destination(protocol: OtlpProtocol, port: int, **settings: Any) -> OtlpDestination:
    address = f"127.0.0.1:{port}"
    return OtlpDestination(
        signal="traces",
        protocol=protocol,
        endpoint=address if protocol == "grpc" else f"https://{address}/v1/traces",
        timeout_seconds=PATIENCE_SECONDS,
        **{name: str(value) for name, value in settings.items()},
    )


async def export(destination: OtlpDestination) -> ExportResult:
    exporters = Exporters({"traces": [destination]})
    exporter = exporters.of_outbox("traces")
    assert exporter is not None
    try:
        return await exporter.export(Batch([EncodedRequest(b"", 1)]))
    finally:
        await exporters.close()


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_named_authority_is_trusted(protocol: OtlpProtocol, certificates: Certificates) -> None:
    async with serving(protocol, certificates, clients_must_show=False) as port:
        assert await export(destination(protocol, port, certificate_file=certificates.authority)) == Delivered()


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_an_unknown_authority_is_not_and_the_queue_waits(
    protocol: OtlpProtocol, certificates: Certificates
) -> None:
    async with serving(protocol, certificates, clients_must_show=False) as port:
        result = await export(destination(protocol, port))
    assert isinstance(result, Paused)
    assert "OTEL_EXPORTER_OTLP_CERTIFICATE" in result.remedy


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_client_certificate_is_shown_where_it_is_asked_for(
    protocol: OtlpProtocol, certificates: Certificates
) -> None:
    async with serving(protocol, certificates, clients_must_show=True) as port:
        given = destination(
            protocol,
            port,
            certificate_file=certificates.authority,
            client_certificate_file=certificates.client,
            client_key_file=certificates.client_key,
        )
        assert await export(given) == Delivered()
        without = await export(destination(protocol, port, certificate_file=certificates.authority))
    assert isinstance(without, Paused | Retry | Unreachable)


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_certificate_and_key_may_share_a_file(
    protocol: OtlpProtocol, certificates: Certificates, tmp_path: Path
) -> None:
    both = tmp_path / "both.pem"
    both.write_bytes(certificates.client.read_bytes() + certificates.client_key.read_bytes())
    async with serving(protocol, certificates, clients_must_show=True) as port:
        given = destination(protocol, port, certificate_file=certificates.authority, client_certificate_file=both)
        assert await export(given) == Delivered()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_files_that_are_no_certificates_are_refused_at_the_start(
    protocol: OtlpProtocol, certificates: Certificates, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.pem"
    broken.write_text("no certificate")
    for settings in (
        {"certificate_file": broken},
        {"certificate_file": tmp_path / "missing.pem"},
        {"client_certificate_file": broken},
        {"client_certificate_file": certificates.client, "client_key_file": certificates.server_key},
    ):
        with pytest.raises(ExporterError, match="OTEL_EXPORTER_OTLP_CERTIFICATE"):
            Exporters({"traces": [destination(protocol, 4318, **settings)]})


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_the_systems_authorities_are_trusted_where_none_are_named(
    protocol: OtlpProtocol, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates.authority))
    async with serving(protocol, certificates, clients_must_show=False) as port:
        assert await export(destination(protocol, port)) == Delivered()


async def test_a_directory_of_authorities_is_trusted_over_grpc(
    certificates: Certificates, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "authority.pem").write_bytes(certificates.authority.read_bytes())
    (tmp_path / "README").write_text("no certificate")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "missing.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    async with serving("grpc", certificates, clients_must_show=False) as port:
        assert await export(destination("grpc", port)) == Delivered()


@pytest.fixture
def stranger(tmp_path: Path) -> tuple[Path, Path]:
    """Certificate and key of somebody whom no server knows."""
    own, key = tmp_path / "client.pem", tmp_path / "client.key"
    new = ("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
    subprocess.run(
        ["openssl", *new, "-subj", "/CN=stranger", "-keyout", str(key), "-out", str(own)],
        check=True,
        capture_output=True,
    )
    return own, key


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_certificates_that_are_renewed_on_disk_are_used_without_a_restart(
    protocol: OtlpProtocol, certificates: Certificates, stranger: tuple[Path, Path]
) -> None:
    own, key = stranger
    async with serving(protocol, certificates, clients_must_show=True) as port:
        given = destination(
            protocol,
            port,
            certificate_file=certificates.authority,
            client_certificate_file=own,
            client_key_file=key,
        )
        exporters = Exporters({"traces": [given]})
        exporter = exporters.of_outbox("traces")
        assert exporter is not None
        assert not isinstance(await exporter.export(Batch([EncodedRequest(b"", 1)])), Delivered)
        own.write_text("half writ")
        assert not isinstance(await exporter.export(Batch([EncodedRequest(b"", 1)])), Delivered)
        key.write_bytes(certificates.client_key.read_bytes())
        own.write_bytes(certificates.client.read_bytes())
        assert await exporter.export(Batch([EncodedRequest(b"", 1)])) == Delivered()
        await exporters.close()
