"""Pictures: every sample of a decoded frame, in plain arrays, and back."""

import numpy as np
import pytest
from av.video.format import VideoFormat
from av.video.frame import VideoFrame

from containers.common.film.pictures import (
    PictureReader,
    picture_bytes,
    plain_format,
    sample_type,
    to_frame,
)
from containers.common.runtime.worker import WorkerError
from contracts.names import ExitCode

PLAIN = [
    "gray", "gray10le", "yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le",
    "yuv444p12le", "yuv444p16le", "yuva420p", "yuva444p10le", "gbrp", "gbrp10le", "gbrap12le",
]  # fmt: skip


def noise(pixel_format: str, width: int = 65, height: int = 49) -> VideoFrame:
    frame = VideoFrame(width, height, pixel_format)
    bits = VideoFormat(pixel_format).components[0].bits
    kind = "u1" if bits <= 8 else "<u2"
    random = np.random.default_rng(7)
    for plane in frame.planes:
        size = plane.buffer_size // np.dtype(kind).itemsize
        plane.update(random.integers(0, 2**bits, size, kind).tobytes())
    return frame


@pytest.mark.parametrize("name", PLAIN)
def test_plain_formats_keep_every_sample_there_and_back(name: str) -> None:
    assert plain_format(name) == name
    picture = PictureReader().read(noise(name), 5)
    assert (picture.pts, picture.width, picture.height) == (5, 65, 49)
    assert picture.pixel_format == name
    assert sum(p.nbytes for p in picture.planes) == picture_bytes(name, 65, 49)
    again = PictureReader().read(to_frame(picture), 5)
    for before, after in zip(picture.planes, again.planes, strict=True):
        assert before.dtype == sample_type(name)
        assert np.array_equal(before, after)


@pytest.mark.parametrize(
    ("packed", "plain"),
    [
        ("nv12", "yuv420p"), ("p010le", "yuv420p10le"), ("yuyv422", "yuv422p"),
        ("uyvy422", "yuv422p"), ("rgb24", "gbrp"), ("yuvj420p", "yuv420p"),
        ("yuv420p9le", "yuv420p10le"), ("yuv444p14le", "yuv444p16le"), ("yuv411p", "yuv444p"),
        ("yuv440p", "yuv444p"), ("pal8", "gbrap"), ("rgba", "gbrap"), ("ya8", "yuva444p"),
    ],
)  # fmt: skip
def test_other_formats_become_the_planar_one_that_holds_them(packed: str, plain: str) -> None:
    assert plain_format(packed) == plain


@pytest.mark.parametrize("packed", ["nv12", "p010le", "yuyv422", "rgb24"])
def test_unpacking_changes_no_sample(packed: str) -> None:
    frame = noise(packed, 64, 48)
    picture = PictureReader().read(frame, 0)
    back = to_frame(picture).reformat(format=packed)
    for before, after in zip(frame.planes, back.planes, strict=True):
        rows = before.height
        mask = 0xFFC0 if packed == "p010le" else 0xFFFF  # p010 keeps its samples in the high bits
        a, b = (
            np.frombuffer(bytes(p), "<u2").reshape(rows, -1)[:, : before.width] & mask
            for p in (before, after)
        )
        assert np.array_equal(a, b)


def test_a_full_range_frame_keeps_its_samples() -> None:
    frame = noise("yuvj420p", 64, 48)
    picture = PictureReader().read(frame, 0)
    luma = np.frombuffer(bytes(frame.planes[0]), "u1").reshape(48, -1)[:, :64]
    assert np.array_equal(picture.planes[0], luma)


@pytest.mark.parametrize("name", ["xyz12le", "bayer_rggb8", "gbrpf32le"])
def test_formats_without_yuv_or_rgb_integers_are_refused(name: str) -> None:
    with pytest.raises(WorkerError) as caught:
        plain_format(name)
    assert caught.value.exit_code is ExitCode.UNSUPPORTED
