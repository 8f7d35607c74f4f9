"""A film's name is a key and nothing else: no path, no option, no shell word, no line."""

from pathlib import Path

from contracts import keys
from tests.e2e.support import Bench
from tests.support.films import make

NAME = "../-rf $(touch x) %2F + caf\u00e9 cafe\u0301 \U0001f3ac\nsecond line.mp4"


def test_an_odd_name_goes_through_the_whole_pipeline_untouched(
    bench: Bench, tmp_path: Path
) -> None:
    film = make(tmp_path / "film.mp4", frames=6).read_bytes()
    job_id = bench.drop(film, NAME, {"superres-model": "lanczos"})
    _, report = bench.result(job_id, tmp_path)
    mail = bench.mail(job_id)

    assert report.source.key == keys.upload_key(NAME)
    assert report.result.key == keys.result_key(job_id, report.source.key, "2x", "mp4")
    assert report.result.key.endswith(Path(NAME).stem + ".2x.mp4")
    shown = NAME.replace("\n", "\\n")
    assert f"Source: uploads/{shown}\n" in mail["Message"]
    assert mail["Subject"].isascii()
    assert mail["Subject"].isprintable()


def test_an_odd_name_stays_within_its_line_where_the_film_is_refused(bench: Bench) -> None:
    job_id = bench.drop(b"no film at all\n" * 9, NAME, {"superres-model": "lanczos"})
    snapshot = bench.finish(job_id)
    assert snapshot.message is not None
    assert snapshot.message.isprintable()
    assert snapshot.message.endswith("\\nsecond line.mp4 is a text file, not a video")
