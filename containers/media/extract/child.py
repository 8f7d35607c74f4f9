"""The child's part of extract: all that touches the film's bytes, for `extract` to plan with."""

import contextlib
from array import array
from collections.abc import Iterator
from dataclasses import dataclass

import av.error
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream

from containers.common.confined.child import LinkedFile, ParentLink, send_answer
from containers.common.confined.files import Descriptor, write_arrays
from containers.common.film import opening
from containers.common.film.concealment import Given, decode_stretch
from containers.common.film.kinds import kind_change, kind_of
from containers.common.film.opening import decode_frames, open_source
from containers.media.extract.handover import ExamineTask, FoundFilm
from containers.media.extract.index import timeline
from containers.media.extract.index.damage_search import (
    DamageSearch,
    FoundDamage,
    find_good_frames,
)
from containers.media.extract.index.scan import (
    Head,
    Scan,
    decode_head,
    scan_packets,
)
from containers.media.extract.index.timeline import Timeline
from containers.media.extract.judge.budget import Budget
from containers.media.extract.judge.picture import describe_video
from containers.media.extract.judge.probe import (
    Limits,
    bad_source,
    check_colour,
    check_header,
    check_size,
    choose_video,
    open_film,
)
from containers.media.extract.plan import output
from containers.media.labels.captions import Captions
from containers.media.labels.sidecar import SidecarWriter
from containers.media.labels.streams import chapters, labels
from contracts.film.facts import (
    CaptionTrack,
    Sidecar,
    Video,
)
from contracts.job import Container


def serve(link: ParentLink) -> None:
    """Examine one film."""
    opening.on_packet = link.alive
    task = ExamineTask.model_validate_json(link.task() or "")
    found = examine_film(task, LinkedFile(link, task.source.size))
    if found.arrays["damaged"] and link.memory is not None and link.memory.exhausted:
        raise MemoryError  # decoders drop pictures that they have no room for
    send_answer(link, found)


def examine_film(task: ExamineTask, file: LinkedFile) -> FoundFilm:
    """What is in the film. Raises WorkerError for what is wrong with it."""
    return _Examination(task).found(file)


@dataclass(frozen=True)
class _Scanned:
    """What the pass over the packets gave."""

    format: str
    video: Video
    timeline: Timeline
    keyframes: np.ndarray
    """Their timestamps, int64, in the file's order."""
    corrupt: list[int]
    """Timestamps of damaged packets."""
    container: Container
    sidecar: Sidecar
    writer: SidecarWriter
    captions: Captions


class _Examination:
    """One film on its way to its facts."""

    def __init__(self, task: ExamineTask) -> None:
        self.task = task
        self.limits = Limits(task.source, task.environment)
        self.budget = Budget(self.limits, task.settings, task.model)
        self.name = self.limits.name
        self.conceal = task.settings.damage == "conceal"
        self.decoded = False

    def found(self, file: LinkedFile) -> FoundFilm:
        """Judge, scan, test the end. Raises WorkerError for what is wrong with the film."""
        try:
            head = self._judge(file)
            scanned = self._scan(file, head)
            self._check_limits(scanned)
            if scanned.timeline.by_order:
                damage = FoundDamage.none()  # it was decoded to its end
            elif self.conceal:
                damage = self._damage(file, scanned, head)
            else:
                damage = FoundDamage.none()
                self._test_end(file, scanned, head)
        except av.error.FFmpegError as error:
            if isinstance(error, MemoryError):
                raise
            raise bad_source(f"{self.name} cannot be read ({error.strerror})") from error
        arrays = {
            "timestamps": scanned.timeline.timestamps,
            "keyframes": scanned.keyframes,
            **damage.arrays(),
            **scanned.writer.index(),
            **scanned.captions.arrays(),
        }
        return FoundFilm(
            format=scanned.format,
            video=scanned.video,
            container=scanned.container,
            sidecar=scanned.sidecar,
            skipped=scanned.timeline.skipped,
            decoded=self.decoded,
            arrays=write_arrays(Descriptor(self.task.numbers), arrays),
        )

    def _judge(self, file: LinkedFile) -> Head:
        with contextlib.closing(open_film(self.limits, file)) as container:
            stream = choose_video(self.name, container)
            check_header(self.limits, self.task.settings, container, stream)
            size = stream.codec_context.width, stream.codec_context.height
            self.budget.check(size, stream.frames, (container.duration or 0) / 1e6)
            # One thread loses no frame beside a damaged one.
            threads = opening.ONE_THREAD if self.conceal else opening.AUTO_THREADS
            head = decode_head(container, stream, self.name, threads)
        check_size(self.limits, self.task.settings, head.first.width, head.first.height)
        return head

    def _scan(self, file: LinkedFile, head: Head) -> _Scanned:
        with contextlib.closing(open_source(file)) as container:
            stream = choose_video(self.name, container)
            result = output.choose_container(self.task.settings, container, stream)
            writer = SidecarWriter(container, stream, result, Descriptor(self.task.payload))
            scan = scan_packets(container, stream, head, writer, self.budget)
            demuxer = container.format.name.split(",")[0]
            if timeline.has_order_only(stream, head, demuxer):
                line = self._decode_order(file, scan)
            else:
                line = timeline.from_packets(
                    scan, head, stream, self.name, demuxer, conceal=self.conceal
                )
            if line is None:
                line = self._decode_all(file, scan, head)
            return _Scanned(
                format=container.format.name,
                video=describe_video(
                    stream, head.first, line.timestamps, line.end_pts, by_order=line.by_order
                ),
                timeline=line,
                keyframes=np.array(scan.keys, np.int64),
                corrupt=scan.corrupt,
                container=result,
                sidecar=Sidecar(
                    streams=writer.close(),
                    attachments=tuple(writer.attachments),
                    chapters=tuple(chapters(container)),
                    metadata=_file_labels(container),
                    film_labels=_film_labels(container, stream),
                    film_disposition=int(stream.disposition),
                    captions=_track(scan),
                    dropped=tuple(writer.dropped),
                ),
                writer=writer,
                captions=scan.captions,
            )

    def _decode_all(self, file: LinkedFile, scan: Scan, head: Head) -> Timeline:
        """Packets do not tell all timestamps."""
        self.decoded = True
        with contextlib.closing(open_source(file)) as container:
            stream = choose_video(self.name, container)
            return timeline.from_decoding(
                container, stream, scan, head, self.name, conceal=self.conceal
            )

    def _decode_order(self, file: LinkedFile, scan: Scan) -> Timeline:
        """Packets tell no frame's time; what was noted by their timestamps moves or goes."""
        self.decoded = True
        scan.keys, scan.corrupt = array("q"), []
        with contextlib.closing(open_source(file)) as container:
            stream = choose_video(self.name, container)
            line, shown = timeline.from_order(container, stream, self.name)
        scan.captions = scan.captions.retimed(shown)
        return line

    def _check_limits(self, scanned: _Scanned) -> None:
        video = scanned.video
        check_colour(self.name, video.working_colour)
        seconds = float((video.end_pts - video.start_pts) * video.time_base)
        self.limits.check("max_frames", video.frames, "has {got} frames")
        self.limits.check("max_duration_seconds", seconds, "lasts {got} seconds")

    def _test_end(self, file: LinkedFile, scanned: _Scanned, head: Head) -> None:
        """Decode the last frames, so that a film cut short is refused now, not hours later."""
        first = scanned.timeline.tail(scanned.keyframes)
        frames = decode_frames(
            lambda: open_source(file),
            scanned.timeline.timestamps[first:].tolist(),
            stream_index=scanned.video.stream_index,
            first_frame=first,
            name=self.name,
        )
        before = kind_of(head.first)
        for number, frame in enumerate(frames, first):
            if kind_of(frame) != before:
                raise kind_change(self.name, before, kind_of(frame), number, frame.time)

    def _damage(self, file: LinkedFile, scanned: _Scanned, head: Head) -> FoundDamage:
        """Decode the whole film; what is damaged, and what is to stand in."""
        stamps, kind = scanned.timeline.timestamps, kind_of(head.first)
        marked = set(scanned.corrupt)
        with contextlib.closing(open_source(file)) as container:
            stream = choose_video(self.name, container)
            opening.discard_others(container, stream)
            good = find_good_frames(container, stream, stamps, marked, kind, self.name)

        def decode(wanted: list[int]) -> Iterator[Given]:
            index = scanned.video.stream_index
            return decode_stretch(lambda: open_source(file), wanted, marked, index, kind)

        return DamageSearch(stamps, scanned.keyframes, good, decode).found(self.name)


def _track(scan: Scan) -> CaptionTrack | None:
    found = scan.captions
    if not (found.pts or found.untimed or found.unread):
        return None
    return CaptionTrack(
        pictures=len(found.pts),
        bytes=len(found.data),
        untimed=found.untimed,
        unread=found.unread,
        time_base=scan.time_base,
    )


def _file_labels(container: InputContainer) -> dict[str, str]:
    return {k: v for k, v in labels(container.metadata).items() if k.lower() != "timecode"}


def _film_labels(container: InputContainer, stream: VideoStream) -> dict[str, str]:
    """Some formats note the time code of the first frame for the file, not for the stream."""
    said = {k.lower(): v for k, v in container.metadata.items()}
    timecode = {"timecode": said["timecode"]} if "timecode" in said else {}
    return {**timecode, **labels(stream.metadata)}
