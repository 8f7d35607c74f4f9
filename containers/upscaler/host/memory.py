"""How much memory a worker has: its process's, and that of the device that computes."""

import os
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")
_LIMITS = (
    ("memory.max", "memory.current"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
)
"""The files of the container's limit and use, of cgroup version 2, then of version 1."""


def available_bytes(kind: str, cgroup: Path = _CGROUP) -> int:
    """Return the bytes free for a network's activations on that kind of device, `cpu` or `cuda`."""
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
    """Return this process's peak memory; ru_maxrss would include its parent's before exec."""
    return _field("/proc/self/status", "VmHWM") // 1024


def _field(path: str, name: str) -> int:
    """Read the number of a line, in KiB."""
    return int(Path(path).read_text().split(name + ":")[1].split()[0])
