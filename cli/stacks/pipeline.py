"""The client of a stack, on AWS or embedded: upload a film, follow its job, fetch the result."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from cli.errors import JobError
from cli.files import in_place
from cli.stacks.stack import Stack
from contracts import keys
from contracts.film.ledger import Progress, Report
from contracts.job import Settings, SourceObject, make_job_id
from contracts.messages import ExtractResult, RecomposeResult
from contracts.names import (
    CANCELLED_ERROR,
    JOB_FAILED_ERROR,
    JOB_TIMED_OUT_ERROR,
    Stage,
    execution_arn,
)

FINAL_STATES = frozenset({"SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"})

ENDS = {
    "FAILED": (JOB_FAILED_ERROR, "the workflow gave no reason"),
    "ABORTED": (CANCELLED_ERROR, "somebody stopped the job"),
    "TIMED_OUT": (JOB_TIMED_OUT_ERROR, "the job took longer than any job may"),
}
"""Error and sentence by the state in which an execution ended without giving its own."""


@dataclass(kw_only=True)
class Snapshot:
    """How far a job is at one moment."""

    state: str
    """RUNNING or a final state of the execution; WAITING before there is one."""
    stage: Stage | None = None
    frames: int = 0
    """Frames of the film; 0 until extract has counted them."""
    frames_done: int = 0
    shards: int = 0
    shards_done: int = 0
    error: str = ""
    message: str = ""
    output: dict[str, Any] = field(default_factory=dict)


class Pipeline:
    """The client of one stack; it follows one job at a time."""

    def __init__(self, stack: Stack) -> None:
        session = boto3.Session(region_name=stack.region, **stack.credentials)
        config = Config(retries={"mode": "standard", "max_attempts": 5})
        self._s3 = session.client("s3", endpoint_url=stack.endpoint, config=config)
        self._states = session.client("stepfunctions", endpoint_url=stack.endpoint, config=config)
        self._stack = stack
        self._extract: ExtractResult | None = None

    def store_model(self, files: Mapping[str, Path]) -> None:
        """Upload a user's model to where jobs look for it; `files` are its files by their keys."""
        for key, path in files.items():
            self._s3.upload_file(str(path), self._stack.outputs["source_bucket"], key)

    def upload(
        self, video: Path, settings: Settings, sent: Callable[[int], None]
    ) -> tuple[str, SourceObject]:
        """Upload a film and return (job id, pinned source).

        `sent` is called with the number of bytes in each part that was sent.
        """
        bucket, key = self._stack.outputs["source_bucket"], keys.upload_key(video.name)
        extra = {"Metadata": settings.to_metadata()}
        self._s3.upload_file(str(video), bucket, key, ExtraArgs=extra, Callback=sent)
        head = self._s3.head_object(Bucket=bucket, Key=key)
        source = SourceObject(
            bucket=bucket,
            key=key,
            version_id=head["VersionId"],
            etag=head["ETag"].strip('"'),
            size=head["ContentLength"],
        )
        return make_job_id(source, settings.to_json()), source

    def look(self, job_id: str) -> Snapshot:
        """Ask how far a job is."""
        machine = self._stack.outputs["state_machine_arn"]
        arn = execution_arn(machine, job_id)
        try:
            execution = self._states.describe_execution(executionArn=arn)
        except ClientError as error:
            if error.response["Error"]["Code"] == "ExecutionDoesNotExist":
                return Snapshot(state="WAITING")
            raise
        snapshot = Snapshot(state=execution["status"])
        if snapshot.state == "SUCCEEDED":
            snapshot.output = json.loads(execution["output"])
        elif snapshot.state in FINAL_STATES:
            error, message = ENDS[snapshot.state]
            snapshot.error = execution.get("error") or error
            snapshot.message = execution.get("cause") or message
        self._add_counts(job_id, snapshot)
        return snapshot

    def _add_counts(self, job_id: str, snapshot: Snapshot) -> None:
        """Fill in the stage, the frames and the shards."""
        if self._extract is None:
            text = self._text(keys.stage_result_key(job_id, Stage.EXTRACT))
            if text is None:
                snapshot.stage = Stage.EXTRACT
                return
            self._extract = ExtractResult.model_validate_json(text)
        snapshot.frames, snapshot.shards = self._extract.frames, self._extract.shards
        snapshot.shards_done = len(self._list(keys.shards_prefix(job_id)))
        texts = [self._text(key) for key in self._list(keys.progress_prefix(job_id))]
        done = [Progress.model_validate_json(text).frames for text in texts if text]
        snapshot.frames_done = min(sum(done), snapshot.frames)
        all_done = snapshot.shards_done >= snapshot.shards
        snapshot.stage = Stage.RECOMPOSE if all_done else Stage.PROCESS

    def _list(self, prefix: str) -> list[str]:
        pages = self._s3.get_paginator("list_objects_v2").paginate(
            Bucket=self._stack.outputs["intermediate_bucket"], Prefix=prefix
        )
        return [item["Key"] for page in pages for item in page.get("Contents", [])]

    def _text(self, key: str) -> str | None:
        try:
            bucket = self._stack.outputs["intermediate_bucket"]
            return self._s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode()
        except ClientError as error:
            if error.response["Error"]["Code"] in {"NoSuchKey", "404"}:
                return None
            raise

    def result(self, snapshot: Snapshot) -> tuple[RecomposeResult, Report]:
        """Read what a job that succeeded made, and its report."""
        result = RecomposeResult.model_validate(snapshot.output["recompose"])
        body = self._s3.get_object(Bucket=result.report.bucket, Key=result.report.key)["Body"]
        return result, Report.model_validate_json(body.read())

    def fetch(self, result: RecomposeResult, target: Path) -> None:
        """Download the result; `target` appears whole or not at all."""
        with in_place(target) as partial:
            self._s3.download_file(result.result.bucket, result.result.key, str(partial))

    def stage_seconds(self, job_id: str) -> dict[str, float]:
        """Read the wall seconds of each state of the execution from its history."""
        machine = self._stack.outputs["state_machine_arn"]
        arn = execution_arn(machine, job_id)
        pages = self._states.get_paginator("get_execution_history").paginate(executionArn=arn)
        entered: dict[str, datetime] = {}
        seconds: dict[str, float] = {}
        for event in (event for page in pages for event in page["events"]):
            if "stateEnteredEventDetails" in event:
                entered[event["stateEnteredEventDetails"]["name"]] = event["timestamp"]
            elif "stateExitedEventDetails" in event:
                name = event["stateExitedEventDetails"]["name"]
                passed = event["timestamp"] - entered.get(name, event["timestamp"])
                seconds[name] = round(passed.total_seconds(), 3)
        return seconds

    def failure(self, snapshot: Snapshot) -> JobError:
        """The error with which a command ends for a job that failed."""
        return JobError(snapshot.message, snapshot.error, str(self._stack.log_dir))
