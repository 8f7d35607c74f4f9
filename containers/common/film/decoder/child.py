"""The program that decodes ranges of a film into the ring, in the child."""

import mmap
import os
import time
from collections.abc import Iterator

import numpy as np
from av.video.frame import VideoFrame
from pydantic import Field

from containers.common.confined.child import LinkedFile, ParentGoneError, ParentLink, send_answer
from containers.common.film import opening
from containers.common.film.concealment import Concealment, conceal_frames
from containers.common.film.kinds import Kind, kind_change
from containers.common.film.pictures import (
    PictureReader,
    plane_shapes,
    sample_type,
)
from contracts.base import Contract


class DecodeTask(Contract):
    """Decode these frames; the blob behind it has their timestamps, int64."""

    name: str
    """Of the film, for messages."""
    size: int
    """Bytes of the film."""
    stream_index: int
    first_frame: int
    pixel_format: str
    """That the pictures are to have, a plain one."""
    width: int
    height: int
    ring: int
    """Descriptor of the shared memory."""
    free: int
    """Descriptor of the pipe that names free slots of it, a byte each."""
    slots: int = Field(le=256)
    slot_bytes: int
    by_order: bool
    """As in film.Video."""
    mend: Concealment | None = None
    """The frames lie in a damaged stretch."""


class Decoded(Contract):
    """A task is finished."""

    frames: int


def serve(link: ParentLink) -> None:
    """Do tasks until there are no more."""
    opening.on_packet = link.alive
    while (text := link.task()) is not None:
        task = DecodeTask.model_validate_json(text)
        timestamps = np.frombuffer(link.blob(), np.int64)
        with mmap.mmap(task.ring, task.slots * task.slot_bytes) as ring:
            frames = _decode(link, task, timestamps, ring)
        send_answer(link, Decoded(frames=frames))


def _decode(link: ParentLink, task: DecodeTask, timestamps: np.ndarray, ring: mmap.mmap) -> int:
    frames = _frames(LinkedFile(link, task.size), task, timestamps)
    reader, count = PictureReader(), 0
    begun = time.perf_counter()
    for count, frame in enumerate(frames, 1):
        pts = int(timestamps[count - 1])
        size = frame.width, frame.height
        pixel_format, planes = reader.planes(frame)
        if size != (task.width, task.height) or pixel_format != task.pixel_format:
            before = Kind(task.width, task.height, task.pixel_format)
            number = task.first_frame + count - 1
            raise kind_change(task.name, before, Kind(*size, pixel_format), number, frame.time)
        seconds = time.perf_counter() - begun
        slot = _free_slot(task.free)
        begun = time.perf_counter()
        target = slot_planes(ring, slot * task.slot_bytes, task.pixel_format, size)
        for i, samples in enumerate(planes):
            target[i][:] = samples
        del target  # or the mapping could not be closed
        link.show(slot, pts, seconds)
    return count


def _frames(file: LinkedFile, task: DecodeTask, timestamps: np.ndarray) -> Iterator[VideoFrame]:
    numbers = range(task.first_frame, task.first_frame + len(timestamps))
    if task.by_order:
        return opening.decode_in_order(
            lambda: opening.open_source(file),
            numbers,
            stream_index=task.stream_index,
            name=task.name,
        )
    if task.mend is None:
        return opening.decode_frames(
            lambda: opening.open_source(file),
            timestamps.tolist(),
            stream_index=task.stream_index,
            first_frame=task.first_frame,
            name=task.name,
        )
    return conceal_frames(
        lambda: opening.open_source(file),
        task.mend,
        numbers,
        stream_index=task.stream_index,
        kind=Kind(task.width, task.height, task.pixel_format),
        name=task.name,
    )


def _free_slot(pipe: int) -> int:
    """Waits for one."""
    slot = os.read(pipe, 1)
    if not slot:
        raise ParentGoneError
    return slot[0]


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
