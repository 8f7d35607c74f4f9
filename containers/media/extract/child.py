"""The child's part of extract: all that touches the film's bytes; its findings go to the parent."""

import contextlib
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import av.error
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream

from containers.common.confined.child import LinkedFile, ParentLink, send_answer
from containers.common.confined.files import Descriptor, write_arrays
from containers.common.film.concealment import DecodedFrame, decode_stretch
from containers.common.film.decoding import decode_frames
from containers.common.film.kinds import kind_change, kind_of
from containers.common.film.media_errors import media_errors_as
from containers.common.film.opening import (
    AUTO_THREADS,
    ONE_THREAD,
    FilmFile,
    OpenFilm,
    open_source,
)
from containers.common.runtime.errors import WorkerError
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
    task = ExamineTask.model_validate_json(link.task() or "")
    found = examine_film(task, LinkedFile(link, task.source.size), link.report_alive)
    if found.arrays["damaged"] and link.memory is not None and link.memory.exhausted:
        raise MemoryError  # decoders drop pictures that they have no room for
    send_answer(link, found)


def examine_film(task: ExamineTask, file: Any, on_packet: Callable[[], None]) -> FoundFilm:
    """What is in the film. `file` is what `open_source` takes; `on_packet` is called before each
    packet is decoded. Raises WorkerError for what is wrong with the film.
    """
    return _Examination(task, file, on_packet).run()


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

    def __init__(self, task: ExamineTask, file: Any, on_packet: Callable[[], None]) -> None:
        self.task, self.file, self.on_packet = task, file, on_packet
        self.limits = Limits(task.source, task.environment)
        self.budget = Budget(self.limits, task.settings, task.model)
        self.name = self.limits.name
        self.conceal = task.settings.damage == "conceal"
        self.decoded = False

    def run(self) -> FoundFilm:
        """Judge, scan, test the end. Raises WorkerError for what is wrong with the film."""

        def unreadable(error: av.error.FFmpegError) -> WorkerError:
            return bad_source(f"{self.name} cannot be read ({error.strerror})")

        with media_errors_as(unreadable):
            head = self._judge()
            scanned = self._scan(head)
            self._check_limits(scanned)
            damage = self._find_damage(scanned, head)
        arrays = {
            "timestamps": scanned.timeline.timestamps,
            "keyframes": scanned.keyframes,
            **damage.arrays(),
            **scanned.writer.index(),
            **scanned.captions.arrays(),
        }
        lengths = write_arrays(Descriptor(self.task.numbers), arrays)
        return FoundFilm(
            format=scanned.format,
            video=scanned.video,
            container=scanned.container,
            sidecar=scanned.sidecar,
            skipped=scanned.timeline.skipped,
            decoded=self.decoded,
            arrays=lengths,
        )

    @contextlib.contextmanager
    def _open(self) -> Iterator[OpenFilm]:
        with contextlib.closing(open_source(self.file)) as container:
            yield self._film(container)

    def _film(self, container: InputContainer) -> OpenFilm:
        stream = choose_video(self.name, container)
        return OpenFilm(container, stream, self.name, self.on_packet)

    def _judge(self) -> Head:
        with contextlib.closing(open_film(self.limits, self.file)) as container:
            film = self._film(container)
            check_header(self.limits, self.task.settings, container, film.stream)
            size = film.stream.codec_context.width, film.stream.codec_context.height
            self.budget.check(size, film.stream.frames, (container.duration or 0) / 1e6)
            # One thread loses no frame beside a damaged one.
            head = decode_head(film, ONE_THREAD if self.conceal else AUTO_THREADS)
        check_size(self.limits, self.task.settings, head.first.width, head.first.height)
        return head

    def _scan(self, head: Head) -> _Scanned:
        with self._open() as film:
            container, stream = film.container, film.stream
            result = output.choose_container(self.task.settings, container, stream)
            writer = SidecarWriter(container, stream, result, Descriptor(self.task.payload))
            scan = scan_packets(film, head, writer, self.budget)
            line = self._timeline(film, scan, head)
            video = describe_video(
                stream, head.first, line.timestamps, end_pts=line.end_pts, by_order=line.by_order
            )
            streams = writer.close()
            return _Scanned(
                format=container.format.name,
                video=video,
                timeline=line,
                keyframes=np.array(scan.keys, np.int64),
                corrupt=scan.corrupt,
                container=result,
                sidecar=Sidecar(
                    streams=streams,
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

    def _timeline(self, film: OpenFilm, scan: Scan, head: Head) -> Timeline:
        """By the packets; by decoding the whole film where these do not have all timestamps."""
        if timeline.has_order_only(film, head):
            return self._decode_order(scan)
        line = timeline.from_packets(film, scan, head, conceal=self.conceal)
        if line is not None:
            return line
        self.decoded = True
        with self._open() as again:
            return timeline.from_decoding(again, scan, head, conceal=self.conceal)

    def _decode_order(self, scan: Scan) -> Timeline:
        """Packets have no frame's time; what was noted by their timestamps moves or goes."""
        self.decoded = True
        scan.keys, scan.corrupt = array("q"), []
        with self._open() as film:
            line, shown = timeline.from_order(film)
        scan.captions = scan.captions.retimed(shown)
        return line

    def _check_limits(self, scanned: _Scanned) -> None:
        video = scanned.video
        check_colour(self.name, video.working_colour)
        seconds = float((video.end_pts - video.start_pts) * video.time_base)
        self.limits.check("max_frames", video.frames, "has {got} frames")
        self.limits.check("max_duration_seconds", seconds, "lasts {got} seconds")

    def _find_damage(self, scanned: _Scanned, head: Head) -> FoundDamage:
        if scanned.timeline.by_order:
            return FoundDamage.none()  # it was decoded to its end
        if self.conceal:
            return self._search_damage(scanned, head)
        self._test_end(scanned, head)
        return FoundDamage.none()

    def _film_file(self, scanned: _Scanned) -> FilmFile:
        return FilmFile(self.file, scanned.video.stream_index, self.name, self.on_packet)

    def _test_end(self, scanned: _Scanned, head: Head) -> None:
        """Decode the last frames, so that a film cut short is refused now, not hours later."""
        first = scanned.timeline.tail(scanned.keyframes)
        stamps = scanned.timeline.timestamps[first:].tolist()
        frames = decode_frames(self._film_file(scanned), stamps, first_frame=first)
        before = kind_of(head.first)
        for number, frame in enumerate(frames, first):
            if kind_of(frame) != before:
                raise kind_change(
                    self.name, before, kind_of(frame), frame=number, seconds=frame.time
                )

    def _search_damage(self, scanned: _Scanned, head: Head) -> FoundDamage:
        """Decode the whole film: which frames are damaged, and which ones stand in."""
        stamps, kind = scanned.timeline.timestamps, kind_of(head.first)
        marked, file = set(scanned.corrupt), self._film_file(scanned)
        with file.open() as film:
            good = find_good_frames(film, stamps, marked=marked, kind=kind)

        def decode(wanted: list[int]) -> Iterator[DecodedFrame]:
            return decode_stretch(file, wanted, marked, kind)

        return DamageSearch(stamps, scanned.keyframes, good, decode).search(self.name)


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
