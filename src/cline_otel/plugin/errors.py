"""What goes wrong when something is put in place."""

from __future__ import annotations


class PluginInstallError(Exception):
    """Something could not be installed or removed. The message is one line: what, where, and the remedy."""
