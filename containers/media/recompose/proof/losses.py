"""Labels that the result's container could not hold: reported, not refused."""

from collections.abc import Iterator
from fractions import Fraction

from av.stream import Disposition

from containers.common.film.pictures import has_alpha
from containers.media.labels import hdr
from containers.media.labels.captions import can_carry
from containers.media.labels.streams import QUICKTIME_LANGUAGES
from containers.media.recompose.proof.readback import ReadBack, Track
from contracts.film.facts import Chapter, LostLabel
from contracts.film.manifest import Manifest

CHAPTER_ERROR = Fraction(1, 1000)
_SECONDS_SHOWN = 19
"""Characters of a creation time up to its seconds; muxers write the rest in their own way."""


def lost_labels(found: ReadBack, manifest: Manifest) -> Iterator[LostLabel]:
    """Compare every tag, disposition and chapter of the source with the finished file's."""
    sidecar = manifest.sidecar
    for name, value in manifest.video.working_colour:
        got = getattr(manifest.result_colour, name)
        if got != value:
            yield LostLabel(of="film", label=f"colour {name}", value=str(value), found=str(got))
    yield from manifest.video.lost
    pixels = manifest.video.pixel_format
    if has_alpha(pixels) and not has_alpha(manifest.encoder.pixel_format):
        yield LostLabel(of="film", label="alpha", value=pixels, found=None)
    yield from _captions(manifest)
    if manifest.encoder.encoder not in hdr.CARRIERS:
        for name in ("mastering_display", "light_level"):
            if (there := getattr(manifest.video, name)) is not None:
                yield LostLabel(of="film", label=name, value=there.to_json(), found=None)
    yield from _tags("file", sidecar.metadata, found.labels)
    yield from _of_track("film", sidecar.film_labels, sidecar.film_disposition, found.film)
    for stream, track in zip(sidecar.streams, found.copies, strict=True):
        name = f"stream {stream.source_index}"
        yield from _of_track(name, stream.labels, stream.disposition, track)
    yield from _chapters(sidecar.chapters, found.chapters)


def _captions(manifest: Manifest) -> Iterator[LostLabel]:
    track = manifest.sidecar.captions
    if track is None:
        return
    lost = track.untimed
    if not can_carry(manifest.encoder.codec):
        lost += track.pictures
    if lost:
        value = f"CEA-608/708 in {lost} pictures"
        yield LostLabel(of="film", label="captions", value=value, found=None)
    if track.unread:
        value = f"of DVDs or SCTE 20 in {track.unread} pictures"
        yield LostLabel(of="film", label="captions", value=value, found=None)


def _of_track(
    name: str, labels: dict[str, str], disposition: int, track: Track
) -> Iterator[LostLabel]:
    yield from _tags(name, labels, track.labels)
    for bit in Disposition:
        if disposition & bit and not track.disposition & bit:
            yield LostLabel(of=name, label="disposition", value=bit.name or "", found=None)


def _tags(of: str, wanted: dict[str, str], found: dict[str, str]) -> Iterator[LostLabel]:
    there = {key.lower(): value for key, value in found.items()}
    for key, value in wanted.items():
        got = there.get(key.lower())
        if got != value and not (got and _means_the_same(key.lower(), value, got)):
            yield LostLabel(of=of, label=key, value=value, found=got)


def _means_the_same(key: str, one: str, other: str) -> bool:
    if key == "language":
        return QUICKTIME_LANGUAGES.get(one, one) == QUICKTIME_LANGUAGES.get(other, other)
    return key == "creation_time" and one[:_SECONDS_SHOWN] == other[:_SECONDS_SHOWN]


def _chapters(wanted: tuple[Chapter, ...], found: list[Chapter]) -> Iterator[LostLabel]:
    for number, chapter in enumerate(wanted):
        said, got = _shown(chapter), None
        if number < len(found):
            got = _shown(found[number])
            if _alike(chapter, found[number]):
                continue
        yield LostLabel(of="file", label=f"chapter {number}", value=said, found=got)


def _alike(one: Chapter, other: Chapter) -> bool:
    apart = [one.start * one.time_base - other.start * other.time_base]
    apart.append(one.end * one.time_base - other.end * other.time_base)
    lost = list(_tags("", one.metadata, other.metadata))
    return not lost and all(abs(seconds) <= CHAPTER_ERROR for seconds in apart)


def _shown(chapter: Chapter) -> str:
    start, end = (float(stamp * chapter.time_base) for stamp in (chapter.start, chapter.end))
    return f"{start:.3f} to {end:.3f} s {chapter.metadata.get('title', '')}".strip()
