"""A job that has ended is settled once, and somebody is told once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.base import ObjectRef
from contracts.job import SourceObject
from contracts.messages import Notification
from contracts.names import JOB_FAILED_ERROR, REJECTED_ERROR, ExitCode, JobStatus
from lambdas.completion import decide, handler
from tests.unit.lambdas.support import (
    CONTEXT,
    JOB,
    SOURCE,
    KilledError,
    World,
    registry_record,
    sqs_event,
)

READY = Notification(
    job_id=JOB,
    status=JobStatus.SUCCEEDED,
    source=SOURCE,
    result=ObjectRef(bucket="final", key=f"results/{JOB}/film.2x.mp4"),
    report=ObjectRef(bucket="final", key=f"results/{JOB}/report.json"),
)
BROKEN = Notification(
    job_id=JOB,
    status=JobStatus.FAILED,
    source=SOURCE,
    error=ExitCode.BAD_SOURCE.error,
    message="The film has no frames.",
)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(monkeypatch)
    made.serve(handler, made.completion_environment())
    made.add_record(registry_record())
    return made


def deliver(*notifications: Notification) -> list[str]:
    event = sqs_event(*(notification.to_json() for notification in notifications))
    answer = handler.handler(event, CONTEXT)
    return [item["itemIdentifier"] for item in answer["batchItemFailures"]]


def test_a_job_that_succeeded_is_settled_and_told(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    assert deliver(READY) == []
    record = world.record()
    assert record.status is JobStatus.SUCCEEDED
    assert record.result == READY.result
    assert record.report == READY.report
    assert record.updated_at != record.created_at
    [sent] = world.calls_of("Publish")
    assert sent["TopicArn"] == "arn:aws:sns:us-east-1:1:email"
    assert sent["Subject"] == "Superres: film.mp4 is ready"
    for fact in ("uploads/film.mp4", f"s3://final/results/{JOB}/film.2x.mp4", "report.json", JOB):
        assert fact in sent["Message"]
    assert '"JobsSucceeded":[1.0]' in capsys.readouterr().out


def test_a_mail_says_what_is_worth_knowing_and_nothing_else(world: World) -> None:
    remarks = ("1 damaged frame: frame 20", "not held: file: mood\nglad")
    deliver(READY.model_copy(update={"remarks": remarks}))
    [sent] = world.calls_of("Publish")
    assert sent["Message"].endswith(
        "\n\nWorth knowing:\n- 1 damaged frame: frame 20\n- not held: file: mood\\nglad\n"
    )
    assert "knowing" not in decide.write_email(READY).text


def test_a_mail_carries_its_jobs_status_for_subscriptions_to_filter_by(world: World) -> None:
    deliver(BROKEN)
    [sent] = world.calls_of("Publish")
    entry = "MessageAttributes.entry.1"
    assert sent[f"{entry}.Name"] == "status"
    assert sent[f"{entry}.Value.DataType"] == "String"
    assert sent[f"{entry}.Value.StringValue"] == "FAILED"


def test_a_job_that_failed_is_settled_and_told_with_its_sentence(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    assert deliver(BROKEN) == []
    record = world.record()
    assert (record.status, record.error, record.message) == (
        JobStatus.FAILED,
        "Superres.BadSource",
        "The film has no frames.",
    )
    [sent] = world.calls_of("Publish")
    assert sent["Subject"] == "Superres: film.mp4 failed"
    for fact in ("The film has no frames.", "What to do:", "Superres.BadSource", JOB):
        assert fact in sent["Message"]
    assert '"JobsFailed":[1.0]' in capsys.readouterr().out


@pytest.mark.parametrize(
    ("status", "subject", "text", "metric"),
    [
        (JobStatus.CANCELLED, "was cancelled", "was not upscaled", "JobsCancelled"),
        (JobStatus.TIMED_OUT, "took too long", "could not be upscaled", "JobsFailed"),
    ],
)
def test_an_end_from_outside_is_settled_and_told_as_what_it_is(
    world: World,
    status: JobStatus,
    subject: str,
    text: str,
    metric: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert deliver(BROKEN.model_copy(update={"status": status})) == []
    assert world.record().status is status
    [sent] = world.calls_of("Publish")
    assert sent["Subject"] == f"Superres: film.mp4 {subject}"
    assert text in sent["Message"]
    assert f'"{metric}":[1.0]' in capsys.readouterr().out


def test_a_redelivered_notification_does_nothing(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    deliver(READY)
    settled = world.record()
    assert deliver(READY) == []
    assert deliver(READY, READY) == []
    assert len(world.calls_of("Publish")) == 1
    assert world.record() == settled
    assert capsys.readouterr().out.count('"JobsSucceeded":[1.0]') == 1


def test_the_first_end_of_a_job_is_its_end(world: World) -> None:
    deliver(READY)
    deliver(BROKEN)
    assert world.record().status is JobStatus.SUCCEEDED
    assert len(world.calls_of("Publish")) == 1


@pytest.mark.logs_errors
def test_a_failing_topic_does_not_keep_the_status_back_and_loses_no_mail(world: World) -> None:
    world.refuse["Publish"] = "Throttled"
    assert deliver(READY) == ["m0"]
    assert world.record().status is JobStatus.SUCCEEDED
    world.refuse.clear()
    assert deliver(READY) == []
    assert len(world.calls_of("Publish")) == 1


def test_two_deliveries_at_once_send_one_mail(world: World) -> None:
    twin: list[list[str]] = []
    world.meanwhile["Publish"] = lambda: twin.append(deliver(READY))
    assert deliver(READY) == []
    assert twin == [["m0"]]
    assert len(world.calls_of("Publish")) == 1


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("call", [1, 2, 3, 4])
def test_after_a_death_at_any_call_somebody_is_told(world: World, call: int, moment: str) -> None:
    world.counted, world.kill_at = 0, (call, moment)
    with pytest.raises(KilledError):
        deliver(READY)
    world.kill_at = None
    world.pass_time()
    assert deliver(READY) == []
    assert world.record().status is JobStatus.SUCCEEDED
    # SNS knows no idempotency: only a death between its answer and our note tells twice.
    died_after_telling = (call, moment) in {(3, "after"), (4, "before")}
    assert len(world.calls_of("Publish")) == (2 if died_after_telling else 1)


def test_only_the_failed_record_of_a_batch_is_reported(world: World) -> None:
    answer = handler.handler(sqs_event("{}", READY.to_json(), "no json"), CONTEXT)
    assert [item["itemIdentifier"] for item in answer["batchItemFailures"]] == ["m0", "m2"]
    assert len(world.calls_of("Publish")) == 1


def test_a_job_that_the_registry_has_forgotten_is_told_all_the_same(world: World) -> None:
    assert deliver(READY.model_copy(update={"job_id": "unknown"})) == []
    assert world.item("job", "unknown") is None
    assert len(world.calls_of("Publish")) == 1


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (REJECTED_ERROR, "superres-* metadata"),
        (ExitCode.LIMIT_EXCEEDED.error, "other settings"),
        (ExitCode.SOURCE_MISSING.error, "leave it in place"),
        (JOB_FAILED_ERROR, "upload it again"),
        ("Something.New", "upload it again"),
    ],
)
def test_a_failure_says_what_to_do(error: str, advice: str) -> None:
    assert advice in decide.write_email(BROKEN.model_copy(update={"error": error})).text


def test_a_time_limit_is_explained_though_the_workflow_gives_no_cause() -> None:
    late = BROKEN.model_copy(update={"error": "States.Timeout", "message": ""})
    assert "Why:        A stage took longer than its time limit." in decide.write_email(late).text


@given(key=st.text(max_size=300), status=st.sampled_from([READY, BROKEN]))
def test_any_key_gives_a_mail_that_sns_takes(key: str, status: Notification) -> None:
    source = SourceObject(bucket="b", key="uploads/" + key, version_id="v", etag="e", size=0)
    mail = decide.write_email(status.model_copy(update={"source": source}))
    assert len(mail.subject) < 100
    assert all(" " <= c <= "~" for c in mail.subject)
    plain = decide.write_email(status)
    assert mail.text.count("\n") == plain.text.count("\n")
