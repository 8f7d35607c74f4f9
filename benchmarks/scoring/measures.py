"""Measures how close a restored film is to its original. All on luma, limited range as coded.

With S_t the original's luma at frame t, R_t the result's, E_t = R_t - S_t, N pixels, T frames:

PSNR, SSIM      FFmpeg's filters of these names, mean over the frames
VMAF            libvmaf with its built-in model (vmaf_v0.6.1), mean over the frames
flicker         sqrt(1/((T-1) N) sum_t sum_x (E_t(x) - E_{t-1}(x))^2): how much the error changes
                from frame to frame, in levels; a constant error is no flicker
still flicker   sqrt(sum (R_t - R_{t-1})^2 / count) over the pixels where |S_t - S_{t-1}| <= 1:
                how much the result moves where the original does not
luma            the levels below which 0.1 % and 99.9 % of the samples lie
"""

import importlib
import json
import math
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from av.filter import Graph
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from benchmarks.clips import read_frames

STILL = 1
LOW, HIGH = 0.001, 0.999
Luma = NDArray[np.int16]


@dataclass(frozen=True)
class Measures:
    """The measures of one result against its original."""

    frames: int
    psnr: float
    ssim: float
    vmaf: float | None
    """None if it was not computed."""
    flicker: float
    still_flicker: float
    """0 if nothing in the original stands still."""
    low: int
    high: int


def compare_films(original: Path, result: Path, *, vmaf: bool) -> Measures:
    """Measure a result. Raises ValueError where sizes or numbers of frames differ."""
    psnr = frame_scores(original, result, filter_name="psnr", member="psnr.y")
    ssim = frame_scores(original, result, filter_name="ssim", member="Y")
    temporal = FlickerMeter()
    levels = np.zeros(256, np.int64)
    for before, after in zip(read_lumas(original), read_lumas(result), strict=True):
        temporal.add(before, after)
        levels += np.bincount(after.ravel(), minlength=256)
    low, high = range_of(levels)
    return Measures(
        frames=len(psnr),
        psnr=float(np.mean(psnr)),
        ssim=float(np.mean(ssim)),
        vmaf=vmaf_score(original, result) if vmaf else None,
        flicker=temporal.flicker,
        still_flicker=temporal.still_flicker,
        low=low,
        high=high,
    )


def luma(frame: VideoFrame) -> Luma:
    """Return luma as coded: int16, shape (height, width)."""
    plane = frame.planes[0]
    rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
    return rows[: frame.height, : frame.width].astype(np.int16)


def read_lumas(film: Path) -> Iterator[Luma]:
    """Decode the film's luma."""
    return (luma(frame) for frame in read_frames(film))


def range_of(levels: NDArray[np.int64]) -> tuple[int, int]:
    """Return the levels below which the shares LOW and HIGH of a histogram lie."""
    share = np.cumsum(levels) / levels.sum()
    return int(np.searchsorted(share, LOW)), int(np.searchsorted(share, HIGH))


class FlickerMeter:
    """Accumulates both kinds of flicker, frame by frame."""

    def __init__(self) -> None:
        self._before: tuple[Luma, Luma] | None = None
        self._changes = self._pixels = self._moves = self._still = 0.0

    def add(self, original: Luma, result: Luma) -> None:
        """Add the next frame of both films."""
        if self._before is not None:
            source = original - self._before[0]
            restored = (result - self._before[1]).astype(np.float64)
            self._changes += float(np.square(restored - source).sum())
            self._pixels += source.size
            still = np.abs(source) <= STILL
            self._moves += float(np.square(restored[still]).sum())
            self._still += int(still.sum())
        self._before = original, result

    @property
    def flicker(self) -> float:
        return math.sqrt(self._changes / self._pixels) if self._pixels else 0.0

    @property
    def still_flicker(self) -> float:
        return math.sqrt(self._moves / self._still) if self._still else 0.0


def frame_scores(original: Path, result: Path, *, filter_name: str, member: str) -> list[float]:
    """Run one of FFmpeg's comparing filters; return its score of each frame."""
    found: list[float] = []
    graph: _Comparison | None = None
    for number, pair in enumerate(zip(read_frames(original), read_frames(result), strict=True)):
        if (pair[0].width, pair[0].height) != (pair[1].width, pair[1].height):
            raise ValueError(f"{result.name} does not have the size of {original.name}")
        graph = graph or _Comparison(filter_name, pair[0])
        for buffer, frame in zip(graph.inputs, pair, strict=True):
            frame.pts, frame.time_base = number, Fraction(1, 25)
            buffer.push(frame)
        found.append(float(graph.sink.pull().metadata[f"lavfi.{filter_name}.{member}"]))
    return found


class _Comparison:
    """A filter that takes two films."""

    def __init__(self, name: str, frame: VideoFrame) -> None:
        self._graph = Graph()
        self.inputs = [
            self._graph.add_buffer(
                width=frame.width, height=frame.height, format=frame.format,
                time_base=Fraction(1, 25),
            )
            for _ in range(2)
        ]  # fmt: skip
        node, self.sink = self._graph.add(name), self._graph.add("buffersink")
        for pad, buffer in enumerate(self.inputs):
            buffer.link_to(node, 0, pad)
        node.link_to(self.sink)
        self._graph.configure()


def vmaf_score(original: Path, result: Path) -> float:
    """Compute VMAF with the static FFmpeg of the extra `bench`, since PyAV's has no libvmaf.

    Raises SystemExit where it fails.
    """
    program = ffmpeg_with_vmaf()
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "vmaf.json"
        command = [
            program, "-nostdin", "-loglevel", "error", "-i", str(result), "-i", str(original),
            "-lavfi", f"[0:v][1:v]libvmaf=log_fmt=json:log_path={log}", "-f", "null", "-",
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"libvmaf failed: {done.stderr.strip()[-400:]}")
        return float(json.loads(log.read_text())["pooled_metrics"]["vmaf"]["mean"])


def ffmpeg_with_vmaf() -> str:
    """Return the path of FFmpeg with libvmaf. Raises SystemExit, with what to install, without."""
    try:
        imageio_ffmpeg = importlib.import_module(
            "imageio_ffmpeg"
        )  # from an extra, so its types are missing
    except ImportError:
        raise SystemExit(
            "VMAF needs the extra `bench`: make bench-quality installs it; --no-vmaf skips VMAF"
        ) from None
    return imageio_ffmpeg.get_ffmpeg_exe()
