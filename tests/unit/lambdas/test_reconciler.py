"""The reconciler does what an event should have done: once, and for every running job."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aws_lambda_powertools.utilities.typing import LambdaContext

from contracts import keys
from contracts.base import ObjectRef
from contracts.messages import Notification, RecomposeResult
from contracts.names import (
    CANCELLED_ERROR,
    JOB_LOST_ERROR,
    NOT_STARTED_ERROR,
    NOT_SUBMITTED_ERROR,
    JobStatus,
    Stage,
)
from lambdas.reconciler import decide, handler
from tests.unit.lambdas.support import (
    CONTEXT,
    EXTRACTED,
    JOB,
    PROCESS,
    SOURCE,
    World,
    make_context,
    registry_record,
    stage_request,
)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(monkeypatch)
    made.serve(handler, made.reconciler_environment())
    made.start_job(created_at=datetime.now(UTC).isoformat())
    return made


def look(context: LambdaContext = CONTEXT) -> None:
    handler.handler({}, context)


def news(world: World) -> list[Notification]:
    return [Notification.parse(said["Message"]) for said in world.calls_of("Publish")]


def ask(world: World, token: str, minutes_ago: float, batch_job_id: str | None = None) -> None:
    """A stage function took a request up, and died unless it recorded a job."""
    moment = datetime.now(UTC) - timedelta(minutes=minutes_ago)
    request = stage_request(token=token)
    with world.registry.stage_lease(request, moment):
        world.live_tokens.add(token)
        if batch_job_id is not None:
            world.registry.finish_stage(request, batch_job_id)


def test_a_job_that_goes_well_is_only_looked_at(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.submitted_job("RUNNING")
    look()
    assert {name for name, _ in world.calls} == {"ListExecutions", "DescribeJobs"}
    assert "Repaired" not in capsys.readouterr().out


def test_a_stage_whose_job_has_ended_unheard_is_answered_once(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.submitted_job("SUCCEEDED", Stage.EXTRACT)
    world.put(keys.stage_result_key(JOB, Stage.EXTRACT), EXTRACTED.to_json())
    look()
    [answer] = world.calls_of("SendTaskSuccess")
    assert json.loads(answer["output"]) == json.loads(EXTRACTED.to_json())
    out = capsys.readouterr().out
    assert '"Repaired":[1.0]' in out
    assert '"StageSucceeded":[1.0]' in out
    look()
    assert '"Repaired"' not in capsys.readouterr().out


def test_a_failed_job_is_answered_with_its_reason(world: World) -> None:
    world.submitted_job("FAILED", statusReason="Host EC2 (i-1) terminated.")
    look()
    [answer] = world.calls_of("SendTaskFailure")
    assert "Host EC2 (i-1) terminated." in answer["cause"]


def test_only_the_last_stage_that_was_asked_for_can_be_waiting(world: World) -> None:
    world.submitted_job("SUCCEEDED", Stage.EXTRACT)
    running = world.submitted_job("RUNNING", Stage.PROCESS)
    look()
    assert world.calls_of("DescribeJobs") == [{"jobs": [running]}]
    assert world.live_tokens == {"t1"}


def test_a_submission_that_died_unrecorded_is_found_by_its_name(world: World) -> None:
    ask(world, "t1", minutes_ago=1)
    world.add_job(PROCESS, "SUCCEEDED")
    look()
    assert world.live_tokens == set()


def test_a_request_that_nobody_could_submit_fails_after_its_last_delivery(world: World) -> None:
    ask(world, "t1", minutes_ago=29)
    look()
    assert world.live_tokens == {"t1"}
    world.pass_time()
    ask(world, "t1", minutes_ago=31)
    look()
    [answer] = world.calls_of("SendTaskFailure")
    assert answer["error"] == NOT_SUBMITTED_ERROR
    assert answer["cause"] == "The process job could not be submitted."


def test_a_job_that_ended_before_a_token_came_does_not_answer_it(world: World) -> None:
    """Step Functions entered the stage anew; its new request is still to be submitted."""
    world.submitted_job("FAILED")
    world.live_tokens.clear()
    ask(world, "t2", minutes_ago=1)
    look()
    assert world.live_tokens == {"t2"}


def test_a_job_that_batch_has_lost_fails_its_stage(world: World) -> None:
    ask(world, "t1", minutes_ago=31, batch_job_id="forgotten")
    look()
    [answer] = world.calls_of("SendTaskFailure")
    assert answer["error"] == JOB_LOST_ERROR


@pytest.mark.parametrize(
    ("ended", "status", "error"),
    [
        ({"status": "ABORTED"}, JobStatus.CANCELLED, CANCELLED_ERROR),
        ({"status": "TIMED_OUT"}, JobStatus.TIMED_OUT, "Superres.JobTimedOut"),
        (
            {"status": "FAILED", "error": "Superres.BadSource", "cause": "No frames."},
            JobStatus.FAILED,
            "Superres.BadSource",
        ),
    ],
)
def test_an_end_that_nobody_told_is_told_and_its_work_ended(
    world: World, ended: dict[str, Any], status: JobStatus, error: str
) -> None:
    job = world.submitted_job("RUNNING")
    world.end_execution(**ended)
    look()
    [told] = news(world)
    assert (told.status, told.error, told.source) == (status, error, SOURCE)
    assert world.jobs[job]["isTerminated"]


def test_a_success_that_nobody_told_is_told_with_its_result(world: World) -> None:
    made = RecomposeResult(
        job_id=JOB,
        result=ObjectRef(bucket="final", key="results/film.2x.mp4"),
        report=ObjectRef(bucket="final", key="results/report.json"),
        frames=9,
        bytes=9,
        remarks=("1 damaged frame: frame 20",),
    )
    world.end_execution("SUCCEEDED", output=json.dumps({"recompose": made.model_dump()}))
    look()
    [told] = news(world)
    assert told.status is JobStatus.SUCCEEDED
    assert (told.result, told.report, told.remarks) == (made.result, made.report, made.remarks)


def test_news_that_may_still_be_on_its_way_is_waited_for(world: World) -> None:
    world.end_execution("FAILED", seconds_ago=60)
    look()
    assert news(world) == []


def test_a_job_that_was_told_is_not_looked_at_again(world: World) -> None:
    world.end_execution("FAILED")
    look()
    world.registry.settle(news(world)[0], datetime.now(UTC))
    world.calls.clear()
    look()
    assert {name for name, _ in world.calls} == {"ListExecutions"}


def test_a_job_whose_execution_never_began_is_told_when_nothing_can_start_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for hours, told in ((6, []), (8, [NOT_STARTED_ERROR])):
        world = World(monkeypatch)
        world.serve(handler, world.reconciler_environment())
        created = datetime.now(UTC) - timedelta(hours=hours)
        world.start_job(created_at=created.isoformat())
        world.executions.clear()
        look()
        assert [one.error for one in news(world)] == told


@pytest.mark.logs_errors
def test_one_jobs_fault_does_not_take_the_others_along(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.end_execution("SUCCEEDED", output="{}")
    other = registry_record().model_copy(
        update={"job_id": "other-film", "created_at": "2020-01-01T00:00:00+00:00"}
    )
    world.registry.create_job(other, datetime.now(UTC))
    look()
    assert [one.job_id for one in news(world)] == ["other-film"]
    assert "job not reconciled" in caplog.text


def test_more_jobs_than_a_page_are_all_looked_at_and_counted(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(120):
        record = registry_record().model_copy(update={"job_id": f"film-{number}"})
        world.registry.create_job(record, datetime.now(UTC))
        world.executions[f"film-{number}"] = "{}"
    look()
    assert '"RunningJobs":[121.0]' in capsys.readouterr().out


def test_a_round_without_time_left_ends_but_counts(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.submitted_job("SUCCEEDED")
    look(make_context(milliseconds_left=1))
    assert world.live_tokens == {"t1"}
    assert '"RunningJobs":[1.0]' in capsys.readouterr().out


@pytest.mark.parametrize(
    ("fields", "waited"),
    [
        ({"status": "RUNNING"}, 0),
        ({"status": "RUNNABLE"}, 100),
        ({"status": "RUNNABLE", "attempts": [{"stoppedAt": -40}]}, 40),
        ({"status": "PENDING", "arrayProperties": {"statusSummary": {"RUNNABLE": 3}}}, 100),
        (
            {
                "status": "PENDING",
                "arrayProperties": {"statusSummary": {"RUNNABLE": 3, "RUNNING": 1}},
            },
            0,
        ),
    ],
)
def test_the_oldest_wait_for_capacity_is_measured(
    world: World, fields: dict[str, Any], waited: int
) -> None:
    now = datetime.now(UTC)
    then = int(now.timestamp() * 1000)
    stops = [{"stoppedAt": then + a["stoppedAt"] * 1000} for a in fields.pop("attempts", [])]
    job = world.submitted_job(**fields, attempts=stops, createdAt=then - 100_000)
    found = world.batch.describe([job])
    assert decide.oldest_wait([*found.values()], now) == pytest.approx(waited, abs=0.01)


def test_waits_are_told_for_every_stage_even_where_nothing_waits(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.submitted_job("RUNNABLE")
    look()
    lines = [json.loads(x) for x in capsys.readouterr().out.splitlines() if "RunnableAge" in x]
    ages = {line["stage"]: line["RunnableAgeSeconds"][0] for line in lines}
    assert ages["extract"] == ages["recompose"] == 0
    assert ages["process"] > 0
