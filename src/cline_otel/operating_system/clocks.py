"""A clock that no setting of the wall clock moves."""

from __future__ import annotations

import sys
import time

if sys.platform == "linux":

    def since_boot_ns() -> int:
        """Nanoseconds since boot, time asleep included."""
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME)

else:

    def since_boot_ns() -> int:
        """Nanoseconds since some time; whether time asleep is included is the system's choice."""
        return time.monotonic_ns()
