"""The messages between parent and child: framed, JSON contracts or raw bytes. No pickles.

A frame is a tag of one byte, a length of four bytes (little-endian), and the data.
"""

import socket
import struct
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from contracts.base import Contract

MAX_MESSAGE_BYTES = 4 * 1024**2
"""Of a child's message; the longest are plans with their chapters and metadata."""
MAX_READ_BYTES = 1024**2
MAX_SENTENCE_CHARS = 2000

MESSAGE, BYTES = b"M", b"B"
"""Tags: a contract; raw bytes."""
_HEADER = struct.Struct("<cI")


class ChildStart(Contract):
    """What the parent passes on the command line."""

    program: str
    """module:function"""
    link: int
    parent: int
    memory_bytes: int = Field(gt=0)
    cpu_seconds: int = Field(gt=0)
    file_bytes: int = Field(ge=0)
    filtered: bool


class Ready(Contract):
    """The child is locked and has read nothing of the film."""

    kind: Literal["ready"] = "ready"


class Read(Contract):
    """The child wants bytes of the film; the answer is one BYTES, shorter where the film ends."""

    kind: Literal["read"] = "read"
    offset: int = Field(ge=0, lt=2**62)
    size: int = Field(gt=0, le=MAX_READ_BYTES)


class Fetch(Contract):
    """The child wants the next part of its input in the file that it has for input; the answer is
    one BYTES, empty."""

    kind: Literal["fetch"] = "fetch"
    number: int = Field(ge=0, lt=2**31)


class Alive(Contract):
    """The work goes on."""

    kind: Literal["alive"] = "alive"


class Shown(Contract):
    """A decoded picture lies in the ring."""

    kind: Literal["shown"] = "shown"
    slot: int = Field(ge=0)
    pts: int = Field(ge=-(2**63), lt=2**63)
    seconds: float = Field(ge=0, le=1e6)
    """Time spent on it, without the wait for a slot."""


class Done(Contract):
    """The task is finished; `answer` is JSON of a contract that the parent knows."""

    kind: Literal["done"] = "done"
    answer: str = "null"


class TaskFailed(Contract):
    """The task cannot be done. The parent decides what it believes of this."""

    kind: Literal["failed"] = "failed"
    exit_code: int
    message: str
    detail: str = ""
    """For the log: where in our program."""


class OutOfMemory(Contract):
    """The task needs more memory than the child may take."""

    kind: Literal["memory"] = "memory"


class TooMuch(Contract):
    """The task makes more bytes than the child may write."""

    kind: Literal["too much"] = "too much"


Message = Annotated[
    Ready | Read | Fetch | Alive | Shown | Done | TaskFailed | OutOfMemory | TooMuch,
    Field(discriminator="kind"),
]
_MESSAGES: TypeAdapter[Message] = TypeAdapter(Message)


def parse_message(data: bytes) -> Message:
    """Raises pydantic's ValidationError."""
    return _MESSAGES.validate_json(data)


def send(link: socket.socket, tag: bytes, data: bytes | memoryview) -> None:
    """One frame, whole. Raises OSError where the other side is gone."""
    link.sendall(_HEADER.pack(tag, len(data)))
    if data:
        link.sendall(data)


def receive(link: socket.socket, most: int = MAX_MESSAGE_BYTES) -> tuple[bytes, bytes] | None:
    """Tag and bytes of the next frame; None where the other side is gone.

    Raises ValueError for a frame longer than `most`.
    """
    header = receive_exactly(link, _HEADER.size)
    if header is None:
        return None
    tag, length = _HEADER.unpack(header)
    if length > most:
        raise ValueError(f"a message of {length} bytes")
    data = receive_exactly(link, length)
    return None if data is None else (tag, data)


def receive_exactly(link: socket.socket, size: int) -> bytes | None:
    parts = bytearray(size)
    view, got = memoryview(parts), 0
    while got < size:
        count = link.recv_into(view[got:])
        if count == 0:
            return None
        got += count
    return bytes(parts)
