"""Encodes a shard: the same pictures give the same bytes."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import av
import av.error
from av.codec.context import Flags
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from containers.common.film.opening import MUXERS
from containers.common.film.pictures import Picture, to_frame
from containers.common.runtime.worker import WorkerError
from containers.upscaler.device.colour import MATRIX_RGB, tag_colour
from containers.upscaler.device.semi_planar import to_p010, to_semi_planar
from contracts.film.manifest import Manifest
from contracts.names import ExitCode

MAX_REORDERING = 16
"""Frames that a decoder may hold back, at most: no codec of ours allows more (H.265, A.4.2)."""
_RANGE = {False: 1, True: 2}
NULL_ENCODER = "null"
"""The encoder of manifests for benchmarks; extract never plans it."""
_NVENC = "_nvenc"
_NVENC_INPUT = {"yuv420p10le": "p010le"}
"""The pixel format that NVENC takes instead of one of ours."""


@dataclass(frozen=True)
class EncodedFile:
    """A finished shard on disk."""

    path: Path
    frames: int
    bytes: int
    sha256: str


class ShardEncoder:
    """Encodes one shard into a file: `with ShardEncoder(...) as e: e.add(...); e.finish()`.

    A packet's timestamp is the frame's number in the shard, in units of 1/frame_rate. Shards begin
    with a keyframe and refer to nothing outside themselves.
    """

    def __init__(self, manifest: Manifest, path: Path) -> None:
        encoder = manifest.encoder
        self._path = path
        self._input = _input_format(manifest)
        self._colour = manifest.result_colour
        self._container = av.open(
            str(path),
            "w",
            format=MUXERS[encoder.shard_container],
            container_options={"fflags": "+bitexact"},  # no random ids, no library versions
        )
        try:
            self._stream = self._container.add_stream(
                encoder.encoder, rate=manifest.video.frame_rate, options=dict(encoder.options)
            )
            _configure(_video(self._stream).codec_context, manifest)
        except BaseException:
            self._container.close()
            raise
        self._frames = self._packets = 0

    def add(self, picture: Picture) -> None:
        """Encode the next picture, which has the output's size and the encoder's pixel format."""
        frame = to_p010(picture) if self._input == "p010le" else to_frame(picture)
        tag_colour(frame, self._colour)
        frame.pts = self._frames
        frame.time_base = self._stream.codec_context.time_base
        self._frames += 1
        self._encode(frame)

    def finish(self) -> EncodedFile:
        """Flush the encoder and close the file."""
        self._encode(None)
        self._container.close()
        with self._path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return EncodedFile(self._path, self._frames, self._path.stat().st_size, digest)

    def _encode(self, frame: VideoFrame | None) -> None:
        for packet in _video(self._stream).encode(frame):
            self._repair_decoding_time(packet)
            self._container.mux(packet)

    def _repair_decoding_time(self, packet: Packet) -> None:
        """x265 leaves it uninitialised in shards shorter than its lookahead for B-frames."""
        if packet.pts is None:
            raise RuntimeError("the encoder made a packet without a time")
        if packet.dts is None or not 0 <= packet.pts - packet.dts <= MAX_REORDERING:
            packet.dts = self._packets - MAX_REORDERING
        self._packets += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._container.close()


class NullEncoder:
    """Stands in for ShardEncoder: converts pictures to NV12 or P010 on the host and drops them."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._frames = self._bytes = 0

    def add(self, picture: Picture) -> None:
        """See ShardEncoder.add."""
        self._frames += 1
        self._bytes += sum(part.nbytes for part in to_semi_planar(picture))

    def finish(self) -> EncodedFile:
        """Return an empty file, with the number of bytes that an encoder would have received."""
        self._path.touch()
        return EncodedFile(self._path, self._frames, self._bytes, hashlib.sha256().hexdigest())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        pass


def open_encoder(manifest: Manifest, path: Path) -> ShardEncoder | NullEncoder:
    """Open the encoder that the manifest plans, for one shard at `path`."""
    if manifest.encoder.encoder == NULL_ENCODER:
        return NullEncoder(path)
    return ShardEncoder(manifest, path)


def _input_format(manifest: Manifest) -> str:
    encoder = manifest.encoder
    hardware = encoder.encoder.endswith(_NVENC)
    taken = _NVENC_INPUT if hardware else {}
    return taken.get(encoder.pixel_format, encoder.pixel_format)


def probe_encoder(manifest: Manifest) -> None:
    """Encode one grey frame of the output's size: an encoder may be listed and not work.

    Raises WorkerError UNSUPPORTED with FFmpeg's reason.
    """
    encoder = manifest.encoder
    if encoder.encoder == NULL_ENCODER:
        return
    try:
        context = av.CodecContext.create(encoder.encoder, "w")
        if not isinstance(context, VideoCodecContext):
            raise TypeError(f"{encoder.encoder} is not a video encoder")
        context.options = dict(encoder.options)
        context.framerate = manifest.video.frame_rate
        _configure(context, manifest)
        frame = VideoFrame(context.width, context.height, _input_format(manifest))
        for plane in frame.planes:
            plane.update(bytes([128]) * plane.buffer_size)
        frame.pts, frame.time_base = 0, context.time_base
        context.encode(frame)
        context.encode(None)
    except (av.error.FFmpegError, ValueError, TypeError) as error:
        raise WorkerError(
            ExitCode.UNSUPPORTED,
            f"this worker cannot encode {encoder.codec.value} with {encoder.encoder} as "
            f"{encoder.pixel_format} at {manifest.output.width}x{manifest.output.height} "
            f"({error}); choose another codec or run the job on a worker that can encode it",
        ) from error


def _configure(context: VideoCodecContext, manifest: Manifest) -> None:
    video, encoder, colour = manifest.video, manifest.encoder, manifest.result_colour
    context.width, context.height = manifest.output.width, manifest.output.height
    context.pix_fmt = _input_format(manifest)
    context.time_base = 1 / video.frame_rate
    context.thread_count = encoder.threads
    context.sample_aspect_ratio = video.sample_aspect_ratio
    context.flags |= Flags.closed_gop | Flags.bitexact
    is_rgb = context.format is not None and context.format.is_rgb
    context.colorspace = MATRIX_RGB if is_rgb else colour.matrix
    context.color_primaries = colour.primaries
    context.color_trc = colour.transfer
    context.color_range = _RANGE[is_rgb or colour.full_range]


def _video(stream: Any) -> VideoStream:
    if not isinstance(stream, VideoStream):
        raise TypeError("the encoder is not a video encoder")
    return stream
