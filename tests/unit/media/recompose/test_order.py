"""Films whose files tell only in which order frames are decoded: B-frames in AVI."""

from fractions import Fraction
from pathlib import Path

import pytest

from contracts.names import ExitCode, Stage
from tests.support.bench import Bench
from tests.support.films import (
    Clip,
    damage,
    decode_all,
    make,
)
from tests.support.sei import (
    caption_message,
    caption_triplets,
    film_with_messages,
    shown_captions,
)
from tests.unit.media.support import run_real_job, sound, times

CLIP = Clip(frames=24, audio="libmp3lame")


@pytest.mark.parametrize("extraction", ["auto", "frames"])
def test_b_frames_in_avi_are_shown_in_their_order(extraction: str, tmp_path: Path) -> None:
    """The same packets in MP4 say what the order is."""
    results: list[Path] = []
    for name in ("film.avi", "film.mp4"):
        folder = tmp_path / name.replace(".", "-")
        folder.mkdir()
        film = make(folder / name, CLIP)
        bench = Bench(film, codec="ffv1", shard_seconds=0.4, extraction=extraction)
        results.append(run_real_job(bench, folder))
        assert bench.manifest.video.by_order == (name == "film.avi")
        assert sound(results[-1])[0] == sound(film)[0]
    avi, mp4 = results
    assert [f.sha256 for f in decode_all(avi)] == [f.sha256 for f in decode_all(mp4)]
    assert times(avi) == times(mp4) == [Fraction(n, 25) for n in range(24)]


@pytest.mark.logs_errors
def test_ranges_of_such_a_film_are_refused(tmp_path: Path) -> None:
    bench = Bench(make(tmp_path / "film.avi"), extraction="ranged")
    assert bench.extract() == ExitCode.UNSUPPORTED
    said = bench.failure(Stage.EXTRACT).message
    assert said == (
        "film.avi does not say when its frames are shown, so it cannot be read by ranges; "
        "choose extraction shards or auto"
    )


@pytest.mark.logs_errors
def test_a_damaged_frame_of_such_a_film_is_not_taken_for_another(tmp_path: Path) -> None:
    bench = Bench(damage(make(tmp_path / "film.avi"), [20]))
    assert bench.extract() == ExitCode.BAD_SOURCE
    said = bench.failure(Stage.EXTRACT).message
    assert said.startswith("film.avi: ")
    assert said.endswith("can be decoded; repair it or upload it again")


def test_captions_of_such_a_film_stay_with_their_frames(tmp_path: Path) -> None:
    bench = Bench(film_with_messages(tmp_path / "film.avi", caption_message))
    assert shown_captions(run_real_job(bench, tmp_path)) == [caption_triplets(n) for n in range(12)]
    assert bench.report.ledger.captioned_frames == 12
