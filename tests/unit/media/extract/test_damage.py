"""Damage that is concealed: every frame in its place, the same whatever the cut, and listed."""

import io
import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.video.frame import VideoFrame
from hypothesis import given
from hypothesis import strategies as st

from containers.common.confined.files import read_arrays
from containers.common.film.coded_film import Film
from containers.common.film.concealment import (
    DECODER,
    Concealment,
    conceal_frames,
)
from containers.common.film.decoding import decode_frames
from containers.common.film.deinterlacing import FieldPlan
from containers.common.film.kinds import Kind
from containers.common.film.opening import FilmFile
from containers.common.film.pictures import plain_format
from containers.common.film.source_pictures import SourcePictures, cut_at_stretches
from containers.common.runtime.errors import WorkerError
from containers.media.extract.child import ExamineTask, examine_film
from containers.media.extract.index.damage_search import FoundDamage, check_damage
from contracts.film.facts import (
    Concealed,
    Damage,
    Stretch,
    Video,
)
from contracts.job import Settings, SourceObject
from contracts.limits import DAMAGED_FRAMES_MAX
from contracts.models import CATALOGUE, ModelName
from contracts.names import ExitCode
from contracts.stack.environ import ExtractEnvironment
from tests.support.bench import EXTRACT_ENVIRONMENT
from tests.support.films import (
    Clip,
    damage,
    decode_all,
    frame_hash,
)
from tests.unit.media.support import MIDDLE, P_FRAMES, make_small, with_edits

HEVC = {"preset": "ultrafast", "x265-params": "log-level=none:keyint=12:bframes=0"}
MPEG2 = {"bf": "2", "g": "12"}
CLIPS: dict[str, Clip] = {
    "p.mp4": Clip(options=P_FRAMES),
    "b.mkv": Clip(),
    "mpeg2.mkv": Clip(codec="mpeg2video", options=MPEG2),
    "mpeg4.avi": Clip(codec="mpeg4", options={"g": "12"}),
    "hevc.mp4": Clip(codec="libx265", options=HEVC),
    "prores.mov": Clip(codec="prores_ks", options={}, pixel_format="yuv422p10le"),
    "mjpeg.mov": Clip(codec="mjpeg", options={}, pixel_format="yuvj420p"),
    "ffv1.mkv": Clip(codec="ffv1", options={"level": "3", "slicecrc": "1", "g": "1"}),
}
UNNOTICED = {"b.mkv", "hevc.mp4"}
"""Their decoders take most wrong bits amid a packet for a picture, and say nothing."""
ALL = (0.0, 1.0)


class Whole:
    """A film examined and decoded in this process, as its confined children would."""

    def __init__(self, path: Path, **settings: Any) -> None:
        self.data = path.read_bytes()
        fds = os.memfd_create("payload"), os.memfd_create("numbers")
        fields: dict[str, Any] = {**EXTRACT_ENVIRONMENT, "job_id": "film-1"}
        source = SourceObject(
            bucket="b", key=f"uploads/{path.name}", version_id="v", etag="e", size=len(self.data)
        )
        chosen = Settings(**{"model": ModelName.LANCZOS, "damage": "conceal", **settings})
        task = ExamineTask(
            source=source, settings=chosen, environment=ExtractEnvironment(**fields),
            payload=fds[0], numbers=fds[1], model=CATALOGUE[ModelName.LANCZOS],
        )  # fmt: skip
        file: Any = io.BytesIO(self.data)
        self.found = examine_film(task, file, lambda: None)
        with os.fdopen(fds[1], "rb") as numbers:
            arrays = read_arrays(numbers, self.found.arrays)
        os.close(fds[0])
        self.timestamps = arrays["timestamps"]
        told = FoundDamage.pop_from(arrays)
        self.damage = check_damage(told, self.timestamps, self.found.video.time_base, path.name)

    def pictures(
        self,
        file: Any,
        _size: int,
        video: Video,
        stamps: Any,
        *,
        first_frame: int,
        concealment: Concealment | None,
    ) -> Iterator[VideoFrame]:
        """In the place of FilmDecoder's."""
        source = FilmFile(file, name="film")
        if concealment is None:
            return decode_frames(source, stamps.tolist(), first_frame=first_frame)
        wanted = range(first_frame, first_frame + len(stamps))
        kind = Kind(video.width, video.height, plain_format(video.pixel_format))
        return conceal_frames(source, concealment, wanted, kind)

    def frames(self, first: int, count: int) -> list[str]:
        decoder: Any = self
        pictures: Any = SourcePictures(
            decoder=decoder, file=io.BytesIO(self.data), size=len(self.data),
            video=self.found.video, timestamps=self.timestamps, damage=self.damage,
        )  # fmt: skip
        return [frame_hash(frame) for frame in pictures.decode(first, count)]

    @property
    def listed(self) -> list[tuple[int, int, str | int]]:
        return [(c.first_frame, c.frames, c.stands_in) for c in self.damage.concealed]


@pytest.mark.parametrize("name", CLIPS)
def test_every_frame_is_given_and_the_same_whatever_the_cut(name: str, tmp_path: Path) -> None:
    path = make_small(tmp_path / name, CLIPS[name])
    clean = decode_all(path)
    damage(path, [21], *ALL)
    damage(path, [46], *(ALL if name in UNNOTICED else MIDDLE))
    whole = Whole(path)
    assert whole.timestamps.tolist() == [frame.pts for frame in clean]
    assert 1 <= len(whole.damage.concealed) <= 6
    frames = whole.frames(0, 60)
    assert len(frames) == 60
    for cut in (7, 16):
        assert [
            h for first in range(0, 60, cut) for h in whole.frames(first, min(cut, 60 - first))
        ] == frames
    inside = {n for s in whole.damage.stretches for n in range(s.first_frame, s.end)}
    assert all(frames[n] == clean[n].sha256 for n in set(range(60)) - inside)
    for item in whole.damage.concealed:
        if item.stands_in != "decoder":
            assert {frames[item.first_frame + i] for i in range(item.frames)} == {
                frames[item.stands_in]
            }


@pytest.mark.parametrize("name", ["mpeg2.ts", "prores.mov", "mjpeg.mov", "p.mp4"])
def test_bytes_of_any_kind_are_concealed_alike_in_any_cut(name: str, tmp_path: Path) -> None:
    clip = CLIPS[name.replace(".ts", ".mkv")]
    data = make_small(tmp_path / name, clip, frames=40).read_bytes()
    for seed in range(3):
        random, broken = np.random.default_rng(seed), bytearray(data)
        place, length = int(len(data) * random.uniform(0.1, 0.8)), int(random.integers(1, 200))
        broken[place : place + length] = random.bytes(length)
        (tmp_path / name).write_bytes(broken)
        whole = Whole(tmp_path / name)
        count = len(whole.timestamps)
        frames = whole.frames(0, count)
        assert len(frames) == count
        for cut in (9, 16):
            starts = range(0, count, cut)
            assert frames == [h for a in starts for h in whole.frames(a, min(cut, count - a))]


def test_at_the_beginning_the_first_good_frame_stands_in(tmp_path: Path) -> None:
    path = make_small(tmp_path / "film.mkv", CLIPS["ffv1.mkv"])
    clean = decode_all(path)
    whole = Whole(damage(path, [0, 1]))
    assert whole.listed == [(0, 2, 2)]
    assert whole.frames(0, 3) == [clean[2].sha256] * 3
    assert whole.frames(1, 1) == [clean[2].sha256]


def test_the_nearest_earlier_good_frame_stands_in_at_the_end(tmp_path: Path) -> None:
    path = make_small(tmp_path / "film.mkv", CLIPS["ffv1.mkv"])
    clean = decode_all(path)
    whole = Whole(damage(path, [31, 58, 59]))
    assert whole.listed == [(31, 1, 30), (58, 2, 57)]
    # Several threads lose what they hold where the film's end meets damage.
    assert whole.frames(0, 60)[-3:] == [clean[57].sha256] * 3
    assert whole.frames(40, 18) == [frame.sha256 for frame in clean[40:58]]


def test_packets_that_the_format_finds_damaged_are_concealed(tmp_path: Path) -> None:
    path = make_small(tmp_path / "film.ts", CLIPS["mpeg2.mkv"])
    clean = decode_all(path)
    data = path.read_bytes()
    places = [i for i in range(0, len(data), 188) if data[i + 1 : i + 3] == b"\x01\x00"]
    lost = places[len(places) // 2]
    path.write_bytes(data[:lost] + data[lost + 188 :])
    whole = Whole(path)
    assert whole.timestamps.tolist() == [frame.pts for frame in clean]
    assert whole.listed
    assert len(whole.frames(0, 60)) == 60


def test_a_group_whose_keyframe_an_edit_list_hides_is_decoded_from_it(tmp_path: Path) -> None:
    path = make_small(tmp_path / "film.mp4")
    with_edits(path, [(1600, 15 * 512)])
    clean = decode_all(path)
    whole = Whole(damage(path, [6]))  # the three hidden ones come first
    assert whole.listed == [(3, 1, 2)]
    frames = whole.frames(0, 40)
    assert frames[:3] == [frame.sha256 for frame in clean[:3]]
    assert frames[3] == frames[2]
    assert frames[9:] == [frame.sha256 for frame in clean[9:]]


def test_damage_that_only_ffv1s_checksums_tell_is_found(tmp_path: Path) -> None:
    path = damage(make_small(tmp_path / "film.mkv", CLIPS["ffv1.mkv"]), [40], *MIDDLE)
    assert not any(flags(path))
    assert Whole(path).listed == [(40, 1, "decoder")]
    with pytest.raises(WorkerError, match=r"frame 40 \(at 1.600 s\) is damaged"):
        Whole(path, damage="refuse")


def test_damage_that_mjpegs_decoder_hides_is_found(tmp_path: Path) -> None:
    path = make_small(tmp_path / "film.mov", CLIPS["mjpeg.mov"])
    data = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        packet = [p for p in container.demux(video=0) if p.size][40]
    middle = data.index(bytes(packet)) + packet.size // 2
    data[middle : middle + 200] = bytes(range(1, 201))
    path.write_bytes(data)
    assert not any(flags(path))
    assert Whole(path).listed == [(40, 1, 39)]


def flags(path: Path) -> list[bool]:
    """Of each frame, whether the decoder as it comes calls it damaged."""
    with av.open(str(path)) as container:
        return [frame.is_corrupt for frame in container.decode(video=0)]


def test_ffv1_without_checksums_is_not_judged_by_them(tmp_path: Path) -> None:
    clip = Clip(codec="ffv1", options={"level": "3", "slicecrc": "0", "g": "1"})
    assert Whole(make_small(tmp_path / "film.mkv", clip)).damage == Damage()


@pytest.mark.parametrize("setting", ["refuse", "conceal"])
def test_an_avi_that_lost_a_frame_is_refused_for_its_times(setting: str, tmp_path: Path) -> None:
    path = make_small(tmp_path / "film.avi", CLIPS["mpeg4.avi"])
    data = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        place = [p.pos for p in container.demux(video=0) if p.size][15] or 0
    data[place - 8 : place - 4] = b"\xff\xff\xff\xff"
    path.write_bytes(data)
    with pytest.raises(WorkerError, match="it lacks frames that its index has") as caught:
        Whole(path, damage=setting)
    assert caught.value.exit_code is ExitCode.BAD_SOURCE


@pytest.mark.parametrize("setting", ["refuse", "conceal"])
def test_matroska_that_lost_a_cluster_is_refused(setting: str, tmp_path: Path) -> None:
    path = make_small(tmp_path / "film.mkv", CLIPS["mpeg2.mkv"], frames=100)
    data, cluster = bytearray(path.read_bytes()), b"\x1f\x43\xb6\x75"
    places = [i for i in range(len(data)) if data.startswith(cluster, i)]
    data[places[2] : places[2] + 12] = b"\xff" * 12
    path.write_bytes(data)
    with pytest.raises(
        WorkerError, match=r"its index has a frame at \d.\d+ s that is not"
    ) as caught:
        Whole(path, damage=setting)
    assert caught.value.exit_code is ExitCode.BAD_SOURCE


@pytest.mark.parametrize("many", [7, 50])
def test_more_damage_than_a_tenth_is_refused_with_the_limit(many: int, tmp_path: Path) -> None:
    path = damage(make_small(tmp_path / "film.mkv", CLIPS["ffv1.mkv"]), range(10, 10 + many))
    with pytest.raises(WorkerError) as caught:
        Whole(path)
    assert caught.value.exit_code is ExitCode.BAD_SOURCE
    assert caught.value.message.startswith(
        f"film.mkv: {many} of 60 frames are damaged, at most 6 can be concealed (a tenth"
    )


def test_a_film_without_a_good_frame_is_refused_all_the_same(tmp_path: Path) -> None:
    path = damage(make_small(tmp_path / "film.mkv", CLIPS["ffv1.mkv"]), range(60))
    with pytest.raises(WorkerError, match="not one frame can be decoded"):
        Whole(path)


def test_a_film_without_damage_has_nothing_to_conceal(tmp_path: Path) -> None:
    whole = Whole(make_small(tmp_path / "film.mp4"))
    assert whole.damage == Damage()


def test_a_worker_that_decodes_differently_than_planned_says_so(tmp_path: Path) -> None:
    whole = Whole(damage(make_small(tmp_path / "film.mp4"), [20]))
    assert whole.listed == [(20, 1, 19)]
    item = Concealed(first_frame=20, frames=1, seconds=0.8, stands_in="decoder")
    whole.damage = Damage(concealed=(item,), stretches=whole.damage.stretches)
    with pytest.raises(WorkerError, match="frame 20 decodes differently") as caught:
        whole.frames(0, 60)
    assert caught.value.exit_code is ExitCode.BAD_SOURCE


def arrays(*lists: list[int]) -> FoundDamage:
    return FoundDamage(*(np.array(numbers, np.int64) for numbers in lists))


@pytest.mark.parametrize(
    "found",
    [
        arrays([5], [4], []),
        arrays([5], [4, 3], [0, 10]),
        arrays([5], [40], [0, 10]),
        arrays([5], [5], [0, 10]),
        arrays([5], [-2], [0, 10]),
        arrays([5, 4], [3, 3], [0, 10]),
        arrays([15], [14], [0, 10]),
        arrays([5], [4], [10, 0]),
        arrays([5], [4], [0, 10, 5, 20]),
        arrays([5], [4], [-1, 10]),
        arrays([5], [4], [0, 101]),
        arrays([100], [99], [90, 100]),
    ],
)
def test_damage_that_contradicts_itself_is_not_believed(found: FoundDamage) -> None:
    with pytest.raises(ValueError, match="contradicts"):
        check_damage(found, np.arange(100), Fraction(1, 25), "film.mp4")


def test_neighbours_with_one_stand_in_are_listed_together() -> None:
    found = arrays([2, 3, 4, 6, 7, 9], [DECODER, DECODER, 1, 5, 5, 8], [0, 50])
    told = check_damage(found, np.arange(100), Fraction(1, 25), "film.mp4")
    assert [(c.first_frame, c.frames, c.seconds, c.stands_in) for c in told.concealed] == [
        (2, 2, 0.08, "decoder"), (4, 1, 0.16, 1), (6, 2, 0.24, 5), (9, 1, 0.36, 8),
    ]  # fmt: skip
    assert told.stretches == (Stretch(first_frame=0, frames=50),)


def test_no_list_is_longer_than_its_bound() -> None:
    many = list(range(1, 4 * DAMAGED_FRAMES_MAX, 2))
    with pytest.raises(WorkerError, match=f"at most {DAMAGED_FRAMES_MAX} can be concealed"):
        check_damage(
            arrays(many, [DECODER] * len(many), [0, 10**6]), np.arange(10**6), Fraction(1), "f"
        )


@given(
    st.lists(st.integers(0, 60), unique=True, max_size=8).map(sorted),
    st.integers(0, 59),
    st.integers(1, 60),
)
def test_a_range_is_cut_where_stretches_begin_and_end(
    edges: list[int], first: int, count: int
) -> None:
    pairs = list(zip(edges[::2], edges[1::2], strict=False))
    plan = Damage(stretches=tuple(Stretch(first_frame=a, frames=b - a) for a, b in pairs))
    wanted = range(first, first + count)
    cut = list(cut_at_stretches(plan, wanted))
    assert [n for part, _ in cut for n in part] == list(wanted)
    for part, stretch in cut:
        inside = {i for i, (a, b) in enumerate(pairs) for n in part if a <= n < b}
        assert inside == ({plan.stretches.index(stretch)} if stretch else set())


def test_a_frame_of_fields_is_concealed_if_either_is_damaged() -> None:
    plan = FieldPlan(
        "top", np.array([0, 1, 1, 3]), np.array([0, 1, 2, 4]), np.zeros(4, np.bool_), 5
    )
    item = Concealed(first_frame=2, frames=2, seconds=0, stands_in="decoder")
    made = Film(np.arange(4), np.arange(5), plan)
    assert made.concealed(Damage(concealed=(item,))).tolist() == [False, False, True, True]
