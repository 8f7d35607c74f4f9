"""The command line's own decisions, without starting anything."""

import contextlib
import io
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import av
import av.error
import numpy as np
import pytest
from PIL import Image

from cli import embedded
from cli.commands import run
from cli.commands.run import checked
from cli.embedded import Stack
from cli.errors import JobError, UserError
from cli.files import in_place
from cli.main import cli as command
from cli.output import Output
from cli.picture import before_after
from contracts.job import Codec, Container, Settings
from contracts.models import ModelName
from contracts.names import JOB_FAILED_ERROR, ExitCode
from tests.support.canaries import Canary


@pytest.fixture
def film(tmp_path: Path) -> Path:
    path = tmp_path / "film.mp4"
    path.write_bytes(b"x")
    return path


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
    request = checked(video, tmp_path, Settings(codec=codec), None, force=False)
    assert request.settings.container is None  # extract knows the film's streams
    assert request.target == tmp_path / f"film.2x.{container.value}"
    assert request.ending_follows


def test_whatever_the_result_becomes_nothing_is_overwritten(film: Path) -> None:
    film.with_name("film.2x.mkv").write_bytes(b"precious")
    with pytest.raises(UserError, match=r"film\.2x\.mkv exists already"):
        checked(film, film.parent, Settings(), force=False)


def test_a_container_and_an_ending_that_differ_are_refused(film: Path) -> None:
    settings = Settings(codec=Codec.AV1, container=Container.WEBM)
    with pytest.raises(UserError, match="--container webm differ"):
        checked(film, film.with_name("out.mkv"), settings, force=False)


def test_the_results_ending_chooses_the_container(film: Path) -> None:
    request = checked(film, film.with_name("out.mkv"), Settings(), None, force=False)
    assert request.settings.container is Container.MKV


def test_an_existing_result_is_kept_unless_forced(film: Path) -> None:
    target = film.with_name("out.mp4")
    target.write_bytes(b"precious")
    with pytest.raises(UserError, match="--force"):
        checked(film, target, Settings(), None, force=False)
    assert checked(film, target, Settings(), None, force=True).target == target
    assert target.read_bytes() == b"precious"


def test_the_source_is_never_overwritten(film: Path) -> None:
    with pytest.raises(UserError, match="the video itself"):
        checked(film, film, Settings(), None, force=True)


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
            checked(film, target, Settings(), picture=picture, force=picture == film)
    assert other.read_bytes() == b"precious"


def test_a_name_that_no_disk_takes_is_one_sentence(film: Path) -> None:
    long = film.with_name("n" * 300 + ".mp4")
    for video, out in ((long, None), (film, long)):
        with pytest.raises(UserError, match="File name too long"):
            checked(video, out, Settings(), force=False)


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
    with pytest.raises(UserError, match="MP4 cannot hold ffv1"):
        checked(film, film.with_name("out.mp4"), Settings(codec=Codec.FFV1), force=False)


def test_a_folder_is_not_a_film(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not a file"):
        checked(tmp_path, None, Settings(), None, force=False)


def test_workers_share_the_cores() -> None:
    one, many = embedded.overrides(1, "auto"), embedded.overrides(10_000, "float32")
    assert many["inference_dtype"] == "float32"
    assert int(one["worker_vcpus"]) >= 1
    assert many["worker_vcpus"] == "1"
    assert many["worker_parallelism"] == "10000"


@pytest.mark.parametrize(
    ("flags", "dtype"),
    [("flags : fma avx2 amx_bf16 amx_tile\n", "bfloat16"), ("flags : fma avx2\n", "float32")],
)
def test_bfloat16_is_chosen_only_where_the_processor_has_it(
    tmp_path: Path, flags: str, dtype: str
) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(flags)
    assert embedded.inference_dtype(cpuinfo) == dtype
    assert embedded.inference_dtype(tmp_path / "none") == "float32"


def test_weights_that_cannot_be_stored_are_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setattr(embedded, "weights_dir", lambda: tmp_path / "file" / "weights")
    with pytest.raises(UserError, match="the weights of x4plus are not in"):
        embedded.ensure_weights(ModelName.X4PLUS)
    embedded.ensure_weights(ModelName.LANCZOS)  # has none, needs none


def test_an_embedded_aws_that_will_not_start_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with (
        pytest.raises(UserError, match=r"did not start: .*worker_vcpus"),
        embedded.embedded_stack({"worker_vcpus": "many"}),
    ):
        pass


@pytest.mark.parametrize(("model", "comes"), [("lanczos", False), ("animevideov3", True)])
def test_a_networks_imports_run_ahead_for_networks_alone(
    model: str, comes: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[bool] = []

    @contextlib.contextmanager
    def refuse(_: object, *, network_comes: bool) -> Iterator[Stack]:
        told.append(network_comes)
        raise UserError("enough")
        yield

    monkeypatch.setattr(run, "embedded_stack", refuse)
    monkeypatch.setattr(run, "ensure_weights", lambda _: None)
    (tmp_path / "a.mp4").touch()
    settings = Settings.parse({"model": model})
    request = checked(tmp_path / "a.mp4", tmp_path / "b.mp4", settings, force=False)
    with pytest.raises(UserError, match="enough"):
        run.run(request, Output(as_json=True))
    assert told == [comes]


def test_what_is_imported_ahead_is_all_that_a_networks_worker_imports() -> None:
    code = (
        f"import sys, {embedded.IMPORT_AHEAD}; before = set(sys.modules)\n"
        "import containers.upscaler.models.engines.ncnn_engine, containers.upscaler.worker\n"
        "import boto3, torch\n"
        "print({name.split('.')[0] for name in set(sys.modules) - before})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=embedded.ROOT, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("set()\n", "")


@pytest.mark.parametrize(
    ("error", "code"),
    [(ExitCode.BAD_SOURCE.error, 65), (JOB_FAILED_ERROR, 1), ("States.Timeout", 1)],
)
def test_a_failed_job_exits_with_the_workers_code(error: str, code: int) -> None:
    assert JobError("why", error, "logs").exit_code == code


def test_json_output_prints_data_only(capsys: pytest.CaptureFixture[str]) -> None:
    output = Output(as_json=True)
    with output.steps() as steps:
        steps.update("extract", 1, 2, "note")
        steps.end("extract")
    output.say("hello")
    output.result({"frames": 3}, {"frames": "3"})
    printed = capsys.readouterr()
    assert json.loads(printed.out) == {"frames": 3}
    assert printed.err == ""


def test_progress_goes_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    output = Output(as_json=False)
    with output.steps() as steps:
        steps.update("process", 1, 2, "1/2 frames")
        steps.end("process", "2 frames")
    output.result({"frames": 2}, {"frames": "2"})
    printed = capsys.readouterr()
    assert "2 frames" in printed.err
    assert "frames" in printed.out
    assert "process" not in printed.out


def test_help_needs_no_heavy_import() -> None:
    code = (
        "import sys; sys.argv = ['superres', '--help']\n"
        "import cli.main\n"
        "heavy = {'boto3', 'torch', 'av', 'pulumi', 'PIL'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()


def still(path: Path, width: int, height: int) -> Path:
    """A one-frame film: grey on the left, noise on the right."""
    picture = np.full((height, width, 3), 128, np.uint8)
    noise = np.random.default_rng(1).integers(0, 255, (height, width // 2, 3))
    picture[:, width // 2 :] = noise
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25, options={"crf": "10"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        out.mux(stream.encode(None))
    return path


def test_the_picture_shows_both_films_and_a_busy_detail(tmp_path: Path) -> None:
    small, large = still(tmp_path / "s.mp4", 64, 36), still(tmp_path / "l.mp4", 256, 144)
    before_after(small, 0, large, tmp_path / "picture.png")
    with Image.open(io.BytesIO((tmp_path / "picture.png").read_bytes())) as image:
        assert image.size == (2 * 640 + 3 * 8, 2 * (360 + 36) + 2 * 8)
        detail = np.asarray(image)[-340:-20, -620:-20]
    assert detail.std() > 20


def test_a_picture_of_a_film_that_names_other_files_opens_none(tmp_path: Path) -> None:
    with Canary(tmp_path / "canary.mp4") as canary:
        film = tmp_path / "film.m3u8"
        film.write_text(
            f"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nfile://{canary.path}\n#EXT-X-ENDLIST\n"
        )
        with pytest.raises(av.error.FFmpegError):
            before_after(film, 0, film, tmp_path / "picture.png")
    assert canary.opened == []
    with canary.again() as control, pytest.raises(av.error.FFmpegError):
        av.open(str(film), timeout=5)
    assert control.opened == ["file"]


def test_scale_and_fit_together_are_refused(film: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        command.main(["run", str(film), "--scale", "2", "--fit", "2160p"], standalone_mode=False)
    assert ended.value.code == 2
    assert "--scale and --fit both say how large the result is; give one" in capsys.readouterr().err


def test_a_wrong_setting_is_named_as_its_option(
    film: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        command.main(["run", str(film), "--max-cost", "0"], standalone_mode=False)
    assert ended.value.code == 2
    assert "--max-cost: got '0', input should be greater than 0" in capsys.readouterr().err


def test_fit_names_the_result(film: Path) -> None:
    assert checked(film, film.parent, Settings.parse({"fit": "720p"}), force=False).target == (
        film.parent / f"{film.stem}.720p.mp4"
    )


def test_a_films_own_words_are_shown_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    output = Output(as_json=False)
    output.result({}, {"result": "[dvd] film.mp4", "not held": "title [/b] \x1b[31mred"})
    with output.steps() as steps:
        steps.update("upload", note="[/b] film.mp4")
        steps.end("upload", "[/b] film.mp4")
    shown = capsys.readouterr().out
    assert "[dvd] film.mp4" in shown
    assert "title [/b] \\x1b[31mred" in shown
