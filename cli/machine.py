"""What this machine gives a run."""

import os
from pathlib import Path

_QUOTA = Path("/sys/fs/cgroup/cpu.max")
"""Of a container: microseconds of processor time, and of the period that they hold for."""


def cores(quota: Path = _QUOTA) -> int:
    """Processors that we may use; in a container with less time than that, as many as it pays for.

    At least one.
    """
    there = len(os.sched_getaffinity(0))
    try:
        time, period = quota.read_text().split()
    except OSError:
        return there
    return there if time == "max" else max(1, min(there, int(time) // int(period)))
