"""A read-only file of known size whose bytes are fetched on demand."""

import io
from abc import abstractmethod


class RangedFile(io.RawIOBase):
    """Keeps the position; a subclass fetches."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self._size, self._position = size, 0

    @abstractmethod
    def _fetch(self, start: int, size: int) -> bytes:
        """Fetch 1 to `size` bytes from `start` on; the range lies within the file."""

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}
        self._position = max(0, base[whence] + offset)
        return self._position

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes, fewer where a fetch ends earlier; b"" at the end."""
        left = self._size - self._position
        wanted = left if size < 0 else min(size, left)
        if wanted <= 0:
            return b""
        data = self._fetch(self._position, wanted)
        self._position += len(data)
        return data
