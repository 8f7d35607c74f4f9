"""How much memory a worker has: of its process, and of the device that computes."""

import os
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")
_LIMITS = (
    ("memory.max", "memory.current"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
)
"""Of cgroup version 2, then 1: the container's limit and what it uses of it."""


def available_bytes(kind: str, cgroup: Path = _CGROUP) -> int:
    """What is free for a network's activations on the device of that kind, `cpu` or `cuda`."""
    if kind == "cuda":
        import torch

        return torch.cuda.mem_get_info()[0]
    free = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")
    free = max(free, _field("/proc/meminfo", "MemAvailable") * 1024)
    for limit, usage in _LIMITS:
        try:
            text = (cgroup / limit).read_text().strip()
            used = int((cgroup / usage).read_text())
        except OSError:
            continue
        return free if text == "max" else min(free, max(int(text) - used, 0))
    return free


def peak_memory_mib() -> int:
    """Of this process alone; ru_maxrss would count what its parent held before exec."""
    return _field("/proc/self/status", "VmHWM") // 1024


def _field(path: str, name: str) -> int:
    """A line's number, in KiB."""
    return int(Path(path).read_text().split(name + ":")[1].split()[0])
