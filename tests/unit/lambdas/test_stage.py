"""A stage request gets one Batch job, however often it comes and wherever a function dies."""

import json
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from botocore.client import BaseClient
from botocore.exceptions import ReadTimeoutError
from hypothesis import given
from hypothesis import strategies as st

from contracts.base import ContractError
from contracts.limits import BATCH_ARRAY_MAX, BATCH_CONTAINER_OVERRIDES_CHARS, TASK_TOKEN_CHARS
from contracts.messages import StageRequest
from contracts.names import JobStatus, Stage, batch_job_name
from contracts.stack.environ import StageEnvironment
from lambdas.common.aws import make_client
from lambdas.common.services import Services
from lambdas.common.values import BatchJob, StageRecord
from lambdas.stage import decide, handler
from tests.unit.lambdas.support import (
    CONTEXT,
    JOB,
    KilledError,
    World,
    registry_record,
    sqs_event,
    stage_request,
)

NAME = batch_job_name(JOB, Stage.PROCESS)
ENVIRONMENT = StageEnvironment(
    stage=Stage.PROCESS,
    job_queue="queue",
    job_definition="definition",
    registry_table="table",
    state_machine_arn="machine",
)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(monkeypatch)
    made.serve(handler, made.stage_environment())
    made.add_record(registry_record())
    return made


def deliver(world: World, request: StageRequest | None = None) -> list[str]:
    """Deliver a message; returns the ids of failed records."""
    answer = handler.handler(sqs_event((request or stage_request()).to_json()), CONTEXT)
    return [item["itemIdentifier"] for item in answer["batchItemFailures"]]


def test_a_request_becomes_a_batch_job(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert deliver(world) == []
    assert world.calls_of("SubmitJob") == [
        {
            "jobName": NAME,
            "jobQueue": "queue",
            "jobDefinition": "definition",
            "arrayProperties": {"size": 3},
            "containerOverrides": {"environment": [{"name": "SUPERRES_JOB_ID", "value": JOB}]},
        }
    ]
    item = world.stage_item()
    assert item["task_tokens"] == item["served_tokens"] == {"t1"}
    assert item["batch_job_name"] == NAME
    assert item["batch_job_id"] in world.jobs
    assert item["expires_at"] > 0
    assert "lease_until" not in item
    assert world.record().stage is Stage.PROCESS
    assert '"StageSubmitted":[1.0]' in capsys.readouterr().out


@pytest.mark.logs_errors
def test_the_token_rests_in_the_registry_before_the_job_is_submitted(world: World) -> None:
    world.refuse["SubmitJob"] = "ClientException"
    assert deliver(world) == ["m0"]
    assert world.stage_item()["task_tokens"] == {"t1"}


def test_a_single_run_is_a_plain_job(world: World) -> None:
    deliver(world, stage_request(size=1))
    assert "arrayProperties" not in world.calls_of("SubmitJob")[0]


def test_a_redelivered_message_submits_nothing(world: World) -> None:
    deliver(world)
    assert deliver(world) == []
    assert len(world.calls_of("SubmitJob")) == 1


@pytest.mark.parametrize("status", ["SUCCEEDED", "FAILED"])
def test_a_message_redelivered_after_its_job_has_ended_submits_nothing(
    world: World, status: str
) -> None:
    deliver(world)
    world.jobs[world.stage_item()["batch_job_id"]]["status"] = status
    assert deliver(world) == []
    assert len(world.calls_of("SubmitJob")) == 1


def test_a_token_that_comes_while_the_job_runs_waits_for_it_too(world: World) -> None:
    deliver(world)
    assert deliver(world, stage_request(token="t2")) == []
    assert len(world.calls_of("SubmitJob")) == 1
    assert world.stage_item()["task_tokens"] == {"t1", "t2"}


def test_tokens_that_come_out_of_order_are_all_kept(world: World) -> None:
    for token in ("t2", "t1", "t2"):
        deliver(world, stage_request(token=token))
    assert len(world.calls_of("SubmitJob")) == 1
    assert world.stage_item()["task_tokens"] == {"t1", "t2"}


def test_a_stage_entered_anew_after_its_job_has_failed_gets_a_new_job(world: World) -> None:
    deliver(world)
    failed = world.stage_item()["batch_job_id"]
    world.jobs[failed]["status"] = "FAILED"
    assert deliver(world, stage_request(token="t2")) == []
    assert len(world.calls_of("SubmitJob")) == 2
    assert world.stage_item()["batch_job_id"] != failed


def test_a_job_of_the_same_name_in_another_case_is_not_ours(world: World) -> None:
    world.add_job(NAME.upper(), "RUNNING")
    deliver(world)
    assert len(world.calls_of("SubmitJob")) == 1


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("call", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("ends_meanwhile", [False, True])
def test_a_death_at_any_call_is_made_good_by_redelivery(
    world: World, call: int, moment: str, ends_meanwhile: bool
) -> None:
    world.counted, world.kill_at = 0, (call, moment)
    with pytest.raises(KilledError):
        deliver(world)
    world.kill_at = None
    for job in world.jobs.values():
        job["status"] = "SUCCEEDED" if ends_meanwhile else "RUNNING"
    world.pass_time()
    assert deliver(world) == []
    assert len(world.calls_of("SubmitJob")) == 1
    item = world.stage_item()
    assert item["batch_job_id"] in world.jobs
    assert item["task_tokens"] == {"t1"}
    assert world.record().stage is Stage.PROCESS


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("call", [1, 2, 3, 4, 5])
def test_a_death_while_a_stage_is_entered_anew_is_made_good_too(
    world: World, call: int, moment: str
) -> None:
    deliver(world)
    world.jobs[world.stage_item()["batch_job_id"]]["status"] = "FAILED"
    again = stage_request(token="t2")
    world.counted, world.kill_at = 0, (call, moment)
    with pytest.raises(KilledError):
        deliver(world, again)
    world.kill_at = None
    world.pass_time()
    assert deliver(world, again) == []
    assert len(world.calls_of("SubmitJob")) == 2


def test_two_deliveries_at_once_submit_one_job(world: World) -> None:
    """The second comes while the first is about to submit."""
    twin: list[list[str]] = []
    world.meanwhile["SubmitJob"] = lambda: twin.append(deliver(world))
    assert deliver(world) == []
    assert twin == [["m0"]]
    assert len(world.calls_of("SubmitJob")) == 1


@pytest.mark.logs_errors
def test_a_throttled_submission_fails_its_record_and_the_next_delivery_need_not_wait(
    world: World,
) -> None:
    world.refuse["SubmitJob"] = "TooManyRequestsException"
    assert deliver(world) == ["m0"]
    world.refuse.clear()
    assert deliver(world) == []
    assert len(world.jobs) == 1


def test_a_submission_whose_answer_is_lost_is_not_repeated_blindly(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The SDK's own retry would start a second job; the redelivered message looks first."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    attempts: list[str] = []

    def lose(**_: Any) -> AWSResponse:
        attempts.append("sent")
        raise ReadTimeoutError(endpoint_url="https://batch")

    def losing_client(service: str, attempts: int = 3) -> BaseClient:
        client = make_client(service, attempts)
        client.meta.events.register("before-send.batch", lose)
        return client

    submitter = Services(StageEnvironment.read, losing_client).submitter
    with pytest.raises(ReadTimeoutError):
        submitter.submit(decide.submission(stage_request(), ENVIRONMENT))
    assert attempts == ["sent"]


def test_only_the_failed_record_of_a_batch_is_reported(world: World) -> None:
    good = stage_request().to_json()
    other = stage_request().model_copy(update={"job_id": "other-job"}).to_json()
    answer = handler.handler(sqs_event(good, "{not json", other), CONTEXT)
    assert answer == {"batchItemFailures": [{"itemIdentifier": "m1"}]}
    assert len(world.calls_of("SubmitJob")) == 2


def test_a_request_for_another_stage_is_refused(world: World) -> None:
    assert deliver(world, stage_request(Stage.EXTRACT, 1)) == ["m0"]
    assert world.jobs == {}


def test_an_array_larger_than_batch_allows_is_refused_in_one_sentence() -> None:
    with pytest.raises(ContractError, match="10001 children, but Batch allows 10000"):
        decide.submission(stage_request(size=BATCH_ARRAY_MAX + 1), ENVIRONMENT)


@pytest.mark.parametrize("status", ["ABORTED", "FAILED", "TIMED_OUT"])
def test_a_job_whose_execution_has_ended_meanwhile_is_ended_at_once(
    world: World, status: str
) -> None:
    """The function that ends an execution's work may have looked before the job stood."""
    world.start_job()
    world.end_execution(status)
    assert deliver(world) == []
    [submitted] = world.jobs
    assert world.calls_of("TerminateJob") == [
        {"jobId": submitted, "reason": f"The job's execution has ended: {status}"}
    ]


def test_a_job_of_a_running_or_redriven_execution_is_left_to_run(world: World) -> None:
    world.start_job()
    assert deliver(world) == []
    assert world.calls_of("TerminateJob") == []


def test_a_late_message_never_moves_the_shown_stage_back(world: World) -> None:
    deliver(world)
    world.serve(handler, world.stage_environment(Stage.EXTRACT))
    assert deliver(world, stage_request(Stage.EXTRACT, 1)) == []
    assert world.record().stage is Stage.PROCESS


def test_a_late_message_does_not_touch_a_job_that_has_ended(world: World) -> None:
    ended = registry_record(JobStatus.FAILED)
    world.add_record(ended)
    assert deliver(world) == []
    assert world.record() == ended


@given(
    token=st.text(min_size=1, max_size=TASK_TOKEN_CHARS).filter(lambda t: len(t) > 24),
    size=st.integers(1, BATCH_ARRAY_MAX),
)
def test_the_token_is_never_among_the_arguments_of_a_job(token: str, size: int) -> None:
    arguments = decide.submission(stage_request(token=token, size=size), ENVIRONMENT)
    assert token not in json.dumps(arguments, ensure_ascii=False)
    assert len(json.dumps(arguments["containerOverrides"])) <= BATCH_CONTAINER_OVERRIDES_CHARS
    assert arguments.get("arrayProperties", {"size": 1})["size"] == size


def job(job_id: str, status: str, created_at: int = 0) -> BatchJob:
    return BatchJob(job_id=job_id, name=NAME, status=status, created_at=created_at)


def test_of_several_jobs_of_a_name_the_newest_counts() -> None:
    record = StageRecord(task_tokens=frozenset({"t1"}), batch_job_id="old")
    jobs = [job("new", "RUNNING", 2), job("old", "FAILED", 1)]
    assert decide.job_to_keep("t2", record, jobs) == "new"
