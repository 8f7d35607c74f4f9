"""The embedded AWS and the weights: what is started ahead, and what keeps it from starting."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.console import Console
from cli.errors import JobError, UserError
from cli.files import ROOT
from cli.models import weights
from cli.runs import upscale
from cli.stacks.embedded import IMPORT_AHEAD, embedded_stack
from cli.stacks.stack import Stack
from contracts.job import Settings
from contracts.models import ModelName
from contracts.names import JOB_FAILED_ERROR, ExitCode
from tests.unit.cli.support import check


def test_weights_that_cannot_be_stored_are_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setattr(weights, "weights_dir", lambda: tmp_path / "file" / "weights")
    with pytest.raises(UserError, match="the weights of x4plus are not in"):
        weights.ensure_weights(ModelName.X4PLUS)
    weights.ensure_weights(ModelName.LANCZOS)  # has none, needs none


def test_an_embedded_aws_that_will_not_start_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with (
        pytest.raises(UserError, match=r"did not start: .*worker_vcpus"),
        embedded_stack({"worker_vcpus": "many"}),
    ):
        pass


@pytest.mark.parametrize(("model", "preloaded"), [("lanczos", False), ("animevideov3", True)])
def test_a_networks_imports_run_ahead_only_for_a_network(
    model: str, preloaded: bool, film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []

    @contextlib.contextmanager
    def refuse(_: object, *, preload_network: bool) -> Iterator[Stack]:
        asked.append(preload_network)
        raise UserError("enough")
        yield

    monkeypatch.setattr(upscale, "embedded_stack", refuse)
    monkeypatch.setattr(upscale, "ensure_weights", lambda _: None)
    request = check(film, film.with_name("b.mp4"), settings=Settings.parse({"model": model}))
    with pytest.raises(UserError, match="enough"):
        upscale.upscale(request, Console(as_json=True))
    assert asked == [preloaded]


def test_what_is_imported_ahead_is_all_that_a_networks_worker_imports() -> None:
    code = (
        f"import sys, {IMPORT_AHEAD}; before = set(sys.modules)\n"
        "import containers.upscaler.models.engines.ncnn_engine, containers.upscaler.worker\n"
        "import boto3, torch\n"
        "print({name.split('.')[0] for name in set(sys.modules) - before})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("set()\n", "")


@pytest.mark.parametrize(
    ("error", "code"),
    [(ExitCode.BAD_SOURCE.error, 65), (JOB_FAILED_ERROR, 1), ("States.Timeout", 1)],
)
def test_a_failed_job_exits_with_the_workers_code(error: str, code: int) -> None:
    assert JobError("why", error, "logs").exit_code == code
