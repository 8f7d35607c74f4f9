"""The child's program: decode ranges of a film into the shared memory."""

import mmap
import os
import time
from collections.abc import Iterator

import numpy as np
from av.video.frame import VideoFrame

from containers.common.confined.child import LinkedFile, ParentGoneError, ParentLink, send_answer
from containers.common.film.concealment import conceal_frames
from containers.common.film.decoder.handover import DecodedRange, DecodeTask
from containers.common.film.decoder.ring import slot_planes
from containers.common.film.decoding import decode_frames, decode_in_order
from containers.common.film.kinds import Kind, kind_change
from containers.common.film.opening import FilmFile
from containers.common.film.pictures import PictureReader


def serve(link: ParentLink) -> None:
    """Do tasks until there are no more."""
    while (text := link.task()) is not None:
        task = DecodeTask.model_validate_json(text)
        timestamps = np.frombuffer(link.blob(), np.int64)
        with mmap.mmap(task.ring, task.slots * task.slot_bytes) as ring:
            frames = _decode(link, task, timestamps, ring)
        send_answer(link, DecodedRange(frames=frames))


def _decode(link: ParentLink, task: DecodeTask, timestamps: np.ndarray, ring: mmap.mmap) -> int:
    frames = _frames(link, task, timestamps)
    reader, count = PictureReader(), 0
    begun = time.perf_counter()
    for count, frame in enumerate(frames, 1):
        pts = int(timestamps[count - 1])
        size = frame.width, frame.height
        pixel_format, planes = reader.planes(frame)
        if size != (task.width, task.height) or pixel_format != task.pixel_format:
            before = Kind(task.width, task.height, task.pixel_format)
            number = task.first_frame + count - 1
            after, seconds = Kind(*size, pixel_format), frame.time
            raise kind_change(task.name, before, after, frame=number, seconds=seconds)
        seconds = time.perf_counter() - begun
        slot = _wait_for_slot(task.free)
        begun = time.perf_counter()
        target = slot_planes(ring, slot * task.slot_bytes, task.pixel_format, size)
        for i, samples in enumerate(planes):
            target[i][:] = samples
        del target  # or the mapping could not be closed
        link.show(slot, pts, seconds)
    return count


def _frames(link: ParentLink, task: DecodeTask, timestamps: np.ndarray) -> Iterator[VideoFrame]:
    numbers = range(task.first_frame, task.first_frame + len(timestamps))
    file = LinkedFile(link, task.size)
    film = FilmFile(file, task.stream_index, task.name, link.report_alive)
    if task.by_order:
        return decode_in_order(film, numbers)
    if task.concealment is None:
        return decode_frames(film, timestamps.tolist(), first_frame=task.first_frame)
    kind = Kind(task.width, task.height, task.pixel_format)
    return conceal_frames(film, task.concealment, numbers, kind)


def _wait_for_slot(pipe: int) -> int:
    slot = os.read(pipe, 1)
    if not slot:
        raise ParentGoneError
    return slot[0]
