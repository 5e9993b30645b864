"""Kilo Code's own: it was forked from Roo Code, and has more tools."""

from __future__ import annotations

from typing import Final

from cline_otel.sources.roo_code import dialect as roo_code

TOOLS: Final = roo_code.TOOLS | {"condense", "delete_file", "fast_edit_file", "new_rule", "report_bug"}
CLIENT: Final = "kilo-code"

DIALECT: Final = roo_code.DIALECT._replace(tools=TOOLS, client=CLIENT)
