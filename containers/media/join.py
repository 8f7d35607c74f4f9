"""The shards as one stream of packets, without re-encoding; one shard on disk at a time."""

import contextlib
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from containers.common.storage import Store, WorkerError
from containers.media import hdr
from contracts import keys
from contracts.manifest import Manifest, Shard, ShardResult
from contracts.names import SHARD_RESULT_METADATA, ExitCode


@dataclass(frozen=True)
class VideoPacket:
    """A packet of the film with its exact times, in the film's time base."""

    packet: Packet
    pts: int
    dts: int
    duration: int


def mismatch(message: str) -> WorkerError:
    return WorkerError(ExitCode.LEDGER_MISMATCH, message)


class JoinedShards:
    """Reads the job's shards in order, each verified against its result.

    Shard packets count frames from 0; here they get the film's timestamps. Decoding order: over
    the whole film dts[i] = timestamps[i - D], where D is the depth of the encoder's reordering.
    """

    def __init__(
        self, store: Store, bucket: str, manifest: Manifest, timestamps: np.ndarray, folder: Path
    ) -> None:
        self.results: list[ShardResult] = []
        self._store, self._bucket, self._folder = store, bucket, folder
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
        path = self._folder / f"shard.{self._manifest.encoder.shard_container.value}"
        self.results.append(self._fetch(shard, path))
        if shard.index == 0:
            video = self._manifest.video
            hdr.write_boxes(path, video.mastering_display, video.light_level)
        container = av.open(str(path))
        self._opened.callback(path.unlink)
        self._opened.callback(container.close)
        return container

    def _fetch(self, shard: Shard, path: Path) -> ShardResult:
        manifest = self._manifest
        extension = manifest.encoder.shard_container.value
        key = keys.shard_key(manifest.job_id, shard.index, extension)
        which = f"shard {shard.index} of {len(manifest.shards)}"
        info = self._store.info(self._bucket, key)
        if info is None:
            raise mismatch(f"{which} is missing")
        said = info.metadata.get(SHARD_RESULT_METADATA)
        if said is None:
            raise mismatch(f"{which} has no result in its metadata")
        result = ShardResult.model_validate_json(said)
        if (result.job_id, result.index) != (manifest.job_id, shard.index):
            raise mismatch(f"{which} is shard {result.index} of job {result.job_id}")
        if result.frames != shard.frames:
            raise mismatch(f"{which} has {result.frames} frames instead of {shard.frames}")
        self._store.download(self._bucket, key, path)
        with path.open("rb") as body:
            if hashlib.file_digest(body, "sha256").hexdigest() != result.sha256:
                raise mismatch(f"{which} does not have the bytes that its worker made")
        return result

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


def _video(container: InputContainer) -> VideoStream:
    return container.streams.video[0]
