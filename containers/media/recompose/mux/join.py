"""The shards as one stream of packets, without re-encoding; one shard on disk at a time."""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream
from numpy.typing import NDArray

from containers.common.confined.files import Descriptor
from containers.common.film.opening import open_source
from containers.common.runtime.errors import mismatch
from containers.media.labels import hdr
from containers.media.labels.captions import (
    ByTime,
    as_messages,
    messages_of,
)
from contracts.film.manifest import Manifest, Shard


@dataclass(frozen=True)
class VideoPacket:
    """A packet of the film with its exact times, in the film's time base."""

    packet: Packet
    pts: int
    dts: int
    duration: int


class JoinedShards:
    """Reads the job's shards in order.

    Shard packets count frames from 0; here they get the film's timestamps. Decoding order: over
    the whole film dts[i] = timestamps[i - D], where D is the depth of the encoder's reordering.
    """

    def __init__(
        self,
        manifest: Manifest,
        timestamps: NDArray[np.int64],
        file: Descriptor,
        fetch: Callable[[int], None],
    ) -> None:
        """`fetch` puts the shard of that number into `file`, whole and verified."""
        self._file, self._fetch = file, fetch
        self._manifest, self._timestamps = manifest, timestamps
        self._opened = contextlib.ExitStack()
        self._first = self._open(manifest.shards[0])
        self._depth = _video(self._first).codec_context.reorder_depth
        self._extradata = bytes(_video(self._first).codec_context.extradata or b"")

    @property
    def template(self) -> VideoStream:
        """The first shard's stream, which has the headers of all."""
        return _video(self._first)

    def close(self) -> None:
        self._opened.close()

    def packets(self) -> Iterator[VideoPacket]:
        """All packets in decoding order; call once. LEDGER_MISMATCH where a shard is not whole."""
        for shard in self._manifest.shards:
            container = self._first if shard.index == 0 else self._open(shard)
            yield from self._shard_packets(shard, container)
            self.close()

    def _open(self, shard: Shard) -> InputContainer:
        self._fetch(shard.index)
        if shard.index == 0:
            video = self._manifest.video
            hdr.write_boxes(self._file.reopen(), video.mastering_display, video.light_level)
        return self._opened.enter_context(open_source(self._file.reopen()))

    def _shard_packets(self, shard: Shard, container: InputContainer) -> Iterator[VideoPacket]:
        stream = _video(container)
        if bytes(stream.codec_context.extradata or b"") != self._extradata:
            raise mismatch(f"shard {shard.index} was encoded with other headers than shard 0")
        order = np.array([p.pts for p in container.demux(stream) if p.size], np.int64)
        if len(order) != shard.frames:
            raise mismatch(
                f"shard {shard.index} has {len(order)} packets for {shard.frames} frames"
            )
        ranks = np.empty(len(order), np.int64)
        ranks[np.argsort(order, kind="stable")] = np.arange(len(order))
        container.seek(0)
        packets = (p for p in container.demux(stream) if p.size)
        for number, packet in enumerate(packets):
            frame = shard.first_frame + int(ranks[number])
            yield self._timed(packet, frame, shard.first_frame + number)

    def _timed(self, packet: Packet, frame: int, place: int) -> VideoPacket:
        """`frame` is the packet's place in time, `place` its place in decoding order."""
        stamps = self._timestamps
        if place - frame > self._depth:
            raise mismatch(f"frame {frame} comes later than the encoder's {self._depth} reorders")
        following = stamps[frame + 1] if frame + 1 < len(stamps) else self._manifest.video.end_pts
        if place >= self._depth:
            dts = int(stamps[place - self._depth])
        else:
            step = int(stamps[1] - stamps[0]) if len(stamps) > 1 else 1
            dts = int(stamps[0]) - (self._depth - place) * step
        pts = int(stamps[frame])
        return VideoPacket(packet, pts, dts, int(following) - pts)


def insert_captions(
    packets: Iterable[VideoPacket], captions: ByTime, template: VideoStream
) -> Iterator[VideoPacket]:
    """The same packets; captions go before the slices of the frames that have some."""
    messages = messages_of(template)
    for item in packets:
        data = captions.get(item.pts)
        if data is None:
            yield item
            continue
        packet = Packet(messages.with_messages(bytes(item.packet), as_messages(data)))
        packet.is_keyframe = item.packet.is_keyframe
        yield replace(item, packet=packet)


def _video(container: InputContainer) -> VideoStream:
    stream = next(iter(container.streams.video), None)
    if stream is None or stream.codec_context is None:
        raise mismatch("a shard has no pictures that can be decoded")
    return stream
