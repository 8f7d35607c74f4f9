"""The sidecar: all that is not video, copied packet by packet into one Matroska file.

Matroska counts in milliseconds, so the exact timestamps of every packet stand beside it in an
index; the file itself only keeps payloads and their order.
"""

import hashlib
import io
from array import array
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import zip_longest
from typing import Any

import av
import av.error
import numpy as np
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Discard, Stream
from numpy.typing import NDArray

from containers.common.confined.files import Descriptor
from containers.common.film.opening import discard_others, open_source
from containers.common.runtime.errors import WorkerError, mismatch
from containers.media.labels.streams import (
    COVER_KINDS,
    codec_name,
    is_cover,
    is_timecode,
    labels,
    why_not,
)
from containers.media.labels.subtitles import subtitle_text
from contracts.film.facts import (
    Attachment,
    DroppedStream,
    SidecarStream,
)
from contracts.job import Container
from contracts.names import ExitCode

NO_TIMESTAMP = -(2**63)
"""In the index: the packet has none."""
MUXER_OPTIONS = {"max_interleave_delta": "1000000"}
"""Microseconds that the muxer may wait for a sparse stream: we interleave ourselves."""
MAX_PRIMERS = 256
"""Packets before the start of an edit list that are kept, for a decoder may need them. The result
hides them again."""
_MILLISECOND = Fraction(1, 1000)


@dataclass
class _Copy:
    """One stream on its way into the sidecar."""

    target: Stream
    facts: dict[str, Any]
    raw_text: bool
    """MP4's timed text, stored as it is in a track of plain text, for Matroska has no name for it.
    """
    primers: deque[Packet] = field(default_factory=lambda: deque(maxlen=MAX_PRIMERS))
    """Hidden packets before the start, which prime the decoder."""
    pts: "array[int]" = field(default_factory=lambda: array("q"))
    dts: "array[int]" = field(default_factory=lambda: array("q"))
    durations: "array[int]" = field(default_factory=lambda: array("q"))
    started: bool = False


class SidecarWriter:
    """Writes packets that the caller reads into a file object. Memory: 24 bytes a packet."""

    def __init__(
        self, source: InputContainer, film: Stream, result: Container, file: io.RawIOBase
    ) -> None:
        self.dropped: list[DroppedStream] = []
        self.attachments: list[Attachment] = []
        self._file = file
        self._clock: int | None = None
        self._copies: dict[int, _Copy] = {}
        self._covers: dict[int, Stream] = {}
        others = [s for s in source.streams if s.index != film.index]
        kept = [s for s in others if self._keeps(s, result)]
        self._out = self._open() if kept else None
        for stream in kept:
            self._take(stream)

    def _keeps(self, stream: Stream, result: Container) -> bool:
        reason = why_not(stream, result)
        if reason is None:
            return True
        # A chapter track is kept as chapters, a time code as a label of the film.
        if stream.discard is not Discard.all and not is_timecode(stream):
            self._drop(stream, reason)
        stream.discard = Discard.all
        return False

    def _drop(self, stream: Stream, reason: str) -> None:
        self.dropped.append(
            DroppedStream(
                source_index=stream.index,
                kind=stream.type,
                codec=codec_name(stream),
                reason=reason,
            )
        )

    def _open(self) -> OutputContainer:
        return av.open(self._file, "w", format="matroska", container_options=MUXER_OPTIONS)

    def _take(self, stream: Any) -> None:
        assert self._out is not None  # noqa: S101 - opened where a stream is kept
        if is_cover(stream):
            self._covers[stream.index] = stream
            return
        if stream.type == "attachment":
            kind = stream.mimetype or "application/octet-stream"
            self._attach(stream.name or "attachment", kind, stream.data)
            return
        codec = codec_name(stream)
        raw_text = codec == "mov_text"
        if raw_text:
            target = self._out.add_mux_stream("subrip")
        else:
            target = self._out.add_stream_from_template(stream, opaque=True)
        facts = {
            "source_index": stream.index,
            "kind": stream.type,
            "codec": codec,
            "time_base": stream.time_base,
            "labels": labels(stream.metadata),
            "disposition": int(stream.disposition),
        }
        self._copies[stream.index] = _Copy(target, facts, raw_text)

    def _attach(self, name: str, kind: str, data: bytes, *, cover: bool = False) -> None:
        assert self._out is not None  # noqa: S101 - there is an attachment
        self._out.add_attachment(name, kind, data)
        digest = hashlib.sha256(data).hexdigest()
        self.attachments.append(Attachment(name=name, kind=kind, sha256=digest, cover=cover))

    def _attach_cover(self, stream: Stream, data: bytes) -> None:
        """Demuxers give covers before all other packets, when the sidecar's header is open yet."""
        if self._clock is not None:
            self._drop(stream, "a cover behind the film's beginning")
            return
        kind = COVER_KINDS[codec_name(stream)]
        name = stream.metadata.get("filename") or "cover." + kind.removeprefix("image/")
        self._attach(name, kind, data, cover=True)

    def add(self, packet: Packet) -> None:
        """Store a packet if its stream is kept. The packet is spent afterwards."""
        cover = self._covers.pop(packet.stream_index, None)
        if cover is not None:
            self._attach_cover(cover, bytes(packet))
        copy = self._copies.get(packet.stream_index)
        if copy is None or not packet.size:
            return
        if packet.is_discard:
            if not (copy.started or copy.raw_text):
                copy.primers.append(packet)
            return
        copy.started = True
        while copy.primers:
            self._keep(copy, copy.primers.popleft())
        self._keep(copy, packet)

    def _keep(self, copy: _Copy, packet: Packet) -> None:
        payload = packet
        if copy.raw_text:
            if not subtitle_text(bytes(packet), "mov_text"):
                return  # MP4 fills the time between titles with empty ones
            payload = Packet(bytes(packet))
        copy.pts.append(NO_TIMESTAMP if packet.pts is None else packet.pts)
        copy.dts.append(NO_TIMESTAMP if packet.dts is None else packet.dts)
        copy.durations.append(packet.duration or 0)
        self._store(payload, copy, packet)

    def _store(self, payload: Packet, copy: _Copy, packet: Packet) -> None:
        """Write it at any rising time; the exact one stands in the index."""
        milliseconds = packet.time_base / _MILLISECOND
        stamp = packet.dts if packet.dts is not None else packet.pts
        duration = round((packet.duration or 0) * milliseconds)
        self._clock = max(self._clock or 0, round((stamp or 0) * milliseconds))
        payload.stream, payload.time_base = copy.target, _MILLISECOND
        payload.pts = payload.dts = self._clock
        payload.duration = duration
        assert self._out is not None  # noqa: S101 - there is a copy
        self._out.mux(payload)

    def close(self) -> tuple[SidecarStream, ...]:
        """Finish the file, read it back, and return what each stream became."""
        if self._out is None:
            return ()
        if not self._copies:
            _add_filler(self._out)
        self._out.start_encoding()
        self._out.close()
        try:
            self._file.seek(0)
            stored = payload_hashes(self._file)
        except av.error.FFmpegError as error:
            raise WorkerError(
                ExitCode.UNSUPPORTED,
                f"the film's sound and subtitles cannot be set aside ({error.strerror}); "
                "take out those of rare formats",
            ) from error
        return tuple(
            self._describe(copy, index, *stored[index])
            for index, copy in enumerate(self._copies.values())
        )

    def _describe(self, copy: _Copy, index: int, packets: int, sha256: str) -> SidecarStream:
        if packets != len(copy.pts):
            raise WorkerError(
                ExitCode.UNSUPPORTED,
                f"stream {copy.facts['source_index']} ({copy.facts['codec']}): "
                f"{len(copy.pts)} packets, of which Matroska gives back {packets}; "
                "take that stream out of the film",
            )
        return SidecarStream(sidecar_index=index, packets=packets, sha256=sha256, **copy.facts)

    def index(self) -> dict[str, np.ndarray]:
        """The exact timestamps of all packets, as the contract describes them."""
        arrays: dict[str, np.ndarray] = {}
        for i, copy in enumerate(self._copies.values()):
            arrays[f"pts_{i}"] = np.array(copy.pts, np.int64)
            arrays[f"dts_{i}"] = np.array(copy.dts, np.int64)
            arrays[f"duration_{i}"] = np.array(copy.durations, np.int64)
        return arrays


def _add_filler(out: OutputContainer) -> None:
    """Add a track of one word: a Matroska file of nothing but attachments cannot be opened."""
    filler = Packet(b"-")
    filler.stream, filler.time_base = out.add_mux_stream("subrip"), _MILLISECOND
    filler.pts = filler.dts = 0
    out.mux(filler)


def payload_hashes(file: io.RawIOBase) -> dict[int, tuple[int, str]]:
    """Of each audio and subtitle stream: packets, and SHA-256 over their payloads in order."""
    with open_source(file) as container:
        digests = {s.index: hashlib.sha256() for s in container.streams}
        counts = dict.fromkeys(digests, 0)
        for packet in container.demux():
            if packet.size:
                digests[packet.stream_index].update(packet)
                counts[packet.stream_index] += 1
    return {i: (counts[i], digests[i].hexdigest()) for i in digests}


@dataclass(frozen=True)
class PacketTimes:
    """Exact times of a stream's packets, int64, in the source stream's time base."""

    pts: np.ndarray
    dts: np.ndarray
    durations: np.ndarray


Index = Mapping[str, NDArray[np.int64]]
"""The exact times of all packets, as the manifest's `Sidecar.index` names them."""


@dataclass(frozen=True)
class SidecarFiles:
    """The sidecar, as recompose has it."""

    payload: Descriptor
    index: Index

    def open(self) -> InputContainer:
        """The payload from its beginning; the caller closes it."""
        return open_source(self.payload.reopen())


def exact_times(index: Index, number: int) -> PacketTimes:
    """From the sidecar's index; where a packet has one timestamp, it stands for both."""
    pts, dts, durations = (index[f"{name}_{number}"] for name in ("pts", "dts", "duration"))
    return PacketTimes(
        np.where(pts == NO_TIMESTAMP, dts, pts), np.where(dts == NO_TIMESTAMP, pts, dts), durations
    )


@dataclass(frozen=True)
class StoredPacket:
    """A packet of the sidecar with its exact times."""

    packet: Packet
    pts: int
    dts: int
    duration: int


def stored_stream(container: InputContainer, number: int) -> Stream:
    """Of the sidecar's payload. LEDGER_MISMATCH where it has no such stream."""
    if number >= len(container.streams):
        raise mismatch(f"the sidecar has no stream {number}")
    return container.streams[number]


def read_stream(sidecar: SidecarFiles, number: int) -> Iterator[StoredPacket]:
    """The packets of one stream of the sidecar, in the source's order.

    LEDGER_MISMATCH where they are more or fewer than the index has times.
    """
    times = exact_times(sidecar.index, number)
    with sidecar.open() as container:
        stream = stored_stream(container, number)
        discard_others(container, stream)
        packets = (p for p in container.demux(stream) if p.size)
        stamps = zip(times.pts, times.dts, times.durations, strict=True)
        for packet, times_of_it in zip_longest(packets, stamps):
            if packet is None or times_of_it is None:
                raise mismatch(f"stream {number} of the sidecar is not as long as its index")
            pts, dts, duration = times_of_it
            yield StoredPacket(packet, int(pts), int(dts), int(duration))
