"""A film whose pictures change their size is refused, with both sizes, before it is paid for."""

import io
import struct
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from containers.common.film.decoder.client import FilmDecoder
from containers.common.runtime.errors import WorkerError
from containers.media.extract.judge import sizes
from containers.media.extract.judge.sizes import SizeWatch
from contracts.names import ExitCode, Stage
from tests.support.bench import Bench
from tests.support.films import (
    OPEN_GOP,
    X264,
    Clip,
    make,
)
from tests.unit.common.support import LIMITS, video

FRAMES = 40
X265 = {"preset": "ultrafast", "x265-params": "log-level=none:keyint=12"}
PARTS = {
    "h264.ts": Clip(),
    "mpeg2.ts": Clip(codec="mpeg2video", options={"g": "12"}),
    "h264.mp4": Clip(),
    "h264.mkv": Clip(),
    "hevc.mkv": Clip(codec="libx265", options=X265),
    "vp8.webm": Clip(codec="libvpx", options={"deadline": "realtime", "cpu-used": "8"}),
    "vp9.webm": Clip(codec="libvpx-vp9", options={"deadline": "realtime", "cpu-used": "8"}),
    "prores.mov": Clip(codec="prores_ks", options={}, pixel_format="yuv422p10le"),
}


def joined(path: Path, clip: Clip, changes: Sequence[dict[str, Any]]) -> Path:
    """Parts of FRAMES frames one behind the other, in one stream that is headed like the first."""
    annexb = clip.codec in ("libx264", "libx265", "mpeg2video")
    suffix = ".ts" if annexb else path.suffix
    parts = [
        make(path.with_name(f"part-{number}{suffix}"), replace(clip, **change))
        for number, change in enumerate(changes)
    ]
    return concatenate(path, parts, clip.rate)


def concatenate(path: Path, parts: Sequence[Path], rate: Fraction = Fraction(25)) -> Path:
    """Their packets, one part behind the other."""
    with av.open(str(path), "w") as out, av.open(str(parts[0])) as template:
        stream = out.add_stream_from_template(template.streams.video[0], opaque=True)
        for number, part in enumerate(parts):
            with av.open(str(part)) as source:
                for packet in source.demux(video=0):
                    later = round(number * FRAMES / rate / packet.time_base)
                    if packet.size and packet.pts is not None and packet.dts is not None:
                        packet.pts, packet.dts = packet.pts + later, packet.dts + later
                        packet.stream = stream
                        out.mux(packet)
    return path


SMALL: dict[str, Any] = {}
LARGE = {"width": 128, "height": 96}


@pytest.mark.logs_errors
@pytest.mark.parametrize("name", PARTS)
def test_a_size_that_changes_on_the_way_is_refused_as_packets_are_read(
    name: str, tmp_path: Path
) -> None:
    """The ends, which extract decodes, are alike: only the packets between them tell."""
    bench = Bench(joined(tmp_path / name, PARTS[name], [SMALL, LARGE, SMALL]))
    assert bench.extract() == ExitCode.UNSUPPORTED
    message = bench.failure(Stage.EXTRACT).message
    assert message.startswith(f"{name} changes its picture size from 64x48 to 128x96 at frame 40 (")
    assert message.endswith(" s); cut it into parts of one size")


def boxes(data: bytes, change: dict[bytes, Callable[[bytes], bytes]]) -> bytes:
    """An ISO file with the bodies of these boxes changed."""
    out, place = b"", 0
    while place < len(data):
        size, kind = struct.unpack_from(">I4s", data, place)
        body = data[place + 8 : place + size]
        if kind in (b"moov", b"trak", b"mdia", b"minf", b"stbl"):
            body = boxes(body, change)
        body = change.get(kind, bytes)(body)
        out += struct.pack(">I4s", len(body) + 8, kind) + body
        place += size
    return out


def two_descriptions(path: Path, changes: Sequence[dict[str, Any]]) -> Path:
    """As editors join MP4 without encoding anew: a sample description for each part."""
    entries: list[bytes] = []
    for number, change in enumerate(changes):
        part = make(path.with_name(f"described-{number}.mp4"), Clip(**change))
        boxes(part.read_bytes(), {b"stsd": lambda body: entries.append(body[8:]) or body})
    parts = [path.with_name(f"described-{number}.mp4") for number in range(len(changes))]
    concatenate(path, parts)
    with av.open(str(path)) as film:
        places = [p.pos for p in film.demux(video=0) if p.size][::FRAMES]
    chunks = [struct.pack(">III", i + 1, FRAMES, i + 1) for i in range(len(parts))]
    head = struct.pack(">II", 0, len(parts))
    changed: dict[bytes, Callable[[bytes], bytes]] = {
        b"stsd": lambda _: head + b"".join(entries),
        b"stsc": lambda _: head + b"".join(chunks),
        b"stco": lambda _: head + struct.pack(f">{len(parts)}I", *places),
    }
    path.write_bytes(boxes(path.read_bytes(), changed))
    return path


@pytest.mark.logs_errors
def test_a_second_sample_description_of_another_size_is_refused(tmp_path: Path) -> None:
    bench = Bench(two_descriptions(tmp_path / "film.mp4", [SMALL, LARGE, SMALL]))
    assert bench.extract() == ExitCode.UNSUPPORTED
    message = bench.failure(Stage.EXTRACT).message
    assert message.startswith(
        "film.mp4 changes its picture size from 64x48 to 128x96 at frame 40 ("
    )


def test_a_second_sample_description_of_the_same_size_is_taken(tmp_path: Path) -> None:
    other = {"options": {**X264, "x264-params": "ref=3:level=31"}}
    bench = Bench(two_descriptions(tmp_path / "film.mp4", [SMALL, other]))
    assert bench.extract() == ExitCode.OK, bench.failure(Stage.EXTRACT).message
    assert len(bench.timestamps) == 2 * FRAMES


@pytest.mark.logs_errors
def test_a_size_that_changes_at_the_end_is_met_there(tmp_path: Path) -> None:
    """MJPEG, for nothing but its pictures tells its size."""
    clip = Clip(codec="mjpeg", options={}, pixel_format="yuvj420p")
    bench = Bench(joined(tmp_path / "film.mkv", clip, [SMALL, LARGE]))
    assert bench.extract() == ExitCode.UNSUPPORTED
    message = bench.failure(Stage.EXTRACT).message
    assert message.startswith("film.mkv changes its picture size from 64x48 to 128x96 at frame ")


def test_headers_that_change_and_sizes_that_do_not_are_no_reason_to_refuse(tmp_path: Path) -> None:
    other = {"options": {**X264, "x264-params": "ref=3:level=31"}}
    bench = Bench(joined(tmp_path / "film.ts", Clip(), [SMALL, other, SMALL]))
    assert bench.extract() == ExitCode.OK, bench.failure(Stage.EXTRACT).message
    assert len(bench.timestamps) == 3 * FRAMES


def test_h264_that_its_file_crops_keeps_its_size(tmp_path: Path) -> None:
    """Its keyframes behind the first have no headers, so one is decoded by itself."""
    path = make(tmp_path / "film.mp4", Clip(options=OPEN_GOP))
    crop = struct.pack(">HH", 64, 40)
    place = 8 + 32  # within the first sample description: behind its head
    cropped = boxes(
        path.read_bytes(), {b"stsd": lambda body: body[:place] + crop + body[place + 4 :]}
    )
    path.write_bytes(cropped)
    bench = Bench(path)
    assert bench.extract() == ExitCode.OK, bench.failure(Stage.EXTRACT).message
    assert (bench.manifest.video.width, bench.manifest.video.height) == (64, 40)


def test_keyframes_are_decoded_only_where_their_headers_are_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[int | None] = []
    monkeypatch.setattr(sizes, "LOOK_SECONDS", 0)
    monkeypatch.setattr(sizes, "decode_size", lambda *given: decoded.append(given[-1].pts))
    other = {"options": {**X264, "x264-params": "ref=3:level=31"}}
    path = joined(tmp_path / "film.ts", Clip(), [SMALL, other, SMALL, other])
    with av.open(str(path)) as film:
        watch = SizeWatch(film.streams.video[0], (64, 48))
        keys = [p for p in film.demux(video=0) if p.size and watch.find_change(p) is None]
    assert len(keys) == 4 * FRAMES
    assert len(decoded) == 1


def test_a_worker_names_both_kinds(tmp_path: Path) -> None:
    path = joined(tmp_path / "film.ts", Clip(), [SMALL, LARGE])
    data = path.read_bytes()
    with av.open(str(path)) as film:
        stamps = np.array(sorted(p.pts for p in film.demux(video=0) if p.pts is not None))
    with (
        FilmDecoder(LIMITS, "film.ts") as decoder,
        pytest.raises(WorkerError) as refused,
    ):
        list(decoder.pictures(io.BytesIO(data), len(data), video(), stamps))
    assert refused.value.exit_code is ExitCode.UNSUPPORTED
    assert refused.value.message.startswith(
        "film.ts changes its picture size from 64x48 to 128x96 at frame 40 ("
    )
