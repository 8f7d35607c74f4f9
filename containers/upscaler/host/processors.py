"""How many processors a worker has: of its machine, and of its container's share."""

import logging
import os
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")

log = logging.getLogger(__name__)


def available_processors(cgroup: Path = _CGROUP) -> float:
    """Those that the scheduler may use for us, or the container's part of their time if less."""
    there = float(len(os.sched_getaffinity(0)))
    quota = _quota(cgroup)
    return there if quota is None else min(there, quota)


def _quota(cgroup: Path) -> float | None:
    """Of cgroup version 2, then 1; None where nothing bounds it."""
    for read in (_version_2, _version_1):
        try:
            time, period = read(cgroup)
        except OSError:
            continue
        return None if time in ("max", "-1") else int(time) / int(period)
    return None


def _version_2(cgroup: Path) -> tuple[str, str]:
    time, period = (cgroup / "cpu.max").read_text().split()
    return time, period


def _version_1(cgroup: Path) -> tuple[str, str]:
    names = ("cfs_quota_us", "cfs_period_us")
    time, period = ((cgroup / "cpu" / f"cpu.{name}").read_text().strip() for name in names)
    return time, period


def warn_of_crowding(threads: int, cgroup: Path = _CGROUP) -> None:
    """Say so where a job was planned for more threads than there are processors.

    The plan holds all the same: the number of threads decides bytes.
    """
    there = available_processors(cgroup)
    if threads > there:
        log.warning(
            "the job was planned for %d threads, this worker has %.2f processors: it will be slow; "
            "set inference_threads and encoder_threads to worker_vcpus", threads, there,
        )  # fmt: skip
