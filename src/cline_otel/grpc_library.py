"""Loading gRPC's library so that it writes nothing of its own to stderr."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet_grpc() -> Iterator[None]:
    """Whoever imports ``grpc`` first does it in this block.

    Its lines repeat what peers sent, and say nothing that is not answered or reported anyway. Only the environment,
    which it reads when it is loaded, keeps it from them; afterwards that is as it was, for Cline as our child has a
    gRPC of its own that reads the same variable. A user's own setting holds.
    """
    if "GRPC_VERBOSITY" in os.environ:
        yield
        return
    os.environ["GRPC_VERBOSITY"] = "NONE"
    try:
        yield
    finally:
        del os.environ["GRPC_VERBOSITY"]
