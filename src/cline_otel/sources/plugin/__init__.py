"""The plugin source: the spool that the Cline plugin writes."""
