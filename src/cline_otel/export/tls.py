"""TLS for OTLP: whom to trust and who we are."""

from __future__ import annotations

import ssl
from pathlib import Path

from cline_otel.destinations import OtlpTarget


def client_context(target: OtlpTarget) -> ssl.SSLContext:
    """The context for connections to ``target``: its own authorities or the system's, and its client certificate.

    Raises:
        OSError: a file cannot be read, is no PEM, or the key does not fit the certificate
            (``ssl.SSLError`` is an OSError).
    """
    if target.certificate_file:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        is_directory = Path(target.certificate_file).is_dir()
        context.load_verify_locations(
            cafile=None if is_directory else target.certificate_file,
            capath=target.certificate_file if is_directory else None,
        )
    else:
        context = ssl.create_default_context()
    if target.client_certificate_file:
        context.load_cert_chain(target.client_certificate_file, target.client_key_file)
    return context
