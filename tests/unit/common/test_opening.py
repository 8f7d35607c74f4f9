"""Opening untrusted films, and decoding exactly the frames asked for."""

import io
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.error
import numpy as np
import pytest

from containers.common.film.decoding import decode_frames, frame_pts
from containers.common.film.media_errors import media_errors_as, suppress_media_errors
from containers.common.film.opening import (
    FilmFile,
    open_source,
    read_packets,
    video_stream,
)
from containers.common.film.pictures import PictureReader
from containers.common.runtime.worker import WorkerError
from contracts.names import ExitCode
from tests.support.films import (
    OPEN_GOP,
    Clip,
    Seen,
    damage,
    decode_all,
    frame_hash,
    make,
)

MPEG2 = {"bf": "2", "g": "12"}
X265 = {"preset": "ultrafast", "x265-params": "log-level=none:keyint=12:open-gop=1:bframes=3"}
CABAC = {"preset": "veryfast", "bf": "0", "g": "12", "sc_threshold": "0"}
VP8 = {"deadline": "realtime", "cpu-used": "4", "g": "12"}

CLIPS: dict[str, Clip] = {
    "b-frames.mp4": Clip(audio="aac"),
    "open-gop.mp4": Clip(options=OPEN_GOP, frames=60),
    "open-gop.ts": Clip(options=OPEN_GOP, frames=60, audio="mp2"),
    "variable.mp4": Clip(
        time_base=Fraction(1, 90000), pts=[i * 3600 + i % 5 * 777 for i in range(50)]
    ),
    "late.ts": Clip(time_base=Fraction(1, 25), pts=range(100, 140), audio="aac"),
    "program.mpg": Clip(codec="mpeg2video", options=MPEG2, width=96, frames=60, audio="mp2"),
    "transport.ts": Clip(codec="mpeg2video", options=MPEG2, frames=60),
    "avi.avi": Clip(codec="mpeg4", options={"bf": "2"}, audio="ac3"),
    "vp8.webm": Clip(codec="libvpx", options=VP8),
    "hevc.mkv": Clip(codec="libx265", options=X265, frames=60),
    "exchange.mxf": Clip(codec="mpeg2video", options=MPEG2),
    "flash.flv": Clip(audio="aac"),
    "one.mp4": Clip(frames=1),
    "odd.mkv": Clip(width=63, height=37, pixel_format="yuv444p"),
}


def decode(path: Path, wanted: list[int], **changes: int) -> list[Seen]:
    film = FilmFile(io.BytesIO(path.read_bytes()), name=path.name)
    frames = decode_frames(film, wanted, **changes)
    return [Seen(frame_pts(frame) or 0, frame_hash(frame)) for frame in frames]


@pytest.mark.parametrize("name", CLIPS)
def test_any_range_decodes_to_the_same_pixels_as_the_whole_film(name: str, tmp_path: Path) -> None:
    path = make(tmp_path / name, CLIPS[name])
    film = decode_all(path)
    assert len(film) == (len(CLIPS[name].pts or ()) or CLIPS[name].frames)
    for length in (7, 17):
        for start in range(0, len(film), length):
            part = film[start : start + length]
            assert decode(path, [frame.pts for frame in part]) == part


@pytest.mark.parametrize("name", ["open-gop.ts", "odd.mkv"])
def test_pictures_are_the_frames_samples_with_their_timestamps(name: str, tmp_path: Path) -> None:
    file = io.BytesIO(make(tmp_path / name, CLIPS[name]).read_bytes())
    wanted = [frame.pts for frame in decode_all(tmp_path / name)][5:12]
    reader = PictureReader()
    frames = list(decode_frames(FilmFile(file), wanted))
    for frame, pts in zip(frames, wanted, strict=True):
        picture = reader.read(frame, pts)
        assert (picture.pts, picture.pixel_format) == (pts, frame.format.name)
        for plane, component in zip(picture.planes, frame.planes, strict=True):
            rows = np.frombuffer(bytes(component), np.uint8).reshape(-1, component.line_size)
            assert np.array_equal(plane, rows[: plane.shape[0], : plane.shape[1]])


def test_decoding_stops_soon_after_the_last_frame(tmp_path: Path) -> None:
    path = make(tmp_path / "long.mkv", frames=500, codec="rawvideo", options={})
    film = [frame.pts for frame in decode_all(path)]
    file = Counting(path)
    frames = list(decode_frames(FilmFile(file), film[:10]))
    assert len(frames) == 10
    assert file.bytes_read < path.stat().st_size / 2


class Counting:
    """A file that counts what is read of it."""

    def __init__(self, path: Path) -> None:
        self._file = io.BytesIO(path.read_bytes())
        self.bytes_read = 0
        self.seek, self.tell = self._file.seek, self._file.tell

    def read(self, size: int) -> bytes:
        data = self._file.read(size)
        self.bytes_read += len(data)
        return data


def test_a_frame_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = make(tmp_path / "film.mp4")
    film = [frame.pts for frame in decode_all(path)]
    wanted = [*film[10:13], film[13] + 1, film[14]]
    with pytest.raises(
        WorkerError, match=r"film.mp4: frame 13 \(at 0.520 s\) is missing"
    ) as caught:
        decode(path, wanted, first_frame=10)
    assert caught.value.exit_code is ExitCode.BAD_SOURCE


def test_frames_beyond_the_end_are_missed(tmp_path: Path) -> None:
    path = make(tmp_path / "film.mp4")
    film = [frame.pts for frame in decode_all(path)]
    with pytest.raises(WorkerError, match=r"frame 40 \(at 1.600 s\) is missing"):
        decode(path, [film[-1], film[-1] + 512], first_frame=39)


@pytest.mark.parametrize(
    ("first", "last", "trouble"), [(0.0, 1.0, "is missing"), (0.3, 0.7, "cannot be decoded")]
)
def test_a_damaged_frame_is_named(first: float, last: float, trouble: str, tmp_path: Path) -> None:
    path = make(tmp_path / "film.mp4", width=160, height=128, options=CABAC)
    film = [frame.pts for frame in decode_all(path)]
    with pytest.raises(WorkerError, match=rf"frame 20 \(at 0.800 s\) {trouble}; the file"):
        decode(damage(path, [20], first, last), film)


@pytest.mark.parametrize(
    "content",
    [
        b"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nhttp://127.0.0.1:9/x.ts\n#EXT-X-ENDLIST\n",
        b"ffconcat version 1.0\nfile 'sibling.mp4'\n",
        b'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"></MPD>',
    ],
    ids=["hls", "concat", "dash"],
)
def test_a_playlist_disguised_as_a_film_opens_nothing_else(content: bytes, tmp_path: Path) -> None:
    make(tmp_path / "sibling.mp4", frames=2)
    path = tmp_path / "film.mp4"
    path.write_bytes(content)
    with pytest.raises((av.error.FFmpegError, WorkerError)):
        open_source(io.BytesIO(path.read_bytes()))


def test_streams_that_damage_announces_on_the_way_are_no_error() -> None:
    class Announced:
        """PyAV, when FFmpeg has found more streams than it knows and it comes to end them."""

        def demux(self, *_streams: Any) -> Iterator[str]:
            yield from ("packet", "end of the film")
            raise IndexError("list index out of range")

    container: Any = Announced()
    assert list(read_packets(container)) == ["packet", "end of the film"]


def test_a_cover_is_not_taken_for_the_film(tmp_path: Path) -> None:
    path = make(tmp_path / "film.mkv", frames=5, cover=True)
    with open_source(io.BytesIO(path.read_bytes())) as container:
        chosen = video_stream(container)
        assert [s.type for s in container.streams] == ["video", "video"]
        assert chosen is not None
        assert chosen.codec_context.name == "h264"


def test_a_planned_stream_that_is_not_video_is_a_mismatch(tmp_path: Path) -> None:
    path = make(tmp_path / "film.mp4", audio="aac", frames=2)
    for index in (1, 7):
        film = FilmFile(io.BytesIO(path.read_bytes()), index, path.name)
        with pytest.raises(WorkerError, match=f"film.mp4: stream {index} is not video") as caught:
            next(decode_frames(film, [0]))
        assert caught.value.exit_code is ExitCode.LEDGER_MISMATCH


def test_a_lack_of_memory_is_no_damage() -> None:
    lack = av.error.MemoryError(12, "Cannot allocate memory", "film.mp4")
    damage = av.error.InvalidDataError(1, "Invalid data", "film.mp4")
    with suppress_media_errors():
        raise damage
    with pytest.raises(MemoryError), suppress_media_errors():
        raise lack
    with pytest.raises(KeyError), media_errors_as(lambda _error: KeyError("damaged")):
        raise damage
    with pytest.raises(MemoryError), media_errors_as(lambda _error: KeyError("damaged")):
        raise lack
