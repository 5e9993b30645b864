"""What stored values look like, as a list that people can read, and what may change of it by the way."""

from __future__ import annotations

import re
import types
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from typing import Any, Final, Literal, Union, get_args, get_origin

import msgspec

from cline_otel.state_format import Format

REQUIRED: Final = " (required)"
_FIELD: Final = re.compile(r"\w+: ")


class _Spelling:
    """Spells types; of every struct, enum and literal that it meets it notes the parts."""

    def __init__(self) -> None:
        self.parts: dict[str, list[str]] = {}
        self._literals: dict[Any, str] = {}

    def of(self, shape: Any) -> str:
        origin, inner = get_origin(shape), get_args(shape)
        if origin is Literal:
            name = self._literals.setdefault(shape, f"literal {len(self._literals) + 1}")
            self.parts[name] = list(map(repr, inner))
            return name
        if origin in (Union, types.UnionType):
            spelled = sorted(map(self.of, inner))
            return "any tagged struct" if all(map(_tag_of, inner)) else " | ".join(spelled)
        if origin is not None:
            return f"{origin.__name__}[{', '.join(map(self.of, inner))}]"
        if shape in (None, type(None), ...):
            return "..." if shape is ... else "None"
        if shape.__name__ not in self.parts and issubclass(shape, Enum):
            self.parts[shape.__name__] = [repr(each.value) for each in shape]
        if shape.__name__ not in self.parts and issubclass(shape, msgspec.Struct):
            parts = self.parts[shape.__name__] = [f"tag {tag!r}"] if (tag := _tag_of(shape)) else []
            parts += [
                f"{field.name}: {self.of(field.type)}{REQUIRED * field.required}"
                for field in msgspec.structs.fields(shape)
            ]
        return str(shape.__name__)


def _tag_of(shape: Any) -> Any:
    is_struct = isinstance(shape, type) and issubclass(shape, msgspec.Struct)
    return shape.__struct_config__.tag if is_struct else None


def layout(form: Format[Any]) -> dict[str, Any]:
    """A format's version and type, and the parts of all that it holds in their order: a struct's tag and fields, an
    enum's or a literal's values."""
    spelling = _Spelling()
    shape = spelling.of(form.struct)
    return {"version": form.version, "type": shape, "parts": spelling.parts}


def layouts(formats: Iterable[Format[Any]], schema: int) -> dict[str, Any]:
    """The whole list, with the version of the journal's schema."""
    return {"schema": schema, "formats": {form.name: layout(form) for form in formats}}


def breaches(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What has changed otherwise than by a field appended with a default, or by a new version.

    A new version may look as it likes, and values and tags may join those that there are, if the schema is a new one
    too: an older release must refuse the file, not take its rows for unreadable.
    """
    older_refuse = now["schema"] > before["schema"]
    found = [
        f"{name}: nothing is stored so any more" for name in sorted(before["formats"].keys() - now["formats"].keys())
    ]
    if now["schema"] < before["schema"]:
        found.append("the schema went back")
    for name, was in before["formats"].items():
        found += [f"{name}: {breach}" for breach in _breaches(was, now["formats"].get(name, was), older_refuse)]
    return found


_UNREFUSED: Final = "and older releases would not refuse the file: add a migration of the schema"


def _breaches(was: Mapping[str, Any], now: Mapping[str, Any], older_refuse: bool) -> Iterator[str]:
    if now["version"] != was["version"]:
        if now["version"] < was["version"]:
            yield "the version went back"
        elif not older_refuse:
            yield f"a new version, {_UNREFUSED}"
        return
    if now["type"] != was["type"]:
        yield f"{was['type']} became {now['type']}: migrate"
    for part, before in was["parts"].items():
        after = now["parts"].get(part, [])
        if after[: len(before)] != before:
            yield f"{part} lost, moved or changed a tag, a field or a value, or has a new name: migrate"
            continue
        for added in after[len(before) :]:
            if REQUIRED in added:
                yield f"{part}: {added} has no default: migrate"
            elif not _FIELD.match(added) and not older_refuse:
                yield f"{part}: {added} is new, {_UNREFUSED}"
    for part in now["parts"].keys() - was["parts"].keys():
        if any(each.startswith("tag ") for each in now["parts"][part]) and not older_refuse:
            yield f"{part} is new, {_UNREFUSED}"
