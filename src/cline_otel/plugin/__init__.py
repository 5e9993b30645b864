"""The Cline plugin, its installation, and its mapping over recorded hook calls."""
