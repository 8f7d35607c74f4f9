"""Ranges of the source, lossless shards, exported frames: the model gets the same pictures."""

import copy
import io
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.video.frame import VideoFrame

from containers.common.film.coded_film import CodedFrames
from containers.common.film.lossless import write_pictures
from containers.common.film.pictures import (
    Picture,
    plane_shapes,
    sample_type,
)
from containers.media.extract import source_film
from containers.media.extract.export import png
from containers.media.extract.plan.extraction_mode import choose_extraction_mode, lead_frames
from contracts import keys
from contracts.film.facts import Colour, Video
from contracts.film.manifest import Extraction, LosslessShard
from contracts.names import LOSSLESS_SHARD_METADATA, ExitCode, Stage
from tests.support.bench import INTERMEDIATE_BUCKET, Bench
from tests.support.fields import (
    interlaced,
    moment,
    progressive,
    read,
    telecined,
    upscale,
    write,
)
from tests.support.films import (
    OPEN_GOP,
    Clip,
    make,
)

BT709 = Colour(primaries=1, transfer=1, matrix=1, full_range=False)


def extracted(film: Path, **settings: Any) -> Bench:
    bench = Bench(film, codec="ffv1", shard_seconds=0.5, **settings)
    code = bench.extract(worker_parallelism="2")
    assert code == ExitCode.OK, bench.failure(Stage.EXTRACT).message
    return bench


def exported(bench: Bench) -> list[str]:
    prefix = keys.frames_prefix(bench.job_id)
    return [key for key in bench.s3.keys(INTERMEDIATE_BUCKET) if key.startswith(prefix)]


def _decoded(data: bytes) -> VideoFrame:
    with av.open(io.BytesIO(data), "r") as opened:
        return next(opened.decode(video=0))


def shards_made(bench: Bench) -> list[bytes]:
    """What the upscaler made of the pictures that it got, losslessly."""
    upscale(bench)
    prefix = keys.shards_prefix(bench.job_id)
    places = [k for k in bench.s3.keys(INTERMEDIATE_BUCKET) if k.startswith(prefix)]
    return [bench.s3.objects[INTERMEDIATE_BUCKET, place]["data"] for place in places]


def _random(pixel_format: str, frames: int) -> list[Picture]:
    rng = np.random.default_rng(3)
    kind = sample_type(pixel_format)
    most = 256 if kind.itemsize == 1 else 1024
    shapes = plane_shapes(pixel_format, 62, 48)
    planes = [[rng.integers(0, most, s).astype(kind) for s in shapes] for _ in range(frames)]
    return [Picture(i, pixel_format, tuple(samples)) for i, samples in enumerate(planes)]


FFV1 = {"level": "3"}


def films(folder: Path) -> dict[str, Path]:
    return {
        "open groups": make(folder / "open.mp4", Clip(options=OPEN_GOP, frames=30)),
        "interlaced": write(folder / "fields.mp4", interlaced(26)),
        "telecined": write(folder / "film.mp4", telecined(30)),
        "RGB": write(folder / "rgb.mkv", _random("gbrp10le", 14), codec="ffv1", options=FFV1),
        "4:2:2": write(folder / "422.mkv", _random("yuv422p10le", 14), codec="ffv1", options=FFV1),
    }


@pytest.mark.parametrize("kind", ["open groups", "interlaced", "telecined", "RGB", "4:2:2"])
def test_every_mode_gives_the_model_the_same_pictures(kind: str, tmp_path: Path) -> None:
    film = films(tmp_path)[kind]
    benches = {mode: extracted(film, extraction=mode) for mode in ("ranged", "shards", "frames")}
    assert benches["shards"].manifest.extraction.mode == "shards"
    assert benches["ranged"].manifest.extraction.mode == "ranged"
    made = {mode: shards_made(bench) for mode, bench in benches.items()}
    assert len(made["ranged"]) > 1
    assert made["ranged"] == made["shards"] == made["frames"]


@pytest.mark.parametrize("kept", ["gbrp", "gbrap", "gray", "yuva422p10le", "yuv444p12le"])
def test_lossless_files_give_back_every_sample(kept: str, tmp_path: Path) -> None:
    pictures, path = _random(kept, 3), tmp_path / "shard.mkv"
    assert write_pictures(path, iter(pictures), Fraction(25)) == 3
    for got, wanted in zip(read(path), pictures, strict=True):
        assert (got.pts, got.pixel_format) == (wanted.pts, kept)
        assert all(map(np.array_equal, got.planes, wanted.planes))


def test_lossless_shards_are_written_once(tmp_path: Path) -> None:
    bench = extracted(write(tmp_path / "film.mp4", progressive(40)), extraction="shards")
    count = len(bench.manifest.shards)
    lost = keys.lossless_shard_key(bench.job_id, 1)
    del bench.s3.objects[INTERMEDIATE_BUCKET, lost]
    del bench.s3.objects[INTERMEDIATE_BUCKET, keys.stage_result_key(bench.job_id, Stage.EXTRACT)]
    bench.s3.requests.clear()
    assert bench.extract() == ExitCode.OK
    written = [k for op, k in bench.s3.requests if op == "PutObject" and "/lossless/" in k]
    assert count > 2
    assert written == [lost]


def test_lossless_shards_of_another_plan_are_written_anew(tmp_path: Path) -> None:
    film = write(tmp_path / "film.mp4", progressive(40), Fraction(5))
    bench = Bench(film, codec="ffv1", extraction="shards")
    assert bench.extract(worker_parallelism="3") == ExitCode.OK
    before = bench.manifest
    result_key = keys.stage_result_key(bench.job_id, Stage.EXTRACT)
    del bench.s3.objects[INTERMEDIATE_BUCKET, result_key]
    assert bench.extract(worker_parallelism="2") == ExitCode.OK
    assert bench.manifest.shards[1].first_frame != before.shards[1].first_frame
    shards = shards_made(bench)
    ranged = Bench(film, codec="ffv1", extraction="ranged")
    assert ranged.extract(worker_parallelism="2") == ExitCode.OK
    assert shards == shards_made(ranged)


@pytest.mark.logs_errors
@pytest.mark.parametrize(
    "change", [{"first_frame": 1}, {"frames": 9}, {"source_etag": "x"}, {"job_id": "other"}]
)
def test_a_lossless_shard_of_something_else_is_refused(
    change: dict[str, Any], lossless: Bench
) -> None:
    bench = copy.deepcopy(lossless)
    key = keys.lossless_shard_key(bench.job_id, 0)
    metadata = bench.s3.objects[INTERMEDIATE_BUCKET, key]["metadata"]
    said = LosslessShard.model_validate_json(metadata[LOSSLESS_SHARD_METADATA])
    metadata[LOSSLESS_SHARD_METADATA] = said.model_copy(update=change).to_json()
    assert bench.upscale() == ExitCode.LEDGER_MISMATCH
    assert "does not hold the 8 frames from 0 on" in bench.failure(Stage.PROCESS).message


@pytest.fixture(scope="module")
def lossless(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    film = write(tmp_path_factory.mktemp("films") / "film.mp4", progressive(26))
    return extracted(film, extraction="shards")


def test_frames_are_pngs_named_by_number_and_time(tmp_path: Path) -> None:
    film = write(tmp_path / "film.mp4", progressive(20), pts=range(50, 70))
    bench = extracted(film, extraction="frames")
    assert bench.manifest.extraction.exported_frames == 20
    names = exported(bench)
    assert [Path(k).name for k in names[:2]] == ["00000000_2.000000s.png", "00000001_2.040000s.png"]
    for number, (key, coded) in enumerate(zip(names, read(film), strict=True)):
        rgb = _decoded(bench.s3.objects[INTERMEDIATE_BUCKET, key]["data"]).to_ndarray()
        assert rgb.shape == (96, 160, 3), number
        # Luma of limited range: 219 levels stand for 255 of grey.
        luma = 16 + rgb.astype(float) @ (0.299, 0.587, 0.114) * 219 / 255
        assert np.abs(luma - coded.planes[0]).mean() < 1


def test_deep_frames_become_pngs_of_sixteen_bits() -> None:
    flat = tuple(
        np.full(shape, value, np.uint16)
        for shape, value in zip(plane_shapes("yuv420p10le", 64, 48), (502, 512, 512), strict=True)
    )
    frame = _decoded(png(Picture(0, "yuv420p10le", flat), BT709))
    assert frame.format.name == "rgb48be"
    assert frame.to_ndarray(format="rgb48le").mean() == pytest.approx(65535 * 438 / 876, abs=129)


def test_an_export_goes_on_where_it_was_broken_off(tmp_path: Path) -> None:
    bench = extracted(write(tmp_path / "film.mp4", progressive(30)), extraction="frames")
    names = exported(bench)
    for key in names[21:]:
        del bench.s3.objects[INTERMEDIATE_BUCKET, key]
    del bench.s3.objects[INTERMEDIATE_BUCKET, keys.stage_result_key(bench.job_id, Stage.EXTRACT)]
    bench.s3.requests.clear()
    assert bench.extract() == ExitCode.OK
    written = [k for op, k in bench.s3.requests if op == "PutObject" and k.endswith(".png")]
    assert sorted(written) == names[21:]
    assert exported(bench) == names


@pytest.mark.parametrize(("lead_seconds", "mode"), [(0.2, "ranged"), (90.0, "shards")])
def test_the_dearest_places_are_measured_and_decide(
    lead_seconds: float, mode: str, tmp_path: Path
) -> None:
    video: Video = extracted(write(tmp_path / "f.mp4", [moment(0)] * 3)).manifest.video
    now, fetched = 0.0, 0

    def decode(first: int, count: int) -> Iterator[Picture]:
        nonlocal now, fetched
        now += lead_seconds * (first > 0)
        fetched += 1000
        for _ in range(count):
            now += 0.01
            yield moment(0)

    coded = CodedFrames(video, np.arange(1000), np.array([0, 450]), decode)
    chosen = choose_extraction_mode(
        "auto", coded, [0, 250, 500, 750, 900], bytes_read=lambda: fetched, clock=lambda: now
    )
    assert chosen.mode == mode
    assert [p.frame for p in chosen.probes] == [250, 750, 900]
    assert {p.bytes_read for p in chosen.probes} == {1000}
    assert chosen.lead_frames == 250 + 50 + 300 + 450
    assert f"{lead_seconds * 4:.1f} s of decoding" in chosen.reason


def test_leads_are_counted_from_the_keyframe_before() -> None:
    stamps = np.arange(100) * 40
    assert lead_frames(stamps, stamps[[0, 60, 30]], [0, 29, 30, 99]) == [0, 29, 0, 39]


def test_auto_leaves_films_alone_whose_lossless_shards_no_upload_takes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    dear = Extraction(mode="shards", reason="measured")
    monkeypatch.setattr(source_film, "choose_extraction_mode", lambda *_, **__: dear)
    path = write(tmp_path / "f.mp4", [moment(0)] * 3)
    assert extracted(path).manifest.extraction.mode == "shards"
    monkeypatch.setattr(source_film, "S3_PUT_BYTES", 1000)
    assert extracted(path).manifest.extraction.mode == "ranged"
