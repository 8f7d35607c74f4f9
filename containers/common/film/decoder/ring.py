"""The shared memory through which decoded pictures come: its slots, and the parent's end of it."""

import contextlib
import fcntl
import mmap
import os
import threading
import weakref
from collections.abc import Callable

import numpy as np

from containers.common.film.pictures import (
    Picture,
    picture_bytes,
    plain_format,
    plane_shapes,
    sample_type,
)
from contracts.film.facts import Video

MAX_SLOTS, MIN_SLOTS = 8, 4
RING_BYTES = 256 * 1024**2
"""Fewer slots than MAX_SLOTS where they would take more."""
KEPT_SLOTS = 2
"""With fewer left to the child, pictures are copied out instead of lent."""
_PAGE = 4096


class Ring:
    """Slots of one picture each. A slot is the child's, or shown (taken), or lent to a Picture."""

    def __init__(self) -> None:
        self.fd = os.memfd_create("pictures", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        self.free_fd, self._free = os.pipe()
        self.slots = self.slot_bytes = 0
        self.pixel_format = ""
        self.on_free: Callable[[], None] = lambda: None
        self._size = 0, 0
        self._theirs: set[int] = set()
        self._lent: dict[int, weakref.ref[np.ndarray]] = {}
        self._changing = threading.RLock()  # the garbage collector frees slots wherever it runs

    @property
    def fds(self) -> tuple[int, int]:
        """What the child inherits."""
        return self.fd, self.free_fd

    def fit(self, video: Video) -> None:
        """Make room for the film's pictures. Call it once: the size cannot change afterwards."""
        self.pixel_format = plain_format(video.pixel_format)
        self._size = video.width, video.height
        size = picture_bytes(self.pixel_format, *self._size)
        self.slot_bytes = -(-size // _PAGE) * _PAGE
        self.slots = min(max(RING_BYTES // self.slot_bytes, MIN_SLOTS), MAX_SLOTS)
        os.ftruncate(self.fd, self.slots * self.slot_bytes)
        # If the child could shrink it, reading it here would be a bus error.
        seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
        fcntl.fcntl(self.fd, fcntl.F_ADD_SEALS, seals)
        self._memory = mmap.mmap(self.fd, self.slots * self.slot_bytes)
        for slot in range(self.slots):
            self._give_back(slot)

    def take(self, slot: int) -> bool:
        """Take over a slot that the child filled; False if the slot was not its own."""
        with self._changing:
            if slot not in self._theirs:
                return False
            self._theirs.remove(slot)
        return True

    @property
    def exhausted(self) -> bool:
        """True while the child can only wait."""
        return not self._theirs

    def picture(self, slot: int, pts: int) -> Picture:
        """The picture that `take` announced. Its slot is free again as soon as nobody holds the
        picture.

        Samples of 8 and 16 bits may be any number, so such pictures are lent, the ring's memory
        itself; others are copied, for the child could write numbers beyond their range.
        """
        exact = self.pixel_format.endswith("16le") or not self.pixel_format.endswith("le")
        memory = np.frombuffer(self._memory, np.uint8, self.slot_bytes, slot * self.slot_bytes)
        planes = slot_planes(memory, 0, self.pixel_format, self._size)
        if exact and len(self._theirs) >= KEPT_SLOTS:
            with self._changing:
                self._lent[slot] = weakref.ref(memory, lambda _: self._give_back(slot))
            return Picture(pts, self.pixel_format, tuple(planes))
        if exact:
            copies = [plane.copy() for plane in planes]
        else:
            most = 2 ** int(self.pixel_format.removesuffix("le")[-2:]) - 1
            copies = [np.minimum(plane, np.uint16(most)) for plane in planes]
        self._give_back(slot)
        return Picture(pts, self.pixel_format, tuple(copies))

    def _give_back(self, slot: int) -> None:
        with self._changing:
            self._lent.pop(slot, None)
            self._theirs.add(slot)
        self.on_free()
        with contextlib.suppress(BrokenPipeError):  # the child is gone
            os.write(self._free, bytes([slot]))

    def __del__(self) -> None:
        for fd in (self.fd, self.free_fd, self._free):
            os.close(fd)


def slot_planes(
    memory: mmap.mmap | np.ndarray, offset: int, pixel_format: str, size: tuple[int, int]
) -> list[np.ndarray]:
    """The planes of a picture (width, height) in shared memory from `offset` on, not copied."""
    kind, planes = sample_type(pixel_format), []
    for rows, columns in plane_shapes(pixel_format, *size):
        flat = np.frombuffer(memory, kind, rows * columns, offset)
        planes.append(flat.reshape(rows, columns))
        offset += flat.nbytes
    return planes
