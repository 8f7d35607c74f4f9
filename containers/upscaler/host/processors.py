"""How many processors a worker has: those of its machine, or its container's share of them."""

import logging
import os
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")

log = logging.getLogger(__name__)


def available_processors(cgroup: Path = _CGROUP) -> float:
    """Return how many processors we may use; fewer if the container has less of their time."""
    available = float(len(os.sched_getaffinity(0)))
    quota = _quota(cgroup)
    return available if quota is None else min(available, quota)


def _quota(cgroup: Path) -> float | None:
    """Read the quota of cgroup version 2, then 1, in processors; None if there is no limit."""
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
    """Log a warning if a job was planned for more threads than there are processors.

    The plan holds nevertheless, since the number of threads decides bytes.
    """
    available = available_processors(cgroup)
    if threads > available:
        log.warning(
            "the job was planned for %d threads, but this worker has %.2f processors, so it "
            "will be slow; set inference_threads and encoder_threads to worker_vcpus",
            threads,
            available,
        )
