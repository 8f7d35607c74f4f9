"""What is not the film's picture comes along, in every container that can hold it, or is named."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest
from av.packet import Packet
from av.stream import Disposition

from tests.support.bench import Bench
from tests.support.films import (
    Clip,
    make,
    png,
    remux,
)
from tests.unit.media.support import CHAPTERS, make_and_run, run_job, subtitles

EVERY = ["mp4", "mov", "mkv"]


def lost(bench: Bench) -> set[tuple[str, str, str, str | None]]:
    return {(item.of, item.label, item.value, item.found) for item in bench.report.ledger.lost}


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """Three sound tracks and their labels."""
    base = make(tmp_path / "base.mp4", audio="aac")
    sounds = [make(tmp_path / f"{n}.mkv", audio=n) for n in ("ac3", "libmp3lame")]
    folder = tmp_path / "in"
    folder.mkdir()
    return remux(
        folder / "film.mkv", base, *sounds,
        labels={
            1: {"language": "ger", "title": "Deutsch"},
            3: {"language": "eng", "title": "Audio description"},
            5: {"language": "fre", "title": "Commentaire"},
        },
        dispositions={
            1: Disposition.default,
            3: Disposition.visual_impaired,
            5: Disposition.comment,
        },
    )  # fmt: skip


@pytest.mark.parametrize("container", EVERY)
def test_several_sound_tracks_keep_order_languages_titles_and_roles(
    many: Path, container: str, tmp_path: Path
) -> None:
    bench, result = run_job(tmp_path, many, container=container)
    with av.open(str(result)) as film:
        tracks = film.streams.audio
        assert [t.codec_context.codec.canonical_name for t in tracks] == ["aac", "ac3", "mp3"]
        french = "fra" if container == "mov" else "fre"  # the same language
        assert [t.language for t in tracks] == ["ger", "eng", french]
        names = [t.metadata.get("title") or t.metadata.get("name") for t in tracks]
        assert names == ["Deutsch", "Audio description", "Commentaire"]
        roles = [Disposition.default, Disposition.visual_impaired, Disposition.comment]
        if container == "mov":  # which has no word for them
            assert lost(bench) == {
                ("stream 3", "disposition", "visual_impaired", None),
                ("stream 5", "disposition", "comment", None),
            }
        else:
            assert all(t.disposition & role for t, role in zip(tracks, roles, strict=True))
            assert not [item for item in lost(bench) if item[0].startswith("stream")]
    assert all(stream.payload_equal for stream in bench.report.ledger.streams)
    assert [d.reason for d in bench.report.ledger.dropped] == ["only one video stream is kept"] * 2


def test_webm_takes_opus_and_names_the_sound_that_it_cannot_hold(tmp_path: Path) -> None:
    base = make(tmp_path / "base.mp4", audio="aac")
    film = remux(tmp_path / "film.mkv", base, make(tmp_path / "opus.mkv", audio="libopus"))
    bench, result = run_job(tmp_path, film, container="webm", codec="av1")
    with av.open(str(result)) as film:
        assert [t.codec_context.codec.canonical_name for t in film.streams.audio] == ["opus"]
        assert result.read_bytes()[:64].count(b"webm") == 1
    reasons = {d.codec: d.reason for d in bench.report.ledger.dropped}
    assert reasons["aac"] == "WEBM cannot hold aac"


@pytest.mark.parametrize("source", ["mp4", "mkv"])
@pytest.mark.parametrize("container", [*EVERY, "webm"])
def test_a_cover_stays_with_the_film_or_is_named(
    source: str, container: str, tmp_path: Path
) -> None:
    film = make(tmp_path / "cover.mkv", cover=True)
    if source == "mp4":
        film = remux(tmp_path / "cover.mp4", film)
    codec = "av1" if container == "webm" else "h264"
    bench, result = run_job(tmp_path, film, container=container, codec=codec)
    with av.open(str(result)) as film_:
        covers = [s for s in film_.streams.video if s.disposition & Disposition.attached_pic]
        if container in ("mp4", "mkv"):
            (cover,) = covers
            assert bytes(next(p for p in film_.demux(cover) if p.size)) == png(32, 24)
            assert bench.report.ledger.attachments == 1
        else:
            (dropped,) = bench.report.ledger.dropped
            assert dropped.reason == f"{container.upper()} cannot hold a cover in png"
            assert not covers


@pytest.mark.parametrize("container", EVERY)
@pytest.mark.parametrize("source", ["mov", "mp4", "mxf"])
def test_the_time_code_of_the_first_frame_is_kept(
    source: str, container: str, tmp_path: Path
) -> None:
    codec = "mpeg2video" if source == "mxf" else "libx264"
    base = make(tmp_path / f"base.{source}", codec=codec, options={})
    code = "10:11:12:13"
    film = remux(tmp_path / f"film.{source}", base, labels={0: {"timecode": code}})
    bench, result = run_job(tmp_path, film, container=container)
    assert bench.report.ledger.dropped == ()
    assert not [item for item in lost(bench) if item[1] == "timecode"]
    with av.open(str(result)) as shown:
        told = {k.lower(): v for k, v in shown.streams.video[0].metadata.items()}
        assert told["timecode"] == code
        tracks = [s for s in shown.streams if s.type == "data"]
        assert len(tracks) == (container != "mkv")


def test_a_time_code_that_the_rate_cannot_have_is_named_and_stops_nothing(tmp_path: Path) -> None:
    base = make(tmp_path / "base.mkv", audio="libopus")
    code = "01:00:00;02"  # counts dropped frames, at 25 a second
    film = remux(tmp_path / "film.mkv", base, labels={0: {"timecode": code}})
    bench, _ = run_job(tmp_path, film, container="mp4")
    assert ("film", "timecode", code, None) in lost(bench)


@pytest.mark.parametrize("container", EVERY)
def test_tags_are_kept_or_named(container: str, tmp_path: Path) -> None:
    tags = {
        "title": "Ein Film", "artist": "Wir", "date": "2020", "comment": "So",
        "creation_time": "2020-01-02T03:04:05.000000Z", "scene": "12a",
    }  # fmt: skip
    base = make(tmp_path / "base.mkv")
    film = remux(tmp_path / "film.mkv", base, tags=tags, labels={0: {"title": "Bild"}})
    bench, result = run_job(tmp_path, film, container=container)
    with av.open(str(result)) as shown:
        told = {k.lower(): v for k, v in shown.metadata.items()}
    gone = {key for of, key, _, _ in lost(bench) if of == "file"}
    assert {k.lower() for k in gone} == ({"scene"} if container == "mp4" else set())
    assert all(told[k] == v for k, v in tags.items() if k != "scene")
    assert not [item for item in lost(bench) if item[0] == "film"]


@pytest.mark.parametrize("container", [*EVERY, "webm"])
def test_chapters_stand_where_they_stood(container: str, tmp_path: Path) -> None:
    codec = "av1" if container == "webm" else "h264"
    clip = Clip(chapters=CHAPTERS)
    bench, result = make_and_run(tmp_path, "film.mkv", clip, container=container, codec=codec)
    with av.open(str(result)) as film:
        shown = [
            (float(c["start"] * (c["time_base"] or 0)), float(c["end"] * (c["time_base"] or 0)),
             c["metadata"]["title"])
            for c in film.chapters()
        ]  # fmt: skip
    assert shown == CHAPTERS
    assert bench.report.ledger.lost == ()


def text_film(folder: Path, codec: str, lines: list[tuple[float, float, bytes]]) -> Path:
    """A Matroska film with subtitles of that codec."""
    base, path = make(folder / "base.mp4"), folder / "film.mkv"
    with av.open(str(base)) as source, av.open(str(path), "w", format="matroska") as out:
        film = out.add_stream_from_template(source.streams.video[0], opaque=True)
        text: Any = out.add_stream("ass") if codec == "ass" else out.add_mux_stream(codec)
        if codec == "ass":
            text.codec_context.subtitle_header = ASS_STYLES
        packets: list[Any] = [p for p in source.demux(video=0) if p.size]
        for packet in packets:
            packet.stream = film
        for start, end, payload in lines:
            packet = Packet(payload)
            packet.stream, packet.time_base = text, Fraction(1, 1000)
            packet.pts = packet.dts = round(start * 1000)
            packet.duration = round((end - start) * 1000)
            packets.append(packet)
        for packet in sorted(packets, key=lambda p: (p.dts or 0) * p.time_base):
            out.mux(packet)
    return path


ASS_STYLES = (
    b"[Script Info]\nScriptType: v4.00+\n\n[V4+ Styles]\nFormat: Name, Fontname, Fontsize\n"
    b"Style: Default,Arial,16\n\n[Events]\nFormat: Layer, Start, End, Style, Text\n"
)
TEXTS = {
    "ass": b"0,0,Default,,0,0,0,,{\\i1}Hallo{\\i0}\\Ndu",
    "subrip": b"<font color=red>Hallo</font>\ndu",
    "webvtt": b"<i>Hallo</i>\ndu",
}


@pytest.mark.parametrize("codec", TEXTS)
@pytest.mark.parametrize("container", [*EVERY, "webm"])
def test_text_is_copied_or_converted_and_what_is_lost_is_named(
    codec: str, container: str, tmp_path: Path
) -> None:
    film = text_film(tmp_path, codec, [(0.2, 0.8, TEXTS[codec])])
    video = "av1" if container == "webm" else "h264"
    bench, result = run_job(tmp_path, film, container=container, codec=video)
    ((start, length, payload),) = subtitles(result)
    assert (start, length) == (pytest.approx(0.2, abs=0.001), pytest.approx(0.6, abs=0.001))
    copied = container == "mkv" or (codec, container) == ("webvtt", "webm")
    assert payload.endswith(TEXTS[codec] if copied else b"Hallo\ndu")
    (stream,) = bench.report.ledger.streams
    assert stream.payload_equal is copied
    assert (stream.lost is None) is copied


def test_timed_text_keeps_its_styles_from_mp4_to_mp4(tmp_path: Path) -> None:
    style = b"\0\0\0\x16styl\0\1\0\0\0\5\0\1\2\x10\xff\xff\xff\xff"
    clip = Clip(subtitles=[(0.1, 0.5, "Hallo")], subtitle_codec="mov_text")
    film = make(tmp_path / "plain.mp4", clip)
    with av.open(str(film)) as source, av.open(str(tmp_path / "film.mp4"), "w") as out:
        targets = [out.add_stream_from_template(s, opaque=True) for s in source.streams]
        for packet in source.demux():
            number = packet.stream_index
            copy = packet
            if packet.size > 2 and number == 1:
                copy = Packet(bytes(packet) + style)
                copy.pts, copy.dts, copy.duration = packet.pts, packet.dts, packet.duration
                copy.time_base = packet.time_base
            if packet.size:
                copy.stream = targets[number]
                out.mux(copy)
    bench, result = run_job(tmp_path, tmp_path / "film.mp4", container="mp4")
    assert subtitles(result)[0][2] == b"\0\5Hallo" + style
    assert bench.report.ledger.streams[0].payload_equal
