"""Files and numbers that a child writes through descriptors which its parent opened."""

import io
import os
from collections.abc import Mapping
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray


class Descriptor(io.RawIOBase):
    """A descriptor as a file. Python's own asks for the file's state, which is a forbidden call."""

    def __init__(self, fd: int) -> None:
        super().__init__()
        self._fd = fd

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return os.lseek(self._fd, offset, whence)

    def tell(self) -> int:
        return os.lseek(self._fd, 0, os.SEEK_CUR)

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes, a mebibyte without it."""
        return os.read(self._fd, size if size >= 0 else 1024**2)

    def write(self, data: "bytes | memoryview") -> int:  # pyright: ignore[reportIncompatibleMethodOverride]
        """All of it. Raises OSError EFBIG beyond the size that the child may write."""
        view = memoryview(data).cast("B")
        done = 0
        while done < len(view):
            done += os.write(self._fd, view[done:])
        return done


def write_arrays(file: Descriptor, arrays: Mapping[str, NDArray[np.int64]]) -> dict[str, int]:
    """Write them one behind the other; the length of each."""
    for array in arrays.values():
        file.write(np.ascontiguousarray(array, np.int64).tobytes())
    return {name: len(array) for name, array in arrays.items()}


def read_arrays(file: BinaryIO, lengths: Mapping[str, int]) -> dict[str, NDArray[np.int64]]:
    """What `write_arrays` wrote. Raises ValueError where the lengths are not the file's."""
    size = file.seek(0, io.SEEK_END)
    if any(n < 0 for n in lengths.values()) or size != 8 * sum(lengths.values()):
        raise ValueError(f"{size} bytes of numbers instead of {8 * sum(lengths.values())}")
    file.seek(0)
    return {name: np.frombuffer(file.read(8 * n), np.int64) for name, n in lengths.items()}
