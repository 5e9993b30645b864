"""What a store raises while it cannot be used, for those who work with one and need not know which."""

from __future__ import annotations


class StorageUnavailable(Exception):  # noqa: N818 - named for the state of the store
    """Nothing can be written or read just now; what is there is whole, and trying again later may do."""
