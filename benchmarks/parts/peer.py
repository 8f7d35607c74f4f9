"""framelift-video at its best beside `superres run`: same weights, clip, preset, CRF; A B A B."""

import os
import shutil
import statistics
import subprocess
import sys
import time
import venv
from dataclasses import dataclass
from pathlib import Path

from benchmarks.clips import frames, make_clip, play
from benchmarks.real_clips import real_clip
from benchmarks.superres import ROOT, superres, table
from cli.models.weights import ensure_weights, weights_dir
from cli.stacks.machine import inference_dtype
from contracts.models import ModelName, weights_file

PEER_PACKAGES = ("torch==2.13.0", "framelift-video==2.1.0", "openvino==2026.4.1")
CRF, PRESET = "18", "fast"
CONFIGURATIONS = [(b, t) for b in ("torch", "openvino") for t in ("0", "256")]
SETTINGS = ("--scale", "4", "--quality", CRF, "--preset", PRESET)


@dataclass(frozen=True)
class Effort:
    """How much is compared."""

    frames: int
    rounds: int
    calibration: int
    """Frames on which the peer's best configuration is picked."""


IN_EARNEST = Effort(frames=50, rounds=3, calibration=10)
QUICK = Effort(frames=6, rounds=1, calibration=2)
GOAL = 1.25


@dataclass(frozen=True)
class Comparison:
    """Wall seconds of the interleaved rounds."""

    effort: Effort
    size: str
    best: str
    calibration: dict[str, float]
    ours: dict[str, list[float]]
    """By number format; the first is what `superres run` chooses here."""
    theirs: list[float]

    def speed(self, precision: str) -> float:
        """How many times as fast we are: the median of the rounds' ratios."""
        pairs = zip(self.theirs, self.ours[precision], strict=True)
        return statistics.median(a / b for a, b in pairs)


def peer_environment(folder: Path, packages: tuple[str, ...] = PEER_PACKAGES) -> Path:
    """A virtual environment with the peers, filled with what it lacks; returns its python."""
    python, ready = folder / "bin" / "python", folder / ".ready"
    if not python.exists():
        venv.create(folder, with_pip=True)
    there = ready.read_text().split() if ready.exists() else []
    for package in packages:
        if package not in there:
            subprocess.run([python, "-m", "pip", "install", "-q", package], check=True)
            there.append(package)
            ready.write_text("\n".join(there))
    return python


def peer_weights(folder: Path) -> Path:
    """Our weights in the form that the peer loads."""
    import torch
    from safetensors.torch import load_file

    folder.mkdir(parents=True, exist_ok=True)
    ensure_weights(ModelName.ANIMEVIDEOV3)
    state = load_file(weights_dir() / weights_file(ModelName.ANIMEVIDEOV3))
    state = {name: value.float() for name, value in state.items()}
    torch.save({"params": state}, folder / "realesr-animevideov3.pth")
    return folder


def run_peer(python: Path, weights: Path, clip: Path, out: Path, backend: str, tile: str) -> float:
    """Wall seconds of one run of the peer."""
    command = [
        str(python), "-m", "framelift", "-i", str(clip), "-o", str(out), "--quiet",
        "--model", "realesr-animevideov3", "--scale", "4", "--ai-strength", "1.0",
        "--device", "cpu", "--backend", backend, "--tile", tile,
        "--crf", CRF, "--x264-preset", PRESET, "--weights-dir", str(weights),
    ]  # fmt: skip
    out.unlink(missing_ok=True)
    began = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - began
    if done.returncode or not out.exists():
        raise SystemExit(f"the peer failed: {done.stderr[-800:]}")
    return seconds


def clip_of(folder: Path, count: int) -> Path:
    """`count` frames of Big Buck Bunny at 640x360, in H.264."""
    pictures = [
        frame.reformat(640, 360, format="rgb24", interpolation="AREA").to_ndarray()
        for frame in frames(real_clip("bunny"), 0, count)
    ]
    return play(pictures, folder / f"peer-{count}.mp4", count)


def compare(folder: Path, effort: Effort = IN_EARNEST, *, quick: bool = False) -> Comparison:
    """Find the peer's best configuration on a short clip, then run the interleaved rounds."""
    if not (shutil.which("ffmpeg") and shutil.which("ffprobe")):
        raise SystemExit("the peer needs ffmpeg and ffprobe on the PATH; install Debian's ffmpeg")
    python = peer_environment(ROOT / ".bench-venv")
    weights = peer_weights(folder / "weights")
    make = _sample if quick else clip_of
    short, clip = make(folder, effort.calibration), make(folder, effort.frames)
    ours_out, theirs_out = folder / "ours.mp4", folder / "theirs.mp4"
    calibration = {
        f"{backend}, tile {tile}": run_peer(python, weights, short, theirs_out, backend, tile)
        for backend, tile in CONFIGURATIONS
    }
    best = min(calibration, key=lambda name: calibration[name])
    backend, tile = best.split(", tile ")
    chosen = inference_dtype()
    ours: dict[str, list[float]] = {name: [] for name in dict.fromkeys((chosen, "float32"))}
    theirs: list[float] = []
    for number in range(effort.rounds):
        for precision, seconds in ours.items():
            timed = superres(clip, ours_out, *SETTINGS, "--precision", precision)
            seconds.append(timed.seconds)
        theirs.append(run_peer(python, weights, clip, theirs_out, backend, tile))
        said = ", ".join(f"{name} {seconds[-1]:.1f} s" for name, seconds in ours.items())
        sys.stderr.write(f"round {number + 1}: {said}, peer {theirs[-1]:.1f} s\n")
    frame = next(frames(clip))
    return Comparison(effort, f"{frame.width}x{frame.height}", best, calibration, ours, theirs)


def _sample(folder: Path, count: int) -> Path:
    return make_clip(folder / f"peer-{count}.mp4", count)


def peer_text(c: Comparison) -> str:
    """Markdown: what was compared, a table of rounds."""
    formats = list(c.ours)
    rows = [
        (str(n + 1), *(f"{c.ours[f][n]:.1f}" for f in formats), f"{theirs:.1f}")
        for n, theirs in enumerate(c.theirs)
    ]
    medians = ("median", *(f"{statistics.median(c.ours[f]):.1f}" for f in formats))
    speeds = ("times as fast", *(f"**{c.speed(f):.2f}**" for f in formats), "1")
    tried = ", ".join(f"{name}: {seconds:.1f} s" for name, seconds in c.calibration.items())
    header = ("round", *(f"superres run, {f}, s" for f in formats), f"framelift ({c.best}), s")
    reached = "; ".join(
        f"{f}: {'reached' if c.speed(f) >= GOAL else 'not reached'}" for f in formats
    )
    return (
        f"{c.effort.frames} frames of {c.size}, animevideov3 x4, libx264 {PRESET} CRF {CRF}, CPU, "
        f"rounds interleaved. `superres run` includes the embedded AWS, its start and the job's "
        f"whole walk. The peer computes in float32, at its best of four configurations, picked "
        f"on {c.effort.calibration} frames ({tried}). `superres run` chooses {formats[0]} on this "
        f"machine (decisions/0006).\n\n"
        + table(header, [*rows, (*medians, f"{statistics.median(c.theirs):.1f}"), speeds])
        + f"\n\nGoal: at least {GOAL} times as fast. {reached}."
    )


def cores() -> int:
    return len(os.sched_getaffinity(0))
