"""Measures the cost of decoding films in a process without rights instead of the worker's own."""

import io
import statistics
import time
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.frame import VideoFrame

from benchmarks.clips import read_sample
from benchmarks.superres import table
from containers.common.confined.parent import Confinement
from containers.common.film.decoder.client import FilmDecoder
from containers.common.film.decoding import decode_frames
from containers.common.film.opening import FilmFile
from containers.common.film.pictures import Picture, PictureReader
from contracts.film.facts import Colour, Video

FRAMES, ROUNDS = 200, 9
LIMITS = Confinement(memory_mib=3072, cpu_seconds=3600, stall_seconds=120)
GOAL = 1.10
_BT709 = Colour(primaries=1, transfer=1, matrix=1, full_range=False)


@dataclass(frozen=True)
class DecodingTimes:
    """Seconds of each round, both kinds in turn, and of the child's start."""

    frames: int
    size: tuple[int, int]
    own: list[float]
    confined: list[float]
    start: float

    @property
    def ratio(self) -> float:
        """The median ratio of neighbouring rounds, since machines are noisy."""
        return statistics.median(b / a for a, b in zip(self.own, self.confined, strict=True))


def measure_decoding(folder: Path, frames: int, rounds: int, *, quick: bool) -> DecodingTimes:
    """Decode an enlarged clip of the sample to pictures, in this process and in a confined one."""
    size = (320, 180) if quick else (1920, 1080)
    data = _make_clip(folder / "confined.mp4", frames, size)
    video, stamps = _read_facts(data, size)
    own, confined = [], []
    began = time.perf_counter()
    with FilmDecoder(LIMITS, "the clip") as decoder:
        _time_reading(decoder.pictures(io.BytesIO(data), len(data), video, stamps[:1]))
        start = time.perf_counter() - began
        for _ in range(rounds):
            own.append(_time_reading(_in_process(data, stamps)))
            shown = decoder.pictures(io.BytesIO(data), len(data), video, stamps)
            confined.append(_time_reading(shown))
    return DecodingTimes(len(stamps), size, own, confined, start)


def _make_clip(path: Path, frames: int, size: tuple[int, int]) -> bytes:
    rgb = read_sample()
    with av.open(str(path), "w") as out:
        stream: Any = out.add_stream("libx264", rate=25, options={"crf": "20"})
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for number in range(frames):
            frame = VideoFrame.from_ndarray(rgb[number % len(rgb)], "rgb24")
            frame = frame.reformat(*size, format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path.read_bytes()


def _read_facts(data: bytes, size: tuple[int, int]) -> tuple[Video, np.ndarray]:
    with FilmFile(io.BytesIO(data)).open() as film:
        stream = film.stream
        stamps = sorted(p.pts for p in film.packets() if p.pts is not None)
        video = Video(
            stream_index=0, codec="h264", width=size[0], height=size[1],
            pixel_format="yuv420p", bit_depth=8, time_base=stream.time_base or Fraction(1),
            frame_rate=Fraction(25), sample_aspect_ratio=Fraction(1), rotation=0,
            colour=_BT709, working_colour=_BT709, frames=len(stamps), start_pts=0,
            end_pts=stamps[-1] + 1,
        )  # fmt: skip
    return video, np.array(stamps, np.int64)


def _in_process(data: bytes, stamps: np.ndarray) -> Iterable[Picture]:
    file, reader = io.BytesIO(data), PictureReader()
    frames = decode_frames(FilmFile(file), stamps.tolist())
    return (reader.read(frame, int(pts)) for frame, pts in zip(frames, stamps, strict=True))


def _time_reading(pictures: Iterable[Picture]) -> float:
    began = time.perf_counter()
    for picture in pictures:
        picture.planes[0][0, 0]  # touches the shared memory
    return time.perf_counter() - began


def confined_text(m: DecodingTimes) -> str:
    rows = [
        (name, f"{statistics.median(seconds) / m.frames * 1000:.2f}", ratio)
        for name, seconds, ratio in (
            ("in the worker's own process", m.own, "1"),
            ("in a confined child", m.confined, f"**{m.ratio:.3f}**"),
        )
    ]
    return (
        f"{m.frames} frames of H.264, {m.size[0]}x{m.size[1]}, decoded to pictures; "
        f"{len(m.own)} rounds, interleaved. The child asks for the file's bytes through a socket "
        f"and hands pictures over in shared memory (decisions/0040). Its start, until the first "
        f"picture, takes {m.start:.2f} s while the model is loaded.\n\n"
        + table(("decoded", "ms a frame", "ratio of neighbours, median"), rows)
        + f"\n\nGoal: a ratio of at most {GOAL:.2f}: "
        + ("reached." if m.ratio <= GOAL else "not reached.")
    )
