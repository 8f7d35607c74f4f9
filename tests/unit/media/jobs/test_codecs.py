"""Films of every usual codec, depth and chroma go through the job, frame by frame, in colour."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from contracts.names import ExitCode, Stage
from tests.support.bench import Bench
from tests.support.films import (
    Clip,
    decode_all,
    make,
)

FRAMES = 4
LEVELS = 6
"""Of 255: the colours of hard edges spill where chroma is coarse. A wrong range is 16 off."""
X265 = {"preset": "ultrafast", "x265-params": "log-level=none"}
BEST = {"qscale": "2"}
CODECS: dict[str, tuple[str, dict[str, str], tuple[str, ...]]] = {
    "libx264.mp4": (
        "libx264",
        {"preset": "ultrafast", "crf": "10"},
        ("yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le", "yuv444p10le"),
    ),
    "libx265.mp4": (
        "libx265",
        X265,
        ("yuv420p", "yuv422p10le", "yuv444p", "yuv420p12le", "yuv444p12le", "gbrp10le"),
    ),
    "libsvtav1.mkv": ("libsvtav1", {"preset": "12", "crf": "10"}, ("yuv420p", "yuv420p10le")),
    "libvpx-vp9.webm": (
        "libvpx-vp9",
        {"deadline": "realtime", "cpu-used": "8", "crf": "10", "b": "0"},
        ("yuv420p", "yuv422p", "yuv444p"),
    ),
    "mpeg2video.mpg": ("mpeg2video", BEST, ("yuv420p", "yuv422p")),
    "mpeg4.avi": ("mpeg4", BEST, ("yuv420p",)),
    "prores_ks.mov": ("prores_ks", {}, ("yuv422p10le", "yuv444p10le")),
    "dnxhd.mov": ("dnxhd", {"profile": "dnxhr_hq"}, ("yuv422p",)),
    "dnxhd.mxf": ("dnxhd", {"profile": "dnxhr_hqx"}, ("yuv422p10le",)),
    "ffv1.mkv": ("ffv1", {}, ("yuv420p", "yuv422p10le", "yuv444p12le", "gray", "gbrp16le")),
    "mjpeg.avi": ("mjpeg", {**BEST, "strict": "unofficial"}, ("yuvj420p", "yuvj444p")),
    "utvideo.avi": ("utvideo", {}, ("yuv422p", "gbrp")),
    "rawvideo.avi": ("rawvideo", {}, ("yuv422p",)),
    "flv.flv": ("flv", BEST, ("yuv420p",)),
    "libvpx.ivf": ("libvpx", {"deadline": "realtime", "crf": "10", "b": "1M"}, ("yuv420p",)),
    "libvpx.ogg": ("libvpx", {"deadline": "realtime", "crf": "10", "b": "1M"}, ("yuv420p",)),
    "wmv2.asf": ("wmv2", BEST, ("yuv420p",)),
}
CASES = [(name, pixels) for name, (_, _, formats) in CODECS.items() for pixels in formats]


@pytest.mark.parametrize(("name", "pixels"), CASES)
def test_a_film_of_this_kind_goes_in(name: str, pixels: str, tmp_path: Path) -> None:
    codec, options, _ = CODECS[name]
    film = make(tmp_path / name, clip(codec, pixels, options))
    bench = Bench(film, codec="ffv1", shard_seconds=0.1, scale=2)
    assert bench.extract() == ExitCode.OK, bench.failure(Stage.EXTRACT).message
    assert bench.upscale() == ExitCode.OK, bench.failure(Stage.PROCESS).message
    assert bench.recompose() == ExitCode.OK, bench.failure(Stage.RECOMPOSE).message
    result = bench.result(tmp_path)
    assert bench.timestamps == [frame.pts for frame in decode_all(film)]
    samples = "rgb48le" if pixels.startswith("gbr") else "yuv444p16le"
    before, after = blocks(film, samples), blocks(result, samples)
    assert len(before) == len(after) == FRAMES
    apart = max(float(np.abs(a - b).max()) for a, b in zip(before, after, strict=True))
    assert apart <= LEVELS, f"a block of 16 by 12 pixels is {apart} of 255 levels off"
    depth = bench.manifest.video.bit_depth
    assert bench.manifest.encoder.pixel_format.endswith("p" if depth == 8 else f"p{depth}le")


def clip(codec: str, pixels: str, options: dict[str, str]) -> Clip:
    full = pixels.startswith("yuvj")
    colour = (5, 6, 5, 2 if full else 1)
    changes: dict[str, Any] = {} if pixels.startswith("gbr") else {"colour": colour}
    if codec == "dnxhd":  # for pictures of television's size
        changes = {"width": 256, "height": 120, "colour": (1, 1, 1, 1)}
    return Clip(
        frames=FRAMES, rate=Fraction(25), codec=codec, options=options, pixel_format=pixels,
        **changes,
    )  # fmt: skip


def blocks(path: Path, samples: str) -> list[np.ndarray]:
    """Mean of each component in 4 by 4 blocks of each frame, float, 0 to 255."""
    shown = []
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            same = frame.reformat(format=samples, dst_color_range=frame.color_range)
            array = same.to_ndarray().astype(float) / 257
            height, width, _ = array.shape
            shown.append(array.reshape(4, height // 4, 4, width // 4, 3).mean(axis=(1, 3)))
    return shown
