"""Walks through the pipeline that between them ask for everything that a role may do.

Each walk drives the real functions, workers and state machine of an embedded stack, as events,
redeliveries, people and misfortunes do. Only the stage is set from outside: objects taken away,
a queue's news held back, a record that is hours old.
"""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from boto3.dynamodb.types import TypeSerializer

from cli.models.users_models import inspect_model, models_dir
from cli.models.weights import ensure_weights, weights_dir
from cli.stacks.pipeline import FINAL_STATES, Pipeline
from components.workloads import STAGE_FUNCTIONS
from contracts import keys
from contracts.job import Job, Settings, SourceObject
from contracts.messages import (
    REGISTRY_JOB_SORT,
    REGISTRY_OPEN,
    REGISTRY_PARTITION_KEY,
    REGISTRY_SORT_KEY,
    JobStatus,
    RegistryRecord,
    StageRequest,
)
from contracts.models import ModelName, weights_file
from contracts.names import PROJECT, Stage, execution_arn
from contracts.stack.environ import WORKERS, Environment
from tools.least_privilege.walker import Walker

LONG_AGO = timedelta(hours=8)
"""Older than the reconciler waits for a job to be started."""
ENDLESS = ["python", "-c", "import time; time.sleep(999)"]


def success(walker: Walker) -> None:
    """A film goes all the way."""
    job_id, _ = walker.upload("success")
    walker.finish(job_id, "SUCCEEDED")


def users_model(walker: Walker) -> None:
    """A film goes through a model that its user brought."""
    ensure_weights(ModelName.ANIMEVIDEOV3)
    file = weights_dir() / weights_file(ModelName.ANIMEVIDEOV3)
    model = inspect_model(file, models_dir())
    Pipeline(walker.stack).store_model(model.files)
    job_id, _ = walker.upload("users-model", model=model.name)
    walker.finish(job_id, "SUCCEEDED")


def other_extractions(walker: Walker) -> None:
    """Films whose pictures extract writes down, for the workers or for their user."""
    for mode in ("shards", "frames"):
        job_id, _ = walker.upload(mode, extraction=mode)
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
    walker.until(lambda: walker.look(job_id).stage, f"{job_id} did not start")
    running = walker.submit(Stage.RECOMPOSE, job_id, ENDLESS)
    arn = execution_arn(walker.stack.outputs["state_machine_arn"], job_id)
    walker.client("stepfunctions").stop_execution(executionArn=arn)
    walker.finish(job_id, "ABORTED")
    walker.job_ended(running)
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
    running = walker.submit(Stage.RECOMPOSE, job_id, ENDLESS)
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
from contracts.stack.environ import {model}
from containers.common.runtime.storage import S3Store
from containers.common.runtime.worker import s3_client

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
S3Store(s3_client()).upload(File(), settings.{bucket}, {key!r}, content_type="video/x-matroska")
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
    users_model,
    other_extractions,
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
