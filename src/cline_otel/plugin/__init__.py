"""The Cline plugin, and what puts it in place."""
