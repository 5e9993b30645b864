"""What a source is: all that the rest of the product asks of one.

A source has a folder with ``catalogue.toml`` (its names, rank, capabilities and vocabulary), a pure decoder and, as far
as it needs them, readers. Nothing outside that folder names it: who wants something of the sources takes it from a
:class:`~cline_otel.sources.registry.Registry`. Imports nothing that is slow: ``cline-otel --help`` may look here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    from cline_otel.catalogue.compiled import Catalogue
    from cline_otel.catalogue.load import SourceText
    from cline_otel.events import Event
    from cline_otel.places import Places
    from cline_otel.privacy.policy import Policy
    from cline_otel.signals import Diagnostics


class MalformedPayload(Exception):  # noqa: N818 - named for what is wrong with the payload
    """A payload as a whole cannot be decoded, and never will be. The text quotes nothing of it."""


class ReceiverRefused(Exception):  # noqa: N818 - it refuses to start
    """A receiver can't or won't listen; the text names the address, the reason and the remedy."""


class AddressInUse(ReceiverRefused):
    """Another program listens there: nobody's mistake, and the bridge goes on without this receiver."""


ReceiverProtocol = Literal["http", "grpc"]


class Payload(NamedTuple):
    """What a source hands over in one piece, still encoded.

    Attributes:
        source: its name.
        parts: records in the order written, for example the lines of a file without newlines, or one request's body.
        encoding: how the parts are written, where the source knows several ways.
        writer: who wrote them, where they do not say it themselves: a process, a session.
        skipped_parts: how many parts were too long to be handed over.
        ended_at_ns: when it was seen that the writer is gone and all it wrote was handed over, nanoseconds since the
            Unix epoch; None while it may write on. May be said twice, when the bridge stopped in between.
        place: which file or the like it was read from, where that comes piece by piece; empty for what is handed over
            whole, as a request is. Equal records without a key are all real in one place, and repeats in another.
        records: records that the source has made itself of what it read, and that need no decoding.
    """

    source: str
    parts: Sequence[bytes] = ()
    encoding: str = "json"
    writer: str = ""
    skipped_parts: int = 0
    ended_at_ns: int | None = None
    place: str = ""
    records: Sequence[Mapping[str, object]] = ()


class UpstreamRecord(NamedTuple):
    """One record of a payload as it was reported: what its decoder reads it from.

    Attributes:
        name: the event's name as it was reported, which may be anything; empty if there is none.
        reported_at_ns: when it happened, as it says, nanoseconds since the Unix epoch; None if it does not.
        fields: the values by name, still encoded as JSON.
        around: names of what surrounds the fields, of which nothing is told.
        payload: this record alone.
        with_only: this record alone, with these of its fields only.
    """

    name: str
    reported_at_ns: int | None
    fields: Mapping[str, bytes]
    around: tuple[str, ...]
    payload: Payload
    with_only: Callable[[Collection[str]], Payload]


class Recorded(NamedTuple):
    """What a recording holds.

    Attributes:
        payloads: in their order.
        diagnostics: what else was found, which is in no payload.
    """

    payloads: list[Payload]
    diagnostics: Diagnostics


class Address(NamedTuple):
    """Where a receiver is to listen.

    Attributes:
        host: a name or an address.
        port: 0 for any free one.
    """

    host: str
    port: int


class Listening(NamedTuple):
    """Where receivers are to listen, and whom they let in.

    Attributes:
        addresses: by protocol; those that are not there are not listened for.
        bearer_token: what senders must show; None if nothing.
        further_hosts: names, besides their own, by which senders reach them.
        uids: the numbers of users who may send without a token, besides this one and root.
    """

    addresses: Mapping[ReceiverProtocol, Address]
    bearer_token: str | None = None
    further_hosts: frozenset[str] = frozenset()
    uids: frozenset[int] = frozenset()


class Reading(NamedTuple):
    """A payload, and the cursor after it: opaque bytes, kept under a key."""

    key: str
    cursor: bytes
    payload: Payload


class Unread(NamedTuple):
    """What was written and not read yet.

    Attributes:
        size_bytes: of all of it.
        records: whole ones; None where they cannot be distinguished.
        oldest_at_ns: when the first of them was written, as it says, nanoseconds since the Unix epoch.
    """

    size_bytes: int = 0
    records: int | None = 0
    oldest_at_ns: int | None = None

    def __or__(self, other: Unread) -> Unread:
        """Both together."""
        times = [each for each in (self.oldest_at_ns, other.oldest_at_ns) if each is not None]
        records = None if self.records is None or other.records is None else self.records + other.records
        return Unread(self.size_bytes + other.size_bytes, records, min(times, default=None))


class Finished(NamedTuple):
    """What is wholly read and will not grow: what is to be said of it, and the keys of what may be removed then."""

    payloads: tuple[Payload, ...] = ()
    keys: tuple[str, ...] = ()


class PastPrompt(NamedTuple):
    """One prompt of a session that is past, with all that came of it.

    Attributes:
        run_id: as its source names the run.
        began_at_ns: nanoseconds since the Unix epoch.
        is_over: whether it has ended, and all that it started.
    """

    run_id: str
    began_at_ns: int
    is_over: bool


class PastReading(NamedTuple):
    """What the files of a session that is past say.

    Attributes:
        session_id: the session, as its source names it.
        prompts: the prompts, in the order of time.
        payloads: what comes of those prompts that have one of these run ids, in the order of time, in pieces.
        cursor: that of the session's input after every prompt that is over was told, whoever told it. Without any such
            prompt it is as it was.
        problem: what could not be read, a line for people; empty if all could.
        told_whole_as: the session by which another source may tell all of it as one run; empty if none does.
    """

    session_id: str
    prompts: tuple[PastPrompt, ...]
    payloads: Callable[[Collection[str]], Iterator[Payload]]
    cursor: bytes | None
    problem: str = ""
    told_whole_as: str = ""


class PastSession(ABC):
    """A session, or a task, as its files keep it. What stands here is known without reading a conversation.

    Attributes:
        source: the name of the source that it belongs to.
        key: the cursor key by which its input, if there is one, knows how far it was told.
        signature: changes whenever its files do.
        surface: where Cline was used: ``cline-cli``, ``cline-sdk``, ``vscode``, ``jetbrains``, or which fork of it was:
            ``roo-code``, ``kilo-code``; ``other`` if that is not known.
        began_at_ns: nanoseconds since the Unix epoch.
        ended_at_ns: when something last happened, nanoseconds since the Unix epoch.
        size_bytes: of its conversations.
        tokens: of all its model calls, as Cline added them up; None where it did not.
        cost_usd: so too.
    """

    source: str
    key: str
    signature: str
    surface: str
    began_at_ns: int
    ended_at_ns: int
    size_bytes: int
    tokens: int | None
    cost_usd: float | None

    @abstractmethod
    def read(self, cursor: bytes | None) -> PastReading:
        """What its files say.

        Args:
            cursor: how far its input has told it; None if that knows nothing of it.

        Raises:
            OSError: they cannot be read.
        """


class Input(ABC):
    """Something that yields payloads, each with a cursor: a file, a folder, or a part of a database.

    Cursors are given to each call and never kept: they belong to whoever commits them.

    No method but ``erase`` raises anything: files may be missing, torn, damaged or forbidden at any moment, and what
    cannot be read is said in ``problems`` and tried again at the next call. Whatever is raised all the same is a
    defect: it is reported once for as long as it lasts, by its type and place, and the other inputs are read on.

    Attributes:
        source: the name of the source that it belongs to.
        problems: what cannot be read at present, a line for people by cursor key; it stops nothing else.
    """

    def __init__(self, source: str) -> None:
        self.source = source
        self.problems: dict[str, str] = {}

    @abstractmethod
    def owns(self, key: str) -> bool:
        """Whether a cursor key is of this input."""

    @abstractmethod
    def can_go_on_from(self, cursor: bytes) -> bool:
        """Whether a cursor that was stored is one; of another, which is damaged, nothing is asked but this."""

    def usable(self, cursors: Mapping[str, bytes]) -> dict[str, bytes]:
        """Its own of these cursors, without those that are damaged."""
        return {key: cursor for key, cursor in cursors.items() if self.owns(key) and self.can_go_on_from(cursor)}

    @abstractmethod
    def read(self, cursors: Mapping[str, bytes], limit_bytes: int) -> list[Reading]:
        """What comes next after these cursors, about so much; empty if there is nothing new. No key stands twice."""

    @abstractmethod
    def ends(self) -> dict[str, bytes | None]:
        """Cursors behind all that is there, unread; None where there is nothing and the key is to be forgotten."""

    @abstractmethod
    def unread(self, cursors: Mapping[str, bytes]) -> Unread:
        """What is there behind these cursors. Changes nothing on the disk."""

    def finished(self, cursors: Mapping[str, bytes]) -> Finished:
        """What is wholly read up to these cursors and will not grow."""
        return Finished()

    def remove(self, finished: Finished, cursors: Mapping[str, bytes]) -> None:
        """Remove what is finished, after what was said of it is committed. Only what was written for us."""
        return

    def missing(self, cursors: Iterable[str]) -> list[str]:
        """Those of the keys whose place is not there any more, so that they may be forgotten."""
        return []

    def erase(self) -> int:
        """Delete what was written for us, read or not, and nothing of Cline's own; how many files that were.

        Raises:
            UndeletableFile: something cannot be deleted.
        """
        return 0

    def close(self) -> None:
        """Let go of open files."""
        return


class UndeletableFile(Exception):  # noqa: N818 - named for the file's state
    """A file that is done with can't be deleted; the text names it, the reason and the remedy."""


class ReceiveResult(NamedTuple):
    """What became of one payload that was sent, after its commit.

    ``rejected`` records are lost for good: the sender gets ``message`` and must not resend
    (OTLP specification, "Partial Success"). ``message`` goes out as it is, so it holds no payload.
    """

    accepted: int
    rejected: int = 0
    message: str = ""


class Intake(Protocol):
    """Who takes what receivers get."""

    async def receive(self, payload: Payload) -> ReceiveResult:
        """Take one payload; returns after its commit.

        Raises:
            MalformedPayload: it can't be decoded.
            Busy: nothing was taken because there is too much to do.
            Unavailable: nothing was taken because it can't be committed.
        """

    async def count_unsupported(self, source: str, signal: str) -> None:
        """Count a request that is accepted and dropped, of a signal that is not read."""


class Receiver(Protocol):
    """Takes what Cline sends by itself."""

    protocol: ClassVar[ReceiverProtocol]

    @property
    def endpoint(self) -> str:
        """The base URL, with the bound port once it has started."""

    def turned_away(self) -> tuple[str, ...]:
        """Which users were refused, and how often, in lines for people."""

    async def start(self) -> None:
        """Listen.

        Raises:
            AddressInUse: another program listens there.
            ReceiverRefused: it can't, or must not.
        """

    async def stop(self, grace_seconds: float = 5) -> None:
        """Accept no more, let what is in progress finish within that time, then close every connection."""


class StreamReader(ABC):
    """Reads a stream that goes through ``pipe`` to somebody else, in a thread of its own. Nothing that it raises
    keeps the stream from going on.
    """

    @abstractmethod
    def take(self, line: bytes) -> None:
        """A line, which may be anything."""

    @abstractmethod
    def end(self) -> None:
        """The stream has ended, or nobody takes it any more: leave what it told where the source's input finds it.

        Raises:
            OSError: that cannot be written.
        """


class Source(ABC):
    """A kind of place where Cline, or its plugin, says what happens.

    A source without state: whatever reads has its own. Decoding and exploding are pure.

    Attributes:
        name: as in its ``catalogue.toml``, next to its module.
        reading: what it is read from, in words that the place follows.
        recordings: what its recordings are, in words, for a message that lists what can be read.
    """

    name: str
    reading: str
    recordings: str

    @abstractmethod
    def decode(self, payload: Payload, catalogue: Catalogue, diagnostics: Diagnostics) -> Iterable[Event]:
        """The events of a payload, in order. What cannot be decoded is counted by its reason and stops nothing.

        Parts may hold anything: no JSON, JSON of another type, a record without the keys that all have, values of any
        type. Such a record is counted as ``malformed``, and those after it are decoded. Anything else that is raised
        is a defect: it is counted as ``defect`` and costs the rest of the payload.

        Raises:
            MalformedPayload: nothing of it can be decoded; before the first event.
        """

    @abstractmethod
    def explode(self, payload: Payload) -> Iterator[UpstreamRecord]:
        """Every record of a payload, read as ``decode`` reads it; also those that become nothing.

        Raises nothing, nor does ``with_only``: a record that cannot be read has no name and no fields.
        """

    @abstractmethod
    def recognises(self, content: bytes) -> bool:
        """Whether a file with this content, which may be anything, is a recording of this source. Raises nothing."""

    @abstractmethod
    def recorded(self, path: Path, content: bytes) -> Recorded:
        """What a file that was recognised holds. The rest of it may be anything: torn, damaged, of another kind.

        Raises nothing: what cannot be read is counted as ``malformed``, and whole records beside it are kept where
        they can be told apart. Whatever is raised all the same is counted as ``defect``, and the file is skipped.
        """

    @property
    def reads_around(self) -> bool:
        """Whether ``recorded`` reads the files around the one that was recognised, which must be as they were then."""
        return False

    def why_not(self, content: bytes) -> str:
        """Of a file that was recognised: what it is, and what to do with it, if it is no recording; empty if it is."""
        return ""

    def recordings_in(self, folder: Path) -> Iterable[Path]:
        """Where recordings of it lie in a folder, besides the folder's own files."""
        return ()

    @abstractmethod
    def where(self, places: Places) -> tuple[str, ...]:
        """The places that it is read from, for people; none if it is not read."""

    def inputs(self, places: Places) -> tuple[Input, ...]:
        """What is to be polled."""
        return ()

    def past_sessions(self, places: Places, path: Path | None = None) -> Iterable[PastSession]:
        """The sessions that its files keep: where it is read from, or in a folder that somebody names.

        Raises nothing: what cannot be looked at is not there.
        """
        return ()

    def stream_reader(self, places: Places, policy: Policy) -> StreamReader | None:
        """What reads a stream of it that goes through this process; None for what is no stream.

        Args:
            places: where it may leave what it reads.
            policy: what the user lets leave, with the installation's pseudonyms.
        """
        return None

    def receivers(self, listening: Listening, intake: Intake, report: Callable[[str], None]) -> tuple[Receiver, ...]:
        """What listens for it, if it is sent; ``report`` takes a line about a defect, without anything that came.

        There is one address for each protocol, so one source of a registry may have receivers.
        """
        return ()

    def catalogue_text(self) -> SourceText:
        """Its ``catalogue.toml``."""
        from importlib.resources import files

        from cline_otel.catalogue.load import SourceText

        package = type(self).__module__
        text = files(package).joinpath("catalogue.toml").read_text(encoding="utf-8")
        return SourceText(f"{package.replace('.', '/')}/catalogue.toml", text)
