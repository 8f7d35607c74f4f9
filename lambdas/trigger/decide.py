"""What an upload becomes: a job, a refusal, or nothing. Pure."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from pydantic import BaseModel, Field, ValidationError

from contracts.base import ContractError, explain
from contracts.job import Job, Settings, SourceObject, make_job_id
from contracts.keys import LONGEST_EXTENSION, result_key
from contracts.limits import S3_KEY_BYTES
from contracts.messages import ErrorInfo, ExecutionInput, RegistryRecord
from contracts.names import METADATA_PREFIX, REJECTED_ERROR, JobStatus, execution_arn
from lambdas.common.values import ObjectHead


class _Bucket(BaseModel):
    name: str


class _Object(BaseModel):
    key: str
    version_id: str = Field(alias="version-id")


class Upload(BaseModel):
    """The part of an S3 "Object Created" event from EventBridge that matters.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html
    Keys are plain, not URL-encoded as in S3's own notifications.
    """

    bucket: _Bucket
    object: _Object

    @classmethod
    def from_event(cls, event: dict[str, Any]) -> Self:
        """Raises ContractError, for example if the bucket keeps no versions."""
        try:
            return cls.model_validate(event.get("detail"))
        except ValidationError as error:
            raise ContractError("S3 event: " + explain(error)) from error

    @property
    def is_folder(self) -> bool:
        """Consoles create an empty object whose key ends in a slash to show a folder."""
        return self.object.key.endswith("/")


@dataclass(frozen=True, kw_only=True)
class JobStart:
    """All that the trigger writes. `job` is None if the settings were refused."""

    job: Job | None
    execution: ExecutionInput

    @property
    def job_id(self) -> str:
        return self.execution.job_id

    @property
    def execution_json(self) -> str:
        """Without nulls: the workflow asks whether `$.error` is present."""
        return self.execution.model_dump_json(exclude_none=True)

    def record(self, state_machine_arn: str, now: datetime) -> RegistryRecord:
        return RegistryRecord(
            job_id=self.job_id,
            status=JobStatus.RUNNING,
            source=self.execution.source,
            execution_arn=execution_arn(state_machine_arn, self.job_id),
            created_at=now.isoformat(),
            updated_at=now.isoformat(),
        )


def plan(upload: Upload, head: ObjectHead) -> JobStart:
    """Judge the settings in the upload's metadata. The same upload always gives the same plan."""
    source = SourceObject(
        bucket=upload.bucket.name,
        key=upload.object.key,
        version_id=upload.object.version_id,
        etag=head.etag,
        size=head.size,
    )
    try:
        settings = Settings.from_metadata(head.metadata)
        _check_name(source, settings)
    except ContractError as error:
        ours = {k: v for k, v in head.metadata.items() if k.startswith(METADATA_PREFIX)}
        job_id = make_job_id(source, json.dumps(ours, sort_keys=True))
        info = ErrorInfo(Error=REJECTED_ERROR, Cause=str(error))
        return JobStart(
            job=None, execution=ExecutionInput(job_id=job_id, source=source, error=info)
        )
    job_id = make_job_id(source, settings.to_json())
    return JobStart(
        job=Job(job_id=job_id, source=source, settings=settings),
        execution=ExecutionInput(job_id=job_id, source=source),
    )


def _check_name(source: SourceObject, settings: Settings) -> None:
    """The result's key keeps the upload's name. Raises ContractError if it would not fit."""
    job_id = make_job_id(source, settings.to_json())
    key = result_key(job_id, source.key, settings.label, LONGEST_EXTENSION)
    over = len(key.encode()) - S3_KEY_BYTES
    if over > 0:
        raise ContractError(
            f"the file's name is {over} bytes too long: its result's would have "
            f"{S3_KEY_BYTES + over}, the limit is {S3_KEY_BYTES}; choose a shorter name"
        )
