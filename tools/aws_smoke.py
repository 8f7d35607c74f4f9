"""`make aws-smoke`: one clip through a throwaway stack on AWS, checked, and all of it destroyed.

It needs an account, the pulumi command with a backend, and the images of a stack that runs. It
costs money, and says how much at most before it starts. It has not run against AWS yet: there was
no account where it was written. What it checks is tested against the embedded AWS.
"""

import argparse
import hashlib
import os
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from cli.console import Console
from cli.errors import UserError
from cli.files import ROOT
from cli.promotion.stack_outputs import read_outputs_file, read_stack_outputs
from cli.signals import stop_on_sigterm
from cli.stacks.pipeline import FINAL_STATES, Pipeline
from cli.stacks.stack import Stack
from components.settings import StackSettings, parse_settings
from contracts.film.ledger import Report
from contracts.job import Settings
from contracts.models import ModelName
from contracts.pricing import SECONDS_AN_HOUR, worker_dollars
from contracts.stack.images import ImageName
from tools.throwaway import Deadline, throwaway

SAMPLE = ROOT / "samples" / "bunny.mp4"
CONFIRMATION = "SUPERRES_SMOKE"
POLL_SECONDS = 5.0
OVERHEAD_MINUTES = 20.0
"""To make and destroy the stack, and for instances that Batch keeps a while after the job."""
STANDING_DOLLARS = 0.10
"""Keys, alarms, dashboards, requests and logs of an hour or two, rounded up."""
JOB = Settings(model=ModelName.ANIMEVIDEOV3, scale=2)


@dataclass(frozen=True, kw_only=True)
class SmokeResult:
    """What the job made; it was downloaded and verified."""

    job_id: str
    report: Report
    seconds: float


def check_job(
    stack: Stack, video: Path, settings: Settings, deadline: Deadline, poll: float = POLL_SECONDS
) -> SmokeResult:
    """Upload, wait, download, verify. Stops a job that takes too long. Raises UserError."""
    pipeline, began = Pipeline(stack), time.monotonic()
    job_id, _ = pipeline.upload(video, settings, lambda _: None)
    now = pipeline.look(job_id)
    while now.state not in FINAL_STATES:
        if deadline.left <= 0:
            _stop_job(stack, job_id)
            raise UserError(f"job {job_id} was {now.state} at the end of the time", exit_code=1)
        time.sleep(poll)
        now = pipeline.look(job_id)
    if now.state != "SUCCEEDED":
        raise pipeline.failure(now)
    result, report = pipeline.result(now)
    with tempfile.TemporaryDirectory(prefix="superres-smoke-") as folder:
        target = Path(folder) / "result"
        pipeline.fetch(result, target)
        verify_result(report, target)
    return SmokeResult(job_id=job_id, report=report, seconds=time.monotonic() - began)


def verify_result(report: Report, result: Path) -> None:
    """Raises UserError unless the ledger balances and `result` has the report's bytes."""
    ledger = report.ledger
    if not ledger.balanced or ledger.frames_planned == 0:
        raise UserError(
            f"the ledger does not balance: {ledger.frames_planned} frames planned, "
            f"{ledger.frames_decoded} decoded, {ledger.frames_upscaled} upscaled, "
            f"{ledger.frames_encoded} encoded, {ledger.frames_in_result} in the result",
            exit_code=1,
        )
    with result.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    if digest != report.result_sha256 or result.stat().st_size != report.result_bytes:
        raise UserError("the result in the final bucket is not the one in the report", exit_code=1)


def _stop_job(stack: Stack, job_id: str) -> None:
    """Stop the execution, which ends its Batch jobs; else they would outlive their stack."""
    session = boto3.Session(region_name=stack.region, **stack.credentials)
    states = session.client("stepfunctions", endpoint_url=stack.endpoint)
    machine = stack.outputs["state_machine_arn"]
    arn = machine.replace(":stateMachine:", ":execution:", 1) + f":{job_id}"
    try:
        states.stop_execution(executionArn=arn, error="Superres.SmokeTest", cause="out of time")
    except ClientError as error:
        if error.response["Error"]["Code"] != "ExecutionDoesNotExist":
            raise


def stack_settings(images: Mapping[ImageName, str]) -> dict[str, Any]:
    """The smallest stack that upscales: two workers without a GPU; it keeps nothing."""
    return {
        "owner": "aws-smoke",
        "cost_center": "aws-smoke",
        "protect": False,
        "log_retention_days": 1,
        **{image.setting: reference for image, reference in images.items()},
        "media_vcpus": 2,
        "media_memory_mib": 3072,
        "media_max_vcpus": 2,
        "media_scratch_gib": 30,
        "worker_gpus": 0,
        "worker_vcpus": 2,
        "worker_memory_mib": 3072,
        "worker_scratch_gib": 30,
        "spot_max_vcpus": 2,
        "on_demand_max_vcpus": 2,
        "worker_gflops": 100,
        "device": "cpu",
        "inference_threads": 2,
        "inference_dtype": "float32",
        "inference_batch": 1,
        "encoder_threads": 2,
    }


def most_dollars(settings: StackSettings, minutes: float) -> float:
    """US dollars if every instance that may run does run all the time, on demand."""
    worker = worker_dollars(
        settings.cpu_instance_types,
        settings.worker_vcpus,
        0,
        spot=False,
        scratch_gib=settings.worker_scratch_gib,
    )
    workers = (settings.spot_max_vcpus + settings.on_demand_max_vcpus) / settings.worker_vcpus
    media = settings.media_max_vcpus / settings.media_vcpus
    hourly = (worker or 0.0) * workers + (settings.media_price or 0.0) * media
    return hourly * minutes * 60 / SECONDS_AN_HOUR + STANDING_DOLLARS


@dataclass(frozen=True, kw_only=True)
class SmokeRequest:
    """What the user asked for and agreed to pay."""

    region: str
    max_minutes: float
    """For making the stack, and for the job."""
    settings: dict[str, Any]
    dollars: float
    """The most that it may cost."""


def check_request(given: argparse.Namespace, environment: Mapping[str, str]) -> SmokeRequest:
    """Refuse what cannot work before anything is made. Raises UserError."""
    if not (given.yes or environment.get(CONFIRMATION) == "yes"):
        raise UserError(
            "this makes a stack on AWS and costs money; pass --yes (ARGS=--yes) or set "
            f"{CONFIRMATION}=yes"
        )
    if not 5 <= given.max_minutes <= 120:
        raise UserError(f"--max-minutes: got {given.max_minutes:g}, must be 5 to 120")
    if shutil.which("pulumi") is None:
        raise UserError("the pulumi command is not installed; see docs/deploy.md")
    region = given.region or _region()
    outputs = (
        read_outputs_file(given.outputs)
        if given.outputs
        else read_stack_outputs(ROOT, given.images_of)
    )
    images = {image: str(outputs.get(image.setting, "")) for image in ImageName}
    settings = stack_settings(images)
    try:
        dollars = most_dollars(parse_settings(settings), given.max_minutes + OVERHEAD_MINUTES)
    except ValueError as error:
        raise UserError(f"{given.images_of} runs no images to try: {error}") from error
    if dollars > given.max_dollars:
        raise UserError(
            f"it may cost up to ${dollars:.2f}, more than --max-dollars {given.max_dollars:g}; "
            "raise that or lower --max-minutes"
        )
    return SmokeRequest(
        region=region, max_minutes=given.max_minutes, settings=settings, dollars=dollars
    )


def _region() -> str:
    """Check the credentials of the AWS session and return its region. Raises UserError."""
    session = boto3.Session()
    try:
        if session.region_name is None:
            raise UserError("no AWS region is set; set AWS_REGION or pass --region")
        session.client("sts").get_caller_identity()
    except (BotoCoreError, ClientError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"there are no AWS credentials that work: {reason}") from error
    return session.region_name


RunJob = Callable[[Stack, Deadline], SmokeResult]


def smoke(
    request: SmokeRequest, console: Console, run_job: RunJob, project: Path = ROOT
) -> dict[str, Any]:
    """Make a stack, try it, destroy it. Returns the JSON result. Raises UserError."""
    stack, began = f"smoke-{secrets.token_hex(4)}", time.monotonic()
    console.say(
        f"Stack {stack} in {request.region}: at most {request.max_minutes:g} minutes for the job, "
        f"at most about ${request.dollars:.2f} in all."
    )
    seconds = request.max_minutes * 60
    deadline = Deadline(seconds)
    with throwaway(
        project, stack, request.settings, region=request.region, seconds=seconds
    ) as outputs:
        deployed = Stack(
            endpoint=None,
            region=request.region,
            credentials={},
            outputs=outputs,
            log_dir=Path(f"/superres-{stack}/jobs"),
            warm=False,
        )
        result = run_job(deployed, deadline)
    minutes = (time.monotonic() - began) / 60
    dollars = min(request.dollars, most_dollars(parse_settings(request.settings), minutes))
    return {
        "status": "SUCCEEDED",
        "stack": stack,
        "job_id": result.job_id,
        "frames": result.report.ledger.frames_in_result,
        "job_seconds": round(result.seconds, 1),
        "minutes": round(minutes, 1),
        "dollars_at_most": round(dollars, 2),
    }


def _rows(data: Mapping[str, Any]) -> dict[str, str]:
    return {
        "ledger": f"{data['frames']} frames, balanced; the result's bytes are the report's",
        "job": f"{data['job_id']}, {data['job_seconds']} s",
        "stack": f"{data['stack']}, destroyed",
        "bill": f"at most about ${data['dollars_at_most']:.2f} for {data['minutes']} minutes",
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make aws-smoke", description=__doc__)
    parser.add_argument("--yes", action="store_true", help="make a stack on AWS, for money")
    parser.add_argument("--region", help="default: the AWS session's")
    parser.add_argument("--images-of", default="dev", metavar="STACK", help="default: dev")
    parser.add_argument("--outputs", type=Path, help="that stack's outputs as JSON")
    parser.add_argument("--max-minutes", type=float, default=40.0, help="default: 40")
    parser.add_argument("--max-dollars", type=float, default=1.0, help="default: 1")
    parser.add_argument("--json", action="store_true")
    return parser


def main(arguments: list[str]) -> int:
    given = _parser().parse_args(arguments)
    console = Console(given.json)
    stop_on_sigterm()
    try:
        request = check_request(given, os.environ)
        data = smoke(request, console, lambda stack, end: check_job(stack, SAMPLE, JOB, end))
        console.result(data, _rows(data))
    except UserError as error:
        console.error(error)
        return error.exit_code
    except KeyboardInterrupt:
        sys.stderr.write("aws-smoke: stopped.\n")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
