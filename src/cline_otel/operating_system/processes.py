"""The processes of this machine."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from cline_otel.operating_system.process_interface import Processes

if sys.platform == "linux":
    from cline_otel.operating_system.linux_processes import LinuxProcesses

    def system_processes(wall_clock_ns: Callable[[], int] = time.time_ns) -> Processes:
        """This machine's; ``wall_clock_ns`` gives nanoseconds since the Unix epoch."""
        return LinuxProcesses(wall_clock_ns=wall_clock_ns)

else:
    from cline_otel.operating_system.psutil_processes import PsutilProcesses

    def system_processes(wall_clock_ns: Callable[[], int] = time.time_ns) -> Processes:
        """As on Linux; the system itself knows when a process started."""
        return PsutilProcesses()
