"""`superres run` as a person runs it: in a process of its own."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from containers.upscaler.inspection.model_file import read_model
from contracts.names import ExitCode
from tests.e2e.support import SAMPLE
from tests.support.films import make
from tests.support.users_models import saved

pytestmark = pytest.mark.slow

ROOT = SAMPLE.parents[1]


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "cli.main", "run", *map(str, arguments)]


def environment(state: Path) -> dict[str, str]:
    return {**os.environ, "XDG_STATE_HOME": str(state), "PYTHONPATH": str(ROOT)}


def superres(state: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments), env=environment(state), capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh state folder: the first run deploys, later ones start warm."""
    return tmp_path_factory.mktemp("state")


def left_running(state: Path) -> list[str]:
    """Command lines of processes that still know this state folder."""
    found: list[str] = []
    for process in Path("/proc").iterdir():
        if not process.name.isdecimal() or int(process.name) == os.getpid():
            continue
        try:
            known = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
        except OSError:
            continue
        if str(state).encode() in known:
            found.append((process / "cmdline").read_text().replace("\0", " "))
    return found


def assert_nothing_left(state: Path, folder: Path) -> None:
    deadline = time.monotonic() + 20
    while left_running(state) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert left_running(state) == []
    assert list(folder.iterdir()) == []


def test_a_run_prints_its_result_as_json_and_starts_warm_the_second_time(
    state: Path, tmp_path: Path
) -> None:
    for number, warm in ((1, False), (2, True)):
        target = tmp_path / f"{number}.mp4"
        done = superres(
            state, SAMPLE, "--model", "lanczos", "--scale", "3", "-o", target,
            "--picture", tmp_path / f"{number}.png", "--json",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        result = json.loads(done.stdout)
        assert (result["frames"], result["width"], result["height"]) == (60, 960, 540)
        assert result["warm_start"] is warm
        assert result["bytes"] == target.stat().st_size
        assert any(Path(result["logs"]).iterdir())
        assert (tmp_path / f"{number}.png").read_bytes()[:4] == b"\x89PNG"


def test_a_film_goes_through_a_model_of_ones_own(state: Path, tmp_path: Path) -> None:
    film = make(tmp_path / "film.mp4", frames=6, width=62, height=46)
    model, target = saved(tmp_path, "compact", ".pth"), tmp_path / "large.mp4"
    done = superres(state, film, "--model", model, "--scale", "3", "-o", target, "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["frames"], result["width"], result["height"]) == (6, 186, 138)
    weights = hashlib.sha256(read_model(model).stored).hexdigest()
    assert {shard["weights_sha256"] for shard in result["shards"]} == {weights}
    assert "spandrel" in result["shards"][0]["versions"]


def test_a_failed_job_is_one_sentence_and_the_workers_exit_code(
    state: Path, tmp_path: Path
) -> None:
    film, folder = tmp_path / "film.mp4", tmp_path / "out"
    film.write_bytes(b"no film at all")
    folder.mkdir()
    done = superres(state, film, "-o", folder, "--model", "lanczos", "--json")
    assert done.returncode == ExitCode.BAD_SOURCE
    assert done.stderr.count("\n") == 1
    assert "film.mp4" in done.stderr
    assert json.loads(done.stdout)["error"] == ExitCode.BAD_SOURCE.error
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["missing.mp4"], "no such file"),
        ([SAMPLE, "--scale", "5"], "must be 2, 3 or 4"),
        ([SAMPLE, "--model", "magic"], "must be lanczos"),
        ([SAMPLE, "--model", "nowhere.pth"], "no such file"),
        ([SAMPLE, "-o", "/proc"], "cannot be written to"),
        ([SAMPLE, "-o", "/no/such/folder/x.mp4"], "not a folder"),
        ([SAMPLE, "-o", "x.gif"], ".mp4, .mov, .mkv or .webm"),
        ([SAMPLE, "--workers", "0"], "--workers"),
        ([SAMPLE, "--precision", "float8"], "--precision"),
        ([SAMPLE, "-o", SAMPLE], "the video itself"),
    ],
)
def test_a_wrong_command_is_refused_before_anything_starts(
    tmp_path: Path, arguments: list[str | Path], words: str
) -> None:
    done = superres(tmp_path, *arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_stopped_run_leaves_no_process_and_no_file(
    state: Path, tmp_path: Path, number: signal.Signals
) -> None:
    logs = "**/*_process.attempt1.log"
    before = set(state.glob(logs))
    run = subprocess.Popen(
        command(SAMPLE, "-o", tmp_path, "--model", "x4plus-anime", "--json"),
        env=environment(state), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not set(state.glob(logs)) - before:
        assert run.poll() is None, run.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.1)
    run.send_signal(number)
    _, errors = run.communicate(timeout=30)
    if number is not signal.SIGKILL:
        assert run.returncode == 130
        assert errors.strip() == "superres: stopped."
    assert_nothing_left(state, tmp_path)
