"""Compares `superres run` with framelift-video at its best: same weights, clip, preset and CRF."""

import shutil
import statistics
import subprocess
import sys
import time
import venv
from dataclasses import dataclass
from pathlib import Path

from benchmarks.clips import make_sample_clip, read_frames, write_looped
from benchmarks.real_clips import real_clip
from benchmarks.superres import ROOT, run_superres, table
from cli.models.weights import ensure_weights, weights_dir
from cli.stacks.machine import inference_dtype
from contracts.models import ModelName, weights_file

PEER_PACKAGES = ("torch==2.13.0", "framelift-video==2.1.0", "openvino==2026.4.1")
CRF, PRESET = "18", "fast"
CONFIGURATIONS = [(b, t) for b in ("torch", "openvino") for t in ("0", "256")]
SETTINGS = ("--scale", "4", "--quality", CRF, "--preset", PRESET)


@dataclass(frozen=True)
class PeerEffort:
    """How much to compare."""

    frames: int
    rounds: int
    calibration: int
    """How many frames to find the peer's best configuration on."""


FULL = PeerEffort(frames=50, rounds=3, calibration=10)
QUICK = PeerEffort(frames=6, rounds=1, calibration=2)
GOAL = 1.25


@dataclass(frozen=True)
class PeerComparison:
    """Wall seconds of the interleaved rounds."""

    effort: PeerEffort
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
    """Make a virtual environment and install the packages that it lacks; return its python."""
    python, ready = folder / "bin" / "python", folder / ".ready"
    if not python.exists():
        venv.create(folder, with_pip=True)
    installed = ready.read_text().split() if ready.exists() else []
    for package in packages:
        if package not in installed:
            subprocess.run([python, "-m", "pip", "install", "-q", package], check=True)
            installed.append(package)
            ready.write_text("\n".join(installed))
    return python


def peer_weights(folder: Path) -> Path:
    """Write our weights in the form that the peer loads; return their folder."""
    import torch
    from safetensors.torch import load_file

    folder.mkdir(parents=True, exist_ok=True)
    ensure_weights(ModelName.ANIMEVIDEOV3)
    state = load_file(weights_dir() / weights_file(ModelName.ANIMEVIDEOV3))
    state = {name: value.float() for name, value in state.items()}
    torch.save({"params": state}, folder / "realesr-animevideov3.pth")
    return folder


@dataclass(frozen=True)
class Framelift:
    """The peer: its python, its weights, and where it writes its result."""

    python: Path
    weights: Path
    out: Path

    def run(self, clip: Path, backend: str, tile: str) -> float:
        """Run the peer once; return its wall seconds. Raises SystemExit where it fails."""
        command = [
            str(self.python), "-m", "framelift", "-i", str(clip), "-o", str(self.out), "--quiet",
            "--model", "realesr-animevideov3", "--scale", "4", "--ai-strength", "1.0",
            "--device", "cpu", "--backend", backend, "--tile", tile,
            "--crf", CRF, "--x264-preset", PRESET, "--weights-dir", str(self.weights),
        ]  # fmt: skip
        self.out.unlink(missing_ok=True)
        began = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        seconds = time.perf_counter() - began
        if done.returncode or not self.out.exists():
            raise SystemExit(f"the peer failed: {done.stderr[-800:]}")
        return seconds


def make_bunny_clip(folder: Path, count: int) -> Path:
    """Write `count` frames of Big Buck Bunny at 640x360, in H.264."""
    pictures = [
        frame.reformat(640, 360, format="rgb24", interpolation="AREA").to_ndarray()
        for frame in read_frames(real_clip("bunny"), 0, count)
    ]
    return write_looped(pictures, folder / f"peer-{count}.mp4", count)


def compare_peer(folder: Path, effort: PeerEffort = FULL, *, quick: bool = False) -> PeerComparison:
    """Find the peer's best configuration on a short clip, then run the interleaved rounds.

    Raises SystemExit without FFmpeg, or where the peer fails.
    """
    if not (shutil.which("ffmpeg") and shutil.which("ffprobe")):
        raise SystemExit(
            "the peer needs ffmpeg and ffprobe on the PATH; install Debian's package ffmpeg"
        )
    python = peer_environment(ROOT / ".bench-venv")
    peer = Framelift(python, peer_weights(folder / "weights"), folder / "theirs.mp4")
    make = _make_sample_clip if quick else make_bunny_clip
    short, clip = make(folder, effort.calibration), make(folder, effort.frames)
    calibration = {
        f"{backend}, tile {tile}": peer.run(short, backend, tile)
        for backend, tile in CONFIGURATIONS
    }
    best = min(calibration, key=lambda name: calibration[name])
    backend, tile = best.split(", tile ")
    chosen = inference_dtype()
    ours: dict[str, list[float]] = {name: [] for name in dict.fromkeys((chosen, "float32"))}
    theirs: list[float] = []
    for number in range(effort.rounds):
        for precision, seconds in ours.items():
            timed = run_superres(clip, folder / "ours.mp4", *SETTINGS, "--precision", precision)
            seconds.append(timed.seconds)
        theirs.append(peer.run(clip, backend, tile))
        times = ", ".join(f"{name} {seconds[-1]:.1f} s" for name, seconds in ours.items())
        sys.stderr.write(f"round {number + 1}: {times}, peer {theirs[-1]:.1f} s\n")
    frame = next(read_frames(clip))
    return PeerComparison(effort, f"{frame.width}x{frame.height}", best, calibration, ours, theirs)


def _make_sample_clip(folder: Path, count: int) -> Path:
    return make_sample_clip(folder / f"peer-{count}.mp4", count)


def peer_text(c: PeerComparison) -> str:
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
        f"rounds interleaved. `superres run` includes the embedded AWS, its start and all stages "
        f"of the job. The peer computes in float32, in the best of four configurations, found "
        f"on {c.effort.calibration} frames ({tried}). `superres run` chooses {formats[0]} on this "
        f"machine (decisions/0006).\n\n"
        + table(header, [*rows, (*medians, f"{statistics.median(c.theirs):.1f}"), speeds])
        + f"\n\nGoal: at least {GOAL} times as fast. {reached}."
    )
