"""Films that want to open something else: refused, with no request made and no file opened.

Each is shown to a plain FFmpeg too, which opens what ours does not: a canary that hears of it.
"""

import contextlib
import io
import os
import struct
import threading
from pathlib import Path
from typing import Any

import av
import av.error
import pytest

from containers.common.film.opening import open_source
from containers.common.runtime.errors import WorkerError
from containers.media.extract import examiner
from contracts.keys import failure_key, job_key
from contracts.names import ExitCode, Stage
from tests.support.bench import INTERMEDIATE_BUCKET, Bench
from tests.support.canaries import Canary
from tests.support.films import make

CANARY = "canary.mp4"


RULES_ALONE: dict[str, Any] = {"decode_filter": "off"}
"""Of the lock: without it the child could open what it likes, so what keeps it are our rules."""


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


def lists(url: str, canary: Path, port: int) -> dict[str, str]:
    """Playlists and the like, each naming an address or a file."""
    hls = "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n{}\n#EXT-X-ENDLIST\n"
    dash = (
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
        'mediaPresentationDuration="PT4S" profiles="urn:mpeg:dash:profile:isoff-on-demand:2011">'
        '<Period><AdaptationSet mimeType="video/mp4"><Representation id="1" bandwidth="1">'
        "<BaseURL>{}</BaseURL><SegmentBase/></Representation></AdaptationSet></Period></MPD>"
    )
    sdp = (
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
        f"m=video {port} RTP/AVP 96\na=rtpmap:96 H264/90000\n"
    )
    smil = '<?xml version="1.0"?><smil><body><video src="{}"/></body></smil>'
    return {
        "hls": hls.format(url),
        "hls-file": hls.format(f"file://{canary}"),
        "hls-key": "#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI=\"" + url + '"\n' + hls.format(url)[8:],
        "concat": f"ffconcat version 1.0\nfile '{canary}'\n",
        "concat-address": f"ffconcat version 1.0\nfile '{url}'\n",
        "sdp": sdp,
        "dash": dash.format(url),
        "dash-file": dash.format(f"file://{canary}"),
        "smil": smil.format(url),
        "asx": f'<asx version="3.0"><entry><ref href="{url}"/></entry></asx>',
        "reference": f"[Reference]\nRef1={url}\n",
        "ram": f"rtsp://127.0.0.1:{port}/a.rm\n",
        "m3u-absolute": f"{canary}\n",
    }  # fmt: skip


SUFFIXES = {"hls": ".m3u8", "concat": ".ts", "dash": ".mkv", "sdp": ".sdp"}
"""Else .mp4."""
FOLLOWED = {
    "hls": ["address"], "hls-file": ["file"], "hls-key": ["address"],
    "concat": ["file"], "concat-address": ["address"], "sdp": ["port"],
}  # fmt: skip
"""What FFmpeg opens of them where nothing keeps it from that; this build reads no other kind."""
ALLOWED = {"protocol_whitelist": "file,http,tcp,crypto,data,udp,rtp"}
WILLING = {
    "hls": {"allowed_extensions": "ALL", "extension_picky": "0"},
    "concat": {"safe": "0"},
    "sdp": {},
}


def followed(path: Path, kind: str, canary: Canary) -> list[str]:
    """The control: what FFmpeg opens when it may follow anything."""
    name = kind.split("-")[0]
    options = {**ALLOWED, **WILLING.get(name, {})}
    waiting = threading.Thread(target=plain_open, args=(path, name, options))
    bound = False
    with canary:
        waiting.start()
        while waiting.is_alive() and not bound:
            bound = f":{canary.port + 1:04X} " in Path("/proc/net/udp").read_text()
        waiting.join()
    return canary.opened + ["port"] * bound


def plain_open(path: Path, name: str, options: dict[str, str]) -> None:
    with contextlib.suppress(av.error.FFmpegError):
        av.open(
            str(path), format=name if name in WILLING else None,
            container_options=options, timeout=0.5,
        ).close()  # fmt: skip


def tempted(monkeypatch: pytest.MonkeyPatch, name: str | None, options: dict[str, str]) -> None:
    """Let FFmpeg in this process follow what it is given, beside the options that we set."""
    plain = av.open

    def willing(*arguments: Any, container_options: dict[str, str], **others: Any) -> Any:
        merged = {**options, **container_options}
        return plain(*arguments, format=name, container_options=merged, **others)

    monkeypatch.setattr(av, "open", willing)


@pytest.mark.logs_errors
@pytest.mark.parametrize("kind", lists("", Path("/"), 0))
def test_a_playlist_by_any_name_opens_nothing(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"film{SUFFIXES.get(kind, '.mp4')}"
    with Canary(tmp_path / CANARY) as canary:
        path.write_text(lists(canary.url, canary.path, canary.port + 1)[kind])
        assert "is a text file, not a video" in refused(path, **RULES_ALONE)
    assert canary.opened == []
    assert followed(path, kind, canary.again()) == FOLLOWED.get(kind, [])

    if kind in FOLLOWED:
        name = kind.split("-")[0]
        tempted(monkeypatch, name, WILLING[name])
        with canary.again() as silent, pytest.raises(av.error.FFmpegError):
            open_source(io.BytesIO(path.read_bytes()))
        assert silent.opened == []


def alias(target: str, levels: int) -> bytes:
    """An alias record, as FFmpeg's mov.c reads it. `levels`: how many names of the path count from
    the film's own folder on; 0: it is absolute.
    """
    path = target.encode() + b"\0" * (len(target) % 2)
    head = struct.pack(">10xB27s12xB63s16xHH16x", 0, b"", 0, b"", levels, levels)
    tail = struct.pack(">HH", 0xFFFF, 0)
    return head + struct.pack(">HH", 2, len(path)) + path + tail


def with_reference(film: Path, kind: bytes, record: bytes) -> Path:
    """Let the film's samples lie in another file, by its dref (ISO/IEC 14496-12, 8.7.2)."""
    entry = struct.pack(">I4sI", 12 + len(record), kind, 0) + record
    data = film.read_bytes()
    place = data.index(b"url \x00\x00\x00\x01") - 4
    data = data[:place] + entry + data[place + 12 :]
    for box in (b"dref", b"dinf", b"minf", b"mdia", b"trak", b"moov"):
        at = data.rindex(box, 0, place) - 4
        grown = struct.unpack(">I", data[at : at + 4])[0] + len(entry) - 12
        data = data[:at] + struct.pack(">I", grown) + data[at + 4 :]
    film.write_bytes(data)
    return film


FOLLOW_ALIASES = {"enable_drefs": "1", "use_absolute_path": "1"}


@pytest.mark.logs_errors
@pytest.mark.parametrize(
    ("kind", "opened"),
    [("absolute", ["file"]), ("beside", ["file"]), ("address", [])],
)
def test_a_film_whose_samples_lie_elsewhere_opens_nothing(
    kind: str, opened: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Canary(tmp_path / CANARY) as canary:
        record = {
            "absolute": alias(str(canary.path), 0), "beside": alias(CANARY, 1),
            "address": canary.url.encode() + b"\0",
        }[kind]  # fmt: skip
        film = make(tmp_path / "film.mov", frames=30)
        path = with_reference(film, b"url " if kind == "address" else b"alis", record)
        code = Bench(path).extract(**RULES_ALONE)
        # An address stands in an entry that FFmpeg does not read: the film's own bytes count.
        assert code == (ExitCode.BAD_SOURCE if opened else ExitCode.OK)
    assert canary.opened == []

    with canary.again() as control:
        plain_open(path, "mov", {**ALLOWED, **FOLLOW_ALIASES})
    assert control.opened == opened

    tempted(monkeypatch, None, FOLLOW_ALIASES)
    with canary.again() as silent:
        if opened:
            with pytest.raises(WorkerError, match="the film refers to another file"):
                open_source(io.BytesIO(path.read_bytes()))
        else:
            open_source(io.BytesIO(path.read_bytes())).close()
    assert silent.opened == []


PREVIOUS_FILE = bytes.fromhex("3c83ab")
"""PrevFilename (RFC 9559, 5.1.2.5)."""


def with_previous_segment(film: Path, name: bytes) -> Path:
    data = film.read_bytes()
    info = data.index(bytes.fromhex("1549a966"))
    link = PREVIOUS_FILE + bytes([0x80 | len(name)]) + name
    size_at = info + 4
    width = 9 - data[size_at].bit_length()
    size = int.from_bytes(data[size_at : size_at + width], "big") & ((1 << 7 * width) - 1)
    grown = (size + len(link)) | 1 << 7 * width
    data = (
        data[:size_at] + grown.to_bytes(width, "big") + data[size_at + width :][:size] + link
        + data[size_at + width + size :]
    )  # fmt: skip
    film.write_bytes(data)
    return film


def test_segments_that_are_linked_by_name_are_not_looked_for(tmp_path: Path) -> None:
    with Canary(tmp_path / "c") as canary:
        name = str(canary.path).encode()
        path = with_previous_segment(make(tmp_path / "film.mkv", frames=5), name)
        assert Bench(path).extract(**RULES_ALONE) == ExitCode.OK
    assert canary.opened == []

    with canary.again() as ffmpeg:  # no FFmpeg follows them, by no option
        plain_open(path, "matroska", ALLOWED)
    assert ffmpeg.opened == []

    with canary.again() as control:  # a player that does reads this name
        data = path.read_bytes()
        place = data.index(PREVIOUS_FILE) + 4
        Path(os.fsdecode(data[place : place + (data[place - 1] & 0x7F)])).read_bytes()
    assert control.opened == ["file"]


@pytest.mark.logs_errors
@pytest.mark.parametrize(
    ("program", "code", "words"),
    [
        ("crash", ExitCode.BAD_SOURCE, "crashes the decoder (SIGSEGV)"),
        ("hang", ExitCode.LIMIT_EXCEEDED, "makes the decoder hang: no sign of life for 1 s"),
        ("claim_too_much", ExitCode.BAD_SOURCE, "makes the decoder send what no decoder would"),
    ],
)
def test_a_film_that_takes_over_its_examination_only_ends_its_job(
    program: str, code: ExitCode, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        examiner, "PROGRAM", f"tests.unit.common.confined_programs:examine_{program}"
    )
    message = refused(make(tmp_path / "film.mp4", frames=2), code, decode_stall_seconds="1")
    assert message.startswith("film.mp4 ")
    assert words in message
