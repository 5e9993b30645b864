"""Conversations that Cline keeps in files: what their messages say, as the records that sources of files decode."""
