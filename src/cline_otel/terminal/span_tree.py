"""A trace as rows: who is under whom, in which order, and what a row says of its span."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, Literal

import msgspec

from cline_otel.signals import SpanRecord, StatusCode
from cline_otel.terminal.formatting import Glyphs, compact, dollars

Tone = Literal["failed", "warned", "completed", "plain"]

_MAX_GUIDE_CHARACTERS: Final = 240


class Row(msgspec.Struct, frozen=True, gc=False):
    """A span's place in its tree: ``guides`` are the tree lines left of its name."""

    span: SpanRecord
    guides: str
    is_orphan: bool


class Note(msgspec.Struct, frozen=True, gc=False):
    """How a span ended, in words; empty where there is nothing to say. ``detail`` may be left out for want of room."""

    text: str
    tone: Tone
    detail: str = ""


class Tokens(msgspec.Struct, frozen=True, gc=False):
    """Input and output tokens, and the cost in US dollars; ``None`` and 0 where unknown."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: float = 0.0

    @property
    def is_known(self) -> bool:
        """Whether any tokens are known."""
        return self.input_tokens is not None or self.output_tokens is not None

    def sides(self) -> tuple[str, str]:
        """Input and output in few characters; a question mark for a side that is unknown."""
        return _side(self.input_tokens), _side(self.output_tokens)

    def cost(self) -> str:
        """The cost, empty where unknown."""
        return dollars(self.cost_usd) if self.cost_usd > 0 else ""


def _side(tokens: int | None) -> str:
    return "?" if tokens is None else compact(tokens)


def traces_of(spans: Iterable[SpanRecord]) -> list[list[SpanRecord]]:
    """The spans by trace, traces and spans ordered by when they started."""
    traces: dict[bytes, list[SpanRecord]] = {}
    for span in spans:
        traces.setdefault(span.trace_id, []).append(span)
    for trace in traces.values():
        trace.sort(key=_order)
    return sorted(traces.values(), key=lambda trace: (trace[0].started_at_ns, trace[0].trace_id))


def _order(span: SpanRecord) -> tuple[int, int, str, bytes]:
    return span.started_at_ns, -span.ended_at_ns, span.name, span.span_id


class Tree(msgspec.Struct, frozen=True):
    """Who is under whom, by their places in a trace: those below none, and who is right below each."""

    roots: list[int]
    children: dict[int, list[int]]

    def below(self, index: int) -> list[int]:
        """Those right below one."""
        return self.children.get(index, [])


def tree_of(trace: Sequence[SpanRecord]) -> Tree:
    """The tree of a trace's spans, each of which stands in it once, in their order.

    A span whose parent is not there is below none. Of spans with one id the first has those below it. Of spans that
    are each other's ancestors the first is below none.
    """
    first_of_id: dict[bytes, int] = {}
    for index, span in enumerate(trace):
        first_of_id.setdefault(span.span_id, index)
    parents = [first_of_id.get(span.parent_span_id) if span.parent_span_id else None for span in trace]
    children = _children_of(parents)
    roots = [index for index, parent in enumerate(parents) if parent is None]
    reached = bytearray(len(trace))
    for top in (*roots, *range(len(trace))):
        if reached[top]:
            continue
        if parents[top] is not None:
            roots.append(top)
            parents[top] = None
        pending = [top]
        while pending:
            index = pending.pop()
            if not reached[index]:
                reached[index] = 1
                pending += children.get(index, ())
    return Tree(roots, _children_of(parents))


def _children_of(parents: Sequence[int | None]) -> dict[int, list[int]]:
    children: dict[int, list[int]] = {}
    for index, parent in enumerate(parents):
        if parent is not None:
            children.setdefault(parent, []).append(index)
    return children


def rows_of(trace: Sequence[SpanRecord], glyphs: Glyphs) -> Iterator[Row]:
    """Every span of a trace once, parents before children; ``trace`` as ``traces_of`` orders it.

    Those of ``tree_of`` that are below none stand beside the root.
    """
    tree = tree_of(trace)
    for top in tree.roots:
        pending = [(top, "", "")]
        while pending:
            index, guides, inherited = pending.pop()
            span = trace[index]
            yield Row(span, guides, is_orphan=index == top and bool(span.parent_span_id))
            below = tree.below(index)
            for child in reversed(below):
                is_last = child == below[-1]
                pending.append(
                    (
                        child,
                        inherited + (glyphs.last_branch if is_last else glyphs.branch),
                        (inherited + ("  " if is_last else glyphs.trunk))[-_MAX_GUIDE_CHARACTERS:],
                    )
                )


def has_failed(span: SpanRecord) -> bool:
    """Whether the span is an error: by its status or by naming an ``error.type``."""
    return span.status is StatusCode.ERROR or any(name == "error.type" for name, _ in span.attributes)


def note_of(span: SpanRecord, *, is_orphan: bool = False) -> Note:
    """How the span ended: its ``error.type`` if it failed, else aborted or incomplete if it was."""
    values = dict(span.attributes)
    outcome = str(values.get("cline.outcome", ""))
    detail = ""
    if has_failed(span):
        error_type = str(values.get("error.type", "_OTHER"))
        text = f"{outcome or 'error'} ({error_type})" if error_type == "_OTHER" else error_type
        tone: Tone = "failed"
        if values.get("process.exit.code"):
            detail = f", exit {values['process.exit.code']}"
    elif outcome in ("aborted", "incomplete"):
        text, tone = outcome, "warned"
    elif values.get("cline.incomplete") is True:
        text, tone = "incomplete", "warned"
    else:
        text, tone = "", "plain"
    if is_orphan:
        text = f"{text}, parent missing" if text else "parent missing"
        tone = "warned" if tone == "plain" else tone
    return Note(text, tone, detail)


def outcome_of(trace: Sequence[SpanRecord]) -> Note:
    """How the whole trace ended: what its root says, or that there is none."""
    roots = [span for span in trace if not span.parent_span_id]
    if not roots:
        return Note("root missing", "warned")
    notes = [note_of(root) for root in roots]
    for note in notes:
        if note.tone == "failed":
            return note if note.text.startswith("failed") else Note(f"failed: {note.text}", "failed")
    for note in notes:
        if note.text:
            return note
    return Note(str(dict(roots[0].attributes).get("cline.outcome", "")), "completed")


def tokens_of(span: SpanRecord) -> Tokens:
    """A model call's tokens and cost, or those of an agent's own model calls.

    An agent counts from 0, so its 0 may mean that no call reported any: it is shown as unknown.
    """
    values = dict(span.attributes)
    prefix = "cline.run" if "cline.run.model_calls" in values else "gen_ai.usage"
    sent, received = values.get(f"{prefix}.input_tokens"), values.get(f"{prefix}.output_tokens")
    cost = values.get("cline.cost_usd", 0.0)
    if prefix == "cline.run" and not sent and not received:
        sent = received = None
    return Tokens(
        sent if isinstance(sent, int) else None,
        received if isinstance(received, int) else None,
        cost if isinstance(cost, int | float) else 0.0,
    )


def total_tokens_of(trace: Iterable[SpanRecord]) -> Tokens:
    """What a trace's model calls took together; what its agents say where it holds no model calls."""
    spans = list(trace)
    calls = [span for span in spans if span.name.startswith("chat ")]
    told = [tokens_of(span) for span in calls or spans]
    sent = [tokens.input_tokens for tokens in told if tokens.input_tokens is not None]
    received = [tokens.output_tokens for tokens in told if tokens.output_tokens is not None]
    return Tokens(sum(sent) if sent else None, sum(received) if received else None, sum(t.cost_usd for t in told))
