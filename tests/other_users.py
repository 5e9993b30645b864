"""What another user of the machine does, for tests that run as root."""

from __future__ import annotations

import os
from collections.abc import Callable


def as_user(uid: int, action: Callable[[], str]) -> str:
    """What ``action`` returns, or the error that it ends with, in a process of another user.

    It is a fork, for the interpreter need not be another user's to start; so what ``action`` needs is to be imported.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            said = action()
        except BaseException as error:
            said = f"{type(error).__name__}: {error}"
        os.write(writer, said.encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, encoding="utf-8") as file:
        said = file.read()
    os.waitpid(child, 0)
    return said
