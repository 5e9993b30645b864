"""``docs/settings.md``: every environment variable that something depends on, from the models that read them.

``python -m cline_otel.settings.reference`` writes the page to standard output.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import fields
from typing import Final, Literal

import msgspec

from cline_otel import markdown
from cline_otel.settings.variable import Variables
from cline_otel.settings.variables import (
    BRIDGE_PREFIX,
    COMMAND_PREFIX,
    OTLP_PREFIX,
    STANDARD_PREFIX,
    WITHOUT_EFFECT,
    BridgeVariables,
    CommandVariables,
    OtlpVariables,
    StandardVariables,
)
from cline_otel.settings.variables_of_others import CLINE_PREFIX, ClineVariables, EditorVariables, OtherVariables

Definer = Literal["cline-otel", "OpenTelemetry", "Cline", "others"]

_OTLP_SIGNALS: Final = ("TRACES", "METRICS", "LOGS")


class Variable(msgspec.Struct, frozen=True):
    """An environment variable.

    Attributes:
        name: as it stands in the environment.
        takes: what values it takes, for people.
        unset: the value that stands for the default, or in words what holds while it is not set; empty for nothing.
        description: what it does: a sentence.
        defined_by: who has defined it.
        general: the variable for all signals, if this one is the same for one signal.
    """

    name: str
    takes: str
    unset: str
    description: str
    defined_by: Definer
    general: str = ""


def variables() -> Iterator[Variable]:
    """Every variable, in the order of the page; those for one signal follow those for all."""
    yield from _of_class(BridgeVariables, BRIDGE_PREFIX, "cline-otel")
    yield from _of_class(CommandVariables, COMMAND_PREFIX, "cline-otel")
    yield from _of_class(StandardVariables, STANDARD_PREFIX, "OpenTelemetry")
    yield from _of_class(OtlpVariables, OTLP_PREFIX, "OpenTelemetry")
    for signal in _OTLP_SIGNALS:
        for variable in _of_class(OtlpVariables, OTLP_PREFIX, "OpenTelemetry"):
            name = f"{OTLP_PREFIX}{signal}_{variable.name.removeprefix(OTLP_PREFIX)}"
            yield msgspec.structs.replace(variable, name=name, general=variable.name)
    yield from _of_class(ClineVariables, CLINE_PREFIX, "Cline")
    yield from _of_class(OtherVariables, "", "others")
    yield from _of_class(EditorVariables, "", "others")


def _of_class(variables: type[Variables], prefix: str, defined_by: Definer) -> Iterator[Variable]:
    for field in fields(variables):
        told = field.metadata
        yield Variable(f"{prefix}{field.name.upper()}", told["takes"], told["unset"], told["description"], defined_by)


def settings_document() -> str:
    """The page, as Markdown."""
    every = list(variables())
    general = [variable for variable in every if not variable.general]
    of_signals: dict[str, list[str]] = {}
    for variable in every:
        if variable.general:
            of_signals.setdefault(variable.general, []).append(variable.name)
    otlp = [variable for variable in general if variable.name in of_signals]
    standard = [each for each in general if each.defined_by == "OpenTelemetry" and each not in otlp]
    parts = [
        _INTRODUCTION,
        "## The bridge's own",
        _table(each for each in general if each.defined_by == "cline-otel"),
        "## OpenTelemetry's",
        _table(standard),
        "## OpenTelemetry's for OTLP",
        _OTLP,
        _table(otlp),
        markdown.table(
            ("for all signals", "for one"), ((f"`{name}`", markdown.names(names)) for name, names in of_signals.items())
        ),
        "## Cline's",
        _CLINE,
        _table(each for each in general if each.defined_by == "Cline"),
        "## Others",
        _table(each for each in general if each.defined_by == "others"),
        "## Without effect",
        _WITHOUT_EFFECT,
        markdown.table(("variable", "why"), ((_name_or_beginning(name), why) for name, why in WITHOUT_EFFECT)),
    ]
    return "\n\n".join(parts) + "\n"


def _table(shown: Iterable[Variable]) -> str:
    return markdown.table(
        ("variable", "values", "default", "what it does"),
        ((f"`{each.name}`", each.takes, each.unset, each.description) for each in shown),
    )


def _name_or_beginning(name: str) -> str:
    return f"`{name}…`" if name.endswith("_") else f"`{name}`"


_INTRODUCTION: Final = """\
# Settings

All settings are environment variables. This page is made from the models in `src/cline_otel/settings/variables.py`
by `make docs`.

An empty variable counts as unset. A value that cannot be used ends the start with one line that names the variable, the
problem and the remedy. Variables that begin with `CLINE_OTEL_BRIDGE_` and are not known are named at the start.

More on some: where telemetry goes, and how that differs from the official exporters, [delivery.md](delivery.md);
what is exported, [privacy.md](privacy.md); off and on, remote config, and listening to other machines,
[control.md](control.md). The variables of the collector's configurations: [collector.md](collector.md)."""

_OTLP: Final = """\
Each for all signals, or for one; the one for the signal goes before. Endpoints are shown without what could be a
secret, headers not at all."""

_CLINE: Final = "Cline reads these itself; they are followed here so that both look in the same places."

_WITHOUT_EFFECT: Final = "These are named at the start if they are set, because something else holds here."


if __name__ == "__main__":
    sys.stdout.buffer.write(settings_document().encode())
