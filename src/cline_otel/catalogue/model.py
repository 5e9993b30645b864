"""The shape of the catalogue's TOML files; what does not fit is refused when it is loaded."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta

from cline_otel.privacy.policy import Group, PrivacyClass
from cline_otel.privacy.pseudonyms import PseudonymKind

SeverityName = Literal["DEBUG", "INFO", "WARN", "ERROR"]
Serves = Literal["span", "log", "metric"]


class NameList(tuple[str, ...]):
    """One name, or several."""

    __slots__ = ()


_Shape = TypeVar("_Shape", bound="Strict")


class Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of a file, of which every key is known."""

    @classmethod
    def from_table(cls: type[_Shape], table: object) -> _Shape:
        """A table as it was read.

        Raises:
            ValueError: it does not fit; the text says where.
        """
        return msgspec.convert(table, cls, dec_hook=_read_as)


def _read_as(shape: type[Any], value: object) -> object:
    """Values of the types that only this module has."""
    if shape is NameList:
        return NameList([value] if isinstance(value, str) else msgspec.convert(value, list[str]))
    raise TypeError(shape)


class _Published(Strict, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What users build on, so that it is permanent (docs/stability.md).

    ``since`` is the release that had it first; ``deprecated`` says what to use instead, and since when.
    """

    since: Annotated[str, Meta(pattern=r"[0-9]+\.[0-9]+\.[0-9]+")] = "0.1.0"
    deprecated: str | None = None


class Attribute(_Published, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An attribute that may leave: its type, who may see it, and which values it may have.

    ``example`` is a value that it may have; those with listed values, and true or false, need none.
    """

    type: Literal["string", "int", "double", "bool", "strings"]
    privacy: PrivacyClass
    cardinality: Literal["low", "high"]
    convention: Literal["semconv", "genai", "specification", "cline"]
    serves: Annotated[frozenset[Serves], Meta(min_length=1)]
    description: str
    example: str | int | float | None = None
    pattern: str | None = None
    values: frozenset[str] | None = None
    values_from: str | None = None
    renames: dict[str, str] = {}
    signed: bool = False
    group: Group | None = None
    hashes: PseudonymKind | None = None


class InternalField(Strict, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A field that steers the translator and never leaves."""

    type: Literal["string", "int", "bool", "milliseconds"]
    pattern: str | None = None
    random: bool = False


class ResourceAttribute(_Published, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An attribute of the resource, which says who sends; ``signals`` that have it, ``only_in_jobs`` of a CI system."""

    convention: Literal["semconv", "cline"]
    only_in_jobs: bool = False
    signals: list[Literal["traces", "metrics", "logs"]]
    description: str
    example: str


class AttributesFile(Strict, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``attributes.toml``."""

    resource: dict[str, ResourceAttribute]

    patterns: dict[str, str]
    classes: dict[str, dict[str, str]]
    internal: dict[str, InternalField]
    attributes: dict[str, Attribute]
    values: dict[str, list[str]]
    providers: dict[str, str]


class Metric(_Published, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A metric: instrument, unit, attributes."""

    instrument: Literal["counter", "histogram", "gauge"]
    unit: str
    convention: Literal["semconv", "genai", "cline"]
    description: str
    attributes: list[str]
    names: list[str] = []
    value_type: Literal["int", "double"] = "double"
    boundaries: str | None = None


class MetricsFile(Strict, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``metrics.toml``."""

    boundaries: dict[str, list[float]]
    metrics: dict[str, Metric]


class Span(_Published, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A span: its name, what it carries and when it is an error."""

    name: str
    kind: Literal["INTERNAL", "CLIENT"]
    parent: list[str]
    convention: Literal["semconv", "genai", "cline"]
    description: str
    attributes: list[str]
    inherits: list[str] = []
    error_when: dict[str, list[str]]
    error_says: list[str]


class ProfileSpan(Strict, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a span shows otherwise: attributes that it leaves out, and further names for values that it has."""

    drops: frozenset[str] = frozenset()
    renames: dict[str, str] = {}
    copies: dict[str, str] = {}


class ProfileMetric(Strict, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a metric, or the part of its series that has the values of ``when``, is shown as."""

    of: str
    name: str
    unit: str
    description: str
    instrument: Literal["counter", "histogram"] | None = None
    when: dict[str, str] = {}
    renames: dict[str, str] = {}
    sets: dict[str, str] = {}


class ProfileLogRecord(Strict, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A log record under another event name: one of ours (``of_log``), or one that is made of a span (``of_span``)."""

    of_log: str | None = None
    of_span: str | None = None
    event_name: str
    when: dict[str, frozenset[str]] = {}
    unless: frozenset[str] = frozenset()
    attributes: dict[str, str]
    less: dict[str, list[str]] = {}
    values: dict[str, dict[str, str]] = {}
    duration_ms: str | None = None


class ProfileFile(Strict, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file of ``profiles``: what is exported under other names than ours."""

    description: str
    schema_url: str
    spans: dict[str, ProfileSpan] = {}
    metrics: list[ProfileMetric] = []
    log_records: dict[str, ProfileLogRecord] = {}


class EventKind(Strict, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a kind of event does to the spans, and which other signals that makes."""

    does: str
    logs: list[str] = []
    logs_if: str = ""
    metrics: list[str] = []

    def describe(self) -> str:
        """All of it, in a line for people."""
        parts = [self.does]
        if self.logs:
            parts.append(" ".join(filter(None, ["log", ", ".join(self.logs), self.logs_if])))
        if self.metrics:
            parts.append(f"{'metric' if len(self.metrics) == 1 else 'metrics'} {', '.join(self.metrics)}")
        return "; ".join(parts)


class SpansFile(Strict, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``spans.toml``: spans by the operation that they are, and kinds of events."""

    spans: dict[str, Span]
    kinds: dict[str, EventKind]


class Repeat(Strict, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose failure a log record tells once more, and with which values of attributes it does; without any always."""

    of: Literal["call", "edit", "model_call", "run"]
    when: dict[str, list[str]] = {}


class LogEventEntry(_Published, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A log record that is made of what Cline reports, or of a run."""

    severity: SeverityName
    body: str
    severity_by: dict[str, dict[str, SeverityName]] = {}
    sets: dict[str, str] = {}
    carries: list[str] = []
    counts: NameList = NameList()
    repeats: Repeat | None = None
    span_event: bool = False


class LogEventsCommon(Strict, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every log record carries."""

    carries: list[str]


class LogEventsFile(Strict, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``log_events.toml``."""

    common: LogEventsCommon
    log_events: dict[str, LogEventEntry]


class EventEntry(Strict, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An upstream event: what it means and what becomes of it."""

    kind: str
    meaning: str
    log_event: str | None = None
    known_to: frozenset[str] = frozenset()
    when: dict[str, frozenset[str]] = {}
    fields: dict[str, NameList] = {}
    classified: dict[str, str] = {}
    private: dict[PrivacyClass, list[str]] = {}
    unused: list[str] = []


class SourceCommon(Strict, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Fields that any event of a source may have."""

    fields: dict[str, NameList]
    fallbacks: dict[str, NameList] = {}
    ignored: list[str]
    private: dict[PrivacyClass, list[str]]
    pseudonyms: frozenset[str] = frozenset()


class LogMessages(Strict, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Lines of a log file that are no events; ``read`` has, by how its text begins, what one says all the same."""

    ignored: list[str]
    read: dict[str, EventEntry] = {}


class SourceFile(Strict, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A vocabulary: ``cline.toml``, which several sources share, or the rest of a source's own ``catalogue.toml``."""

    keys: dict[Literal["session_id", "agent_id", "run_id", "iteration", "call_id"], list[str]]
    common: SourceCommon
    events: dict[str, EventEntry]
    prefixes: dict[str, EventEntry]
    log_messages: LogMessages


class SourceTable(Strict, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[source]`` of a source's ``catalogue.toml``: its names, and what others may rely on.

    Attributes:
        name: in events, counters and options.
        rank: of several sources that report a run, the one of highest rank owns it.
        title: what people call it.
        piece: what a payload is that cannot be decoded at all.
        vocabulary: the shared one that it speaks; None where the file has its own.
        claims_sessions: it announces itself before it reports a run, and owns what it reports; others wait for it.
        knows_mode: its runs say which mode they are in.
        numbers_attempts: where it asks the model again within an iteration it says so; what has no number is the first.
        keys_by_ids: its runs, model calls and tool calls are told apart by the ids of Cline's messages and calls, and
            not by their positions, which such a source cannot know for sure.
        yields: of a prompt that any other source tells, it tells nothing.
        service: the ``service.name`` of what it tells, where that is another program than Cline.
    """

    name: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$")]
    rank: int
    title: str
    piece: str
    vocabulary: str | None = None
    claims_sessions: bool = False
    knows_mode: bool = False
    numbers_attempts: bool = False
    keys_by_ids: bool = False
    yields: bool = False
    service: Annotated[str, Meta(min_length=1)] | None = None


class OtherSource(Strict, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A place where Cline says things that are not read yet: what each name means."""

    description: str
    names: dict[str, str] = {}
    prefixes: list[str] = []


class OtherSourcesFile(Strict, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``other_sources.toml``."""

    sources: dict[str, OtherSource]
