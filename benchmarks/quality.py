"""`make bench-quality`: real films reduced x4 and restored, beside bicubic and Lanczos enlargement.

Every model runs as users run it: `superres run`, lossless (FFV1). Writes the section of
docs/benchmarks.md and a blinded page for eyes (benchmarks.scoring.ab).
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

from benchmarks.clips import SAMPLE, Box, cut, enlarge, frames, reduce
from benchmarks.page import provenance, write_section
from benchmarks.real_clips import CLIPS, real_clip
from benchmarks.scoring.ab import Candidate, write_blinded
from benchmarks.scoring.measures import (
    Measures,
    ffmpeg_with_vmaf,
    measure,
)
from benchmarks.superres import ROOT, superres, table
from contracts.models import ModelName

FACTOR = 4
BICUBIC = "bicubic"
WHOLE = (ModelName.LANCZOS, ModelName.ANIMEVIDEOV3, ModelName.X4PLUS_ANIME)
DETAIL = (*WHOLE, ModelName.X4PLUS)
DETAIL_SIZE = (512, 288)
"""x4plus takes seconds a frame even for so little."""
FIRST = 60
PACKAGES = ("torch", "ncnn", "av", "opencv-python-headless", "pillow", "numpy")


@dataclass(frozen=True)
class Scene:
    """What is reduced and restored: a part of some frames of a film, and by which models."""

    name: str
    film: Path
    box: Box
    first: int
    frames: int
    models: tuple[ModelName, ...]


@dataclass(frozen=True)
class Restored:
    """A scene's lossless films: the original, and what became of it by each method."""

    scene: Scene
    original: Path
    results: Mapping[str, Path]
    computed: Mapping[str, str]
    """By model: engine and device."""


@dataclass(frozen=True)
class Row:
    scene: Scene
    method: str
    measures: Measures
    original: Measures
    """Of the original itself: its own range, and what moves in its still parts."""


def scenes(name: str, film: Path, count: int, *, quick: bool = False) -> list[Scene]:
    """The whole picture by the fast models, its middle by all; of films of any size."""
    frame = next(frames(film))
    width, height = (side // (2 * FACTOR) * 2 * FACTOR for side in (frame.width, frame.height))
    inner = Box(*_middle(width, DETAIL_SIZE[0]), *_middle(height, DETAIL_SIZE[1]))
    inner = Box(inner[0], inner[2], inner[1], inner[3])
    total = sum(1 for _ in frames(film))
    first = min(FIRST, max(total - count, 0))
    whole = Scene(name, film, Box(0, 0, width, height), first, count, WHOLE)
    if quick:
        return [Scene(name, film, whole.box, first, count, WHOLE[:2])]
    detail = Scene(f"{name}, detail", film, inner, first, max(count // 2, 2), DETAIL)
    return [whole, detail]


def _middle(length: int, wanted: int) -> tuple[int, int]:
    """(start, length) of the middle, both even."""
    inner = min(length, wanted)
    return (length - inner) // 4 * 2, inner


def restore(scene: Scene, folder: Path) -> Restored:
    """Cut, reduce, and enlarge again by every method."""
    stem = scene.name.replace(", ", "-")
    original = cut(scene.film, folder / f"{stem}.mkv", scene.box, scene.first, scene.frames)
    small = reduce(original, folder / f"{stem}.small.mkv", FACTOR)
    results = {BICUBIC: folder / f"{stem}.bicubic.mkv"}
    enlarge(small, results[BICUBIC], FACTOR, Interpolation.BICUBIC)
    computed: dict[str, str] = {}
    for model in scene.models:
        target = folder / f"{stem}.{model.value}.mkv"
        timed = superres(
            small, target, "--model", model.value, "--scale", str(FACTOR), "--codec", "ffv1"
        )
        shard = timed.shards[0]
        results[model.value] = target
        computed[model.value] = f"{shard['engine']} on {shard['device']}"
        sys.stderr.write(f"{scene.name}: {model.value} in {timed.seconds:.0f} s\n")
    return Restored(scene, original, results, computed)


def rows_of(restored: Restored, *, vmaf: bool) -> list[Row]:
    itself = measure(restored.original, restored.original, vmaf=False)
    return [
        Row(restored.scene, name, measure(restored.original, result, vmaf=vmaf), itself)
        for name, result in restored.results.items()
    ]


def quality_text(rows: Sequence[Row], computed: Mapping[str, str], films: str) -> str:
    """Markdown: where and how it was measured, a table for each scene."""
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


def _cells(row: Row) -> tuple[str, ...]:
    m = row.measures
    vmaf = "" if m.vmaf is None else f"{m.vmaf:.1f}"
    numbers = (f"{m.psnr:.2f}", f"{m.ssim:.4f}", vmaf, f"{m.flicker:.2f}", f"{m.still_flicker:.2f}")
    return row.method, *numbers, f"{m.low} to {m.high}"


def candidates(restored: Sequence[Restored]) -> list[Candidate]:
    """For eyes: the scenes with most models, their first and their last frame."""
    most = max(len(r.results) for r in restored)
    return [
        Candidate(f"{r.scene.name}, frame {r.scene.first + number}", number, r.results)
        for r in restored
        if len(r.results) == most
        for number in (0, r.scene.frames - 1)
    ]


def _films(named: Sequence[Path], *, quick: bool) -> tuple[dict[str, Path], str]:
    """By name, and a sentence about them."""
    if quick:
        return {"sample": SAMPLE}, "The sample."
    if named:
        return {path.stem: path for path in named}, ", ".join(path.name for path in named) + "."
    said = "; ".join(f"{name}: {c.title} ({c.licence}; {c.package})" for name, c in CLIPS.items())
    return {name: real_clip(name) for name in CLIPS}, said + "."


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--film", type=Path, action="append", default=[], help="instead of ours")
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--quick", action="store_true", help="the sample, two models; no document")
    parser.add_argument("--no-vmaf", action="store_true")
    parser.add_argument("--json", action="store_true", help="print JSON; no document")
    parser.add_argument("--seed", type=int, default=1, help="of the blinded page's order")
    parser.add_argument("--out", type=Path, default=ROOT / "bench-output", help="for the page")
    return parser.parse_args()


def main() -> None:
    arguments = _arguments()
    if not arguments.no_vmaf:
        ffmpeg_with_vmaf()
    films, said = _films(arguments.film, quick=arguments.quick)
    count = 4 if arguments.quick else arguments.frames
    arguments.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        restored = [
            restore(scene, Path(name))
            for title, film in films.items()
            for scene in scenes(title, film, count, quick=arguments.quick)
        ]
        rows = [row for r in restored for row in rows_of(r, vmaf=not arguments.no_vmaf)]
        pages = write_blinded(candidates(restored), arguments.out, arguments.seed)
    computed = {model: engine for r in restored for model, engine in r.computed.items()}
    text = quality_text(rows, computed, said)
    if not (arguments.quick or arguments.json):
        write_section("quality", text)
    if arguments.json:
        said_rows = [
            {"scene": r.scene.name, "method": r.method, **asdict(r.measures)} for r in rows
        ]
        text = json.dumps({"rows": said_rows, "page": str(pages.page), "key": str(pages.key)})
    print(text)
    sys.stderr.write(
        f"{pages.page}: vote; then python -m benchmarks.scoring.ab VOTES {pages.key}\n"
    )


if __name__ == "__main__":
    main()
