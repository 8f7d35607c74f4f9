"""Films made of fields: interlaced, telecined, cut; and the whole way from upload to result."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.frame import VideoFrame

from containers.common.film.pictures import (
    Picture,
    PictureReader,
    to_frame,
)
from containers.common.runtime.worker import run_worker
from containers.upscaler.worker import process
from contracts.names import ENVIRONMENT_PREFIX, ExitCode, Stage
from contracts.stack.environ import ProcessEnvironment
from tests.support.bench import INTERMEDIATE_BUCKET, Bench
from tests.support.films import FORMATS

WIDTH, HEIGHT = 160, 96
NTSC = Fraction(30000, 1001)
NEARLY_LOSSLESS = {"preset": "ultrafast", "crf": "8", "g": "12"}


def _texture() -> np.ndarray:
    noise = np.random.default_rng(5).uniform(0, 255, (HEIGHT, 1024))
    for _ in range(3):
        for axis in (0, 1):
            noise = (np.roll(noise, 1, axis) + 2 * noise + np.roll(noise, -1, axis)) / 4
    low, high = noise.min(), noise.max()
    return (noise - low) / (high - low) * 200 + 20


_TEXTURE = _texture()


def moment(t: float, speed: float = 2.0) -> Picture:
    """What a camera sees at time t (in frames): a texture that moves to the left, 8 bits 4:2:0."""
    place = 100 + t * speed
    whole, part = int(place), place % 1
    seen = _TEXTURE[:, whole : whole + WIDTH] * (1 - part)
    seen = seen + _TEXTURE[:, whole + 1 : whole + 1 + WIDTH] * part
    luma = seen.round().astype(np.uint8)
    chroma = np.ascontiguousarray(luma[::2, ::2])
    return Picture(0, "yuv420p", (luma, chroma, 255 - chroma))


def of_fields(top: Picture, bottom: Picture) -> Picture:
    planes = [plane.copy() for plane in top.planes]
    for plane, odd in zip(planes, bottom.planes, strict=True):
        plane[1::2] = odd[1::2]
    return Picture(0, top.pixel_format, tuple(planes))


def progressive(frames: int) -> list[Picture]:
    return [moment(i) for i in range(frames)]


def interlaced(frames: int, *, top_first: bool = True) -> list[Picture]:
    """Fields of moments half a frame apart."""
    pairs = [(moment(i), moment(i + 0.5)) for i in range(frames)]
    return [of_fields(a, b) if top_first else of_fields(b, a) for a, b in pairs]


def telecined(frames: int, *, begin: int = 0, top_first: bool = True) -> list[Picture]:
    """3:2 pulldown of moments 1.25 apart, from the `begin`th frame of a cycle on."""
    fields: list[int] = []
    for number in range(begin + frames):
        fields += [number] * (2 + number % 2)
    pictures: list[Picture] = []
    for i in range(begin, begin + frames):
        a, b = (moment(fields[2 * i + k] * 1.25) for k in (0, 1))
        pictures.append(of_fields(a, b) if top_first else of_fields(b, a))
    return pictures


def write(
    path: Path,
    pictures: Sequence[Picture],
    rate: Fraction = Fraction(25),
    codec: str = "libx264",
    options: dict[str, str] | None = None,
    pts: Iterable[int] | None = None,
    time_base: Fraction | None = None,
) -> Path:
    """Encode; timestamps count in `time_base` (by default frames)."""
    stamps = range(len(pictures)) if pts is None else pts
    with av.open(str(path), "w", format=FORMATS.get(path.suffix)) as out:
        stream: Any = out.add_stream(codec, rate=rate, options=options or NEARLY_LOSSLESS)
        first = pictures[0]
        stream.width, stream.height, stream.pix_fmt = first.width, first.height, first.pixel_format
        stream.codec_context.time_base = time_base or 1 / rate
        stream.time_base = time_base or 1 / rate
        for picture, stamp in zip(pictures, stamps, strict=True):
            frame = to_frame(picture)
            frame.pts, frame.time_base = stamp, time_base or 1 / rate
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def read(path: Path) -> list[Picture]:
    """All pictures of a film."""
    reader = PictureReader()
    with av.open(str(path)) as container:
        frames: Iterable[VideoFrame] = container.decode(video=0)
        return [reader.read(frame, frame.pts or 0) for frame in frames]


def distance(one: Picture, other: Picture) -> float:
    """Mean difference of luma in levels."""
    a, b = (p.planes[0].astype(np.int16) for p in (one, other))
    return float(np.abs(a - b).mean())


def nearest(picture: Picture, moments: Sequence[Picture]) -> tuple[int, float]:
    """Number of the moment most like the picture, and how far it is."""
    distances = [distance(picture, other) for other in moments]
    best = int(np.argmin(distances))
    return best, distances[best]


@dataclass(frozen=True)
class Made:
    """A finished job and its result on disk."""

    bench: Bench
    result: Path


def upscale(bench: Bench) -> None:
    """Run the process worker over every run of the job."""
    fields = {
        "job_id": bench.job_id, "intermediate_bucket": INTERMEDIATE_BUCKET,
        "model_dir": "nowhere", "device": "cpu", "children": "1", "progress_seconds": "5",
    }  # fmt: skip
    environ = {ENVIRONMENT_PREFIX + name.upper(): value for name, value in fields.items()}
    for run in range(len(bench.manifest.runs)):
        code = run_worker(
            Stage.PROCESS, ProcessEnvironment, process,
            environ={**environ, "AWS_BATCH_JOB_ARRAY_INDEX": str(run)}, client=bench.s3,
        )  # fmt: skip
        assert code == ExitCode.OK, bench.s3.keys(INTERMEDIATE_BUCKET)


def make_result(film: Path, **settings: Any) -> Made:
    """From upload to result with the real workers and Lanczos."""
    bench = Bench(film, **settings)
    code = bench.extract()
    assert code == ExitCode.OK, bench.failure(Stage.EXTRACT).message
    upscale(bench)
    code = bench.recompose()
    assert code == ExitCode.OK, bench.failure(Stage.RECOMPOSE).message
    return Made(bench, bench.result(film.parent))
