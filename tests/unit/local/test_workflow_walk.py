"""The machine walked by the embedded AWS's interpreter, the test answering for the stages."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from contracts.base import ObjectRef
from contracts.job import SourceObject
from contracts.messages import (
    ErrorInfo,
    ExecutionInput,
    ExtractResult,
    Notification,
    ProcessResult,
    RecomposeResult,
    StageRequest,
)
from contracts.names import REJECTED_ERROR, JobStatus, Stage
from tests.support.local_aws import (
    Server,
    eventually,
    serve,
    write_project,
)

PROGRAM = Path(__file__).parent / "workflow_program.py"
SOURCE = SourceObject(bucket="source", key="uploads/film.mp4", version_id="v1", etag="e", size=5)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("walk")
    made = serve(write_project(folder / "project", PROGRAM.read_text()), folder / "state")
    yield made
    made.stop()
    shutil.rmtree(folder, ignore_errors=True)


class Walk:
    """One execution. Stages answer when they are told to."""

    def __init__(self, server: Server, job_id: str, machine: str = "machine", **given: Any) -> None:
        self._server, self.job_id = server, job_id
        self._states = server.client("stepfunctions")
        arn = f"arn:aws:states:us-east-1:{server.ready['account']}:stateMachine:{machine}"
        start = ExecutionInput(job_id=job_id, source=SOURCE, **given)
        self.arn = self._states.start_execution(
            stateMachineArn=arn, name=job_id, input=start.model_dump_json(exclude_none=True)
        )["executionArn"]

    def _message(self, queue: str) -> str:
        """The next message about this job."""
        sqs, url = self._server.client("sqs"), self._server.outputs[queue]

        def look() -> str | None:
            got = sqs.receive_message(QueueUrl=url, VisibilityTimeout=0, MaxNumberOfMessages=10)
            for one in got.get("Messages", []):
                if json.loads(one["Body"])["job_id"] == self.job_id:
                    sqs.delete_message(QueueUrl=url, ReceiptHandle=one["ReceiptHandle"])
                    return one["Body"]
            return None

        return eventually(look)

    def asked(self, stage: Stage) -> StageRequest:
        request = StageRequest.parse(self._message(stage.value))
        assert request.stage is stage
        return request

    def succeed(self, stage: Stage, result: Any) -> StageRequest:
        request = self.asked(stage)
        self._states.send_task_success(taskToken=request.task_token, output=result.to_json())
        return request

    def fail(self, stage: Stage, error: str = "Superres.BadSource") -> None:
        token = self.asked(stage).task_token
        self._states.send_task_failure(taskToken=token, error=error, cause="No frames.")

    def extract(self, process_seconds: int = 60, recompose_seconds: int = 60) -> None:
        extracted = ExtractResult(
            job_id=self.job_id,
            frames=9,
            shards=4,
            runs=3,
            process_timeout_seconds=process_seconds,
            recompose_timeout_seconds=recompose_seconds,
        )
        self.succeed(Stage.EXTRACT, extracted)

    def process(self) -> StageRequest:
        return self.succeed(Stage.PROCESS, ProcessResult(job_id=self.job_id, runs=3))

    def recompose(self) -> RecomposeResult:
        made = RecomposeResult(
            job_id=self.job_id,
            result=ObjectRef(bucket="final", key="results/film.2x.mp4"),
            report=ObjectRef(bucket="final", key="results/report.json"),
            frames=9,
            bytes=9,
            remarks=("1 damaged frame: frame 20",),
        )
        self.succeed(Stage.RECOMPOSE, made)
        return made

    def told(self) -> Notification:
        return Notification.parse(self._message("notification"))

    def ended(self) -> tuple[str, str | None]:
        """(status, error)."""

        def look() -> dict[str, Any] | None:
            found = self._states.describe_execution(executionArn=self.arn)
            return found if found["status"] != "RUNNING" else None

        found = eventually(look)
        return found["status"], found.get("error")

    def stop(self) -> None:
        self._states.stop_execution(executionArn=self.arn)

    def visited(self) -> list[str]:
        pages = self._states.get_paginator("get_execution_history").paginate(executionArn=self.arn)
        events = [event for page in pages for event in page["events"]]
        return [
            event["stateEnteredEventDetails"]["name"]
            for event in events
            if "stateEnteredEventDetails" in event
        ]


def test_a_film_passes_all_stages_and_is_told_with_its_result(server: Server) -> None:
    walk = Walk(server, "success")
    walk.extract()
    assert walk.process().array_size == 3
    made = walk.recompose()
    told = walk.told()
    assert (told.status, told.source) == (JobStatus.SUCCEEDED, SOURCE)
    assert (told.result, told.report, told.remarks) == (made.result, made.report, made.remarks)
    assert walk.ended() == ("SUCCEEDED", None)
    path = ["Accepted", "Extract", "Process", "Recompose", "NotifySuccess", "Succeeded"]
    assert walk.visited() == path


def test_refused_settings_are_told_without_a_stage(server: Server) -> None:
    error = ErrorInfo(Error=REJECTED_ERROR, Cause="scale: got 7.")
    walk = Walk(server, "refused", error=error)
    told = walk.told()
    assert (told.status, told.error, told.message) == (
        JobStatus.FAILED,
        REJECTED_ERROR,
        "scale: got 7.",
    )
    assert walk.ended() == ("FAILED", REJECTED_ERROR)
    assert walk.visited() == ["Accepted", "NotifyFailure", "Failed"]


def test_a_failure_of_any_stage_is_told_and_ends_the_job(server: Server) -> None:
    for stage in Stage:
        walk = Walk(server, f"fails-{stage.value}")
        if stage is not Stage.EXTRACT:
            walk.extract()
        if stage is Stage.RECOMPOSE:
            walk.process()
        walk.fail(stage)
        told = walk.told()
        assert (told.status, told.error, told.message) == (
            JobStatus.FAILED,
            "Superres.BadSource",
            "No frames.",
        )
        assert walk.ended() == ("FAILED", "Superres.BadSource")
        assert walk.visited()[-2:] == ["NotifyFailure", "Failed"]


def test_a_stage_that_takes_too_long_is_told_as_that(server: Server) -> None:
    late = {
        Stage.EXTRACT: Walk(server, "late-extract", "hurried-extract"),
        Stage.PROCESS: Walk(server, "late-process"),
        Stage.RECOMPOSE: Walk(server, "late-recompose"),
    }
    late[Stage.PROCESS].extract(process_seconds=1)
    late[Stage.RECOMPOSE].extract(recompose_seconds=1)
    late[Stage.RECOMPOSE].process()
    for stage, walk in late.items():
        walk.asked(stage)
        told = walk.told()
        assert (told.error, told.message) == (
            "States.Timeout",
            "A stage took longer than its time limit.",
        )
        assert walk.ended() == ("FAILED", "States.Timeout")
        assert walk.visited()[-3:] == ["TimedOut", "NotifyFailure", "Failed"]


@pytest.mark.parametrize("stage", Stage)
def test_a_stage_that_cannot_be_asked_for_is_a_failure_that_is_told(
    server: Server, stage: Stage
) -> None:
    walk = Walk(server, f"unasked-{stage.value}", f"without-{stage.value}")
    if stage is not Stage.EXTRACT:
        walk.extract()
    if stage is Stage.RECOMPOSE:
        walk.process()
    assert walk.told().error == "SNS.AuthorizationErrorException"
    assert walk.ended() == ("FAILED", "SNS.AuthorizationErrorException")


def test_a_film_that_is_done_succeeds_though_nobody_can_be_told(server: Server) -> None:
    """The reconciler tells it later; its output has all that this takes."""
    walk = Walk(server, "untold", "without-notification")
    walk.extract()
    walk.process()
    walk.recompose()
    assert walk.ended() == ("SUCCEEDED", None)
    assert walk.visited()[-2:] == ["NotifySuccess", "Succeeded"]


def test_a_failure_keeps_its_name_though_nobody_can_be_told(server: Server) -> None:
    walk = Walk(server, "untold-failure", "without-notification")
    walk.fail(Stage.EXTRACT)
    assert walk.ended() == ("FAILED", "Superres.BadSource")


def test_an_aborted_execution_sees_nothing_any_more(server: Server) -> None:
    walk = Walk(server, "aborted")
    walk.asked(Stage.EXTRACT)
    walk.stop()
    assert walk.ended() == ("ABORTED", None)
    assert walk.visited() == ["Accepted", "Extract"]


def test_a_job_past_its_own_limit_sees_nothing_any_more(server: Server) -> None:
    walk = Walk(server, "overdue", "hurried")
    walk.asked(Stage.EXTRACT)
    assert walk.ended() == ("TIMED_OUT", "States.Timeout")
    assert walk.visited() == ["Accepted", "Extract"]
