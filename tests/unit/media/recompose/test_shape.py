"""Pixels that are not square, in Matroska, where only the file's header tells of them."""

import zlib
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest

from containers.common.runtime.errors import WorkerError
from containers.media.recompose.mux.shape import display_size
from contracts.names import ExitCode
from tests.support.bench import Bench
from tests.support.films import Clip, make

PAL = Fraction(16, 15)
TRACKS, CHECKSUM = b"\x16\x54\xae\x6b", b"\xbf\x84"


@pytest.mark.parametrize(
    ("clip", "settings"),
    [
        (Clip(frames=4, sar=PAL), {"codec": "ffv1"}),
        (
            Clip(frames=4, sar=PAL, rotation=90, audio="aac"),
            {"codec": "prores", "container": "mkv"},
        ),
        (Clip(frames=4, sar=PAL, audio="opus"), {"codec": "av1", "container": "webm"}),
    ],
)
def test_the_shape_of_pixels_is_kept_whatever_the_codec(
    clip: Clip, settings: dict[str, Any], tmp_path: Path
) -> None:
    bench = Bench(make(tmp_path / "film.mp4", clip), **settings)
    assert [bench.extract(), bench.upscale(), bench.recompose()] == [ExitCode.OK] * 3
    result = bench.result(tmp_path)
    assert checksum_fits(result.read_bytes())
    with av.open(str(result)) as film:
        stream = film.streams.video[0]
        assert stream.sample_aspect_ratio == PAL
        assert "stereo_mode" not in stream.metadata
        assert next(film.decode(stream)).rotation == clip.rotation


def checksum_fits(data: bytes) -> bool:
    """Of the element Tracks; WebM has none."""
    place = data.index(TRACKS, data.index(TRACKS) + 4) + 4  # the first is SeekHead's
    length = 9 - data[place].bit_length()
    size = int.from_bytes(data[place : place + length], "big") & ((1 << 7 * length) - 1)
    inner = data[place + length : place + length + size]
    if not inner.startswith(CHECKSUM):
        return data.find(b"webm") < 64
    return zlib.crc32(inner[6:]) == int.from_bytes(inner[2:6], "little")


@pytest.mark.parametrize(
    ("size", "shape", "shown"),
    [
        ((1440, 1152), PAL, (1536, 1152)), ((1440, 960), Fraction(10, 11), (1305, 957)),
        ((128, 96), PAL, (128, 90)), ((8192, 4608), Fraction(4), (32768, 4608)),
    ],
)  # fmt: skip
def test_pictures_are_shown_in_their_shape(
    size: tuple[int, int], shape: Fraction, shown: tuple[int, int]
) -> None:
    assert Fraction(*shown) == Fraction(*size) * shape
    assert display_size(*size, shape) == shown


def test_a_shape_that_no_header_holds_is_refused() -> None:
    with pytest.raises(WorkerError, match="cannot say that pixels are 65537/65536 times"):
        display_size(1280, 720, Fraction(65537, 65536))
