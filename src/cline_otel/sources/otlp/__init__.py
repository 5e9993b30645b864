"""The OTLP source: log records that Cline sends itself, over HTTP, in JSON or protobuf, or over gRPC."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Final

from cline_otel.grpc_library import quiet_grpc
from cline_otel.places import Places
from cline_otel.sources.interface import (
    Intake,
    Listening,
    Payload,
    Receiver,
    ReceiverProtocol,
    Recorded,
    Source,
    UpstreamRecord,
)

if TYPE_CHECKING:
    from pathlib import Path

    from cline_otel.catalogue.compiled import Catalogue
    from cline_otel.events import Event
    from cline_otel.signals import Diagnostics
    from cline_otel.sources.otlp.receiver import OtlpReceiver


class OtlpSource(Source):
    """Knows what ``cline.log`` knows, as far as it was sent before the end."""

    name = "otlp"
    reading = "OTLP logs on"
    recordings = "OTLP JSON lines"

    def decode(self, payload: Payload, catalogue: Catalogue, diagnostics: Diagnostics) -> Iterable[Event]:
        from cline_otel.sources.otlp.decode import decode

        return decode(payload, catalogue, diagnostics)

    def explode(self, payload: Payload) -> Iterator[UpstreamRecord]:
        from cline_otel.sources.otlp.explode import explode

        return explode(payload)

    def recognises(self, content: bytes) -> bool:
        from cline_otel.sources.files.lines import first_object
        from cline_otel.sources.otlp.recorded import request_of

        return bool(request_of(first_object(content)))

    def why_not(self, content: bytes) -> str:
        from cline_otel.sources.otlp.recorded import is_ours

        return (
            "it holds what cline-otel itself made, which is telemetry already: the collector's otlpjsonfile receiver "
            "sends such files; replay what it was made of, Cline's own files"
            if is_ours(content)
            else ""
        )

    def recorded(self, path: Path, content: bytes) -> Recorded:
        from cline_otel.sources.otlp.recorded import recorded

        return recorded(self.name, content)

    def where(self, places: Places) -> tuple[str, ...]:
        http = (f"{places.listening_on}/v1/logs",) if places.listening_on else ()
        grpc = (f"{places.listening_on_grpc} (gRPC)",) if places.listening_on_grpc else ()
        return http + grpc

    def receivers(self, listening: Listening, intake: Intake, report: Callable[[str], None]) -> tuple[Receiver, ...]:
        from cline_otel.sources.otlp.limits import MemoryBudget, ReceiverLimits
        from cline_otel.sources.otlp.senders import Senders

        limits = ReceiverLimits()
        budget = MemoryBudget(limits.held_bytes)
        senders = Senders(are_asked_for_a_token=listening.bearer_token is not None, uids=listening.uids, report=report)
        return tuple(
            _receiver_of(protocol)(
                intake,
                self.name,
                host=address.host,
                port=address.port,
                bearer_token=listening.bearer_token,
                further_hosts=listening.further_hosts,
                limits=limits,
                budget=budget,
                report=report,
                senders=senders,
            )
            for protocol, address in listening.addresses.items()
        )


def _receiver_of(protocol: ReceiverProtocol) -> type[OtlpReceiver]:
    # Each is imported only where it listens: gRPC costs time and memory.
    if protocol == "http":
        from cline_otel.sources.otlp.http_receiver import OtlpHttpReceiver

        return OtlpHttpReceiver
    with quiet_grpc():
        from cline_otel.sources.otlp.grpc_receiver import OtlpGrpcReceiver

    return OtlpGrpcReceiver


OTLP: Final = OtlpSource()
