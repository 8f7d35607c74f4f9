"""The end of a Batch job reaches the workflow once, with the truth about a failure."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from contracts import keys
from contracts.base import ContractError, ObjectRef
from contracts.limits import STATE_PAYLOAD_BYTES, TASK_CAUSE_CHARS
from contracts.messages import Failure, RecomposeResult
from contracts.names import JOB_FAILED_ERROR, ExitCode, Stage
from lambdas.common import outcomes
from lambdas.common.stage_jobs import is_awaited
from lambdas.common.values import BatchJob, StageRecord, StoredObject
from lambdas.job_state import decide, handler
from tests.unit.lambdas.support import (
    CONTEXT,
    EXTRACTED,
    JOB,
    PROCESS,
    KilledError,
    World,
    stage_request,
)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(monkeypatch)
    made.serve(handler, made.job_state_environment())
    return made


def event(batch_job_id: str, name: str, status: str, **array: int) -> dict[str, Any]:
    return {
        "source": "aws.batch",
        "detail-type": "Batch Job State Change",
        "detail": {
            "jobArn": "arn",
            "jobName": name,
            "jobId": batch_job_id,
            "jobQueue": "queue",
            "status": status,
            "attempts": [],
            **({"arrayProperties": array} if array else {}),
        },
    }


def tell(world: World, batch_job_id: str, **array: int) -> None:
    """Deliver the event of a job as the world has it."""
    job = world.jobs[batch_job_id]
    handler.handler(event(batch_job_id, job["jobName"], job["status"], **array), CONTEXT)


def failure(run: int, code: ExitCode, message: str) -> Failure:
    return Failure(
        job_id=JOB,
        stage=Stage.PROCESS,
        run=run,
        exit_code=code,
        error=code.error,
        message=message,
    )


def put_failure(world: World, run: int, code: ExitCode, message: str) -> None:
    world.put(keys.failure_key(JOB, Stage.PROCESS, run), failure(run, code, message).to_json())


def test_extraction_answers_with_its_result(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    batch_job_id = world.submitted_job("SUCCEEDED", Stage.EXTRACT)
    world.put(keys.stage_result_key(JOB, Stage.EXTRACT), EXTRACTED.to_json())
    tell(world, batch_job_id)
    [answer] = world.calls_of("SendTaskSuccess")
    assert answer["taskToken"] == "t1"
    assert json.loads(answer["output"]) == json.loads(EXTRACTED.to_json())
    assert '"StageSucceeded":[1.0]' in capsys.readouterr().out


def test_recomposition_answers_with_its_result(world: World) -> None:
    result = RecomposeResult(
        job_id=JOB,
        result=ObjectRef(bucket="final", key="results/фильм.2x.mp4"),
        report=ObjectRef(bucket="final", key="results/report.json"),
        frames=9,
        bytes=9,
    )
    batch_job_id = world.submitted_job("SUCCEEDED", Stage.RECOMPOSE)
    world.put(keys.stage_result_key(JOB, Stage.RECOMPOSE), result.to_json())
    tell(world, batch_job_id)
    [answer] = world.calls_of("SendTaskSuccess")
    assert RecomposeResult.model_validate_json(answer["output"]) == result


@pytest.mark.parametrize(("array", "runs"), [({"arrayProperties": {"size": 4}}, 4), ({}, 1)])
def test_processing_answers_with_the_number_of_its_runs(
    world: World, array: dict[str, Any], runs: int
) -> None:
    tell(world, world.submitted_job("SUCCEEDED", **array))
    [answer] = world.calls_of("SendTaskSuccess")
    assert json.loads(answer["output"])["runs"] == runs


def test_the_event_is_only_a_hint(world: World) -> None:
    """It says FAILED, Batch says the job runs (it is retried): nothing is told yet."""
    batch_job_id = world.submitted_job("RUNNABLE")
    handler.handler(event(batch_job_id, PROCESS, "FAILED"), CONTEXT)
    assert world.calls_of("SendTaskFailure") == []


@pytest.mark.parametrize("result", [None, "", "{}", '{"job_id": 5}', "\x00"])
def test_a_job_that_succeeds_without_a_usable_result_fails_its_stage(
    world: World, result: str | None
) -> None:
    batch_job_id = world.submitted_job("SUCCEEDED", Stage.EXTRACT)
    if result is not None:
        world.put(keys.stage_result_key(JOB, Stage.EXTRACT), result)
    tell(world, batch_job_id)
    [answer] = world.calls_of("SendTaskFailure")
    assert answer["error"] == JOB_FAILED_ERROR
    assert answer["cause"].startswith("The extract job left no usable result")


def test_a_result_too_large_for_the_workflow_fails_its_stage() -> None:
    huge = RecomposeResult(
        job_id=JOB,
        result=ObjectRef(bucket="b", key="k" * STATE_PAYLOAD_BYTES),
        report=ObjectRef(bucket="b", key="k"),
        frames=1,
        bytes=1,
    )
    job = BatchJob(job_id="b", name="n", status="SUCCEEDED")
    outcome = outcomes.result_of(Stage.RECOMPOSE, JOB, job, huge.to_json().encode())
    assert isinstance(outcome, outcomes.StageFailed)


def test_a_failed_job_tells_its_workers_sentence(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    batch_job_id = world.submitted_job("FAILED", statusReason="Essential container exited")
    put_failure(world, 0, ExitCode.BAD_SOURCE, "The film has no frames.")
    tell(world, batch_job_id)
    [answer] = world.calls_of("SendTaskFailure")
    assert answer == {
        "taskToken": "t1",
        "error": "Superres.BadSource",
        "cause": "The film has no frames.",
    }
    assert '"StageFailed":[1.0]' in capsys.readouterr().out


def test_a_failed_job_without_a_record_tells_batchs_reason_and_exit_code(world: World) -> None:
    tell(
        world,
        world.submitted_job(
            "FAILED",
            statusReason="Essential container in task exited",
            container={"exitCode": 137, "reason": "OutOfMemoryError"},
        ),
    )
    [answer] = world.calls_of("SendTaskFailure")
    assert answer["error"] == JOB_FAILED_ERROR
    assert answer["cause"] == (
        "The process job failed: Essential container in task exited; OutOfMemoryError; "
        "exit code 137."
    )


def test_an_unreadable_failure_record_is_passed_over(world: World) -> None:
    batch_job_id = world.submitted_job("FAILED", statusReason="because")
    world.put(keys.failure_key(JOB, Stage.PROCESS, 0), '{"message": "half a rec')
    tell(world, batch_job_id)
    [answer] = world.calls_of("SendTaskFailure")
    assert answer["cause"] == "The process job failed: because."


def test_a_cause_longer_than_the_workflow_takes_is_cut(world: World) -> None:
    batch_job_id = world.submitted_job("FAILED")
    put_failure(world, 0, ExitCode.CRASH, "x" * 2 * TASK_CAUSE_CHARS)
    tell(world, batch_job_id)
    [answer] = world.calls_of("SendTaskFailure")
    assert len(answer["cause"]) == TASK_CAUSE_CHARS


def test_every_token_that_asked_gets_the_answer_and_dead_ones_do_no_harm(world: World) -> None:
    batch_job_id = world.submitted_job("SUCCEEDED")
    world.live_tokens = {"t2"}
    with world.registry.stage_lease(stage_request(token="t2"), datetime.now(UTC)):
        world.registry.finish_stage(stage_request(token="t2"), batch_job_id)
    tell(world, batch_job_id)
    assert [said["taskToken"] for said in world.calls_of("SendTaskSuccess")] == ["t1", "t2"]
    assert world.live_tokens == set()


@pytest.mark.parametrize("error", ["TaskTimedOut", "InvalidToken", "TaskDoesNotExist"])
def test_a_late_token_is_no_error_and_is_not_counted(
    world: World, error: str, capsys: pytest.CaptureFixture[str]
) -> None:
    batch_job_id = world.submitted_job("SUCCEEDED")
    world.refuse["SendTaskSuccess"] = error
    tell(world, batch_job_id)
    assert "StageSucceeded" not in capsys.readouterr().out


def test_a_throttled_answer_fails_so_that_the_event_comes_again(world: World) -> None:
    batch_job_id = world.submitted_job("SUCCEEDED")
    world.refuse["SendTaskSuccess"] = "ThrottlingException"
    with pytest.raises(Exception, match="ThrottlingException"):
        tell(world, batch_job_id)
    world.refuse.clear()
    tell(world, batch_job_id)
    assert world.live_tokens == set()


def test_an_event_delivered_twice_counts_once(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    batch_job_id = world.submitted_job("SUCCEEDED")
    tell(world, batch_job_id)
    tell(world, batch_job_id)
    assert capsys.readouterr().out.count('"StageSucceeded":[1.0]') == 1


def test_a_job_that_nobody_asked_for_is_left_alone(world: World) -> None:
    tell(world, world.add_job(PROCESS, "SUCCEEDED"))
    handler.handler(event("x", "someone-elses-job", "SUCCEEDED"), CONTEXT)
    handler.handler(event("gone", PROCESS, "FAILED"), CONTEXT)
    assert world.calls_of("SendTaskSuccess") == world.calls_of("SendTaskFailure") == []


def test_a_late_event_of_an_earlier_job_does_not_answer_for_the_new_one(world: World) -> None:
    old = world.add_job(PROCESS, "FAILED")
    world.submitted_job("RUNNING")
    tell(world, old)
    assert world.calls_of("SendTaskFailure") == []


def test_a_job_that_ends_before_its_id_is_recorded_answers_all_the_same(world: World) -> None:
    """The stage function died, or is slow, between SubmitJob and its last write."""
    batch_job_id = world.add_job(PROCESS, "SUCCEEDED")
    world.live_tokens = {"t1"}
    with world.registry.stage_lease(stage_request(), datetime.now(UTC)):
        tell(world, batch_job_id)
    assert world.live_tokens == set()


def poisoned_array(world: World, **child: Any) -> tuple[str, str]:
    parent = world.submitted_job("PENDING", arrayProperties={"size": 3})
    lost = {"status": "FAILED", "statusReason": "Essential container exited", **child}
    return parent, world.add_job(PROCESS, jobId=f"{parent}:1", **lost)


def test_a_lost_child_ends_its_array_once_and_the_reason_names_it(world: World) -> None:
    parent, child = poisoned_array(world, container={"exitCode": 65})
    tell(world, child, index=1)
    tell(world, child, index=1)
    [told] = world.calls_of("TerminateJob")
    assert told["jobId"] == parent
    assert told["reason"] == ("Ended early: run 1 failed: Essential container exited; exit code 65")
    assert world.calls_of("SendTaskFailure") == []


def test_children_ended_by_us_do_not_end_the_array_again(world: World) -> None:
    parent, child = poisoned_array(world)
    tell(world, child, index=1)
    world.jobs[parent].update(isTerminated=False)
    ended = world.add_job(
        PROCESS, "FAILED", jobId=f"{parent}:2", statusReason=world.jobs[parent]["statusReason"]
    )
    tell(world, ended, index=2)
    assert len(world.calls_of("TerminateJob")) == 1


@pytest.mark.parametrize("status", ["SUCCEEDED", "RUNNING", "RUNNABLE"])
def test_a_child_that_is_not_lost_leaves_its_array_alone(world: World, status: str) -> None:
    parent, child = poisoned_array(world)
    world.jobs[child]["status"] = status
    handler.handler(event(child, PROCESS, "FAILED", index=1), CONTEXT)
    world.jobs[child]["status"] = "SUCCEEDED"
    tell(world, child, index=1)
    assert parent in world.jobs
    assert world.calls_of("TerminateJob") == []


@pytest.mark.parametrize("status", ["FAILED", "SUCCEEDED"])
def test_an_array_that_has_ended_is_not_ended_again(world: World, status: str) -> None:
    parent, child = poisoned_array(world)
    world.jobs[parent]["status"] = status
    tell(world, child, index=1)
    assert world.calls_of("TerminateJob") == []


def test_the_run_that_ended_the_array_tells_the_truth(world: World) -> None:
    """The others were only told to stop, and one of them wrote its record first."""
    put_failure(world, 0, ExitCode.INTERRUPTED, "The worker was told to stop.")
    put_failure(world, 1, ExitCode.BAD_SOURCE, "Frame 7 cannot be decoded.")
    put_failure(world, 2, ExitCode.CRASH, "Something else broke afterwards.")
    parent = world.submitted_job(
        "FAILED", arrayProperties={"size": 3}, statusReason="Ended early: run 1 failed: exit 65"
    )
    tell(world, parent)
    [answer] = world.calls_of("SendTaskFailure")
    assert answer["cause"] == "Frame 7 cannot be decoded."


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("call", [1, 2, 3])
def test_a_death_at_any_call_is_made_good_by_redelivery(
    world: World, call: int, moment: str
) -> None:
    batch_job_id = world.submitted_job("SUCCEEDED")
    world.counted, world.kill_at = 0, (call, moment)
    with pytest.raises(KilledError):
        tell(world, batch_job_id)
    world.kill_at = None
    tell(world, batch_job_id)
    assert world.live_tokens == set()


def batch_job(reason: str = "", created_at: int = 0) -> BatchJob:
    return BatchJob(
        job_id="b", name=PROCESS, status="FAILED", status_reason=reason, created_at=created_at
    )


def test_failure_records_of_an_earlier_attempt_are_not_read() -> None:
    started = datetime(2030, 1, 1, tzinfo=UTC)
    job = batch_job(created_at=int(started.timestamp() * 1000) + 700)
    listed = [
        StoredObject(key="same second", modified=started),
        StoredObject(key="earlier", modified=started - timedelta(seconds=1)),
        StoredObject(key="later", modified=started + timedelta(seconds=9)),
    ]
    assert outcomes.failure_keys(Stage.PROCESS, JOB, job, listed) == ["same second", "later"]


def test_without_a_named_run_the_oldest_record_is_read_first() -> None:
    moment = datetime(2030, 1, 1, tzinfo=UTC)
    listed = [
        StoredObject(key="b", modified=moment + timedelta(seconds=1)),
        StoredObject(key="c", modified=moment),
        StoredObject(key="a", modified=moment),
    ]
    assert outcomes.failure_keys(Stage.PROCESS, JOB, batch_job(), listed) == ["a", "c", "b"]


GAVE_UP = failure(1, ExitCode.CRASH, "gave up")
TIRED = failure(2, ExitCode.TRANSIENT, "out of attempts")
STOPPED = failure(3, ExitCode.INTERRUPTED, "told to stop")


@pytest.mark.parametrize(
    ("records", "cause"),
    [
        ([STOPPED, TIRED, None, GAVE_UP], "gave up"),
        ([STOPPED, TIRED], "out of attempts"),
        ([STOPPED], "The process job failed: Host EC2 (i-1) terminated."),
        ([], "The process job failed: Host EC2 (i-1) terminated."),
    ],
)
def test_what_a_worker_knows_for_certain_comes_first(
    records: list[Failure | None], cause: str
) -> None:
    job = batch_job("Host EC2 (i-1) terminated")
    assert outcomes.failure_of(Stage.PROCESS, job, iter(records)).cause == cause


def test_a_record_is_of_one_job_unless_a_submission_is_under_way() -> None:
    job = batch_job()
    assert is_awaited(StageRecord(batch_job_id="b"), job)
    assert not is_awaited(StageRecord(batch_job_id="other"), job)
    assert is_awaited(StageRecord(batch_job_id="other", submitting=True), job)


def test_an_event_that_is_not_batchs_is_refused_in_one_sentence() -> None:
    with pytest.raises(ContractError, match=r"^Batch event: jobName: is missing$"):
        decide.JobChange.from_event({"detail": {"jobId": "x", "status": "FAILED"}})
