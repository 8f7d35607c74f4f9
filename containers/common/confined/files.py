"""Files and numbers that a child reads and writes through descriptors which its parent opened."""

import io
import os
from collections.abc import Callable, Mapping
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray


def _nothing() -> None:
    pass


class Descriptor(io.RawIOBase):
    """A descriptor as a file, with a position of its own. Python's own asks for the file's state,
    which is a forbidden call.

    `on_use` is called at each reading and writing.
    """

    def __init__(self, fd: int, on_use: Callable[[], None] = _nothing) -> None:
        super().__init__()
        self._fd, self._on_use, self._position = fd, on_use, 0

    def reopen(self) -> "Descriptor":
        """The same file, opened once more: at its beginning."""
        return Descriptor(self._fd, self._on_use)

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Bytes from the beginning."""
        base = 0
        if whence == io.SEEK_CUR:
            base = self._position
        elif whence == io.SEEK_END:
            base = os.lseek(self._fd, 0, os.SEEK_END)
        self._position = max(0, base + offset)
        return self._position

    def tell(self) -> int:
        return self._position

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes, a mebibyte without it."""
        self._on_use()
        data = os.pread(self._fd, size if size >= 0 else 1024**2, self._position)
        self._position += len(data)
        return data

    def write(self, data: "bytes | memoryview") -> int:  # pyright: ignore[reportIncompatibleMethodOverride]
        """All of it. Raises OSError EFBIG beyond the size that the child may write."""
        self._on_use()
        view = memoryview(data).cast("B")
        done = 0
        while done < len(view):
            done += os.pwrite(self._fd, view[done:], self._position + done)
        self._position += done
        return done


def write_arrays(
    file: Descriptor | io.BytesIO, arrays: Mapping[str, NDArray[np.int64]]
) -> dict[str, int]:
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
