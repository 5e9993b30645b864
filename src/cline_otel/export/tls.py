"""TLS for OTLP: whom to trust and who we are."""

from __future__ import annotations

import ssl
from pathlib import Path

from cline_otel.destinations import OtlpDestination


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
