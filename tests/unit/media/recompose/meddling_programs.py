"""Programs for recompose's confined child that do one thing wrong; tests start them by name."""

import contextlib
import ctypes
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

from av.packet import Packet

from containers.common.confined.child import ParentLink
from containers.common.confined.messages import Done
from containers.media.labels.captions import ByTime
from containers.media.labels.sidecar import StoredPacket
from containers.media.recompose import child
from containers.media.recompose.handover import ComposeTask
from containers.media.recompose.mux import result, tracks
from containers.media.recompose.mux.join import VideoPacket
from containers.media.recompose.mux.result_plan import ResultPlan

Packets = Iterable[VideoPacket]
Sound = Iterator[StoredPacket]


def _with_frames(
    change: Callable[[Packets], Iterator[VideoPacket]],
) -> Callable[[ParentLink], None]:
    def serve(link: ParentLink) -> None:
        write = child.write_result

        def wrong(file: Any, plan: ResultPlan, template: Any, packets: Packets) -> None:
            write(file, plan, template, change(packets))

        child.write_result = wrong
        child.serve(link)

    return serve


def _with_sound(change: Callable[[Sound], Any]) -> Callable[[ParentLink], None]:
    def serve(link: ParentLink) -> None:
        read = result.read_stream
        result.read_stream = lambda *arguments: change(read(*arguments))
        child.serve(link)

    return serve


@_with_frames
def late_frame(packets: Packets) -> Iterator[VideoPacket]:
    """Frame 7 comes 1/12800 s late."""
    for packet in packets:
        yield replace(packet, pts=packet.pts + 1) if packet.pts == 7 * 512 else packet


@_with_frames
def lost_frame(packets: Packets) -> Iterator[VideoPacket]:
    """Frame 39 is missing."""
    return (packet for packet in packets if packet.pts != 39 * 512)


@_with_frames
def broken_frame(packets: Packets) -> Iterator[VideoPacket]:
    """The first of shard 1 is noise."""
    for number, packet in enumerate(packets):
        if number == 10:
            noise = Packet(b"\0\0\0\x40" + b"\xff" * 64)
            noise.is_keyframe = True
            yield replace(packet, packet=noise)
        else:
            yield packet


@_with_sound
def late_sound(packets: Sound) -> Sound:
    """All of it is 2 ms late."""
    return (replace(p, pts=p.pts + 96, dts=p.dts + 96) for p in packets)


@_with_sound
def lost_sound(packets: Sound) -> Sound:
    """Packet 30 is missing."""
    return (packet for number, packet in enumerate(packets) if number != 30)


def lost_captions(link: ParentLink) -> None:
    """Those of frame 7 are forgotten."""
    real = child.insert_captions

    def forgetful(packets: Packets, told: ByTime, template: Any) -> Iterator[VideoPacket]:
        kept = {pts: triplets for pts, triplets in told.items() if pts != 7 * 512}
        return real(packets, kept, template)

    child.insert_captions = forgetful
    child.serve(link)


def no_attachments(link: ParentLink) -> None:
    """They are forgotten."""
    tracks.add_attachments = lambda *_: []
    child.serve(link)


# Programs that a film took over


def _taken_over(behave: Callable[[ParentLink, ComposeTask], None]) -> Callable[[ParentLink], None]:
    def serve(link: ParentLink) -> None:
        behave(link, ComposeTask.model_validate_json(link.task() or ""))
        link.send(Done())

    return serve


@_taken_over
def crash(_link: ParentLink, _task: ComposeTask) -> None:
    """A muxer that writes where it may not."""
    ctypes.memset(8, 0, 1)


@_taken_over
def hang(_link: ParentLink, _task: ComposeTask) -> None:
    """A muxer in an endless loop."""
    time.sleep(60)


@_taken_over
def claim_a_ledger(link: ParentLink, _task: ComposeTask) -> None:
    """Words that are no ledger."""
    link.send(Done(answer='{"balanced": true}'))


def claim_success(link: ParentLink) -> None:
    """The ledger of another film."""
    task = ComposeTask.model_validate_json(link.task() or "")
    video = task.manifest.video
    said = {
        "frames_coded": 1, "frames_planned": 1, "frames_decoded": 1, "frames_upscaled": 1,
        "frames_encoded": 1, "frames_in_result": 1,
        "timestamps_equal": True, "max_timestamp_error_seconds": 0, "frames_tested": 1,
        "colour": video.colour.model_dump(), "sample_aspect_ratio": "1", "rotation": 0,
    }  # fmt: skip
    link.send(Done(answer=child.Ledger.model_validate(said).to_json()))


@_taken_over
def fetch_another(link: ParentLink, _task: ComposeTask) -> None:
    """A shard that is not its turn."""
    link.fetch(1)


@_taken_over
def fetch_forever(link: ParentLink, task: ComposeTask) -> None:
    """More shards than there are."""
    for number in range(len(task.manifest.shards) + 1):
        link.fetch(number)


def fill_the_disk(link: ParentLink) -> None:
    """A result that grows and grows."""
    task = ComposeTask.model_validate_json(link.task() or "")
    while True:
        os.lseek(task.result, 16 * 1024**2, os.SEEK_CUR)
        os.write(task.result, b"x")


@_taken_over
def open_a_file(_link: ParentLink, _task: ComposeTask) -> None:
    """Of the machine."""
    with contextlib.closing(os.fdopen(os.open("/etc/passwd", os.O_RDONLY))):
        pass
