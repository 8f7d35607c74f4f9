"""HDR10's static metadata comes through, into streams and headers; what cannot is reported."""

from pathlib import Path

import av
import numpy as np
import pytest

from containers.common.film.pictures import Picture
from containers.media.labels.hdr import light_level, mastering_display
from contracts.film.facts import LightLevel, MasteringDisplay
from contracts.names import ExitCode, Stage
from tests.support.bench import Bench
from tests.support.fields import write
from tests.support.sei import film_with_messages

DISPLAY = MasteringDisplay(
    red=(34000, 16000), green=(13250, 34500), blue=(7500, 3000), white=(15635, 16450),
    min_luminance=50, max_luminance=10_000_000,
)  # fmt: skip
LIGHT = LightLevel(max_content=1000, max_average=400)
X265 = {
    "preset": "ultrafast",
    "x265-params": "log-level=error:hdr10=1:max-cll=1000,400:master-display="
    "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)",
}


def deep(number: int) -> Picture:
    luma = np.full((96, 128), 200 + 40 * number, np.uint16)
    chroma = np.full((48, 64), 512, np.uint16)
    return Picture(number, "yuv420p10le", (luma, chroma, chroma))


def composed(bench: Bench, folder: Path) -> Path:
    assert bench.extract() == ExitCode.OK, bench.failure(Stage.EXTRACT).message
    bench.process()
    assert bench.recompose() == ExitCode.OK, bench.failure(Stage.RECOMPOSE).message
    return bench.result(folder)


@pytest.mark.parametrize("container", ["mp4", "mkv"])
@pytest.mark.parametrize("codec", ["hevc", "av1"])
def test_hdr10_metadata_stands_in_stream_and_header(
    codec: str, container: str, tmp_path: Path
) -> None:
    source = write(
        tmp_path / "film.mp4", [deep(i) for i in range(6)], codec="libx265", options=X265
    )
    bench = Bench(source, codec=codec, container=container)
    result = composed(bench, tmp_path)
    video = bench.manifest.video
    assert (video.mastering_display, video.light_level) == (DISPLAY, LIGHT)
    with av.open(str(result)) as opened:
        first = next(opened.decode(video=0))
    assert light_level(first) == LIGHT
    found = mastering_display(first)
    assert found is not None
    assert np.abs(np.subtract(found.white, DISPLAY.white)).max() <= 1  # AV1 counts in 1/65,536
    assert found.max_luminance == pytest.approx(DISPLAY.max_luminance, rel=1e-3)
    header = result.read_bytes()
    marks = (b"mdcv", b"clli") if container == "mp4" else (b"\x55\xd0", b"\x55\xbc")
    assert all(mark in header for mark in marks)


def test_metadata_that_the_codec_cannot_hold_is_reported(tmp_path: Path) -> None:
    source = write(
        tmp_path / "film.mp4", [deep(i) for i in range(4)], codec="libx265", options=X265
    )
    bench = Bench(source, codec="ffv1")
    composed(bench, tmp_path)
    lost = {label.label for label in bench.report.ledger.lost}
    assert {"mastering_display", "light_level"} <= lost


def hdr10_plus() -> bytes:
    """SMPTE ST 2094-40: one window, its brightest red, green, blue and average, no curves."""
    bits = f"01{0:028b}" + f"{1000:017b}" * 4 + f"{0:017b}"
    body = int(bits.ljust(-(-len(bits) // 8) * 8, "0"), 2).to_bytes(-(-len(bits) // 8), "big")
    return bytes.fromhex("b5003c00010401") + body


def test_metadata_of_the_moment_is_reported_as_lost(tmp_path: Path) -> None:
    source = film_with_messages(
        tmp_path / "film.mp4", lambda _: hdr10_plus(), codec="libx265", frames=4,
        options={"preset": "ultrafast", "x265-params": "log-level=error"},
    )  # fmt: skip
    bench = Bench(source, codec="hevc")
    composed(bench, tmp_path)
    lost = [(x.label, x.value, x.found) for x in bench.report.ledger.lost]
    assert ("HDR10+", "present", None) in lost
