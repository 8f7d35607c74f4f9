"""Walks through the pipeline that between them ask for everything that a role may do.

Each walk drives the real functions, workers and state machine of an embedded stack, as events,
redeliveries, people and misfortunes do. Only the stage is set from outside: objects taken away,
a queue's news held back, a record that is hours old.
"""

import json
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import boto3
from boto3.dynamodb.types import TypeSerializer

from cli.embedded import Stack
from cli.pipeline import FINAL_STATES, Pipeline, Snapshot
from contracts import keys
from contracts.environ import WORKERS, Environment
from contracts.job import Container, Job, Settings, SourceObject, make_job_id
from contracts.messages import (
    REGISTRY_JOB_SORT,
    REGISTRY_OPEN,
    REGISTRY_PARTITION_KEY,
    REGISTRY_SORT_KEY,
    JobStatus,
    RegistryRecord,
    StageRequest,
)
from contracts.models import ModelName
from contracts.names import PROJECT, Stage, batch_job_name, execution_arn
from tests.media_support import make

T = TypeVar("T")
LONG_AGO = timedelta(hours=8)
"""Older than the reconciler waits for a job to be started."""
STAGE_FUNCTIONS = {
    Stage.EXTRACT: "extract-frames",
    Stage.PROCESS: "process-frames",
    Stage.RECOMPOSE: "recompose-video",
}


class Enough(Exception):  # noqa: N818 - not an error
    """What the walk was for has been seen."""


@dataclass
class Walker:
    """Walks on one stack. Raises TimeoutError where the pipeline does not get on."""

    stack: Stack
    enough: Callable[[], bool] = lambda: False
    patience_seconds: float = 120.0
    _clients: dict[str, Any] = field(default_factory=dict)

    def client(self, service: str) -> Any:
        if service not in self._clients:
            self._clients[service] = boto3.client(
                service,
                endpoint_url=self.stack.endpoint,
                region_name=self.stack.region,
                **self.stack.credentials,
            )
        return self._clients[service]

    @property
    def buckets(self) -> tuple[str, str]:
        """Source and intermediate."""
        return self.stack.outputs["source_bucket"], self.stack.outputs["intermediate_bucket"]

    def until(self, look: Callable[[], T | None], what: str) -> T:
        deadline = time.monotonic() + self.patience_seconds
        while time.monotonic() < deadline:
            if self.enough():
                raise Enough
            if found := look():
                return found
            time.sleep(0.05)
        raise TimeoutError(f"{what} (logs: {self.stack.log_dir})")

    def upload(self, name: str, **changes: Any) -> tuple[str, SourceObject]:
        """A short film with sound, cut for two workers; gives the job's id."""
        settings = Settings(
            model=ModelName.LANCZOS, shard_seconds=0.5, container=Container.MKV, **changes
        )
        with tempfile.TemporaryDirectory() as folder:
            film = make(Path(folder) / f"{name}.mkv", frames=50, width=64, height=36, audio="aac")
            return Pipeline(self.stack).upload(film, settings, lambda _: None)

    def drop(self, name: str, body: bytes) -> str:
        """Upload a file that is no film; gives the job's id."""
        metadata, key = Settings(model=ModelName.LANCZOS).to_metadata(), keys.upload_key(name)
        bucket = self.buckets[0]
        put = self.client("s3").put_object(Bucket=bucket, Key=key, Body=body, Metadata=metadata)
        source = SourceObject(
            bucket=bucket, key=key, version_id=put["VersionId"], etag=put["ETag"].strip('"'),
            size=len(body),
        )  # fmt: skip
        return make_job_id(source, Settings.from_metadata(metadata).to_json())

    def look(self, job_id: str) -> Snapshot:
        return Pipeline(self.stack).look(job_id)

    def finish(self, job_id: str, state: str) -> None:
        """Wait for the execution's end, which must be this."""

        def ended() -> Snapshot | None:
            now = self.look(job_id)
            return now if now.state in FINAL_STATES else None

        found = self.until(ended, f"{job_id} did not end")
        if found.state != state:
            raise AssertionError(f"{job_id} is {found.state}: {found.error} {found.message}")

    def function(self, short: str) -> str:
        """A function's name by its short one."""
        wanted = f"{PROJECT}-local-{short}-"
        pages = self.client("lambda").get_paginator("list_functions").paginate()
        named = [f["FunctionName"] for page in pages for f in page["Functions"]]
        (found,) = [name for name in named if name.startswith(wanted)]
        return found

    def call(self, short: str, event: Any) -> None:
        """Invoke a function and wait for it."""
        answer = self.client("lambda").invoke(
            FunctionName=self.function(short), Payload=json.dumps(event)
        )
        if "FunctionError" in answer and not self.enough():
            raise AssertionError(f"{short}: {answer['Payload'].read().decode()}")

    def submit(
        self, stage: Stage, job_id: str, command: list[str] | None = None, children: int = 1
    ) -> str:
        """A stage's own Batch job, without the workflow."""
        array = {"arrayProperties": {"size": children}} if children > 1 else {}
        name = WORKERS[stage].variable("job_id")
        overrides: dict[str, Any] = {"environment": [{"name": name, "value": job_id}]}
        if command:
            overrides["command"] = command
        return self.client("batch").submit_job(
            jobName=batch_job_name(job_id, stage),
            jobQueue=self._queue(stage),
            jobDefinition=self._definition(stage),
            containerOverrides=overrides,
            **array,
        )["jobId"]

    def job_ended(self, batch_job_id: str) -> None:
        def ended() -> bool:
            (job,) = self.client("batch").describe_jobs(jobs=[batch_job_id])["jobs"]
            return job["status"] in ("SUCCEEDED", "FAILED")

        self.until(ended, f"Batch job {batch_job_id} did not end")

    def at_work(self, stage: Stage, job_id: str) -> bool:
        """Whether Batch runs a stage of the job."""
        found = self.client("batch").list_jobs(
            jobQueue=self._queue(stage),
            filters=[{"name": "JOB_NAME", "values": [batch_job_name(job_id, stage)]}],
        )["jobSummaryList"]
        return any(job["status"] not in ("SUCCEEDED", "FAILED") for job in found)

    def has(self, key: str) -> bool:
        """Whether the intermediate bucket has the object."""
        found = self.client("s3").list_objects_v2(Bucket=self.buckets[1], Prefix=key)
        return found["KeyCount"] > 0

    def forget_source(self, source: SourceObject) -> None:
        self.client("s3").delete_object(
            Bucket=source.bucket, Key=source.key, VersionId=source.version_id
        )

    @contextmanager
    def unheard(self, short: str) -> Iterator[None]:
        """Keep from a function what its rule would tell it."""
        events = self.client("events")
        rules = events.list_rules(NamePrefix=f"{PROJECT}-local-{short}-")["Rules"]
        (name,) = [rule["Name"] for rule in rules]
        events.disable_rule(Name=name)
        try:
            yield
        finally:
            events.enable_rule(Name=name)

    @contextmanager
    def broken(self, short: str) -> Iterator[str]:
        """Let a function fail at every call; gives its name."""
        functions, name = self.client("lambda"), self.function(short)
        handler = functions.get_function_configuration(FunctionName=name)["Handler"]
        functions.update_function_configuration(FunctionName=name, Handler="lambdas.none.handler")
        try:
            yield name
        finally:
            functions.update_function_configuration(FunctionName=name, Handler=handler)

    def calm_down(self) -> None:
        """End whatever still runs."""
        states, machine = self.client("stepfunctions"), self.stack.outputs["state_machine_arn"]
        found = states.list_executions(stateMachineArn=machine, statusFilter="RUNNING")
        for execution in found["executions"]:
            states.stop_execution(executionArn=execution["executionArn"])
        batch = self.client("batch")
        for queue in {self._queue(stage) for stage in Stage}:
            for status in ("RUNNABLE", "STARTING", "RUNNING"):
                for job in batch.list_jobs(jobQueue=queue, jobStatus=status)["jobSummaryList"]:
                    batch.terminate_job(jobId=job["jobId"], reason="The walk is over.")

    def _queue(self, stage: Stage) -> str:
        output = "process_queue_arn" if stage is Stage.PROCESS else "media_queue_arn"
        return self.stack.outputs[output]

    def _definition(self, stage: Stage) -> str:
        found = self.client("batch").describe_job_definitions(status="ACTIVE")["jobDefinitions"]
        prefix = f"{PROJECT}-local-{stage.value}-"
        (arn,) = [d["jobDefinitionArn"] for d in found if d["jobDefinitionName"].startswith(prefix)]
        return arn


def success(walker: Walker) -> None:
    """A film goes all the way."""
    job_id, _ = walker.upload("success")
    walker.finish(job_id, "SUCCEEDED")


def bad_source(walker: Walker) -> None:
    """Extract gives up."""
    walker.finish(walker.drop("bad-source.mkv", b"not a film"), "FAILED")


def source_lost(walker: Walker) -> None:
    """The source is deleted while the film is worked on."""
    job_id, source = walker.upload("source-lost")
    result = keys.stage_result_key(job_id, Stage.EXTRACT)
    walker.until(lambda: walker.has(result), f"{job_id} was not extracted")
    walker.forget_source(source)
    walker.finish(job_id, "FAILED")


def sidecar_lost(walker: Walker) -> None:
    """What recompose needs is gone."""
    job_id, _ = walker.upload("sidecar-lost")
    result = keys.stage_result_key(job_id, Stage.EXTRACT)
    walker.until(lambda: walker.has(result), f"{job_id} was not extracted")
    walker.client("s3").delete_object(Bucket=walker.buckets[1], Key=keys.sidecar_key(job_id))
    walker.finish(job_id, "FAILED")


def cancellation(walker: Walker) -> None:
    """Somebody stops the job while it is worked on; then its messages come once more."""
    job_id, _ = walker.upload("cancelled")
    walker.until(lambda: walker.at_work(Stage.PROCESS, job_id), f"{job_id} was not processed")
    arn = execution_arn(walker.stack.outputs["state_machine_arn"], job_id)
    walker.client("stepfunctions").stop_execution(executionArn=arn)
    walker.finish(job_id, "ABORTED")
    for stage, function in STAGE_FUNCTIONS.items():
        request = StageRequest(job_id=job_id, stage=stage, task_token=f"late-{stage.value}")
        record = {
            "messageId": stage.value, "receiptHandle": "-", "body": request.to_json(),
            "attributes": {"ApproximateReceiveCount": "2"}, "messageAttributes": {},
            "eventSource": "aws:sqs", "eventSourceARN": "arn:aws:sqs:::-", "awsRegion": "-",
        }  # fmt: skip
        walker.call(function, {"Records": [record]})


def nothing_told(walker: Walker) -> None:
    """The news of Batch jobs are lost: the reconciler tells how each stage ended, well or badly."""
    with walker.unheard("job-state"):
        whole, _ = walker.upload("untold")
        without_source, source = walker.upload("untold-source")
        without_sidecar, _ = walker.upload("untold-sidecar")
        bad = walker.drop("untold-bad.mkv", b"not a film")
        for job_id in (without_source, without_sidecar):
            result = keys.stage_result_key(job_id, Stage.EXTRACT)
            walker.until(lambda result=result: walker.has(result), f"{job_id} was not extracted")
        walker.forget_source(source)
        sidecar = keys.sidecar_key(without_sidecar)
        walker.client("s3").delete_object(Bucket=walker.buckets[1], Key=sidecar)
        ends = dict.fromkeys((bad, without_source, without_sidecar), "FAILED")
        _reconcile_until_ended(walker, [whole, *ends])
        for job_id, state in {whole: "SUCCEEDED", **ends}.items():
            walker.finish(job_id, state)


def never_started(walker: Walker) -> None:
    """A job that was recorded hours ago and has no execution, but a Batch job: it is ended."""
    now, job_id = datetime.now(UTC), f"never-started-{time.time_ns():x}"
    before = (now - LONG_AGO).isoformat()
    source = SourceObject(
        bucket=walker.buckets[0], key=keys.upload_key("never.mkv"), version_id="1", etag="1", size=1
    )
    record = RegistryRecord(
        job_id=job_id, status=JobStatus.RUNNING, source=source, created_at=before, updated_at=before
    )
    item = {
        **record.model_dump(mode="json", exclude_none=True),
        REGISTRY_PARTITION_KEY: job_id,
        REGISTRY_SORT_KEY: REGISTRY_JOB_SORT,
        REGISTRY_OPEN: "yes",
    }
    walker.client("dynamodb").put_item(
        TableName=walker.stack.outputs["registry_table"],
        Item={name: TypeSerializer().serialize(value) for name, value in item.items()},
    )
    running = walker.submit(
        Stage.RECOMPOSE, job_id, ["python", "-c", "import time; time.sleep(99)"]
    )
    walker.call("reconciler", {})
    walker.job_ended(running)


def source_gone_early(walker: Walker) -> None:
    """The source is gone before the trigger, and before extract, look at it."""
    bucket, key = walker.buckets[0], keys.upload_key("gone.mkv")
    upload = {"key": key, "size": 1, "etag": "1", "version-id": "gone", "sequencer": "00"}
    event = {
        "source": "aws.s3",
        "detail-type": "Object Created",
        "detail": {"bucket": {"name": bucket}, "object": upload},
    }
    walker.call("trigger", event)
    source = SourceObject(bucket=bucket, key=key, version_id="gone", etag="1", size=1)
    job = Job(job_id="gone-early", source=source, settings=Settings(model=ModelName.LANCZOS))
    walker.client("s3").put_object(
        Bucket=walker.buckets[1], Key=keys.job_key(job.job_id), Body=job.to_json().encode()
    )
    walker.job_ended(walker.submit(Stage.EXTRACT, job.job_id))


def child_lost(walker: Walker) -> None:
    """A child of an array fails for good, for there is no plan, while others still wait: the array
    is ended."""
    array = walker.submit(Stage.PROCESS, f"child-lost-{time.time_ns():x}", children=30)
    walker.job_ended(array)


BREAKING_UPLOAD = """
import io, os
from contracts.environ import {model}
from containers.common.storage import Store
from containers.common.worker import s3_client

class Broken(io.RawIOBase):
    sent = 0
    def readable(self): return True
    def read(self, size=-1):
        self.sent += 1
        if self.sent > 12: raise OSError("the disk is broken")
        return bytes(max(0, size) or 1 << 20)

class File:
    def open(self, mode): return Broken()

settings = {model}.read(os.environ)
Store(s3_client()).upload(File(), settings.{bucket}, {key!r}, "video/x-matroska")
"""


def upload_breaks_off(walker: Walker) -> None:
    """A large file cannot be read to its end: its upload is aborted."""
    places = {
        Stage.EXTRACT: ("intermediate_bucket", keys.sidecar_key("breaks-off")),
        Stage.RECOMPOSE: ("final_bucket", f"{keys.RESULTS}breaks-off/film.mkv"),
    }
    for stage, (bucket, key) in places.items():
        model: type[Environment] = WORKERS[stage]
        code = BREAKING_UPLOAD.format(model=model.__name__, bucket=bucket, key=key)
        walker.job_ended(walker.submit(stage, "breaks-off", ["python", "-c", code]))


def lost_events(walker: Walker) -> None:
    """An event that a function cannot handle goes to its dead letters."""
    shorts = ("trigger", "job-state", "execution-ended")
    before = {short: _dead_letters(walker, short) for short in shorts}
    for short in shorts:
        walker.client("lambda").invoke(
            FunctionName=walker.function(short), InvocationType="Event", Payload=b'{"detail": 0}'
        )
    for short, known in before.items():
        _await_dead_letter(walker, short, known)


def lost_round(walker: Walker) -> None:
    """A round that the reconciler cannot do, whatever it is told."""
    known = _dead_letters(walker, "reconciler")
    with walker.broken("reconciler") as name:
        walker.client("lambda").invoke(FunctionName=name, InvocationType="Event", Payload=b"{}")
        _await_dead_letter(walker, "reconciler", known)


Walk = Callable[[Walker], None]
TOLD: tuple[Walk, ...] = (  # child_lost before source_lost, which ends an array only at times
    success,
    bad_source,
    child_lost,
    source_lost,
    sidecar_lost,
    cancellation,
    source_gone_early,
    upload_breaks_off,
    lost_events,
    lost_round,
)
UNTOLD: tuple[Walk, ...] = (nothing_told, never_started)
"""Those that the reconciler ends. Not beside the others, from whom they keep news too."""


def _reconcile_until_ended(walker: Walker, job_ids: Sequence[str]) -> None:
    def step() -> bool:
        walker.call("reconciler", {})
        return all(walker.look(job_id).state in FINAL_STATES for job_id in job_ids)

    walker.until(step, f"{', '.join(job_ids)}: not reconciled")


def _await_dead_letter(walker: Walker, short: str, known: int) -> None:
    walker.until(lambda: _dead_letters(walker, short) > known, f"no dead letter of {short}")


def _dead_letters(walker: Walker, short: str) -> int:
    sqs, prefix = walker.client("sqs"), f"{PROJECT}-local-{short}-dlq-"
    (url,) = sqs.list_queues(QueueNamePrefix=prefix)["QueueUrls"]
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])
    return int(found["Attributes"]["ApproximateNumberOfMessages"])
