"""The ledger finds what the writer did wrong, by name, before anything is handed over."""

import copy
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from containers.common.film.decoding import decode_frames
from containers.common.film.opening import FilmFile
from containers.media.recompose import composer
from contracts import keys
from contracts.names import ExitCode, Stage
from tests.support.bench import (
    FINAL_BUCKET,
    INTERMEDIATE_BUCKET,
    Bench,
    encode_shard,
)
from tests.support.films import make

pytestmark = pytest.mark.logs_errors


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    film = make(tmp_path_factory.mktemp("films") / "film.mp4", audio="aac")
    bench = Bench(film, shard_seconds=0.4)
    assert bench.extract() == ExitCode.OK
    bench.process()
    return bench


@pytest.fixture
def bench(made: Bench) -> Bench:
    return copy.deepcopy(made)


def refused(bench: Bench, code: ExitCode = ExitCode.LEDGER_MISMATCH, **changes: Any) -> str:
    assert bench.recompose(**changes) == code
    assert bench.s3.keys(FINAL_BUCKET) == []
    return bench.failure(Stage.RECOMPOSE).message


@pytest.fixture
def meddle(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Let the confined child run another program."""
    programs = "tests.unit.media.recompose.meddling_programs:"
    return lambda name: monkeypatch.setattr(composer, "PROGRAM", programs + name)


Meddle = Callable[[str], None]


def test_a_frame_at_the_wrong_time(bench: Bench, meddle: Meddle) -> None:
    meddle("late_frame")
    assert refused(bench) == "frame 7: planned at 0.280000 s, in the result at 0.280078 s"


def test_a_lost_frame(bench: Bench, meddle: Meddle) -> None:
    meddle("lost_frame")
    assert refused(bench) == "frame 39 is missing"


def test_sound_that_slipped(bench: Bench, meddle: Meddle) -> None:
    meddle("late_sound")
    message = refused(bench)
    assert message.startswith("stream 1 (aac), packet 0: planned at -0.021333 s, in the result at ")


def test_sound_with_other_bytes(bench: Bench, meddle: Meddle) -> None:
    meddle("lost_sound")
    assert refused(bench) == "stream 1 (aac) has other bytes than before"


def test_a_frame_that_cannot_be_decoded(bench: Bench, meddle: Meddle) -> None:
    meddle("broken_frame")
    assert refused(bench).startswith("shard 1, frame 10: cannot be decoded")


def test_colours_other_than_planned(bench: Bench) -> None:
    manifest = bench.manifest
    other = manifest.video.working_colour.model_copy(update={"matrix": 9})
    video = manifest.video.model_copy(update={"working_colour": other})
    for shard in manifest.shards:
        stamps = bench.timestamps[shard.first_frame : shard.first_frame + shard.frames]
        frames = decode_frames(FilmFile(io.BytesIO(bench.film.read_bytes())), stamps)
        body = encode_shard(manifest.model_copy(update={"video": video}), frames)
        bench.commit(shard, body)
    assert refused(bench) == "the result says colour matrix 9 instead of 5"


@pytest.mark.parametrize(
    "count",
    ["frames_coded", "frames_decoded", "frames_upscaled", "frames_encoded", "frames_in_result"],
)
def test_a_ledger_balances_only_if_every_count_is_the_plans(bench: Bench, count: str) -> None:
    assert bench.recompose() == ExitCode.OK
    ledger = bench.report.ledger
    assert ledger.balanced
    assert not ledger.model_copy(update={count: 39}).balanced


def test_a_missing_attachment(tmp_path: Path, meddle: Meddle) -> None:
    bench = Bench(make(tmp_path / "film.mkv", attachment=b"font" * 9))
    assert bench.extract() == ExitCode.OK
    bench.process()
    meddle("no_attachments")
    assert refused(bench) == "the attachment font.ttf is missing or has other bytes"


# What a film had written that took over the child of an earlier stage, or takes over this one


@pytest.mark.parametrize(
    ("program", "code", "words"),
    [
        ("crash", ExitCode.BAD_SOURCE, "crashes the muxer (SIGSEGV)"),
        ("hang", ExitCode.LIMIT_EXCEEDED, "makes the muxer hang: no sign of life for 1 s"),
        ("claim_a_ledger", ExitCode.BAD_SOURCE, "makes the muxer send what no muxer would"),
        ("claim_success", ExitCode.BAD_SOURCE, "makes the muxer send what no muxer would"),
        ("fetch_another", ExitCode.BAD_SOURCE, "makes the muxer send what no muxer would"),
        ("fetch_forever", ExitCode.BAD_SOURCE, "makes the muxer send what no muxer would"),
        ("fill_the_disk", ExitCode.LIMIT_EXCEEDED, "makes the muxer write more than 64 MiB"),
        ("open_a_file", ExitCode.CRASH, "PermissionError"),
    ],
)
def test_a_film_that_takes_over_the_muxer_only_ends_its_job(
    program: str, code: ExitCode, words: str, bench: Bench, meddle: Meddle
) -> None:
    meddle(program)
    message = refused(bench, code, decode_stall_seconds=1)
    assert words in message
    assert message.isprintable()


HOSTILE_SIDECARS = {
    "nothing": b"",
    "text": b"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nhttp://127.0.0.1:1/a.ts\n",
    "noise": bytes(range(256)) * 8,
}


@pytest.mark.parametrize("kind", HOSTILE_SIDECARS)
def test_a_sidecar_that_is_none_is_refused(kind: str, bench: Bench) -> None:
    payload = bench.manifest.sidecar.payload
    assert payload is not None
    bench.s3.objects[payload.bucket, payload.key]["data"] = HOSTILE_SIDECARS[kind]
    assert refused(bench).startswith("the result cannot be put together (")


def test_a_sidecar_of_another_film_is_refused(bench: Bench, tmp_path: Path) -> None:
    payload = bench.manifest.sidecar.payload
    assert payload is not None
    stored = bench.s3.objects[payload.bucket, payload.key]
    stored["data"] = make(tmp_path / "short.mkv", frames=5, audio="aac").read_bytes()
    assert refused(bench) == "stream 0 of the sidecar is not as long as its index"


def change(bench: Bench, key: str, old: bytes, new: bytes) -> None:
    stored = bench.s3.objects[INTERMEDIATE_BUCKET, key]
    assert old in stored["data"]
    stored["data"] = stored["data"].replace(old, new)


@pytest.mark.parametrize(
    ("codec", "sentence"),
    [
        (b"S_AAC", "the sidecar has no stream 0"),
        (b"A_XXX", "the sidecar's streams are not what was set aside (template stream of type"),
    ],
)
def test_a_sidecar_without_the_planned_streams_is_refused(
    codec: bytes, sentence: str, bench: Bench
) -> None:
    """Found by fuzzing."""
    change(bench, keys.sidecar_key(bench.job_id), b"A_AAC", codec)
    assert refused(bench).startswith(sentence)


def test_a_shard_without_pictures_is_refused(bench: Bench) -> None:
    """Found by fuzzing."""
    shard = bench.manifest.shards[0]
    key = keys.shard_key(bench.job_id, 0, "mp4")
    body = bench.s3.objects[INTERMEDIATE_BUCKET, key]["data"]
    bench.commit(shard, body.replace(b"avc1", b"xxxx"))
    assert refused(bench) == "a shard has no pictures that can be decoded"
