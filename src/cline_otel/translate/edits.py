"""What edits changed and what was decided of them, as measurements."""

from __future__ import annotations

from typing import Final

from cline_otel.events import AttributeValue
from cline_otel.translate.conventions import number
from cline_otel.translate.output import Output

EDITING_TOOLS: Final = frozenset(
    {"editor", "apply_patch", "replace_in_file", "write_to_file", "apply_diff"}
    | {"search_and_replace", "search_replace", "edit_file", "fast_edit_file", "insert_content", "delete_file"}
)
"""Tools that edit files, of Cline and its forks; in classic Cline's telemetry each edit is an event of its own."""

_LINES: Final = (
    ("added", ("cline.edit.lines_added", "cline.edit.lines_changed")),
    ("removed", ("cline.edit.lines_removed", "cline.edit.lines_changed")),
)
"""Classic Cline counts lines that it replaces apart; a diff counts each as one that went and one that came."""

_FILES: Final = (
    ("created", "cline.edit.files_created"),
    ("modified", "cline.edit.files_modified"),
    ("deleted", "cline.edit.files_deleted"),
    ("moved", "cline.edit.files_moved"),
)


def measure_change(output: Output, values: dict[str, AttributeValue], occurred_at_ns: int) -> None:
    """Lines and files of an edit that was taken over."""
    for line_type, names in _LINES:
        if lines := sum(number(values.get(name)) for name in names):
            output.measure("cline.edit.lines", lines, {**values, "cline.edit.line.type": line_type}, occurred_at_ns)
    files = {action: number(values.get(name)) for action, name in _FILES}
    if not any(files.values()) and any(number(values.get(name)) for _, names in _LINES for name in names):
        # Classic Cline counts only files that came, went or moved; an edit of another touched that one.
        files["modified"] = 1
    for action, touched in files.items():
        if touched:
            output.measure("cline.edit.files", touched, {**values, "cline.edit.file.action": action}, occurred_at_ns)


def measure_edit_call(output: Output, values: dict[str, AttributeValue], occurred_at_ns: int) -> None:
    """A call of an editing tool whose real outcome is known; one that failed was neither accepted nor rejected."""
    outcome = values["cline.outcome"]
    if outcome == "success":
        decision = "accepted"
        measure_change(output, values, occurred_at_ns)
    elif outcome == "rejected" and values.get("error.type") == "denied":
        decision = "rejected"
    else:
        return
    output.measure("cline.edit.decisions", 1, {**values, "cline.edit.decision": decision}, occurred_at_ns)
