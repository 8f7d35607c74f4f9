"""Damage through whole jobs: concealed and reported, or refused with what to do about it."""

from pathlib import Path
from typing import Any

import av
import pytest

from contracts.names import ExitCode, Stage
from tests.support.bench import Bench, encode_shard
from tests.support.films import (
    damage,
    decode_all,
    make,
)
from tests.unit.media.support import MIDDLE, make_small


def finished(path: Path, **settings: Any) -> Bench:
    bench = Bench(path, **{"codec": "ffv1", "damage": "conceal", **settings})
    assert bench.extract() == ExitCode.OK, bench.failure(Stage.EXTRACT).message
    assert bench.upscale() == ExitCode.OK, bench.failure(Stage.PROCESS).message
    assert bench.recompose() == ExitCode.OK, bench.failure(Stage.RECOMPOSE).message
    return bench


def test_a_whole_job_conceals_and_tells_whatever_its_shards_and_mode(tmp_path: Path) -> None:
    path = make_small(tmp_path / "film.mp4", frames=30)
    damage(path, [15], *MIDDLE)
    damage(path, [20, 29])
    plain = finished(path, shard_seconds=0.2)
    ledger = plain.report.ledger
    assert ledger.balanced
    assert (ledger.frames_planned, ledger.frames_in_result, ledger.frames_concealed) == (30, 30, 3)
    assert [(c.first_frame, c.seconds, c.stands_in) for c in ledger.concealed] == [
        (15, 0.6, "decoder"), (20, 0.8, 19), (29, 1.16, 28),
    ]  # fmt: skip
    counted = {s.index: s.concealed_frames for s in plain.report.shards if s.concealed_frames}
    assert counted == {3: 1, 4: 1, 5: 1}
    shown = [frame.sha256 for frame in decode_all(plain.result(tmp_path))]
    assert shown[19] == shown[20]
    other = finished(path, extraction="shards", shard_seconds=0.44)
    assert [frame.sha256 for frame in decode_all(other.result(tmp_path))] == shown
    assert other.report.ledger.concealed == ledger.concealed
    assert other.report.ledger.frames_concealed == 3


@pytest.mark.logs_errors
def test_shards_that_conceal_more_than_planned_are_a_mismatch(tmp_path: Path) -> None:
    bench = Bench(make_small(tmp_path / "film.mp4", frames=4), damage="conceal")
    assert bench.extract() == ExitCode.OK
    (shard,) = bench.manifest.shards
    with av.open(str(bench.film)) as container:
        body = encode_shard(bench.manifest, container.decode(video=0))
    bench.commit(shard, body, concealed_frames=1)
    assert bench.recompose() == ExitCode.LEDGER_MISMATCH
    message = bench.failure(Stage.RECOMPOSE).message
    assert message == "the plan conceals 0 frames, the shards say 1"


def test_damaged_sound_is_copied_as_it_is(tmp_path: Path) -> None:
    path = make(tmp_path / "film.mp4", frames=20, audio="aac")
    bench = Bench(damage(path, [7], kind="audio"))
    assert bench.extract() == ExitCode.OK
    bench.process()
    assert bench.recompose() == ExitCode.OK
    (stream,) = bench.report.ledger.streams
    assert stream.payload_equal
    assert b"\xff" * 16 in bench.result(tmp_path).read_bytes()


@pytest.mark.logs_errors
def test_a_film_is_refused_unless_asked_to_conceal(tmp_path: Path) -> None:
    path = damage(make_small(tmp_path / "film.mp4"), [31])
    bench = Bench(path)
    assert bench.extract() == ExitCode.BAD_SOURCE
    message = bench.failure(Stage.EXTRACT).message
    assert "at 1.240 s" in message
    assert "--damage conceal" in message
    assert "superres-damage=conceal" in message


@pytest.mark.logs_errors
def test_a_lack_of_memory_is_not_concealed_as_damage(tmp_path: Path) -> None:
    path = make(tmp_path / "film.mkv", frames=12, width=2560, height=1440)
    bench = Bench(path, damage="conceal")
    assert bench.extract(decode_memory_mib=40) == ExitCode.LIMIT_EXCEEDED
    assert "needs more than 40 MiB" in bench.failure(Stage.EXTRACT).message
