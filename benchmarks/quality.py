"""`make bench-quality`: reduces real films x4, restores them, compares with bicubic and Lanczos.

Every model runs as users run it: `superres run`, lossless (FFV1). Writes its section of
docs/benchmarks.md and a blinded page for viewers (benchmarks.scoring.ab).
"""

import argparse
import itertools
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from av.video.reformatter import Interpolation

from benchmarks.clips import SAMPLE, Box, cut_film, enlarge_film, read_frames, reduce_film
from benchmarks.page import provenance, write_section
from benchmarks.real_clips import CLIPS, real_clip
from benchmarks.scoring.ab import Candidate, write_blinded
from benchmarks.scoring.measures import (
    Measures,
    compare_films,
    ffmpeg_with_vmaf,
)
from benchmarks.superres import ROOT, run_superres, table
from contracts.models import ModelName

FACTOR = 4
BICUBIC = "bicubic"
WHOLE = (ModelName.LANCZOS, ModelName.ANIMEVIDEOV3, ModelName.X4PLUS_ANIME)
DETAIL = (*WHOLE, ModelName.X4PLUS)
DETAIL_SIZE = (512, 288)
"""(width, height); x4plus takes seconds a frame even for this size."""
FIRST = 60
PACKAGES = ("torch", "ncnn", "av", "opencv-python-headless", "pillow", "numpy")


@dataclass(frozen=True)
class Scene:
    """What to reduce and restore: a part of some frames of a film, and by which models."""

    name: str
    film: Path
    box: Box
    first: int
    frames: int
    models: tuple[ModelName, ...]


@dataclass(frozen=True)
class Restored:
    """A scene's lossless films: the original, and the result of each method."""

    scene: Scene
    original: Path
    results: Mapping[str, Path]
    computed: Mapping[str, str]
    """By model: engine and device."""


@dataclass(frozen=True)
class QualityRow:
    """One method's measures of one scene."""

    scene: Scene
    method: str
    measures: Measures
    original: Measures
    """Of the original against itself: its range, and what moves in its still parts."""


def scenes(name: str, film: Path, count: int, *, quick: bool = False) -> list[Scene]:
    """Plan scenes of a film of any size: the whole picture by fast models, its middle by all."""
    frame = next(read_frames(film))
    width, height = (side // (2 * FACTOR) * 2 * FACTOR for side in (frame.width, frame.height))
    inner = Box(*_middle(width, DETAIL_SIZE[0]), *_middle(height, DETAIL_SIZE[1]))
    inner = Box(inner[0], inner[2], inner[1], inner[3])
    total = sum(1 for _ in read_frames(film))
    first = min(FIRST, max(total - count, 0))
    whole = Scene(name, film, Box(0, 0, width, height), first, count, WHOLE)
    if quick:
        return [Scene(name, film, whole.box, first, count, WHOLE[:2])]
    detail = Scene(f"{name}, detail", film, inner, first, max(count // 2, 2), DETAIL)
    return [whole, detail]


def _middle(length: int, wanted: int) -> tuple[int, int]:
    """Return (start, length) of the middle, both even."""
    inner = min(length, wanted)
    return (length - inner) // 4 * 2, inner


def restore(scene: Scene, folder: Path) -> Restored:
    """Cut and reduce the scene, then enlarge it by every method."""
    stem = scene.name.replace(", ", "-")
    original = cut_film(
        scene.film, folder / f"{stem}.mkv", scene.box, first=scene.first, count=scene.frames
    )
    small = reduce_film(original, folder / f"{stem}.small.mkv", FACTOR)
    results = {BICUBIC: folder / f"{stem}.bicubic.mkv"}
    enlarge_film(small, results[BICUBIC], FACTOR, kernel=Interpolation.BICUBIC)
    computed: dict[str, str] = {}
    for model in scene.models:
        target = folder / f"{stem}.{model.value}.mkv"
        timed = run_superres(
            small, target, "--model", model.value, "--scale", str(FACTOR), "--codec", "ffv1"
        )
        shard = timed.shards[0]
        results[model.value] = target
        computed[model.value] = f"{shard['engine']} on {shard['device']}"
        sys.stderr.write(f"{scene.name}: {model.value} in {timed.seconds:.0f} s\n")
    return Restored(scene, original, results, computed)


def measure_scene(restored: Restored, *, vmaf: bool) -> list[QualityRow]:
    """Compare each result of a scene with the original."""
    itself = compare_films(restored.original, restored.original, vmaf=False)
    return [
        QualityRow(
            restored.scene, name, compare_films(restored.original, result, vmaf=vmaf), itself
        )
        for name, result in restored.results.items()
    ]


def quality_text(rows: Sequence[QualityRow], computed: Mapping[str, str], films: str) -> str:
    """Format where and how it was measured, and a table for each scene, in Markdown."""
    engines = "; ".join(f"{model}: {engine}" for model, engine in computed.items())
    with_vmaf = any(row.measures.vmaf is not None for row in rows)
    packages = (*PACKAGES, "imageio-ffmpeg") if with_vmaf else PACKAGES
    parts = [provenance(*packages), f"{films} Computed by {engines}."]
    for scene, group in itertools.groupby(rows, key=lambda row: row.scene):
        members = list(group)
        box, itself = scene.box, members[0].original
        small = f"{box.width // FACTOR}x{box.height // FACTOR}"
        parts.append(
            f"**{scene.name}**, {scene.frames} frames from {scene.first}, {box.width}x{box.height} "
            f"at ({box.left}, {box.top}), from {small}; the original's luma: {itself.low} to "
            f"{itself.high}, its own still flicker {itself.still_flicker:.2f}."
        )
        header = ("model", "PSNR, dB", "SSIM", "VMAF", "flicker", "still flicker", "luma")
        parts.append(table(header, [_cells(row) for row in members]))
    return "\n\n".join(parts)


def _cells(row: QualityRow) -> tuple[str, ...]:
    m = row.measures
    vmaf = "" if m.vmaf is None else f"{m.vmaf:.1f}"
    numbers = (f"{m.psnr:.2f}", f"{m.ssim:.4f}", vmaf, f"{m.flicker:.2f}", f"{m.still_flicker:.2f}")
    return row.method, *numbers, f"{m.low} to {m.high}"


def choose_candidates(restored: Sequence[Restored]) -> list[Candidate]:
    """Choose frames for viewers: the first and the last of the scenes with the most models."""
    most = max(len(r.results) for r in restored)
    return [
        Candidate(f"{r.scene.name}, frame {r.scene.first + number}", number, r.results)
        for r in restored
        if len(r.results) == most
        for number in (0, r.scene.frames - 1)
    ]


def _find_films(named: Sequence[Path], *, quick: bool) -> tuple[dict[str, Path], str]:
    """Return films by name, and a sentence about them."""
    if quick:
        return {"sample": SAMPLE}, "The sample."
    if named:
        return {path.stem: path for path in named}, ", ".join(path.name for path in named) + "."
    sentence = "; ".join(
        f"{name}: {c.title} ({c.licence}; {c.package})" for name, c in CLIPS.items()
    )
    return {name: real_clip(name) for name in CLIPS}, sentence + "."


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--film", type=Path, action="append", default=[], help="measure this film instead of ours"
    )
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument(
        "--quick", action="store_true", help="measure the sample with two models; write no document"
    )
    parser.add_argument("--no-vmaf", action="store_true")
    parser.add_argument("--json", action="store_true", help="print JSON; write no document")
    parser.add_argument("--seed", type=int, default=1, help="of the blinded page's order")
    parser.add_argument("--out", type=Path, default=ROOT / "bench-output", help="for the page")
    return parser.parse_args()


def main() -> None:
    arguments = _arguments()
    if not arguments.no_vmaf:
        ffmpeg_with_vmaf()
    films, sentence = _find_films(arguments.film, quick=arguments.quick)
    count = 4 if arguments.quick else arguments.frames
    arguments.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        restored = [
            restore(scene, Path(name))
            for title, film in films.items()
            for scene in scenes(title, film, count, quick=arguments.quick)
        ]
        rows = [row for r in restored for row in measure_scene(r, vmaf=not arguments.no_vmaf)]
        pages = write_blinded(choose_candidates(restored), arguments.out, arguments.seed)
    computed = {model: engine for r in restored for model, engine in r.computed.items()}
    text = quality_text(rows, computed, sentence)
    if not (arguments.quick or arguments.json):
        write_section("quality", text)
    if arguments.json:
        json_rows = [
            {"scene": r.scene.name, "method": r.method, **asdict(r.measures)} for r in rows
        ]
        text = json.dumps({"rows": json_rows, "page": str(pages.page), "key": str(pages.key)})
    print(text)
    sys.stderr.write(
        f"vote in {pages.page}, then run: python -m benchmarks.scoring.ab VOTES {pages.key}\n"
    )


if __name__ == "__main__":
    main()
