"""A job that is stopped: its work ends, the registry knows, and one mail is written."""

from pathlib import Path
from typing import Any

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer

from contracts.job import Settings, SourceObject
from contracts.messages import REGISTRY_JOB_SORT, REGISTRY_OPEN, RegistryRecord
from contracts.models import ModelName
from contracts.names import NOT_STARTED_ERROR, JobStatus, Stage, execution_arn
from tests.e2e.support import SAMPLE, Bench, eventually


def item(bench: Bench, job_id: str) -> dict[str, Any]:
    found = bench.client("dynamodb").get_item(
        TableName=bench.stack.outputs["registry_table"],
        Key={"pk": {"S": job_id}, "sk": {"S": REGISTRY_JOB_SORT}},
    )["Item"]
    return {name: TypeDeserializer().deserialize(value) for name, value in found.items()}


def arn(bench: Bench, job_id: str) -> str:
    return execution_arn(bench.stack.outputs["state_machine_arn"], job_id)


def ended_as(bench: Bench, job_id: str, status: JobStatus) -> RegistryRecord:
    """Wait until the registry says so."""

    def look() -> RegistryRecord | None:
        found = item(bench, job_id)
        record = RegistryRecord.from_item(found)
        assert record.status in {JobStatus.RUNNING, status}
        assert (REGISTRY_OPEN in found) is (record.status is JobStatus.RUNNING)
        return record if record.status is status else None

    return eventually(look)


def test_a_stopped_execution_ends_its_batch_jobs_and_is_told_once(bench: Bench) -> None:
    settings = Settings(model=ModelName.ANIMEVIDEOV3, shard_seconds=0.6)
    job_id = bench.upload(SAMPLE, settings)
    batch, states = bench.client("batch"), bench.client("stepfunctions")

    def started() -> str | None:
        for parent in bench.batch_jobs(job_id, Stage.PROCESS):
            children = batch.list_jobs(arrayJobId=parent["jobId"], jobStatus="RUNNING")
            return parent["jobId"] if children["jobSummaryList"] else None
        return None

    parent = eventually(started)
    states.stop_execution(executionArn=arn(bench, job_id), cause="Changed my mind.")

    def ended() -> list[dict[str, Any]] | None:
        jobs = batch.describe_jobs(jobs=[parent, f"{parent}:0", f"{parent}:1"])["jobs"]
        return jobs if all(job["status"] == "FAILED" for job in jobs) else None

    for job in eventually(ended)[1:]:
        assert job["statusReason"] == "The job's execution has ended: ABORTED"
    record = ended_as(bench, job_id, JobStatus.CANCELLED)
    assert (record.stage, record.message) == (Stage.PROCESS, "Changed my mind.")
    (mail,) = bench.mails(job_id)
    assert mail["Subject"] == "Superres: bunny.mp4 was cancelled"
    assert bench.batch_jobs(job_id, Stage.RECOMPOSE) == []


def reconcile(bench: Bench) -> None:
    client = bench.client("lambda")
    (name,) = [
        f["FunctionName"]
        for f in client.list_functions()["Functions"]
        if "reconciler" in f["FunctionName"]
    ]
    answer = client.invoke(FunctionName=name, Payload=b"{}")
    assert "FunctionError" not in answer, answer["Payload"].read()


def test_a_film_comes_through_though_no_end_of_a_job_is_heard(bench: Bench, tiny: Path) -> None:
    """The reconciler, called here in place of its schedule, answers for every stage."""
    events = bench.client("events")
    (rule,) = [r["Name"] for r in events.list_rules()["Rules"] if "job-state" in r["Name"]]
    states = bench.client("stepfunctions")
    events.disable_rule(Name=rule)
    try:
        job_id = bench.upload(tiny, Settings(model=ModelName.LANCZOS, shard_seconds=0.5))

        def done() -> str | None:
            reconcile(bench)
            try:
                found = states.describe_execution(executionArn=arn(bench, job_id))
            except states.exceptions.ExecutionDoesNotExist:
                return None
            return None if found["status"] == "RUNNING" else found["status"]

        assert eventually(done) == "SUCCEEDED"
    finally:
        events.enable_rule(Name=rule)
    ended_as(bench, job_id, JobStatus.SUCCEEDED)
    (mail,) = bench.mails(job_id)
    assert "is ready" in mail["Subject"]


def test_a_film_whose_job_never_began_is_not_forgotten(bench: Bench) -> None:
    job_id = "forgotten-0123456789abcdef0123"
    old = "2026-01-01T00:00:00+00:00"
    record = RegistryRecord(
        job_id=job_id,
        status=JobStatus.RUNNING,
        source=SourceObject(bucket="b", key="uploads/f.mp4", version_id="v", etag="e", size=1),
        created_at=old,
        updated_at=old,
    )
    fields = {
        "pk": job_id,
        "sk": REGISTRY_JOB_SORT,
        REGISTRY_OPEN: "yes",
        **record.model_dump(mode="json", exclude_none=True),
    }
    bench.client("dynamodb").put_item(
        TableName=bench.stack.outputs["registry_table"],
        Item={name: TypeSerializer().serialize(value) for name, value in fields.items()},
    )
    reconcile(bench)
    assert ended_as(bench, job_id, JobStatus.FAILED).error == NOT_STARTED_ERROR
    (mail,) = bench.mails(job_id)
    assert "f.mp4 failed" in mail["Subject"]


def test_the_clock_calls_the_reconciler(bench: Bench) -> None:
    """Once a minute in the local stack."""
    logs = bench.client("logs")

    def called() -> list[str]:
        found = logs.filter_log_events(logGroupName="/superres-local/functions/reconciler")
        return [e["message"] for e in found["events"] if '"called_by":"aws.events"' in e["message"]]

    assert eventually(called)
