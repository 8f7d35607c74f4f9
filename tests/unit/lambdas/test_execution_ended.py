"""Whatever ends an execution ends its Batch jobs, and nobody is left without word."""

from typing import Any

import pytest

from contracts.base import ContractError
from contracts.messages import Notification
from contracts.names import CANCELLED_ERROR, JobStatus, Stage, batch_job_name
from contracts.stack.environ import ExecutionEndedEnvironment
from lambdas.execution_ended import decide, handler
from tests.unit.lambdas.support import (
    CONTEXT,
    JOB,
    QUEUES,
    SOURCE,
    STATE_MACHINE,
    KilledError,
    World,
)

ARN = STATE_MACHINE.replace("stateMachine", "execution") + f":{JOB}"


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(monkeypatch)
    made.serve(handler, ExecutionEndedEnvironment(notification_topic_arn="topic", **QUEUES))
    made.start_job()
    return made


def hear(status: str) -> None:
    handler.handler({"detail": {"executionArn": ARN, "status": status}}, CONTEXT)


def told(world: World) -> list[Notification]:
    return [Notification.parse(said["Message"]) for said in world.calls_of("Publish")]


@pytest.mark.parametrize("status", ["ABORTED", "TIMED_OUT", "FAILED"])
def test_its_batch_jobs_of_all_stages_are_ended_and_only_those_that_run(
    world: World, status: str
) -> None:
    world.add_job(batch_job_name(JOB, Stage.EXTRACT), "SUCCEEDED")
    array = world.add_job(
        batch_job_name(JOB, Stage.PROCESS), "PENDING", arrayProperties={"size": 4}
    )
    late = world.add_job(batch_job_name(JOB, Stage.RECOMPOSE), "RUNNABLE")
    world.add_job(batch_job_name("another-film", Stage.PROCESS), "RUNNING")
    world.end_execution(status)
    hear(status)
    reason = f"The job's execution has ended: {status}"
    assert world.calls_of("TerminateJob") == [
        {"jobId": array, "reason": reason},
        {"jobId": late, "reason": reason},
    ]


def test_a_stopped_execution_is_told_as_cancelled(world: World) -> None:
    world.end_execution("ABORTED")
    hear("ABORTED")
    assert told(world) == [
        Notification(
            job_id=JOB,
            status=JobStatus.CANCELLED,
            source=SOURCE,
            error=CANCELLED_ERROR,
            message="Somebody stopped the job.",
        )
    ]


def test_who_stops_an_execution_may_say_why(world: World) -> None:
    world.end_execution("ABORTED", error="Budget", cause="The budget is used up.")
    hear("ABORTED")
    [news] = told(world)
    assert (news.error, news.message) == ("Budget", "The budget is used up.")


def test_an_execution_past_its_limit_is_told_as_timed_out(world: World) -> None:
    world.end_execution("TIMED_OUT", error="States.Timeout")
    hear("TIMED_OUT")
    [news] = told(world)
    assert (news.status, news.error) == (JobStatus.TIMED_OUT, "Superres.JobTimedOut")


def test_a_failure_is_told_by_the_workflow_itself(world: World) -> None:
    world.end_execution("FAILED")
    hear("FAILED")
    assert told(world) == []


@pytest.mark.parametrize("status", ["RUNNING", "SUCCEEDED"])
def test_the_event_is_only_a_hint(world: World, status: str) -> None:
    """A redriven execution runs again when the news of its failure arrives."""
    job = world.add_job(batch_job_name(JOB, Stage.PROCESS), "RUNNING")
    world.ended[JOB] = {"status": status}
    hear("FAILED")
    assert job in world.jobs
    assert world.calls_of("TerminateJob") == world.calls_of("Publish") == []


def test_an_unknown_execution_leaves_nothing_to_do(world: World) -> None:
    world.executions.clear()
    hear("ABORTED")
    assert world.calls_of("ListJobs") == []


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("call", [1, 2, 3, 4, 5, 6])
def test_a_death_at_any_call_is_made_good_by_redelivery(
    world: World, call: int, moment: str
) -> None:
    job = world.add_job(batch_job_name(JOB, Stage.PROCESS), "RUNNING")
    world.end_execution("ABORTED")
    world.counted, world.kill_at = 0, (call, moment)
    with pytest.raises(KilledError):
        hear("ABORTED")
    world.kill_at = None
    hear("ABORTED")
    assert world.jobs[job]["isTerminated"]
    assert told(world)


@pytest.mark.parametrize("event", [{}, {"detail": {}}, {"detail": {"executionArn": 5}}])
def test_an_event_that_is_not_of_step_functions_is_refused_in_one_sentence(
    event: dict[str, Any],
) -> None:
    with pytest.raises(ContractError, match=r"^Step Functions event: "):
        decide.execution_of(event)
