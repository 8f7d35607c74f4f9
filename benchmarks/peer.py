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

from benchmarks.clips import make_clip
from benchmarks.superres import ROOT, superres
from cli.embedded import ensure_weights, inference_dtype, weights_dir
from contracts.models import ModelName, weights_file

PEER_PACKAGES = ("torch==2.13.0", "framelift-video==2.1.0", "openvino==2026.4.1")
CRF, PRESET = "18", "fast"
CONFIGURATIONS = [(b, t) for b in ("torch", "openvino") for t in ("0", "256")]
SETTINGS = ("--scale", "4", "--quality", CRF, "--preset", PRESET)


@dataclass(frozen=True)
class Comparison:
    """Wall seconds of the interleaved rounds."""

    frames: int
    best: str
    calibration: dict[str, float]
    ours: dict[str, list[float]]
    """By number format; the first is what `superres run` chooses here."""
    theirs: list[float]

    def ratio(self, precision: str) -> float:
        """Median of ours over theirs, pair by pair."""
        pairs = zip(self.ours[precision], self.theirs, strict=True)
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


def compare(folder: Path, frames: int = 250, pairs: int = 3) -> Comparison:
    """Find the peer's best configuration on a short clip, then run the interleaved rounds."""
    if not (shutil.which("ffmpeg") and shutil.which("ffprobe")):
        raise SystemExit("the peer needs ffmpeg and ffprobe on the PATH; install Debian's ffmpeg")
    python = peer_environment(ROOT / ".bench-venv")
    weights = peer_weights(folder / "weights")
    short, clip = make_clip(folder / "short.mp4", 50), make_clip(folder / "clip.mp4", frames)
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
    for number in range(pairs):
        for precision, seconds in ours.items():
            timed = superres(clip, ours_out, *SETTINGS, "--precision", precision)
            seconds.append(timed.seconds)
        theirs.append(run_peer(python, weights, clip, theirs_out, backend, tile))
        said = ", ".join(f"{name} {seconds[-1]:.1f} s" for name, seconds in ours.items())
        sys.stderr.write(f"round {number + 1}: {said}, peer {theirs[-1]:.1f} s\n")
    return Comparison(frames, best, calibration, ours, theirs)


def cores() -> int:
    return len(os.sched_getaffinity(0))
