"""Whether a confined process has come to the end of its address space."""

import os

RESERVE_SHARE = 8
RESERVE_BYTES = 64 * 1024**2
"""What could not be had was larger than what was left: a picture, a thread's stack or an arena of
the allocator take less than these, or than a share of the whole."""


class AddressSpace:
    """Open it before the lock, for it reads a file that the kernel writes.

    Decoders do not pass on that they got no memory: they drop the picture, which then is missing
    as if the film were damaged. The highest size that the process ever had tells the two apart.
    """

    def __init__(self, allowed: int) -> None:
        """`allowed`: bytes that the process may take beyond what it takes now."""
        self._status = os.open("/proc/self/status", os.O_RDONLY | os.O_CLOEXEC)
        self._end = self._read("VmSize") + allowed
        self._reserve = max(allowed // RESERVE_SHARE, RESERVE_BYTES)

    @property
    def exhausted(self) -> bool:
        """True where the process has been so near its limit that it was refused something."""
        return self._read("VmPeak") + self._reserve > self._end

    def _read(self, field: str) -> int:
        """Bytes; proc(5) has the fields."""
        lines = os.pread(self._status, 4096, 0).decode("ascii", "replace").splitlines()
        (found,) = (line for line in lines if line.startswith(field + ":"))
        return int(found.split()[1]) * 1024
