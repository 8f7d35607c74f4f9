"""Judging a source before any work: what it is, whether it is whole, whether it is too large."""

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO, Any, NoReturn

import av.error
from av.container import InputContainer
from av.video.stream import VideoStream

from containers.common.film.opening import open_source, video_stream
from containers.common.runtime.errors import WorkerError
from contracts.base import one_line
from contracts.film.facts import CONVERTIBLE_MATRICES, Colour
from contracts.job import Settings, SourceObject
from contracts.names import ExitCode
from contracts.planning import target_size
from contracts.stack.environ import ExtractEnvironment

READ_FORMATS = "MP4, MOV, Matroska, WebM, MPEG-TS, MPEG-PS, AVI, MXF, IVF, Ogg, FLV and ASF"

_PICTURES = {
    b"\x89PNG": "PNG", b"\xff\xd8\xff": "JPEG", b"GIF8": "GIF", b"BM": "BMP",
    b"II*\0": "TIFF", b"MM\0*": "TIFF",
}  # fmt: skip
_SOUNDS = {b"ID3": "MP3", b"\xff\xfb": "MP3", b"fLaC": "FLAC", b"#!AMR": "AMR"}
_FILMS = {b"\x1a\x45\xdf\xa3": "Matroska", b"RIFF": "AVI", b"OggS": "Ogg", b"FLV": "FLV"}


_CUT = "cut the film into parts"
REMEDIES = {
    "max_source_bytes": _CUT,
    "max_frames": _CUT,
    "max_duration_seconds": _CUT,
    "max_frame_pixels": "make the film smaller first",
    "max_output_pixels": "choose a smaller result",
    "max_streams": "take streams out",
    "max_attachments": "take attachments out",
    "max_attachment_bytes": "take attachments out",
    "max_chapters": "take chapters out",
    "max_extradata_bytes": "take that stream out or re-encode it",
}
"""What a user can do, by limit."""


@dataclass(frozen=True)
class Limits:
    """The stack's limits on one source, refused with the value got and the value allowed.

    All are checked before the first picture is decoded, as far as the header has the numbers. What
    it lacks, or has wrong, is checked while the packets are read.
    """

    source: SourceObject
    environment: ExtractEnvironment

    @property
    def name(self) -> str:
        """The file's name, for sentences."""
        return one_line(PurePosixPath(self.source.key).name or self.source.key)

    def check(self, limit: str, got: float, what: str) -> None:
        """Raise LIMIT_EXCEEDED if `got` is above the environment's field `limit`.

        `what` says what was got, e.g. "has {got} streams".
        """
        allowed = getattr(self.environment, limit)
        if got > allowed:
            said = what.format(got=round(got, 3))
            message = (
                f"{self.name} {said}, the limit is {allowed} ({limit}); {REMEDIES[limit]}, or "
                "raise this setting of the stack"
            )
            raise WorkerError(ExitCode.LIMIT_EXCEEDED, message)


def bad_source(message: str) -> WorkerError:
    return WorkerError(ExitCode.BAD_SOURCE, message)


def open_film(limits: Limits, file: IO[bytes] | Any) -> InputContainer:
    """Open the source. Raises BAD_SOURCE with what is wrong with it."""
    if limits.source.size == 0:
        raise bad_source(f"{limits.name} is empty (0 bytes); upload it again")
    try:
        return open_source(file)
    except (av.error.FFmpegError, ValueError) as error:
        _refuse(limits.name, file, error)


def _refuse(name: str, file: IO[bytes] | Any, error: Exception) -> NoReturn:
    file.seek(0)
    head = bytes(file.read(64))
    for table, kind in ((_PICTURES, "still picture"), (_SOUNDS, "sound file")):
        for magic, which in table.items():
            if head.startswith(magic):
                raise bad_source(f"{name} is a {kind} ({which}), not a video") from error
    if head[4:8] in {b"ftyp", b"mdat", b"moov", b"wide", b"free"}:
        raise bad_source(
            f"{name} is cut off or was never finished: its index (moov) is missing or broken; "
            "upload it again"
        ) from error
    for magic, which in _FILMS.items():
        if head.startswith(magic):
            raise bad_source(
                f"{name} looks like {which} but cannot be read; upload it again"
            ) from error
    if _is_text(head):
        raise bad_source(f"{name} is a text file, not a video") from error
    raise bad_source(f"{name} is not a video in a format we read ({READ_FORMATS})") from error


def _is_text(head: bytes) -> bool:
    text = head.decode("utf-8", "ignore")
    readable = sum(c.isprintable() or c in "\r\n\t" for c in text)
    return len(text) >= len(head) * 0.9 and readable == len(text)


def choose_video(name: str, container: InputContainer) -> VideoStream:
    """The film's stream; BAD_SOURCE where there is none, UNSUPPORTED without a decoder."""
    stream = video_stream(container)
    if stream is None:
        kinds = {s.type for s in container.streams}
        if container.streams.video:
            raise bad_source(f"{name} holds a still picture and no video")
        if "audio" in kinds:
            raise bad_source(f"{name} holds sound and no video")
        raise bad_source(f"{name} holds no video stream")
    if stream.codec_context is None:
        raise WorkerError(ExitCode.UNSUPPORTED, f"{name}: there is no decoder for its video codec")
    if not (stream.codec_context.width and stream.codec_context.height):
        raise bad_source(f"{name}: the video stream has no picture size; upload it again")
    return stream


def check_header(
    limits: Limits, settings: Settings, container: InputContainer, stream: VideoStream
) -> None:
    """Check the limits whose numbers the header has, before a frame is decoded."""
    _check_parts(limits, container)
    limits.check("max_duration_seconds", (container.duration or 0) / 1e6, "lasts {got} seconds")
    limits.check("max_frames", stream.frames, "has {got} frames")
    check_size(limits, settings, stream.codec_context.width, stream.codec_context.height)


def _check_parts(limits: Limits, container: InputContainer) -> None:
    attachments = container.streams.attachments
    others = [s for s in container.streams if s.type != "attachment"]
    limits.check("max_streams", len(others), "has {got} streams")
    limits.check("max_attachments", len(attachments), "has {got} attachments")
    size = sum(len(attachment.data) for attachment in attachments)
    limits.check("max_attachment_bytes", size, "has {got} bytes of attachments")
    limits.check("max_chapters", len(container.chapters()), "has {got} chapters")
    for stream in others:
        extradata = stream.codec_context.extradata if stream.codec_context else None
        what = f"has a header of {{got}} bytes in stream {stream.index}"
        limits.check("max_extradata_bytes", len(extradata or b""), what)


def check_size(limits: Limits, settings: Settings, width: int, height: int) -> None:
    """Check the limits on the pixels of one frame, of the source and of the result."""
    limits.check("max_frame_pixels", width * height, f"has {width}x{height} = {{got}} pixels")
    wide, high = target_size(settings, width, height)
    what = f"at {settings.label} becomes {wide}x{high} = {{got}} pixels"
    limits.check("max_output_pixels", wide * high, what)
    if high < height:
        raise WorkerError(
            ExitCode.BAD_REQUEST,
            f"{limits.name} has {height} lines, so {settings.label} would make it smaller; "
            "choose more lines or a scale",
        )


def check_colour(name: str, colour: Colour) -> None:
    """Raise UNSUPPORTED for a matrix that cannot be converted, before any upscaling is paid for."""
    if colour.matrix not in CONVERTIBLE_MATRICES:
        known = ", ".join(str(number) for number in CONVERTIBLE_MATRICES)
        raise WorkerError(
            ExitCode.UNSUPPORTED,
            f"{name} has colour matrix {colour.matrix} (ITU-T H.273), which cannot be converted, "
            f"only {known}; convert the film to BT.709 first",
        )
