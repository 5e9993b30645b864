"""The sources that commands know: the built-in ones, or those of whoever calls the command line as a function."""

from __future__ import annotations

from typing import Any

import click

from cline_otel.sources.registry import SOURCES, Registry


def known_sources() -> Registry:
    """Those that were given to ``main(obj=...)``, else the built-in ones."""
    context = click.get_current_context(silent=True)
    given = context.find_object(Registry) if context is not None else None
    return SOURCES if given is None else given


class CommandOnRecordings(click.Command):
    """A command whose help says, for ``{recordings}``, what recordings of the known sources are."""

    def _with_recordings(self) -> str | None:
        return self._text and self._text.replace("{recordings}", ", ".join(known_sources().recordings))

    def _take_text(self, text: str | None) -> None:
        self._text = text

    # Asked for late: who calls the command line as a function may know other sources.
    help = property(_with_recordings, _take_text)


class SourceName(click.ParamType):  # type: ignore[type-arg]  # generic in newer releases of click only
    """The name of a known source. A choice whose names are asked for only when they are needed."""

    name = "source"

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        """All names, as of any choice."""
        return f"[{'|'.join(known_sources())}]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The name, if it is one."""
        return click.Choice(tuple(known_sources())).convert(value, param, ctx)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[click.shell_completion.CompletionItem]:
        """The names that begin so."""
        return click.Choice(tuple(known_sources())).shell_complete(ctx, param, incomplete)
