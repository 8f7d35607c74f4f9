"""What `superres run` refuses before it starts anything, and where its result goes."""

from pathlib import Path

import pytest

from cli.errors import UserError
from cli.files import in_place
from contracts.job import Codec, Container, Settings
from tests.unit.cli.support import check


@pytest.mark.parametrize(
    ("name", "codec", "container"),
    [
        ("film.mp4", Codec.H264, Container.MP4),
        ("film.avi", Codec.HEVC, Container.MP4),
        ("film.mkv", Codec.H264, Container.MKV),
        ("film.webm", Codec.AV1, Container.MKV),
        ("film.mp4", Codec.FFV1, Container.MKV),
        ("film.mov", Codec.HEVC, Container.MOV),
        ("film.mov", Codec.AV1, Container.MP4),
        ("film.mxf", Codec.PRORES, Container.MOV),
    ],
)
def test_the_likely_container_follows_source_and_codec(
    tmp_path: Path, name: str, codec: Codec, container: Container
) -> None:
    video = tmp_path / name
    video.write_bytes(b"x")
    request = check(video, tmp_path, settings=Settings(codec=codec))
    assert request.settings.container is None  # extract knows the film's streams
    assert request.target == tmp_path / f"film.2x.{container.value}"
    assert request.ending_follows


def test_whatever_the_result_becomes_nothing_is_overwritten(film: Path) -> None:
    film.with_name("film.2x.mkv").write_bytes(b"precious")
    with pytest.raises(UserError, match=r"film\.2x\.mkv exists already"):
        check(film, film.parent)


def test_a_container_and_an_ending_that_differ_are_refused(film: Path) -> None:
    settings = Settings(codec=Codec.AV1, container=Container.WEBM)
    with pytest.raises(UserError, match="--container webm differ"):
        check(film, film.with_name("out.mkv"), settings=settings)


def test_the_results_ending_chooses_the_container(film: Path) -> None:
    request = check(film, film.with_name("out.mkv"))
    assert request.settings.container is Container.MKV
    assert not request.ending_follows


def test_an_ending_that_no_result_has_is_refused(film: Path) -> None:
    with pytest.raises(UserError, match=r"can be \.mp4, \.mov, \.mkv or \.webm, not '\.gif'"):
        check(film, film.with_name("out.gif"))


def test_an_existing_result_is_kept_unless_forced(film: Path) -> None:
    target = film.with_name("out.mp4")
    target.write_bytes(b"precious")
    with pytest.raises(UserError, match="--force"):
        check(film, target)
    assert check(film, target, force=True).target == target
    assert target.read_bytes() == b"precious"


def test_the_source_is_never_overwritten(film: Path) -> None:
    with pytest.raises(UserError, match="the video itself"):
        check(film, film, force=True)


def test_the_picture_spares_film_result_and_other_files(film: Path) -> None:
    target, other = film.with_name("out.mp4"), film.with_name("other.png")
    other.write_bytes(b"precious")
    for picture, words in (
        (film, "the video itself"),
        (target, "both result and picture"),
        (other, "--force"),
        (film.parent, "is a folder"),
        (film.parent / "none" / "p.png", "is not a folder"),
    ):
        with pytest.raises(UserError, match=words):
            check(film, target, picture=picture, force=picture == film)
    assert other.read_bytes() == b"precious"


def test_a_name_that_no_disk_takes_is_one_sentence(film: Path) -> None:
    long = film.with_name("n" * 300 + ".mp4")
    for video, out in ((long, None), (film, long)):
        with pytest.raises(UserError, match="File name too long"):
            check(video, out)


def test_a_result_name_of_full_length_can_be_written(tmp_path: Path) -> None:
    target = tmp_path / ("n" * 251 + ".mp4")
    with in_place(target) as partial:
        partial.write_bytes(b"film")
    assert target.read_bytes() == b"film"
    assert list(tmp_path.iterdir()) == [target]


def test_what_was_begun_is_taken_back_on_an_error(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), in_place(tmp_path / "film.mp4"):
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_mp4_is_refused_for_ffv1_in_the_users_terms(film: Path) -> None:
    with pytest.raises(UserError, match=r"MP4 cannot hold ffv1; name the result \.mkv"):
        check(film, film.with_name("out.mp4"), settings=Settings(codec=Codec.FFV1))


def test_a_folder_is_not_a_film(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not a file"):
        check(tmp_path)


def test_fit_names_the_result(film: Path) -> None:
    request = check(film, film.parent, settings=Settings.parse({"fit": "720p"}))
    assert request.target == film.parent / f"{film.stem}.720p.mp4"
