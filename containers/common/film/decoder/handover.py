"""What crosses between a decoder's client and its confined child."""

from pydantic import Field

from containers.common.film.concealment import Concealment
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
    """Of the pictures, a plain one."""
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
    concealment: Concealment | None = None
    """The frames lie in this damaged stretch."""


class DecodedRange(Contract):
    """A task is finished."""

    frames: int
