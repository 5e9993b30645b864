"""Quantities as a person reads them, and the characters that a terminal can show."""

from __future__ import annotations

from typing import Final, NamedTuple

from rich.cells import cell_len, set_cell_size

_MS_NS: Final = 1_000_000
_MINUTE: Final = 60
_HOUR: Final = 3_600
_DAY: Final = 86_400


class Glyphs(NamedTuple):
    """The characters of a view. ``bar_blocks`` holds one character per eighth of a cell, from 1 to 8.

    ``right_half`` is empty where there is no such character.
    """

    branch: str
    last_branch: str
    trunk: str
    arrow: str
    ellipsis: str
    failed: str
    warned: str
    completed: str
    about: str
    times: str
    grid: str
    bar_blocks: str
    right_half: str

    @property
    def is_ascii(self) -> bool:
        """Whether nothing but ASCII can be shown."""
        return self.bar_blocks.isascii()


UNICODE: Final = Glyphs("├ ", "└ ", "│ ", "→", "…", "✗ ", "! ", "✓ ", "≈", "×", "┊", "▏▎▍▌▋▊▉█", "▐")  # noqa: RUF001 the sign is meant
ASCII: Final = Glyphs("|-", "`-", "| ", "->", "...", "ERR ", "! ", "", "~", "x", ":", "########", "")


def glyphs_for(*, ascii_only: bool) -> Glyphs:
    """The characters for a terminal whose encoding is not a Unicode one (``ascii_only``), or is."""
    return ASCII if ascii_only else UNICODE


def printable(text: str, glyphs: Glyphs = UNICODE) -> str:
    """The text, its control characters, and where only ASCII can be shown the others, as question marks."""
    if text.isprintable() and (text.isascii() or not glyphs.is_ascii):
        return text
    return "".join(c if c.isprintable() and (c.isascii() or not glyphs.is_ascii) else "?" for c in text)


def fitted(text: str, cells: int, glyphs: Glyphs = UNICODE) -> str:
    """The text, cut to ``cells`` terminal cells with an ellipsis in its last ones where it is longer."""
    if cell_len(text) <= cells:
        return text
    ellipsis = glyphs.ellipsis[: max(cells, 0)]
    return set_cell_size(text, max(cells - len(ellipsis), 0)).rstrip() + ellipsis


def duration(nanoseconds: int) -> str:
    """A time span in nanoseconds: ``371 ms``, ``5.01 s``, ``2m 05s``, ``1h 02m``, ``3d 04h``."""
    milliseconds = max(nanoseconds, 0) / _MS_NS
    if milliseconds < 999.5:
        if milliseconds == 0 or milliseconds >= 0.95:
            return f"{milliseconds:.0f} ms"
        return f"{milliseconds:.1f} ms" if milliseconds >= 0.05 else "<0.1 ms"
    seconds = milliseconds / 1e3
    if seconds < 59.95:
        return f"{seconds:.2f} s" if seconds < 9.995 else f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < _HOUR:
        return f"{whole // _MINUTE}m {whole % _MINUTE:02}s"
    if whole < _DAY:
        return f"{whole // _HOUR}h {whole % _HOUR // _MINUTE:02}m"
    return f"{whole // _DAY}d {whole % _DAY // _HOUR:02}h"


def tick_label(nanoseconds: int) -> str:
    """A mark on a time axis, without needless digits: ``0``, ``500 ms``, ``1.5 s``, ``2m``, ``1h 30m``."""
    if nanoseconds == 0:
        return "0"
    if nanoseconds < 1_000 * _MS_NS:
        return f"{nanoseconds / _MS_NS:g} ms"
    if nanoseconds < _MINUTE * 1_000 * _MS_NS:
        return f"{nanoseconds / 1e9:g} s"
    seconds = nanoseconds // 1_000_000_000
    parts = ((seconds // _DAY, "d"), (seconds % _DAY // _HOUR, "h"), (seconds % _HOUR // 60, "m"), (seconds % 60, "s"))
    return " ".join(f"{number}{unit}" for number, unit in parts if number)


def compact(number: int | float) -> str:
    """A count in few characters: ``55``, ``5.4k``, ``123k``, ``1.2M``."""
    if number < 999.5:
        return f"{number:.1f}" if number < 9.95 and number != int(number) else f"{number:.0f}"
    value = float(number)
    for suffix in "kMG":
        value /= 1_000
        if value < 999.5:
            return f"{value:.1f}{suffix}" if value < 99.95 else f"{value:.0f}{suffix}"
    return f"{value / 1_000:,.0f}T"


def dollars(usd: float) -> str:
    """An amount in US dollars: ``$0.0012``, ``$0.028``, ``$1.23``."""
    if usd >= 0.9995:
        return f"${usd:,.2f}"
    if usd >= 0.00995:
        return f"${usd:.3f}"
    return f"${usd:.4f}" if usd >= 0.00005 else "<$0.0001"


def size_of(size_bytes: int) -> str:
    """A size, in decimal units: ``1.2 MB``."""
    size = float(size_bytes)
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"
