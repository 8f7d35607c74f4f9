"""Films that want to open something else: refused, with no request made and no file opened."""

import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from containers.media import examined
from contracts.keys import failure_key, job_key
from contracts.names import ExitCode, Stage
from tests.media_bench import INTERMEDIATE_BUCKET, Bench
from tests.media_support import make

CANARY = "canary.mp4"


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    """A server that would hear of any request."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server
        with pytest.raises(BlockingIOError):
            server.accept()


def refused(path: Path, code: ExitCode = ExitCode.BAD_SOURCE, **changes: Any) -> str:
    """The sentence; nothing else stays behind than it and the job."""
    bench = Bench(path)
    assert bench.extract(**changes) == code
    failure = bench.failure(Stage.EXTRACT)
    assert failure.error == code.error
    assert failure.message.isprintable()
    assert bench.s3.keys(INTERMEDIATE_BUCKET) == [
        failure_key(bench.job_id, Stage.EXTRACT),
        job_key(bench.job_id),
    ]
    return failure.message


def lists(port: int, canary: Path) -> dict[str, str]:
    """Playlists and the like, each naming an address and a file."""
    url = f"http://127.0.0.1:{port}/a.ts"
    sdp = f"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nt=0 0\nm=video {port} RTP/AVP 96\n"
    dash = (
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period>'
        '<AdaptationSet mimeType="video/mp4"><Representation id="1" bandwidth="1"><BaseURL>{}'
        "</BaseURL><SegmentBase/></Representation></AdaptationSet></Period></MPD>"
    )
    hls = "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n{}\n#EXT-X-ENDLIST\n"
    smil = '<?xml version="1.0"?><smil><body><video src="{}"/></body></smil>'
    return {
        "hls": hls.format(url),
        "hls-file": hls.format(f"file://{canary}"),
        "hls-key": "#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI=\"" + url + '"\n' + hls.format(url)[8:],
        "concat": f"ffconcat version 1.0\nfile '{canary}'\n",
        "concat-address": f"ffconcat version 1.0\nfile '{url}'\n",
        "dash": dash.format(url),
        "dash-file": dash.format(f"file://{canary}"),
        "sdp": sdp,
        "smil": smil.format(url),
        "asx": f'<asx version="3.0"><entry><ref href="{url}"/></entry></asx>',
        "reference": f"[Reference]\nRef1={url}\n",
        "ram": f"rtsp://127.0.0.1:{port}/a.rm\n",
        "m3u-absolute": f"{canary}\n",
    }  # fmt: skip


SUFFIXES = {"hls": ".m3u8", "concat": ".ts", "dash": ".mkv", "sdp": ".sdp"}
"""Else .mp4."""


@pytest.mark.parametrize("kind", lists(0, Path("/")))
def test_a_playlist_by_any_name_opens_nothing(
    kind: str, listening: socket.socket, tmp_path: Path
) -> None:
    suffix = SUFFIXES.get(kind, ".mp4")
    canary = make(tmp_path / CANARY, frames=2)
    path = tmp_path / f"film{suffix}"
    path.write_text(lists(listening.getsockname()[1], canary)[kind])
    assert "is a text file, not a video" in refused(path)


def with_reference(film: Path, target: Path | str) -> Path:
    """Let the film's samples lie in another file: dref of kind alis or url (ISO/IEC 14496-12)."""
    data = film.read_bytes()
    place = data.index(b"url \x00\x00\x00\x01") - 4
    text = str(target).encode() + b"\0"
    entry = struct.pack(">I4sI", 12 + len(text), b"url ", 0) + text
    data = data[:place] + entry + data[place + 12 :]
    for name in (b"dref", b"dinf", b"minf", b"mdia", b"trak", b"moov"):
        at = data.index(name) - 4
        grown = struct.unpack(">I", data[at : at + 4])[0] + len(entry) - 12
        data = data[:at] + struct.pack(">I", grown) + data[at + 4 :]
    film.write_bytes(data)
    return film


@pytest.mark.parametrize("address", [True, False])
def test_a_film_whose_samples_lie_elsewhere_opens_nothing(
    address: bool, listening: socket.socket, tmp_path: Path
) -> None:
    canary = make(tmp_path / CANARY, frames=30)
    target = f"http://127.0.0.1:{listening.getsockname()[1]}/x" if address else f"file://{canary}"
    path = with_reference(make(tmp_path / "film.mov", frames=30), target)
    bench = Bench(path)
    code = bench.extract()
    # FFmpeg reads such references only with an option that nobody sets: the film's own bytes count.
    assert code in (ExitCode.OK, ExitCode.BAD_SOURCE)


def test_segments_that_are_linked_by_name_are_not_looked_for(
    listening: socket.socket, tmp_path: Path
) -> None:
    """Matroska's SegmentFilename and PrevFilename (RFC 9559, 5.1.2)."""
    canary = make(tmp_path / "canary.mkv", frames=5)
    data = make(tmp_path / "film.mkv", frames=5).read_bytes()
    info = data.index(bytes.fromhex("1549a966"))
    name = str(canary).encode()
    link = bytes.fromhex("3c83ab") + bytes([0x80 | len(name)]) + name
    size_at = info + 4
    width = 9 - data[size_at].bit_length()
    size = int.from_bytes(data[size_at : size_at + width], "big") & ((1 << 7 * width) - 1)
    grown = (size + len(link)) | 1 << 7 * width
    data = (
        data[:size_at] + grown.to_bytes(width, "big") + data[size_at + width :][:size] + link
        + data[size_at + width + size :]
    )  # fmt: skip
    (tmp_path / "film.mkv").write_bytes(data)
    canary.unlink()
    assert Bench(tmp_path / "film.mkv").extract() in (ExitCode.OK, ExitCode.BAD_SOURCE)


@pytest.mark.parametrize(
    ("program", "code", "words"),
    [
        ("crash", ExitCode.BAD_SOURCE, "crashes the decoder (SIGSEGV)"),
        ("hang", ExitCode.LIMIT_EXCEEDED, "makes the decoder hang: no sign of life for 1 s"),
        ("claim_too_much", ExitCode.BAD_SOURCE, "makes the decoder say what makes no sense"),
    ],
)
def test_a_film_that_takes_over_its_examination_only_ends_its_job(
    program: str, code: ExitCode, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(examined, "PROGRAM", f"tests.unit.confined_programs:examine_{program}")
    message = refused(make(tmp_path / "film.mp4", frames=2), code, decode_stall_seconds="1")
    assert message.startswith("film.mp4 ")
    assert words in message
