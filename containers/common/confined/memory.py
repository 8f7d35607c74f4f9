"""Whether a confined process has come to the end of its address space."""

import os

RESERVE_SHARE = 8
RESERVE_BYTES = 64 * 1024**2
"""A request that failed was larger than what was left. A picture, a thread's stack or an arena of
the allocator takes less than these bytes, or than this share of the whole."""


class AddressSpace:
    """The address space of this process. Create it before the lock: it opens a file of /proc.

    Decoders do not report that they got no memory: they drop the picture, which is then missing as
    if the film were damaged. The process's highest size so far distinguishes the two.
    """

    def __init__(self, allowed: int) -> None:
        """`allowed`: bytes that the process may take beyond what it takes now."""
        self._status = os.open("/proc/self/status", os.O_RDONLY | os.O_CLOEXEC)
        self._end = self._read("VmSize") + allowed
        self._reserve = max(allowed // RESERVE_SHARE, RESERVE_BYTES)

    @property
    def exhausted(self) -> bool:
        """True where the process has come so near its limit that a request must have failed."""
        return self._read("VmPeak") + self._reserve > self._end

    def _read(self, field: str) -> int:
        """Bytes; proc(5) has the fields."""
        lines = os.pread(self._status, 4096, 0).decode("ascii", "replace").splitlines()
        (found,) = (line for line in lines if line.startswith(field + ":"))
        return int(found.split()[1]) * 1024
