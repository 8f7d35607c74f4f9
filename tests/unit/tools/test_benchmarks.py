"""The benchmarks measure what they say, and the quick form of each runs."""

import dataclasses
import itertools
import json
import math
import re
import subprocess
import sys
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation

from benchmarks import run
from benchmarks.chart import Panel, draw_chart, ticks
from benchmarks.clips import (
    SAMPLE,
    Box,
    cut_film,
    enlarge_film,
    read_frames,
    reduce_film,
    write_lossless,
)
from benchmarks.page import PAGE, write_section
from benchmarks.parts import (
    drawn,
    overlap,
    scaling,
    tiles,
)
from benchmarks.parts.engines import EngineTimes, engines_text
from benchmarks.parts.peer import (
    PeerComparison,
    PeerEffort,
    peer_text,
)
from benchmarks.peaks import peaks_below
from benchmarks.quality import Scene, choose_candidates, measure_scene, restore, scenes
from benchmarks.scoring.ab import (
    Candidate,
    count_votes,
    draw_pairs,
    write_blinded,
)
from benchmarks.scoring.measures import (
    compare_films,
    luma,
    range_of,
)
from benchmarks.superres import ROOT
from contracts.models import ModelName
from contracts.names import Stage

pytestmark = pytest.mark.slow


def film(path: Path, *lumas: np.ndarray) -> Path:
    """Grey pictures of these luma levels."""
    height, width = lumas[0].shape
    grey = np.full((height // 2, width), 128, np.uint8)
    pictures = (
        VideoFrame.from_ndarray(np.concatenate([y.astype(np.uint8), grey]), format="yuv420p")
        for y in lumas
    )
    return write_lossless(pictures, path)


@pytest.fixture
def noise() -> list[np.ndarray]:
    random = np.random.default_rng(1)
    still = random.integers(40, 200, (48, 64))
    moving = still.copy()
    moving[:, 32:] += 20
    return [still, moving]


def test_a_constant_error_is_no_flicker_and_has_its_psnr(
    tmp_path: Path, noise: list[np.ndarray]
) -> None:
    original = film(tmp_path / "o.mkv", *noise)
    found = compare_films(original, film(tmp_path / "r.mkv", *(y + 4 for y in noise)), vmaf=False)
    assert found.flicker == found.still_flicker == 0
    assert found.psnr == pytest.approx(20 * math.log10(255 / 4), abs=1e-3)
    assert found.frames == 2
    assert found.vmaf is None


def test_flicker_is_the_change_of_the_error_and_still_flicker_counts_still_parts_only(
    tmp_path: Path, noise: list[np.ndarray]
) -> None:
    original = film(tmp_path / "o.mkv", *noise)
    first, second = noise[0], noise[1].copy()
    second[:, :32] += 6  # half of the picture, which stands still
    found = compare_films(original, film(tmp_path / "r.mkv", first, second), vmaf=False)
    assert found.flicker == pytest.approx(6 / math.sqrt(2))
    assert found.still_flicker == pytest.approx(6)


def test_a_film_equals_itself(tmp_path: Path, noise: list[np.ndarray]) -> None:
    original = film(tmp_path / "o.mkv", *noise)
    found = compare_films(original, original, vmaf=False)
    assert (found.psnr, found.ssim, found.flicker) == (math.inf, 1, 0)


def test_films_of_other_sizes_or_lengths_are_not_compared(
    tmp_path: Path, noise: list[np.ndarray]
) -> None:
    original = film(tmp_path / "o.mkv", *noise)
    with pytest.raises(ValueError, match="size"):
        compare_films(original, film(tmp_path / "s.mkv", *(y[:32] for y in noise)), vmaf=False)
    with pytest.raises(ValueError, match=r"longer|shorter"):
        compare_films(original, film(tmp_path / "l.mkv", noise[0]), vmaf=False)


def test_the_range_leaves_out_a_thousandth_at_each_end() -> None:
    levels = np.zeros(256, np.int64)
    levels[[0, 20, 200, 255]] = 1, 4999, 4999, 1
    assert range_of(levels) == (20, 200)


def test_a_cut_keeps_every_pixel_of_an_odd_film(tmp_path: Path) -> None:
    box = Box(2, 4, 56, 40)
    part = cut_film(SAMPLE, tmp_path / "c.mkv", box, first=3, count=2)
    for whole, inner in zip(read_frames(SAMPLE, 3, 2), read_frames(part), strict=True):
        assert np.array_equal(luma(whole)[4:44, 2:58], luma(inner))


def test_reducing_and_enlarging_keep_a_flat_picture(tmp_path: Path) -> None:
    original = film(tmp_path / "o.mkv", np.full((48, 64), 120))
    small = reduce_film(original, tmp_path / "s.mkv", 4)
    back = enlarge_film(small, tmp_path / "b.mkv", 4, kernel=Interpolation.BICUBIC)
    (picture,) = read_frames(back)
    assert (picture.width, picture.height) == (64, 48)
    assert np.abs(luma(picture) - 120).max() <= 1


def test_a_scene_is_restored_through_the_pipeline_and_measured(tmp_path: Path) -> None:
    (scene,) = scenes("sample", SAMPLE, 2, quick=True)
    small = Scene("s", SAMPLE, Box(0, 0, 64, 48), 0, 2, (ModelName.LANCZOS,))
    assert scene.box == (0, 0, 320, 176)
    restored = restore(small, tmp_path)
    rows = {row.method: row.measures for row in measure_scene(restored, vmaf=False)}
    assert rows.keys() == {"bicubic", "lanczos"}
    assert all(20 < found.psnr < 50 and found.frames == 2 for found in rows.values())
    assert [c.frame for c in choose_candidates([restored])] == [0, 1]


def test_the_middle_is_restored_by_all_models(tmp_path: Path) -> None:
    wide = film(tmp_path / "w.mkv", np.full((406, 1282), 100))
    whole, detail = scenes("w", wide, 16)
    assert whole.box == (0, 0, 1280, 400)
    assert detail.box == (384, 56, 512, 288)
    assert set(detail.models) == set(ModelName)


@pytest.fixture
def candidate(tmp_path: Path) -> Candidate:
    films = {
        name: film(tmp_path / f"{name}.mkv", np.full((48, 64), level))
        for name, level in {"bicubic": 60, "lanczos": 120, "x4plus": 180}.items()
    }
    return Candidate("scene", 0, films)


class Page(HTMLParser):
    """What a page would fetch, and the controls that it names."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.labels: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.fetched += [given[n] or "" for n in ("src", "href") if n in given]
        self.labels += [given["aria-label"] or ""] if "aria-label" in given else []


def test_the_blinded_page_names_no_model_and_fetches_nothing(
    tmp_path: Path, candidate: Candidate
) -> None:
    pages = write_blinded([candidate], tmp_path, seed=5)
    text = pages.page.read_text()
    page = Page(text)
    assert page.fetched == []
    assert "default-src 'none'" in text
    assert not re.search("bicubic|lanczos|x4plus|https?:", text)
    data = json.loads(text.split('id="data">')[1].split("</script>")[0])
    assert len(data["pairs"]) == len(json.loads(pages.key.read_text())["pairs"]) == 3
    assert {p["a"][:22] for p in data["pairs"]} == {"data:image/webp;base64"}
    assert len(page.labels) == 2


def test_order_and_sides_follow_the_seed(candidate: Candidate) -> None:
    assert draw_pairs([candidate], 7) == draw_pairs([candidate], 7)
    orders = {tuple((p.a, p.b) for p in draw_pairs([candidate], seed)) for seed in range(30)}
    assert len(orders) > 10
    assert len(draw_pairs([candidate], 1, most=2)) == 2


KEY = {"seed": 5, "pairs": [{"a": "x", "b": "y"}, {"a": "y", "b": "x"}, {"a": "x", "b": "z"}]}


def test_votes_are_counted_with_ties_as_halves() -> None:
    votes = [
        {"pair": 0, "choice": "a"},
        {"pair": 1, "choice": "b"},
        {"pair": 2, "choice": "same"},
    ]
    scores = {s.method: s for s in count_votes([{"seed": 5, "votes": votes}], KEY)}
    assert scores["x"].share == pytest.approx(2.5 / 3)
    assert (scores["y"].share, scores["y"].shown) == (0, 2)
    assert scores["z"].share == 0.5
    assert 0 <= scores["y"].low < 1e-9 < scores["y"].high == pytest.approx(0.6576, abs=1e-3)


def test_votes_on_another_page_are_refused() -> None:
    with pytest.raises(SystemExit, match="another page"):
        count_votes([{"seed": 6, "votes": []}], KEY)
    with pytest.raises(SystemExit, match="do not come from the page"):
        count_votes([{"seed": 5, "votes": [{"pair": n, "choice": "c"} for n in range(3)]}], KEY)


@pytest.mark.parametrize(
    ("highest", "marks"), [(9, [0, 2, 4, 6, 8, 10]), (2255, [0, 500, 1000, 1500, 2000, 2500])]
)
def test_ticks_are_round_and_reach_the_highest_value(highest: float, marks: list[float]) -> None:
    assert ticks(highest) == marks


def test_a_chart_places_its_points() -> None:
    svg = draw_chart(
        [Panel("t", "x", "y", {"a & b": [(1, 0), (8, 10)]}, logarithmic=True)], "about"
    )
    root = ElementTree.fromstring(svg)
    line = next(e for e in root.iter("{http://www.w3.org/2000/svg}path") if "L" in e.get("d", ""))
    numbers = [float(n) for n in re.findall(r"[\d.]+", line.get("d", ""))]
    assert numbers == [74, 252, 348, 40]
    assert "a &amp; b" in svg


@pytest.mark.parametrize(
    ("words", "stage"),
    [
        (("-m", "containers.media", "extract"), Stage.EXTRACT),
        (
            (
                "-m",
                "local.emulator.batch.processes.wait_for_command",
                "containers.upscaler.preload",
            ),
            Stage.PROCESS,
        ),
    ],
)
def test_peaks_are_of_the_workers_that_we_start(words: Sequence[str], stage: Stage) -> None:
    script = "import time; block = bytearray(80 << 20); print(1, flush=True); time.sleep(0.4)"
    starter = "import subprocess, sys; subprocess.run(sys.argv[3:], check=True)"
    serve = [sys.executable, "-c", starter, "--import-ahead", "containers.upscaler.preload"]
    with peaks_below() as peaks:
        command = [*serve, sys.executable, "-c", script, *words]
        subprocess.run(command, check=True, capture_output=True)
    assert peaks.mib().keys() == {stage}
    assert 80 <= peaks.mib()[stage] < 160


def test_time_is_measured_by_shards_and_memory_by_stage(tmp_path: Path) -> None:
    sizes = dataclasses.replace(scaling.QUICK, shards=(2,), workers=(1,), frames=4)
    (timing,) = scaling.measure_times(tmp_path, sizes)
    assert (timing.workers, timing.shards) == (1, 2)
    assert 0 < timing.process < timing.seconds
    (memory,) = scaling.measure_lengths(tmp_path, (3,))
    assert memory.mib.keys() == set(Stage)
    assert all(30 < mib < 2000 for mib in memory.mib.values())


def test_what_was_measured_is_drawn_and_told() -> None:
    times = [scaling.ScalingTime(1, 1, 9.0, 4.0), scaling.ScalingTime(2, 1, 7.0, 3.0)]
    mib = {Stage.EXTRACT: 90, Stage.PROCESS: 120, Stage.RECOMPOSE: 80}
    lengths = [scaling.StageMemory("0.2 min", "lanczos", 0.2, mib)]
    sizes = [
        scaling.StageMemory("256x144", model, 0.1, mib) for model in ("lanczos", "animevideov3")
    ]
    drawn = ElementTree.fromstring(scaling.draw_scaling(times, lengths, sizes))
    words = {element.text for element in drawn.iter("{http://www.w3.org/2000/svg}text")}
    assert {"1 worker", "2 workers", "process, lanczos", "process, animevideov3"} <= words
    text = scaling.scaling_text(times, lengths, sizes, scaling.QUICK)
    assert "| 2 | 1 | 3.0 | 7.0 |" in text
    assert "| 256x144 | animevideov3 | 90 | 120 | 80 |" in text


def test_engines_are_held_to_the_fastest_peer_of_each_round() -> None:
    seconds = {
        "torch float32": [3.0, 3.0], "ncnn float32": [1.0, 1.2],
        "openvino float32": [2.0, 4.0], "onnxruntime float32": [4.0, 1.0],
    }  # fmt: skip
    text = engines_text(EngineTimes(640, 360, seconds))
    assert "ncnn float32 takes 0.85 of the fastest peer's time (goal 1.1: reached)" in text
    assert "torch float32 takes 2.25 of the fastest peer's time (goal 1.4: not reached)" in text


def test_the_peer_is_compared_round_by_round() -> None:
    effort = PeerEffort(frames=50, rounds=3, calibration=10)
    ours = {"float32": [10.0, 20.0, 10.0]}
    measured = PeerComparison(effort, "640x360", "torch, tile 0", {}, ours, [20.0, 20.0, 13.0])
    assert "| times as fast | **1.30** | 1 |" in peer_text(measured)
    assert "float32: reached" in peer_text(measured)


def test_every_part_has_its_section(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE.read_text())
    for name in (*run.PARTS, "quality"):
        write_section(name, f"new {name}", page)
        assert f"<!-- {name} -->\nnew {name}\n<!-- /{name} -->" in page.read_text()


def test_an_unknown_part_is_refused() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.run", "paers"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "no part paers; choose from demo, start" in done.stderr


def changed(*boxes: tuple[int, int, int, int]) -> np.ndarray:
    """A map of 256x192, true in the boxes (left, top, right, bottom)."""
    found = np.zeros((192, 256), bool)
    for left, top, right, bottom in boxes:
        found[top:bottom, left:right] = True
    return found


def test_repeats_are_no_savings_of_tiles() -> None:
    found = tiles.saving([changed(), changed((0, 0, 256, 192))])
    assert (found.repeats, found.equal_tiles, found.by_rectangle) == (0.5, 0, 0)
    assert found.by_tiles < 0


def test_a_change_touches_the_tiles_that_read_it_and_the_rectangle_around_it() -> None:
    inside = tiles.saving([changed((20, 20, 30, 30))])  # only of the first tile
    assert inside.equal_tiles == pytest.approx(11 / 12)
    assert inside.by_tiles == pytest.approx(1 - 82 * 82 / (192 * 256))
    assert inside.by_rectangle == pytest.approx(1 - 66 * 66 / (192 * 256))
    near = tiles.saving([changed((60, 20, 62, 30))])  # within its neighbour's halo
    assert near.equal_tiles == pytest.approx(10 / 12)


def test_a_drawn_film_is_shot_on_twos_and_a_lossless_codec_keeps_them(tmp_path: Path) -> None:
    drawings = list(itertools.islice(drawn.draw_scene("walk"), 4))
    assert [np.array_equal(a, b) for a, b in itertools.pairwise(drawings)] == [True, False, True]
    coded = tiles.encode(drawings, tmp_path / "d.mkv", tiles.CODECS["lossless"])
    maps = list(tiles.changed_pixels(coded, 0, 4))
    assert [bool(found.any()) for found in maps] == [False, True, False]
    assert tiles.saving(maps).repeats == pytest.approx(2 / 3)


def test_a_workers_stages_are_measured_apart_and_side_by_side(tmp_path: Path) -> None:
    (measured,) = overlap.measure_overlap(tmp_path, 2, 1, quick=True)
    assert min(measured.decode, measured.model, measured.encode, measured.together) > 0
    text = overlap.overlap_text([overlap.OverlapRound(1, 8, 1, 10.6)], 30, "640x360")
    assert "| 1 | 1.0 | 8.0 | 1.0 | 10.0 | 10.6 | 1.06 |" in text
    assert "goal 1.05: not reached" in text
