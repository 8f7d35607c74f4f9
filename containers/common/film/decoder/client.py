"""A film's pictures, decoded in a confined child and handed over through shared memory."""

import queue
import threading
from collections.abc import Iterator
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from containers.common.confined.messages import Done, Shown
from containers.common.confined.parent import ConfinedChild, Confinement
from containers.common.film.concealment import Concealment
from containers.common.film.decoder.handover import DecodeTask
from containers.common.film.decoder.ring import Ring
from containers.common.film.pictures import Picture
from contracts.film.facts import Video

PROGRAM = "containers.common.film.decoder.child:serve"


class FilmDecoder:
    """Decodes ranges of one film, one range at a time. Leave the `with` block to end the child.

    Start it early and from the main thread: the child takes a third of a second to load its
    libraries, while the parent does something else.
    """

    def __init__(self, limits: Confinement, name: str, program: str = PROGRAM) -> None:
        self._ring = Ring()
        self._child = ConfinedChild(program, limits, name, fds=self._ring.fds)
        self._ring.on_free = self._child.touch
        self._name = name
        self.busy_seconds = 0.0
        """How long the child has worked on the pictures handed over so far."""
        self._listeners: list[threading.Thread] = []

    def pictures(
        self,
        file: Any,
        size: int,
        video: Video,
        timestamps: NDArray[np.int64],
        *,
        first_frame: int = 0,
        concealment: Concealment | None = None,
    ) -> Iterator[Picture]:
        """The pictures of exactly these frames (as `decode_frames`), one or more. With
        `concealment` they are a part of its stretch.

        `file` (of `size` bytes) is read from another thread while this runs. Pictures may be
        shared memory: hold few of them. Raises WorkerError for a film that cannot be decoded, hangs
        or crashes its decoder or takes more than it may, and whatever reading `file` raises.
        """
        ring = self._ring
        if not ring.slots:
            ring.fit(video)
        task = DecodeTask(
            name=self._name,
            size=size,
            stream_index=video.stream_index,
            first_frame=first_frame,
            pixel_format=ring.pixel_format,
            width=video.width,
            height=video.height,
            ring=ring.fd,
            free=ring.free_fd,
            slots=ring.slots,
            slot_bytes=ring.slot_bytes,
            by_order=video.by_order,
            concealment=concealment,
        )
        self._child.give(task, timestamps.astype(np.int64).tobytes())
        shown = _ShownPictures(self._child, ring, file, size)
        self._listeners.append(shown.thread)
        left = len(timestamps)
        try:
            for picture, seconds in shown.pictures(timestamps):
                self.busy_seconds += seconds
                left -= 1
                yield picture
        except GeneratorExit:
            if left:  # the child is in the middle of a task that nobody needs any more
                self._child.kill()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._child.kill()
        for thread in self._listeners:
            thread.join()
        self._child.close()


class _ShownPictures:
    """One task: a thread listens to the child and reads for it, another takes the pictures."""

    def __init__(self, child: ConfinedChild, ring: Ring, file: Any, size: int) -> None:
        self._child, self._ring, self._file, self._size = child, ring, file, size
        self._came: queue.SimpleQueue[Shown | BaseException | None] = queue.SimpleQueue()
        self.thread = threading.Thread(target=self._listen, name="decoder", daemon=True)
        self.thread.start()

    def _listen(self) -> None:
        try:
            messages = self._child.messages(
                self._file, self._size, waiting=lambda: self._ring.exhausted
            )
            for message in messages:
                if isinstance(message, Shown) and self._ring.take(message.slot):
                    self._came.put(message)
                elif not isinstance(message, Done):
                    raise self._child.nonsense()
            self._came.put(None)
        except BaseException as error:  # noqa: BLE001 - it is raised again where pictures are read
            self._child.kill()
            self._came.put(error)

    def pictures(self, timestamps: NDArray[np.int64]) -> Iterator[tuple[Picture, float]]:
        """Each picture, and the seconds that it took. The task has ended before the last comes."""
        for number, wanted in enumerate(timestamps, 1):
            item = self._next()
            if item is None or item.pts != wanted:
                raise self._child.nonsense()
            picture = self._ring.picture(item.slot, item.pts)
            if number == len(timestamps) and self._next() is not None:
                raise self._child.nonsense()
            yield picture, item.seconds

    def _next(self) -> Shown | None:
        item = self._came.get()
        if isinstance(item, BaseException):
            raise item
        return item
