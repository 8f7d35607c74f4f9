"""Encoding: every picture once, numbered, tagged; the same pictures give the same bytes."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from containers.common.film.pictures import PictureReader, to_frame
from containers.common.runtime.worker import WorkerError
from containers.media.extract.judge.picture import TOP_LEFT, chroma_location
from containers.media.extract.plan import nvenc
from containers.upscaler.device.semi_planar import to_p010, to_semi_planar
from containers.upscaler.encode import (
    MAX_REORDERING,
    NULL_ENCODER,
    EncodedFile,
    ShardEncoder,
    open_encoder,
    probe_encoder,
)
from contracts.film.facts import Colour
from contracts.film.manifest import Manifest
from contracts.job import Codec, Container
from contracts.names import ExitCode
from tests.support.films import picture
from tests.unit.upscaler.support import (
    BT709,
    coded,
    manifest,
)

CODECS: dict[Codec, dict[str, Any]] = {
    Codec.H264: {"encoder": "libx264", "options": {"preset": "veryfast", "crf": "20", "g": "5"}},
    Codec.HEVC: {
        "encoder": "libx265",
        "options": {"preset": "ultrafast", "x265-params": "log-level=error:keyint=5"},
    },
    Codec.AV1: {"encoder": "libsvtav1", "options": {"preset": "12", "g": "5"}},
    Codec.FFV1: {"encoder": "ffv1", "options": {"level": "3"}, "container": Container.MKV},
}


def encode(path: Path, job: Manifest, frames: int = 12, seed: int = 0) -> EncodedFile:
    size = job.output.width, job.output.height
    drawn = np.stack([picture(number, *size, seed) for number in range(frames)])
    with ShardEncoder(job, path) as encoder:
        for made in coded(drawn, job.encoder.pixel_format, job.video.working_colour):
            encoder.add(made)
        return encoder.finish()


def packets(path: Path) -> list[Any]:
    with av.open(str(path)) as container:
        return [p for p in container.demux(video=0) if p.size]


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SVT_LOG", "1")


@pytest.mark.parametrize("codec", CODECS)
def test_the_same_shard_twice_gives_the_same_bytes(tmp_path: Path, codec: Codec) -> None:
    job = manifest(codec=codec, **CODECS[codec])
    first, second = encode(tmp_path / "a", job), encode(tmp_path / "b", job)
    assert first.sha256 == second.sha256
    assert first.path.read_bytes() == second.path.read_bytes()
    assert first.bytes == first.path.stat().st_size


@pytest.mark.parametrize("codec", CODECS)
def test_packets_are_numbered_by_frame(tmp_path: Path, codec: Codec) -> None:
    rate = Fraction(30000, 1001)
    job = manifest(codec=codec, rate=rate, **CODECS[codec])
    encode(tmp_path / "a", job)
    found = packets(tmp_path / "a")
    numbers = [round(p.pts * p.time_base * rate) for p in found]
    assert sorted(numbers) == list(range(12))
    assert found[0].is_keyframe
    if codec is not Codec.FFV1:  # Matroska counts in milliseconds
        assert all(p.pts * p.time_base * rate == n for p, n in zip(found, numbers, strict=True))


@pytest.mark.parametrize("codec", CODECS)
def test_shards_of_one_film_have_equal_headers(tmp_path: Path, codec: Codec) -> None:
    job = manifest(codec=codec, **CODECS[codec])
    headers = []
    for name, frames, seed in (("a", 12, 0), ("b", 3, 99)):
        encode(tmp_path / name, job, frames, seed)
        with av.open(str(tmp_path / name)) as container:
            headers.append(container.streams.video[0].codec_context.extradata)
    assert headers[0]
    assert headers[0] == headers[1]


def test_x265_groups_of_pictures_are_closed(tmp_path: Path) -> None:
    job = manifest(codec=Codec.HEVC, **CODECS[Codec.HEVC])
    encode(tmp_path / "a.mp4", job, frames=20)
    latest, key = -1, 0
    for packet in packets(tmp_path / "a.mp4"):
        if packet.is_keyframe:
            key = packet.pts
            assert latest < key
        assert packet.pts >= key
        latest = max(latest, packet.pts)


def test_the_file_says_colour_and_shape(tmp_path: Path) -> None:
    colour = Colour(primaries=9, transfer=16, matrix=9, full_range=False)
    job = manifest(colour=colour, sar=Fraction(4, 3), pixel_format="yuv420p10le")
    encode(tmp_path / "a.mp4", job)
    with av.open(str(tmp_path / "a.mp4")) as container:
        stream = container.streams.video[0]
        frame = next(container.decode(stream))
        assert stream.sample_aspect_ratio == Fraction(4, 3)
        assert (frame.width, frame.height, frame.format.name) == (128, 96, "yuv420p10le")
        assert (frame.color_primaries, frame.color_trc, frame.colorspace) == (9, 16, 9)
        assert frame.color_range == 1


def test_lossless_encoding_returns_the_pictures(tmp_path: Path) -> None:
    options = {"preset": "ultrafast", "qp": "0"}
    job = manifest(options=options, pixel_format="yuv444p")
    encode(tmp_path / "a.mp4", job, frames=3)
    with av.open(str(tmp_path / "a.mp4")) as container:
        for number, frame in enumerate(container.decode(video=0)):
            shown = frame.to_ndarray(format="rgb24").astype(int)
            assert np.abs(shown - picture(number, 128, 96)).max() <= 4


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"encoder": "libnothing"}, "with libnothing as yuv420p at 128x96"),
        ({"encoder": "h264_nvenc"}, "cannot encode h264 with h264_nvenc"),
        ({"encoder": "aac"}, "is not a video encoder"),
        ({"pixel_format": "rgb565le"}, "as rgb565le"),
        ({"options": {"preset": "warp"}}, "choose another codec or run the job on a worker"),
    ],
)
def test_an_encoder_that_does_not_work_here_is_refused(
    changes: dict[str, Any], reason: str
) -> None:
    with pytest.raises(WorkerError, match=reason) as caught:
        probe_encoder(manifest(**changes))
    assert caught.value.exit_code is ExitCode.UNSUPPORTED


@pytest.mark.parametrize(
    ("codec", "lossless"),
    [(Codec.H264, False), (Codec.H264, True), (Codec.HEVC, False), (Codec.HEVC, True),
     (Codec.AV1, False)],
)  # fmt: skip
def test_a_worker_without_nvenc_refuses_it_by_name_and_for_that_reason(
    codec: Codec, lossless: bool
) -> None:
    """FFmpeg reads the options before it looks for the driver: another reason would be theirs."""
    quality = 0 if lossless else 20
    preset = "8" if codec is Codec.AV1 else "fast"
    options = nvenc.options(codec, 48, quality, preset, lossless=lossless)
    name = nvenc.name(codec)
    with pytest.raises(WorkerError, match=f"cannot encode {codec.value} with {name}") as caught:
        probe_encoder(manifest(codec=codec, encoder=name, options=options))
    assert caught.value.exit_code is ExitCode.UNSUPPORTED
    assert isinstance(caught.value.__cause__, PermissionError)


@pytest.mark.gpu
@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv420p10le"])
def test_nvenc_makes_the_same_shard_twice(tmp_path: Path, pixel_format: str) -> None:
    options = nvenc.options(Codec.HEVC, 5, 20, "fast", lossless=False)
    job = manifest(
        codec=Codec.HEVC, encoder="hevc_nvenc", options=options, pixel_format=pixel_format,
        width=320, height=240,
    )  # fmt: skip
    probe_encoder(job)
    assert encode(tmp_path / "a", job).sha256 == encode(tmp_path / "b", job).sha256
    assert packets(tmp_path / "a")[0].is_keyframe


@pytest.mark.parametrize(
    ("pixel_format", "hardware"), [("yuv420p", "nv12"), ("yuv420p10le", "p010le")]
)
def test_hardware_encoders_get_their_own_layout(pixel_format: str, hardware: str) -> None:
    (made,) = coded(picture(0, 66, 50)[None], pixel_format)
    frame = to_frame(made).reformat(format=hardware)
    expected = [np.frombuffer(bytes(p), np.uint8).reshape(-1, p.line_size) for p in frame.planes]
    for part, plane in zip(to_semi_planar(made), expected, strict=True):
        raw = part.view(np.uint8)
        assert np.array_equal(raw, plane[: raw.shape[0], : raw.shape[1]])


def test_ten_bit_pictures_reach_the_hardware_encoders_frame() -> None:
    (made,) = coded(picture(0, 66, 50)[None], "yuv420p10le")
    back = PictureReader().read(to_p010(made), 0)
    assert back.pixel_format == "yuv420p10le"
    for one, other in zip(back.planes, made.planes, strict=True):
        assert np.array_equal(one, other)


def test_the_null_sink_delivers_each_picture_and_keeps_none(tmp_path: Path) -> None:
    job = manifest(encoder=NULL_ENCODER)
    probe_encoder(job)
    with open_encoder(job, tmp_path / "a") as sink:
        for made in coded(np.stack([picture(n, 128, 96) for n in range(3)])):
            sink.add(made)
        done = sink.finish()
    assert (done.frames, done.bytes) == (3, 3 * 128 * 96 * 3 // 2)
    assert done.path.stat().st_size == 0


@pytest.mark.parametrize("codec", CODECS)
def test_encoders_that_work_pass_the_probe(codec: Codec) -> None:
    probe_encoder(manifest(codec=codec, **CODECS[codec]))


@pytest.mark.parametrize("codec", CODECS)
def test_headers_say_where_chroma_lies(tmp_path: Path, codec: Codec) -> None:
    facts = CODECS[codec]
    options = {**facts["options"], "chroma_sample_location": "topleft"}
    encode(tmp_path / "a", manifest(codec=codec, **{**facts, "options": options}), 2)
    with av.open(str(tmp_path / "a")) as film:
        assert chroma_location(film.streams.video[0], BT709) == TOP_LEFT


@pytest.mark.parametrize("frames", [1, 2, 3, 5])
@pytest.mark.parametrize("codec", CODECS)
def test_decoding_times_of_the_shortest_shards_are_sane_and_the_same_each_time(
    tmp_path: Path, codec: Codec, frames: int
) -> None:
    job = manifest(codec=codec, **CODECS[codec])
    done = [encode(tmp_path / f"{number}", job, frames) for number in range(4)]
    assert len({file.sha256 for file in done}) == 1
    film = packets(done[0].path)
    assert len(film) == frames
    step = film[0].duration or 1
    assert all(0 <= packet.pts - packet.dts <= MAX_REORDERING * step for packet in film)
