"""Alpha goes beside the colours: through models, codecs and containers, or is named as lost."""

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.video.frame import VideoFrame

from containers.common.film.pictures import (
    Picture,
    plane_shapes,
    sample_type,
    to_frame,
)
from containers.upscaler.device.target import Target
from containers.upscaler.models.loading import load_upscaler
from containers.upscaler.repeated_frames import RepeatSkipper
from contracts.models import ModelName
from contracts.names import ExitCode, Stage
from tests.support.bench import Bench
from tests.support.fields import read
from tests.support.films import make
from tests.unit.upscaler.models.support import plan
from tests.unit.upscaler.support import BT709

WIDTH, HEIGHT = 96, 48
THIRD = WIDTH // 3


def drawn(number: int, pixel_format: str) -> Picture:
    """Grey that moves, below alpha in three columns: none, half, all."""
    bits = Picture(0, pixel_format, ()).bits
    kind, peak = sample_type(pixel_format), 2**bits - 1
    shapes = plane_shapes(pixel_format, WIDTH, HEIGHT)
    planes = [np.full(shape, (peak + 1) // 2, kind) for shape in shapes]
    planes[0][:, 4 * number : 4 * number + 12] = peak // 3
    planes[3][:, :THIRD], planes[3][:, 2 * THIRD :] = 0, peak
    return Picture(number, pixel_format, tuple(planes))


def check(made: Picture, source: Picture) -> None:
    """Twice as large: flat within, and nothing between the columns that was in neither."""
    alpha, peak, third = made.planes[3], 2**made.bits - 1, 2 * THIRD
    half = 2 ** (source.bits - 1) / (2**source.bits - 1) * peak
    assert alpha.shape == (2 * HEIGHT, 2 * WIDTH)
    for column, level in enumerate((0, half, peak)):
        inner = alpha[:, column * third + 12 : (column + 1) * third - 12].astype(float)
        assert np.abs(inner - level).max() <= 1
    across = alpha[HEIGHT].astype(int)
    assert np.abs(np.diff(across)).max() < 0.4 * peak  # a step of half the range, resampled
    assert (across[third - 1] < 0.25 * peak, across[third] > 0.25 * peak) == (True, True)


def film(path: Path, codec: str, pixel_format: str, drawn_as: str) -> Path:
    with av.open(str(path), "w") as out:
        stream: Any = out.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, pixel_format
        for number in range(5):
            frame = to_frame(drawn(number, drawn_as))
            frame = frame.reformat(format=pixel_format)
            frame.pts = number
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    ("source", "settings", "result"),
    [
        (("film.mov", "prores_ks", "yuva444p10le", "yuva444p10le"), {}, "yuva444p10le"),
        (("film.mkv", "ffv1", "yuva420p", "yuva420p"), {}, "yuva444p10le"),
        (("film.mkv", "ffv1", "yuva422p10le", "yuva422p10le"), {"codec": "ffv1"}, "yuva422p10le"),
        (
            ("film.mov", "png", "rgba", "gbrap"),
            {"codec": "ffv1", "extraction": "shards"},
            "yuva444p",
        ),
    ],
)
def test_alpha_is_kept_where_the_codec_can(
    source: tuple[str, str, str, str], settings: dict[str, Any], result: str, tmp_path: Path
) -> None:
    path = film(tmp_path / source[0], *source[1:])
    bench = Bench(path, **{"codec": "prores", **settings})
    assert bench.extract() == ExitCode.OK, bench.failure(Stage.EXTRACT).message
    assert bench.upscale() == ExitCode.OK
    assert bench.recompose() == ExitCode.OK, bench.failure(Stage.RECOMPOSE).message
    ledger = bench.report.ledger
    assert (ledger.alpha, [x for x in ledger.lost if x.label == "alpha"]) == (True, [])
    pictures = read(bench.result(tmp_path))
    assert [p.pixel_format for p in pictures] == [result] * 5
    for picture in pictures:
        check(picture, drawn(0, source[3]))


@pytest.mark.parametrize("model", [ModelName.LANCZOS, ModelName.ANIMEVIDEOV3])
@pytest.mark.parametrize(
    ("given", "wanted"), [("yuva444p10le", "yuva444p10le"), ("yuva420p", "yuva420p16le")]
)
def test_every_model_enlarges_alpha_beside_the_colours(
    model: ModelName, given: str, wanted: str, weights: Path
) -> None:
    target = Target(
        width=2 * WIDTH, height=2 * HEIGHT, pixel_format=wanted,
        source_colour=BT709, colour=BT709, bits=16,
    )  # fmt: skip
    changes = {"dtype": "uint16"} if model is ModelName.LANCZOS else {}
    inference = plan(model, scale=2, **changes)
    upscaler = load_upscaler(inference, target, model_dir=weights, device="cpu")
    (made,) = upscaler.upscale([drawn(0, given)])
    check(made, drawn(0, given))


def test_a_picture_with_another_alpha_is_no_repeat() -> None:
    target = Target(
        width=2 * WIDTH, height=2 * HEIGHT, pixel_format="yuva420p",
        source_colour=BT709, colour=BT709, bits=8,
    )  # fmt: skip
    inference = plan(ModelName.LANCZOS, scale=2)
    model = load_upscaler(inference, target, model_dir=Path("nowhere"), device="cpu")
    repeats, first = RepeatSkipper(model), drawn(0, "yuva420p")
    clear = Picture(1, "yuva420p", (*first.planes[:3], np.zeros_like(first.planes[3])))
    shown = [p for picture in (first, clear) for p in repeats.begin([picture]).pictures()]
    assert repeats.repeated == 0
    assert (shown[0].planes[3].max(), shown[1].planes[3].max()) == (255, 0)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"codec": "prores", "preset": "hq"},
    ],
)
def test_alpha_is_reported_as_lost(settings: dict[str, Any], tmp_path: Path) -> None:
    source = make(
        tmp_path / "film.mkv", frames=4, codec="ffv1", options={"level": "3"},
        pixel_format="yuva444p",
    )  # fmt: skip
    bench = Bench(source, **settings)
    assert lost(bench) == [("alpha", "yuva444p", None)]
    assert not bench.report.ledger.alpha


def test_alpha_beside_a_vp9_stream_is_reported_as_lost(tmp_path: Path) -> None:
    """FFmpeg's encoder makes no such file here, so only the header says that it is one."""
    path = tmp_path / "film.webm"
    with av.open(str(path), "w") as out:
        stream: Any = out.add_stream("libvpx-vp9", rate=25, options={"deadline": "realtime"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.metadata["alpha_mode"] = "1"
        for number in range(4):
            frame = VideoFrame.from_ndarray(np.full((HEIGHT, WIDTH), 99, np.uint8), "gray")
            frame = frame.reformat(format="yuv420p")
            frame.pts = number
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    bench = Bench(path, codec="ffv1")
    assert lost(bench) == [("alpha", "beside the vp9", None)]
    with av.open(str(bench.result(tmp_path))) as result:
        assert "alpha_mode" not in result.streams.video[0].metadata


def lost(bench: Bench) -> list[tuple[str, str, str | None]]:
    """What the report says of alpha, once the job is done."""
    assert bench.extract() == ExitCode.OK, bench.failure(Stage.EXTRACT).message
    bench.process()
    assert bench.recompose() == ExitCode.OK, bench.failure(Stage.RECOMPOSE).message
    labels = bench.report.ledger.lost
    return [(x.label, x.value, x.found) for x in labels if x.label == "alpha"]
