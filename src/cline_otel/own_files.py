"""Files that are put in the places of other programs: what is there and not ours is neither changed nor removed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path


def read_own(path: Path, is_ours: Callable[[bytes], bool], refusal: type[Exception]) -> bytes | None:
    """What a file of ours holds; None if there is no file of that name.

    Args:
        path: where it is.
        is_ours: whether we wrote what it holds.
        refusal: what is raised.

    Raises:
        refusal: it is not ours, a symbolic link, or cannot be read. The message is one line with the remedy.
    """
    if path.is_symlink():
        raise refusal(f"{path} is a symbolic link that cline-otel did not make; move it away first")
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise refusal(f"{path}: cannot be read ({error.strerror}); check who owns it") from error
    if not is_ours(content):
        raise refusal(f"{path} is not a file that cline-otel wrote; move it away first")
    return content
