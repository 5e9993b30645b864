"""Records: lines of JSON with ``event``, ``time_unix_ms`` and flat fields, as the plugin writes them into its spool.

Sources that read files of other forms make the same records of them, so that all of these are decoded in one way.
"""
