"""The JSON stream source: what ``cline --json`` writes to its standard output, wherever that Cline runs.

Where nothing else of a Cline reaches this machine (``ssh host cline --json ... | cline-otel pipe``), its stream tells a
prompt: its model calls, tools, tokens, cost and outcome. What any other source tells of a prompt it does not tell.
``pipe`` makes records of a stream as it goes through, which hold no content, and leaves them in the state directory
when it has ended; whichever bridge runs there takes them in.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

from cline_otel.places import Places
from cline_otel.sources.interface import Input, Payload, Recorded, Source, StreamReader, UpstreamRecord

if TYPE_CHECKING:
    from pathlib import Path

    from cline_otel.catalogue.compiled import Catalogue
    from cline_otel.events import Event
    from cline_otel.privacy.policy import Policy
    from cline_otel.signals import Diagnostics


class JsonStreamSource(Source):
    """Knows the calls and tools of one prompt, and whose they are where one agent is at work."""

    name = "json-stream"
    reading = "streams of cline --json"
    recordings = "a stream of cline --json"

    def decode(self, payload: Payload, catalogue: Catalogue, diagnostics: Diagnostics) -> Iterable[Event]:
        from cline_otel.sources.records.decode import decode

        return decode(payload, catalogue, diagnostics)

    def explode(self, payload: Payload) -> Iterator[UpstreamRecord]:
        from cline_otel.sources.records.decode import explode

        return explode(payload)

    def recognises(self, content: bytes) -> bool:
        from cline_otel.sources.json_stream.lines import is_stream

        return is_stream(content)

    def recorded(self, path: Path, content: bytes) -> Recorded:
        from cline_otel.sources.json_stream.story import records_of

        return Recorded([Payload(self.name, records_of(content), place=str(path))], {})

    def where(self, places: Places) -> tuple[str, ...]:
        from cline_otel.sources.json_stream.inbox import directory_in

        return (str(directory_in(places.state_directory)),)

    def stream_reader(self, places: Places, policy: Policy) -> StreamReader | None:
        from cline_otel.catalogue.load import read_tables
        from cline_otel.sources.json_stream.inbox import PassingStream, directory_in
        from cline_otel.sources.json_stream.names import HiddenNames, PlainNames

        names = PlainNames()
        if policy.pseudonyms is not None and not policy.is_plain("names"):
            names = HiddenNames(policy.pseudonyms, read_tables().built_in_tools)
        return PassingStream(directory_in(places.state_directory), names)

    def inputs(self, places: Places) -> tuple[Input, ...]:
        from cline_otel.sources.json_stream.inbox import StreamsInput, directory_in

        return (StreamsInput(self.name, directory_in(places.state_directory)),)


JSON_STREAM: Final = JsonStreamSource()
