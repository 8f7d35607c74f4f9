"""What a walk does to an embedded stack, and how it waits for what comes of it."""

import json
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import boto3

from cli.stacks.pipeline import FINAL_STATES, Pipeline, Snapshot
from cli.stacks.stack import Stack
from contracts import keys
from contracts.job import Container, Settings, SourceObject, make_job_id
from contracts.models import ModelName
from contracts.names import PROJECT, Stage, batch_job_name
from contracts.stack.environ import WORKERS
from tests.support.films import make

T = TypeVar("T")


class Enough(Exception):  # noqa: N818 - not an error
    """What the walk was for has been seen."""


@dataclass
class Walker:
    """Walks on one stack. Raises TimeoutError where the pipeline does not get on."""

    stack: Stack
    enough: Callable[[], bool] = lambda: False
    patience_seconds: float = 120.0
    _clients: dict[str, Any] = field(default_factory=dict)
    _pipelines: dict[str, Pipeline] = field(default_factory=dict)
    """By job: making one costs more than many looks."""

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
        fields = {"model": ModelName.LANCZOS, "shard_seconds": 0.5, "container": Container.MKV}
        settings = Settings.parse({**fields, **changes})
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
        if job_id not in self._pipelines:
            self._pipelines[job_id] = Pipeline(self.stack)
        return self._pipelines[job_id].look(job_id)

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
