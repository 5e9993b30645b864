"""Only ``operating_system`` asks which system it runs on, and calls what not every system has."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import cline_otel

_PACKAGE = Path(cline_otel.__file__).parent

# What a system has not at all, `make check-types` refuses: it looks at the code as on each system. Here is what would
# hide from that, and what is there everywhere but does not mean the same.
_MODULES_OF_ONE_SYSTEM = frozenset(
    {"ctypes", "fcntl", "grp", "msvcrt", "platform", "psutil", "pwd", "resource", "signal", "termios", "winreg"}
)
_ASKING_OR_NOT_THE_SAME = frozenset(
    {"sys.platform", "os.name", "os.uname", "os.chmod", "os.kill", "os.lchmod", "os.umask", "os.waitpid"}
)
_OPEN_FLAGS_OF_ALL = frozenset({"O_RDONLY", "O_WRONLY", "O_RDWR", "O_CREAT", "O_EXCL", "O_TRUNC", "O_APPEND"})
_METHODS = frozenset({"add_signal_handler", "chmod", "lchmod"})
"""Of an event loop, of a path."""

_ASKED = frozenset({"errno", "os", "signal", "socket", "stat", "sys", "time"})


def _faults(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                yield from (name.name for name in names if name.name.split(".")[0] in _MODULES_OF_ONE_SYSTEM)
            case ast.ImportFrom(module=str(module), level=0, names=names):
                if module.split(".")[0] in _MODULES_OF_ONE_SYSTEM:
                    yield module
                yield from (f"{module}.{name.name}" for name in names if _is_of_some_systems(module, name.name))
            case ast.Attribute(value=ast.Name(id=owner), attr=name) if _is_of_some_systems(owner, name):
                yield f"{owner}.{name}"
            case ast.Attribute(attr=name) if name in _METHODS:
                yield f".{name}"
            case ast.Call(func=ast.Name(id="getattr" | "hasattr" as function), args=[ast.Name(id=owner), *_]):
                if owner in _ASKED:
                    yield f"{function}({owner}, …)"
            case ast.Constant(value=str(text)) if text.startswith("/proc"):
                yield text


def _is_of_some_systems(module: str, name: str) -> bool:
    if module == "os" and name.startswith("O_"):
        return name not in _OPEN_FLAGS_OF_ALL
    return f"{module}.{name}" in _ASKING_OR_NOT_THE_SAME


def test_no_module_asks_which_system_it_runs_on() -> None:
    modules = [path for path in _PACKAGE.rglob("*.py") if path.parent.name != "operating_system"]
    assert len(modules) > 50
    found = {str(path.relative_to(_PACKAGE)): list(_faults(path.read_text("utf-8"))) for path in modules}
    assert {name: faults for name, faults in found.items() if faults} == {}


@pytest.mark.parametrize(
    "source",
    [
        "import sys\nsys.platform == 'win32'",
        "from sys import platform",
        "import os\nos.name",
        "import os\nhasattr(os, 'fork')",
        "import os\ngetattr(os, 'O_NOFOLLOW', 0)",
        "import os\nos.open('x', os.O_RDONLY | os.O_NONBLOCK)",
        "from os import O_NOFOLLOW",
        "import signal",
        "from signal import SIGTERM",
        "def f():\n    import fcntl",
        "import ctypes.wintypes",
        "path.chmod(0o600)",
        "loop.add_signal_handler(2, stop)",
        "Path('/proc/self')",
    ],
)
def test_a_module_that_asked_would_be_found(source: str) -> None:
    assert list(_faults(source)) != []


def test_what_every_system_has_may_be_called() -> None:
    assert list(_faults("import os, stat\nos.open('x', os.O_RDWR | os.O_CREAT)\nstat.S_ISREG(1)\nx.platform")) == []


def test_the_package_that_may_ask_does() -> None:
    asking = [
        path.name for path in (_PACKAGE / "operating_system").glob("*.py") if list(_faults(path.read_text("utf-8")))
    ]
    assert {"files.py", "locks.py", "stop_signals.py", "processes.py", "clocks.py"} <= set(asking)
