"""TLS for OTLP: whom to trust and who we are, from files that are renewed while we run."""

from __future__ import annotations

import os
import ssl
from pathlib import Path

from cline_otel.destinations import OtlpDestination
from cline_otel.operating_system.files import status_at

FilesStatus = tuple[tuple[int, ...], ...]
"""What tells whether the files of a destination are still those that were read."""


def files_status(destination: OtlpDestination) -> FilesStatus:
    """The status of the files that are named; one that is missing just now has none."""
    named = (destination.certificate_file, destination.client_certificate_file, destination.client_key_file)
    return tuple(status_at(Path(path)) if path else () for path in named)


def client_context(destination: OtlpDestination) -> ssl.SSLContext:
    """The context for connections to ``destination``: its own authorities or the system's, and its client certificate.

    Raises:
        OSError: a file cannot be read, is no PEM, or the key does not fit the certificate
            (``ssl.SSLError`` is an OSError).
    """
    if destination.certificate_file:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        is_directory = Path(destination.certificate_file).is_dir()
        context.load_verify_locations(
            cafile=None if is_directory else destination.certificate_file,
            capath=destination.certificate_file if is_directory else None,
        )
    else:
        context = ssl.create_default_context()
    if destination.client_certificate_file:
        context.load_cert_chain(destination.client_certificate_file, destination.client_key_file)
    return context


def system_authorities() -> bytes | None:
    """The system's authorities as PEM, for gRPC, which would trust those of its own package instead.

    They are the ones that ``ssl`` trusts: ``SSL_CERT_FILE`` and ``SSL_CERT_DIR``, or where the system has them. None
    if there are none, or the variable of gRPC's own names others.
    """
    if "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH" in os.environ:
        return None
    found = dict.fromkeys(ssl.create_default_context().get_ca_certs(binary_form=True))
    pems = [ssl.DER_cert_to_PEM_cert(certificate) for certificate in found]
    if not pems or "SSL_CERT_DIR" in os.environ:
        # A directory is looked at by ``ssl`` only when a certificate asks for one of its files.
        directory = ssl.get_default_verify_paths().capath
        pems += _certificates_in(Path(directory)) if directory else []
    return "".join(pems).encode() or None


def _certificates_in(directory: Path) -> list[str]:
    pems: list[str] = []
    for path in sorted(directory.iterdir()) if directory.is_dir() else ():
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        try:
            context.load_verify_locations(cafile=path)
        except OSError:
            continue
        pems += [ssl.DER_cert_to_PEM_cert(each) for each in context.get_ca_certs(binary_form=True)]
    return list(dict.fromkeys(pems))
