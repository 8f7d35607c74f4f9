"""Which streams and labels a container can hold, and what each becomes in it."""

import io
from fractions import Fraction

import av
import av.error
from av.container import InputContainer
from av.stream import Disposition, Stream

from containers.common.film.opening import (
    ISO_MEDIA,
    MUXERS,
    is_still,
)
from contracts.film.facts import Chapter
from contracts.job import Container

TEXT = frozenset({"subrip", "text", "ass", "ssa", "webvtt", "mov_text"})
"""Subtitles that every container takes in one of these forms."""
COVER_KINDS = {
    "png": "image/png", "mjpeg": "image/jpeg", "bmp": "image/bmp",
    "gif": "image/gif", "tiff": "image/tiff", "webp": "image/webp",
}  # fmt: skip
COVERS = {Container.MP4: ("png", "mjpeg", "bmp"), Container.MKV: tuple(COVER_KINDS)}
"""Codecs of covers that a container holds; MOV and WebM hold none."""
NOT_GIVEN_BACK = frozenset({"tta"})
"""Sound that FFmpeg writes into Matroska and then cannot read without the file's duration."""
ALPHA_MODE = "alpha_mode"
"""Matroska's word for alpha, which its muxer finds out by itself."""
_FILE_TAGS = frozenset({
    "major_brand", "minor_version", "compatible_brands", "encoder", "vendor_id", "duration",
    "number_of_frames", "number_of_bytes", "bps", "filename", "mimetype", ALPHA_MODE,
    "uid", "generation_uid", "product_uid", "company_name", "product_name", "product_version",
    "toolkit_version", "application_platform", "operational_pattern_ul", "modification_date",
    "material_package_umid", "material_package_name", "file_package_umid", "file_package_name",
})  # fmt: skip
"""Tags that describe the source's file, not the film; `_FILE_TAG_STARTS` too."""
_FILE_TAG_STARTS = ("_statistics_", "number_of_", "bps-", "duration-")
QUICKTIME_LANGUAGES = {
    "fre": "fra", "deu": "ger", "nld": "dut", "ell": "gre", "isl": "ice", "zho": "chi",
    "sqi": "alb", "rum": "ron", "cze": "ces", "slo": "slk",
}  # fmt: skip
"""Of the two codes of a language (ISO 639-2/B and /T) the one that FFmpeg writes into MOV."""
_USUAL_HANDLERS = ("videohandler", "soundhandler", "subtitlehandler", "timecodehandler")


def codec_name(stream: Stream) -> str:
    """FFmpeg's name of the codec, whichever decoder serves it."""
    if stream.codec_context is not None:
        return stream.codec_context.codec.canonical_name
    return (stream.name if stream.type == "data" else None) or "unknown"


def result_codec(codec: str, container: Container) -> str:
    """What a stream of that codec is in a container: text takes the container's own form."""
    if codec not in TEXT:
        return codec
    if container in ISO_MEDIA:
        return "mov_text"
    if container is Container.WEBM:
        return "webvtt"
    return "subrip" if codec == "mov_text" else codec


def can_hold(container: Container, stream: Stream) -> bool:
    """True if a file can carry the stream as it is, or its text in another form."""
    codec = codec_name(stream)
    if codec in TEXT:
        return True
    if container is Container.MKV and codec in NOT_GIVEN_BACK:
        return False
    try:
        with av.open(io.BytesIO(), "w", format=MUXERS[container]) as out:
            out.add_stream_from_template(stream, opaque=True)
            out.start_encoding()
    except (av.error.FFmpegError, ValueError):
        return False
    return True


def is_cover(stream: Stream) -> bool:
    """True of cover art, which FFmpeg shows as video."""
    return stream.type == "video" and bool(stream.disposition & Disposition.attached_pic)


def is_timecode(stream: Stream) -> bool:
    """True of a track that says only the time code of the first frame, which is a label."""
    return stream.type == "data" and "timecode" in stream.metadata


def why_not(stream: Stream, result: Container) -> str | None:
    """Why a stream cannot be kept, or None."""
    codec = codec_name(stream)
    if is_cover(stream):
        holds = codec in COVERS.get(result, ())
        return None if holds else f"{result.name} cannot hold a cover in {codec}"
    if stream.type == "video":
        return "a picture, not the film" if is_still(stream) else "only one video stream is kept"
    if stream.type == "attachment":
        return None if result is Container.MKV else f"{result.name} cannot hold attachments"
    if stream.type not in ("audio", "subtitle"):
        return f"a {stream.type} stream"
    if not can_hold(result, stream):
        return f"{result.name} cannot hold {codec}"
    if not can_hold(Container.MKV, stream):
        return f"the sidecar (MKV) cannot hold {codec}"
    return None


def chapters(container: InputContainer) -> list[Chapter]:
    """As the file's header has them."""
    return [
        Chapter(
            start=chapter["start"],
            end=chapter["end"],
            time_base=chapter["time_base"] or Fraction(1, 1000),
            metadata=chapter["metadata"],
        )
        for chapter in container.chapters()
    ]


def labels(metadata: dict[str, str]) -> dict[str, str]:
    """Tags of the film or of a stream, without those of the source's file and muxer."""
    kept = {k: v for k, v in metadata.items() if v and not _of_the_file(k.lower(), v.lower())}
    for key in [k for k in kept if k.lower() == "timecode"]:
        kept["timecode"] = kept.pop(key)
    if "name" in kept:  # as FFmpeg shows the title of a track in MP4
        kept.setdefault("title", kept.pop("name"))
    return kept


def _of_the_file(key: str, value: str) -> bool:
    if key in _FILE_TAGS or key.startswith(_FILE_TAG_STARTS):
        return True
    return (key, value) == ("language", "und") or (
        key == "handler_name" and value in _USUAL_HANDLERS
    )
