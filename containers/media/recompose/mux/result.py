"""Writing the result: the joined film and the sidecar's streams, interleaved by decoding time."""

import heapq
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import IO, Any

import av
from av.container import OutputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream

from containers.common.confined.files import Descriptor
from containers.common.film.opening import (
    BUFFER_BYTES,
    ISO_MEDIA,
    MUXERS,
)
from containers.common.runtime.errors import mismatch
from containers.media.labels.sidecar import (
    MUXER_OPTIONS,
    StoredPacket,
    read_stream,
)
from containers.media.labels.streams import TEXT, result_codec
from containers.media.labels.subtitles import convert_subtitle
from containers.media.recompose.mux.clock import mp4_timescale, rescale
from containers.media.recompose.mux.join import VideoPacket
from containers.media.recompose.mux.result_plan import ResultPlan
from containers.media.recompose.mux.shape import needs_shape, write_shape
from containers.media.recompose.mux.tracks import Tracks, add_tracks
from contracts.film.facts import SidecarStream
from contracts.film.manifest import Manifest
from contracts.job import Container

_FLAGS = {
    Container.MP4: "+faststart",
    Container.MOV: "+faststart+use_metadata_tags",  # else it keeps a handful of known tags
}
_WRITE = 2
"""AVIO_FLAG_WRITE."""
Timed = tuple[float, Packet]
"""A packet and the second at which it is decoded."""


def write_result(
    file: Descriptor, plan: ResultPlan, template: VideoStream, packets: Iterable[VideoPacket]
) -> None:
    """Write the whole result into an empty file. `template` has the headers of the film's packets.

    Memory: MP4's sample table, and about a second of packets. Raises WorkerError LEDGER_MISMATCH.
    """
    manifest = plan.manifest
    scale = _timescale(plan)

    def reopen(_url: str, flags: int, _options: dict[str, str]) -> IO[bytes] | Any:
        """MP4's muxer moves the index to the front: it reads what it writes."""
        if flags & _WRITE:
            raise mismatch("the muxer wants to write a second file")
        return file.reopen()

    with av.open(
        file, "w", format=MUXERS[manifest.output.container], buffer_size=BUFFER_BYTES,
        container_options=_muxer_options(manifest, scale), io_open=reopen,
    ) as out:  # fmt: skip
        tracks = add_tracks(out, plan, template, scale=scale)
        _set_metadata(out, manifest)
        out.start_encoding()
        for cover in tracks.covers:
            out.mux(cover)
        for packet in _interleave(tracks, plan, packets):
            out.mux(packet)
    if needs_shape(manifest):
        write_shape(file.reopen(), manifest)


def _timescale(plan: ResultPlan) -> int | None:
    """The film's units per second; None where the muxer chooses."""
    manifest, video = plan.manifest, plan.manifest.video
    if manifest.output.container not in ISO_MEDIA:
        return None
    units = int(plan.head_start() / video.time_base)
    return mp4_timescale(video.time_base, plan.timestamps + units, video.end_pts + units)


def _muxer_options(manifest: Manifest, scale: int | None) -> dict[str, str]:
    options = dict(MUXER_OPTIONS)
    if scale is not None:
        options["movflags"] = _FLAGS[manifest.output.container]
        options["video_track_timescale"] = str(scale)
        options["movie_timescale"] = str(scale)  # the unit of start offsets
    return options


def _interleave(
    tracks: Tracks, plan: ResultPlan, packets: Iterable[VideoPacket]
) -> Iterator[Packet]:
    """Film and copied streams by decoding time."""
    source, later = plan.manifest.video.time_base, plan.head_start()
    sources = [_film_packets(tracks.film, packets, source, later)]
    if plan.sidecar is not None:
        container = plan.manifest.output.container
        for target, stream in tracks.copies:
            copied = read_stream(plan.sidecar, stream.sidecar_index)
            sources.append(_copied_packets(target, stream, copied, container, later=later))
    for _, packet in heapq.merge(*sources, key=lambda item: item[0]):
        yield packet


def _set_metadata(out: OutputContainer, manifest: Manifest) -> None:
    out.metadata.update(manifest.sidecar.metadata)
    out.set_chapters(
        [
            {
                "id": number,
                "start": chapter.start,
                "end": chapter.end,
                "time_base": chapter.time_base,
                "metadata": chapter.metadata,
            }
            for number, chapter in enumerate(manifest.sidecar.chapters)
        ]
    )


def _film_packets(
    film: VideoStream, packets: Iterable[VideoPacket], source: Fraction, later: Fraction
) -> Iterator[Timed]:
    target = film.time_base or source
    for item in packets:
        packet = item.packet
        packet.stream, packet.time_base = film, target
        packet.pts = rescale(item.pts, source, target, later)
        packet.dts = rescale(item.dts, source, target, later)
        packet.duration = rescale(item.duration, source, target)
        yield float(item.dts * source), packet


def _copied_packets(
    target: Stream,
    stream: SidecarStream,
    packets: Iterable[StoredPacket],
    container: Container,
    *,
    later: Fraction,
) -> Iterator[Timed]:
    """Decoding times must rise in the result's units; where they do not, by the least change."""
    strict = int(container in ISO_MEDIA)
    codec = result_codec(stream.codec, container)
    unit, last = target.time_base or stream.time_base, None
    for item in packets:
        packet = item.packet
        if stream.codec in TEXT and codec != stream.codec:
            packet = Packet(convert_subtitle(bytes(packet), stream.codec, codec))
        dts = rescale(item.dts, stream.time_base, unit, later)
        last = dts if last is None else max(dts, last + strict)
        packet.stream, packet.time_base = target, unit
        packet.dts = last
        packet.pts = max(last, rescale(item.pts, stream.time_base, unit, later))
        packet.duration = rescale(item.duration, stream.time_base, unit)
        packet.is_keyframe = True
        yield float(item.dts * stream.time_base), packet
