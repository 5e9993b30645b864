"""Where telemetry comes from: the parts that every request repeats, encoded once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from cline_otel.encode import attributes
from cline_otel.encode.wire import LENGTH_DELIMITED, length_delimited, tag, text, varint
from cline_otel.signals import Attributes

# The three signals' requests have one shape: Request.1 is a Resource{Spans,Metrics,Logs} of
# {1: resource, 2: a Scope{Spans,Metrics,Logs}, 3: schema_url}, and that again {1: scope, 2: items, 3: schema_url}.
_FIRST = tag(1, LENGTH_DELIMITED)
_SECOND = tag(2, LENGTH_DELIMITED)

ITEM_TAG: Final = _SECOND
"""The tag before each span, metric or log record of a request."""


class ResourceAndScope:
    """The resource and instrumentation scope of every request, with their encoded bytes.

    ``schema_url`` says by which semantic conventions to read both, and is left out when empty.
    """

    __slots__ = (
        "_head",
        "_resource_bytes",
        "_schema_url_bytes",
        "resource",
        "schema_url",
        "scope_name",
        "scope_version",
    )

    def __init__(self, resource: Attributes, scope_name: str, scope_version: str, schema_url: str) -> None:
        self.resource: Final = resource
        self.scope_name: Final = scope_name
        self.scope_version: Final = scope_version
        self.schema_url: Final = schema_url
        self._resource_bytes: Final = length_delimited(1, attributes.field(_FIRST, resource))
        self._head: Final = length_delimited(1, text(1, scope_name) + text(2, scope_version))
        self._schema_url_bytes: Final = text(3, schema_url)

    def request(self, items: Sequence[bytes]) -> bytes:
        """An export request of one resource and one scope.

        ``items`` joined are the spans, metrics or log records, each behind ``ITEM_TAG`` and its length.
        Nothing for no items, which is an empty request.
        """
        joined = b"".join(items)
        if not joined:
            return b""
        schema_url = self._schema_url_bytes
        scope_length = len(self._head) + len(joined) + len(schema_url)
        scope_prefix = _SECOND + varint(scope_length)
        resource_length = len(self._resource_bytes) + len(scope_prefix) + scope_length + len(schema_url)
        return b"".join(
            (
                _FIRST,
                varint(resource_length),
                self._resource_bytes,
                scope_prefix,
                self._head,
                joined,
                schema_url,
                schema_url,
            )
        )
