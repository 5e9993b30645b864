"""Where telemetry comes from: the parts that every request repeats, encoded once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeVar

from cline_otel.encode import attributes
from cline_otel.encode.wire import LENGTH_DELIMITED, length_delimited, tag, text, varint
from cline_otel.signals import SERVICE_NAME, Attributes, LogRecord, SpanRecord

_Record = TypeVar("_Record", SpanRecord, LogRecord)

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
        "_of",
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
        self._of: Final = {"": self}

    def of(self, service: str) -> ResourceAndScope:
        """The same for another ``service.name``; this one for an empty one."""
        found = self._of.get(service)
        if found is None:
            rest = tuple(pair for pair in self.resource if pair[0] != SERVICE_NAME)
            found = self._of[service] = ResourceAndScope(
                ((SERVICE_NAME, service), *rest), self.scope_name, self.scope_version, self.schema_url
            )
        return found

    def request_of(self, records: Sequence[_Record], items_of: Callable[[Sequence[_Record]], list[bytes]]) -> bytes:
        """An export request of records, those of each service under a resource of its own.

        ``items_of`` encodes some of them as ``request`` takes them.
        """
        return b"".join([self.of(service).request(items_of(some)) for service, some in _by_service(records)])

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


def _by_service(records: Sequence[_Record]) -> Iterable[tuple[str, Sequence[_Record]]]:
    """The records of each service, in their order; those of none of their own come first."""
    services = {record.service for record in records}
    if len(services) == 1:
        return [(service, records) for service in services]
    return [(service, [each for each in records if each.service == service]) for service in sorted(services)]
