"""The ledger finds what the writer did wrong, by name, before anything is handed over."""

import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from av.packet import Packet

from containers.common.media import decode_frames, open_source
from containers.media import mux, recompose, tracks
from containers.media.join import VideoPacket
from containers.media.sidecar import StoredPacket
from contracts.names import ExitCode, Stage
from tests.media_bench import FINAL_BUCKET, Bench, encode_shard
from tests.media_support import make

Packets = Iterable[VideoPacket]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    bench = Bench(make(tmp_path / "film.mp4", audio="aac"), shard_seconds=0.4)
    assert bench.extract() == ExitCode.OK
    bench.process()
    return bench


def refused(bench: Bench) -> str:
    assert bench.recompose() == ExitCode.LEDGER_MISMATCH
    assert bench.s3.keys(FINAL_BUCKET) == []
    return bench.failure(Stage.RECOMPOSE).message


def meddle_with_frames(
    monkeypatch: pytest.MonkeyPatch, change: Callable[[Packets], Iterator[VideoPacket]]
) -> None:
    write = recompose.write_result

    def wrong(*arguments: Any) -> None:
        path, manifest, timestamps, template, packets, sidecar = arguments
        write(path, manifest, timestamps, template, change(packets), sidecar)

    monkeypatch.setattr(recompose, "write_result", wrong)


def meddle_with_sound(
    monkeypatch: pytest.MonkeyPatch, change: Callable[[Iterator[StoredPacket]], Any]
) -> None:
    read = mux.read_stream
    monkeypatch.setattr(mux, "read_stream", lambda *arguments: change(read(*arguments)))


def test_a_frame_at_the_wrong_time(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def late(packets: Packets) -> Iterator[VideoPacket]:
        for packet in packets:
            yield replace(packet, pts=packet.pts + 1) if packet.pts == 7 * 512 else packet

    meddle_with_frames(monkeypatch, late)
    assert refused(bench) == "frame 7: planned at 0.280000 s, in the result at 0.280078 s"


def test_a_lost_frame(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def losing(packets: Packets) -> Iterator[VideoPacket]:
        return (packet for packet in packets if packet.pts != 39 * 512)

    meddle_with_frames(monkeypatch, losing)
    assert refused(bench) == "frame 39 is missing"


def test_sound_that_slipped(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def slipped(packets: Iterator[StoredPacket]) -> Iterator[StoredPacket]:
        return (replace(p, pts=p.pts + 96, dts=p.dts + 96) for p in packets)

    meddle_with_sound(monkeypatch, slipped)
    message = refused(bench)
    assert message.startswith("stream 1 (aac), packet 0: planned at -0.021333 s, in the result at ")


def test_sound_with_other_bytes(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def losing(packets: Iterator[StoredPacket]) -> Iterator[StoredPacket]:
        return (packet for number, packet in enumerate(packets) if number != 30)

    meddle_with_sound(monkeypatch, losing)
    assert refused(bench) == "stream 1 (aac) has other bytes than before"


def test_a_frame_that_cannot_be_decoded(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(packets: Packets) -> Iterator[VideoPacket]:
        for number, packet in enumerate(packets):
            if number == 10:  # the first of shard 1
                noise = Packet(b"\0\0\0\x40" + b"\xff" * 64)
                noise.is_keyframe = True
                yield replace(packet, packet=noise)
            else:
                yield packet

    meddle_with_frames(monkeypatch, broken)
    assert refused(bench).startswith("shard 1, frame 10: cannot be decoded")


def test_colours_other_than_planned(bench: Bench) -> None:
    manifest = bench.manifest
    other = manifest.video.working_colour.model_copy(update={"matrix": 9})
    video = manifest.video.model_copy(update={"working_colour": other})
    for shard in manifest.shards:
        stamps = bench.timestamps[shard.first_frame : shard.first_frame + shard.frames]
        frames = decode_frames(
            lambda: open_source(io.BytesIO(bench.film.read_bytes())), stamps, stream_index=0
        )
        body = encode_shard(manifest.model_copy(update={"video": video}), frames)
        bench.commit(shard, body)
    assert refused(bench) == "the result says colour matrix 9 instead of 5"


def test_a_missing_attachment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(make(tmp_path / "film.mkv", attachment=b"font" * 9))
    assert bench.extract() == ExitCode.OK
    bench.process()
    monkeypatch.setattr(tracks, "_add_attachments", lambda *_: [])
    assert refused(bench) == "the attachment font.ttf is missing or has other bytes"
