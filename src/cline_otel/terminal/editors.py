"""How the editors look that were found: which Cline is in each, and what reports it."""

from __future__ import annotations

from typing import Final

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from cline_otel.plugin.editors import FoundEditors

_LOADING: Final = {
    "loads": Text("loads", "green"),
    "lacks_variable": Text("lacks CLINE_WRAPPER_PATH", "yellow"),
    "never": Text("never loads", "dim"),
}
_FILES: Final = {"next": "session files", "core": "session files", "legacy": "task files"}
_CHOICE: Final = (
    "Of two bundles Cline chooses one for each window, or the one that its setting cline.rollout.bundleOverride names."
)


def render_editors(found: FoundEditors, *, variable_is_set: bool) -> RenderableType:
    """A row for each bundle of each Cline, and the editors that have none.

    Args:
        found: what is there.
        variable_is_set: whether ``CLINE_WRAPPER_PATH`` is in the environment of editors.
    """
    parts: list[RenderableType] = []
    if found.with_cline:
        table = Table(box=None, pad_edge=False, header_style="bold")
        for column in ("Editor", "Cline", "Bundle", "Plugin", "Without it"):
            table.add_column(column, no_wrap=column == "Bundle")
        for cline in found.with_cline:
            labels = (escape(cline.editor), escape(cline.version or "-"))
            for bundle in cline.bundles:
                loading = _LOADING[cline.loading(bundle, variable_is_set=variable_is_set)]
                table.add_row(*labels, bundle, loading, _FILES[bundle])
                labels = ("", "")
        parts.append(table)
    if any(len(cline.bundles) > 1 for cline in found.with_cline):
        parts.append(Text(_CHOICE, "dim"))
    if found.without_cline:
        parts.append(Text(f"Editors without Cline: {', '.join(found.without_cline)}", "dim"))
    return Group(*parts)
