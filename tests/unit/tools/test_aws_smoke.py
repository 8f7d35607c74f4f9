"""The throwaway stack: what it refuses, and that it is destroyed whatever happens. A script stands
for the pulumi command; the job itself is tested against the embedded AWS in tests/e2e."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from cli.console import Console
from cli.errors import UserError
from components.settings import parse_settings
from contracts.stack.images import ImageName
from tests.infra.support.recorder import run_program
from tools.aws_smoke import (
    SmokeRequest,
    SmokeResult,
    check_request,
    main,
    most_dollars,
    smoke,
    stack_settings,
)
from tools.throwaway import throwaway

DIGEST = f"sha256:{'ab' * 32}"
ECR = "111122223333.dkr.ecr.us-east-1.amazonaws.com"
IMAGES = {image: f"{ECR}/{image.repository}@{DIGEST}" for image in ImageName}
OUTPUTS = {image.setting: reference for image, reference in IMAGES.items()}
DONE = ["stack init", "up --yes", "stack output", "destroy --yes", "stack rm"]


@pytest.fixture
def pulumi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A pulumi that notes what it is asked, in the folder returned."""
    script = tmp_path / "bin" / "pulumi"
    script.parent.mkdir()
    script.write_text(
        f"""#!/bin/sh
echo "$1 $2" >> {tmp_path}/asked
[ "$1 $2" = "$(cat {tmp_path}/fails 2>/dev/null)" ] && {{ echo broken; exit 1; }}
if [ "$1 $2" = "$(cat {tmp_path}/hangs 2>/dev/null)" ]; then
    trap 'exit 1' INT
    touch {tmp_path}/hanging
    while :; do sleep 0.05; done
fi
[ "$1 $2" = "stack output" ] && echo '{{"source_bucket": "films"}}'
exit 0
"""
    )
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{script.parent}:/usr/bin:/bin")
    return tmp_path


def asked(folder: Path) -> list[str]:
    return (folder / "asked").read_text().splitlines()


def request() -> SmokeRequest:
    return SmokeRequest(
        region="us-east-1", max_minutes=5, settings=stack_settings(IMAGES), dollars=0.5
    )


def leftovers(folder: Path) -> list[Path]:
    return list(folder.glob("Pulumi.*.yaml"))


def given(**changes: Any) -> Any:
    values = {"yes": True, "region": "us-east-1", "images_of": "dev", "outputs": None,
              "max_minutes": 40.0, "max_dollars": 1.0}  # fmt: skip
    return type("Given", (), {**values, **changes})()


def outputs_file(folder: Path, outputs: object = OUTPUTS) -> Path:
    file = folder / "outputs.json"
    file.write_text(json.dumps(outputs))
    return file


def test_the_stack_is_destroyed_after_the_job(pulumi: Path) -> None:
    def job(stack: Any, deadline: Any) -> SmokeResult:
        assert stack.outputs == {"source_bucket": "films"}
        assert 0 < deadline.left <= 300
        return SmokeResult(job_id="a", report=_Report(), seconds=1.0)  # pyright: ignore[reportArgumentType]

    data = smoke(request(), Console(as_json=True), job, pulumi)
    assert asked(pulumi) == DONE
    assert data["status"] == "SUCCEEDED"
    assert data["dollars_at_most"] <= 0.5
    assert leftovers(pulumi) == []


class _Report:
    class ledger:  # noqa: N801 - stands for an attribute
        frames_in_result = 7


@pytest.mark.parametrize("error", [UserError("no"), KeyboardInterrupt(), RuntimeError("bug")])
def test_the_stack_is_destroyed_when_the_job_fails(pulumi: Path, error: BaseException) -> None:
    def job(_: Any, __: Any) -> SmokeResult:
        raise error

    with pytest.raises(type(error)):
        smoke(request(), Console(as_json=True), job, pulumi)
    assert asked(pulumi) == DONE
    assert leftovers(pulumi) == []


def test_a_stack_that_was_made_in_part_is_destroyed(pulumi: Path) -> None:
    (pulumi / "fails").write_text("up --yes")
    with pytest.raises(UserError, match="pulumi up --yes failed; see above"):
        smoke(request(), Console(as_json=True), _never, pulumi)
    assert asked(pulumi) == ["stack init", "up --yes", "destroy --yes", "stack rm"]


def test_nothing_is_destroyed_that_was_not_made(pulumi: Path) -> None:
    (pulumi / "fails").write_text("stack init")
    with pytest.raises(UserError, match="pulumi stack init failed"):
        smoke(request(), Console(as_json=True), _never, pulumi)
    assert asked(pulumi) == ["stack init"]
    assert leftovers(pulumi) == []


def test_a_stack_that_stays_is_named(pulumi: Path) -> None:
    (pulumi / "fails").write_text("destroy --yes")
    with pytest.raises(UserError, match=r"stack smoke-\w{8} could not be destroyed and costs"):
        smoke(request(), Console(as_json=True), _never, pulumi)


def test_making_it_ends_with_the_time(pulumi: Path) -> None:
    (pulumi / "hangs").write_text("up --yes")
    with (
        pytest.raises(UserError, match="pulumi up took more than 0 s"),
        throwaway(pulumi, "smoke-1", {}, region="us-east-1", seconds=0.3),
    ):
        raise AssertionError("it was not made")
    assert asked(pulumi) == ["stack init", "up --yes", "destroy --yes", "stack rm"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_destroys_the_stack(pulumi: Path, number: signal.Signals) -> None:
    (pulumi / "hangs").write_text("up --yes")
    program = f"""
import signal, sys
from pathlib import Path
from cli.signals import stop_on_sigterm
from tools import aws_smoke
from tests.unit.tools.test_aws_smoke import request
stop_on_sigterm()
signal.signal(signal.SIGINT, signal.default_int_handler)
aws_smoke.smoke(request(), aws_smoke.Console(as_json=True), lambda *_: None, Path({str(pulumi)!r}))
"""
    process = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.DEVNULL)
    while not (pulumi / "hanging").exists():
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(number)
    assert process.wait(60) != 0
    assert asked(pulumi) == ["stack init", "up --yes", "destroy --yes", "stack rm"]
    assert leftovers(pulumi) == []


def _never(_: Any, __: Any) -> SmokeResult:
    raise UserError("the job was not to run")


def test_the_throwaway_stack_is_a_valid_one_and_keeps_nothing() -> None:
    config = {f"superres:{k}": json.dumps(v) if not isinstance(v, str) else v
              for k, v in stack_settings(IMAGES).items()}  # fmt: skip
    stack = run_program("smoke-01234567", {"aws:region": "us-east-1", **config})
    assert not [r for r in stack.resources if r.protect or r.retain]
    assert all(b.inputs["forceDestroy"] for b in stack.of("Bucket"))
    assert stack.outputs["media_image"] == IMAGES[ImageName.MEDIA]


def test_the_bill_is_bounded_by_what_may_run() -> None:
    settings = parse_settings(stack_settings(IMAGES))
    assert most_dollars(settings, 120) > most_dollars(settings, 60) > 0.1
    assert most_dollars(settings, 60) < 1.0


def test_a_good_request_is_priced(pulumi: Path) -> None:
    found = check_request(given(outputs=outputs_file(pulumi)), {})
    assert found.settings["media_image"] == IMAGES[ImageName.MEDIA]
    assert 0 < found.dollars <= 1


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"yes": False}, "this makes a stack on AWS and costs money; pass --yes"),
        ({"max_minutes": 500.0}, "--max-minutes: got 500, must be 5 to 120"),
        ({"max_dollars": 0.01}, "more than --max-dollars 0.01; raise that or lower"),
    ],
)
def test_a_request_is_refused_before_anything_is_made(
    pulumi: Path, changes: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(UserError, match=sentence):
        check_request(given(outputs=outputs_file(pulumi), **changes), {})
    assert not (pulumi / "asked").exists()


def test_images_without_digest_are_refused(pulumi: Path) -> None:
    file = outputs_file(pulumi, {"media_image": "superres/media:1"})
    with pytest.raises(UserError, match="dev runs no images to try: stack settings: superres"):
        check_request(given(outputs=file), {})


def test_an_environment_can_confirm_too(pulumi: Path) -> None:
    assert check_request(given(yes=False, outputs=outputs_file(pulumi)), {"SUPERRES_SMOKE": "yes"})


def test_without_pulumi_it_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="the pulumi command is not installed"):
        check_request(given(), {})


def test_without_credentials_it_is_refused(pulumi: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    file = outputs_file(pulumi)
    with pytest.raises(UserError, match="no AWS region is set; set AWS_REGION or pass --region"):
        check_request(given(region=None, outputs=file), {})
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with pytest.raises(UserError, match="there are no AWS credentials that work: Unable to locate"):
        check_request(given(region=None, outputs=file), {})


def test_the_command_says_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("SUPERRES_SMOKE", raising=False)
    before = signal.getsignal(signal.SIGTERM)
    assert main([]) == 2
    signal.signal(signal.SIGTERM, before)
    assert capsys.readouterr().err.count("\n") == 1
