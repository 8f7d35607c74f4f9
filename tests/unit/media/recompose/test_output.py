"""What a user may ask of the result: codec, pixel format, container."""

from pathlib import Path

import av
import pytest

from containers.common.film.opening import ISO_MEDIA
from contracts.job import HOLDS, Codec, Container
from tests.support.films import Clip, decode_all
from tests.unit.media.support import make_and_run, times

PAIRS = [(codec, kind) for kind in Container for codec in Codec if codec in HOLDS[kind]]
TAGS = {
    (Codec.H264, Container.MP4): "avc1",
    (Codec.H264, Container.MOV): "avc1",
    (Codec.HEVC, Container.MP4): "hvc1",
    (Codec.HEVC, Container.MOV): "hvc1",
    (Codec.AV1, Container.MP4): "av01",
    (Codec.PRORES, Container.MOV): "apch",
}
"""What players look for; without Matroska's, which has its own names."""


@pytest.mark.parametrize(("codec", "kind"), PAIRS)
def test_every_codec_is_joined_in_every_container_that_holds_it(
    codec: Codec, kind: Container, tmp_path: Path
) -> None:
    bench, result = make_and_run(
        tmp_path, "film.mp4", Clip(), codec=codec, container=kind, shard_seconds=0.4
    )
    assert times(result) == times(bench.film)  # 25 a second: whole milliseconds
    assert len(bench.manifest.shards) == 4
    with av.open(str(result)) as film:
        stream = film.streams.video[0]
        assert stream.codec_context.codec.canonical_name == codec
        assert (stream.width, stream.height) == (128, 96)
        assert film.format.name.startswith("mov" if kind in ISO_MEDIA else "matroska")
        if (codec, kind) in TAGS:
            assert stream.codec_context.codec_tag == TAGS[codec, kind]


@pytest.mark.parametrize("kind", sorted(ISO_MEDIA))
def test_iso_files_can_start_playing_before_they_are_whole(kind: Container, tmp_path: Path) -> None:
    _, result = make_and_run(tmp_path, "film.mp4", Clip(), container=kind)
    data = result.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


@pytest.mark.parametrize(
    ("codec", "pixel_format"),
    [
        (Codec.H264, "yuv422p"),
        (Codec.H264, "yuv444p10le"),
        (Codec.HEVC, "yuv422p12le"),
        (Codec.AV1, "yuv420p10le"),
        (Codec.PRORES, "yuv422p10le"),
        (Codec.PRORES, "yuv444p10le"),
        (Codec.FFV1, "yuv444p16le"),
    ],
)
def test_the_result_has_the_pixels_that_were_asked_for(
    codec: Codec, pixel_format: str, tmp_path: Path
) -> None:
    clip = Clip(frames=4)
    _, result = make_and_run(tmp_path, "film.mp4", clip, codec=codec, pixel_format=pixel_format)
    with av.open(str(result)) as film:
        shown = film.streams.video[0].codec_context.pix_fmt
    assert len(decode_all(result)) == 4
    assert shown == pixel_format


def test_prores_of_a_film_of_full_range_says_and_has_limited_range(tmp_path: Path) -> None:
    clip = Clip(frames=4, colour=(1, 1, 1, 2))
    bench, result = make_and_run(tmp_path, "film.mp4", clip, codec="prores")
    assert bench.manifest.video.working_colour.full_range
    assert not bench.manifest.result_colour.full_range
    with av.open(str(result)) as film:
        assert next(film.decode(video=0)).color_range == 1
