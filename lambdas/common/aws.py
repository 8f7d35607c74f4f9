"""Small typed adapters over AWS clients: a method makes one call, and turns errors that mean
something into values."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import boto3
from botocore.client import BaseClient
from botocore.config import Config
from botocore.exceptions import ClientError

from contracts.limits import BATCH_DESCRIBE_JOBS_MAX
from lambdas.common.values import BatchJob, ObjectHead, StoredObject, WorkflowExecution

_GONE = frozenset({"404", "405", "NoSuchKey", "NoSuchVersion", "MethodNotAllowed"})
"""405: the version is a delete marker."""
_DEAD_TOKEN = frozenset({"TaskTimedOut", "InvalidToken", "TaskDoesNotExist"})


def make_client(service: str, attempts: int = 3) -> BaseClient:
    """A client whose waits stay far below a function's time limit."""
    return boto3.client(
        service,
        config=Config(
            connect_timeout=3,
            read_timeout=10,
            retries={"mode": "standard", "total_max_attempts": attempts},
        ),
    )


def error_code(error: ClientError) -> str:
    return error.response.get("Error", {}).get("Code", "")


class ObjectClient:
    """S3 objects."""

    def __init__(self, s3: BaseClient) -> None:
        self._s3 = s3

    def head(self, bucket: str, key: str, version_id: str) -> ObjectHead | None:
        """None if that version is gone."""
        try:
            answer = self._s3.head_object(Bucket=bucket, Key=key, VersionId=version_id)
        except ClientError as error:
            if error_code(error) in _GONE:
                return None
            raise
        return ObjectHead(
            size=answer["ContentLength"],
            etag=answer["ETag"].strip('"'),
            metadata=answer["Metadata"],
        )

    def create(self, bucket: str, key: str, body: str) -> bool:
        """Write JSON once; False if the object exists already."""
        try:
            self._s3.put_object(
                Bucket=bucket,
                Key=key,
                Body=body.encode(),
                ContentType="application/json",
                IfNoneMatch="*",
            )
        except ClientError as error:
            if error_code(error) == "PreconditionFailed":
                return False
            raise
        return True

    def read(self, bucket: str, key: str, limit: int) -> bytes | None:
        """At most `limit` bytes, for a worker near hostile media wrote it; None if absent.

        S3 answers "access denied" for an absent object to callers who may not list the bucket.
        """
        try:
            answer = self._s3.get_object(Bucket=bucket, Key=key)
        except ClientError as error:
            if error_code(error) in _GONE | {"AccessDenied"}:
                return None
            raise
        with answer["Body"] as body:
            return body.read(limit)

    def list(self, bucket: str, prefix: str) -> Iterator[StoredObject]:
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        for page in pages:
            for item in page.get("Contents", []):
                yield StoredObject(key=item["Key"], modified=item["LastModified"])


class WorkflowClient:
    """Step Functions."""

    def __init__(self, stepfunctions: BaseClient) -> None:
        self._stepfunctions = stepfunctions

    def start(self, state_machine_arn: str, name: str, execution_input: str) -> bool:
        """False if an execution of that name has ended or runs with another input.

        While it runs, the same name and input give the running execution: True.
        """
        try:
            self._stepfunctions.start_execution(
                stateMachineArn=state_machine_arn, name=name, input=execution_input
            )
        except ClientError as error:
            if error_code(error) == "ExecutionAlreadyExists":
                return False
            raise
        return True

    def describe(self, execution_arn: str) -> WorkflowExecution | None:
        """None if there is no such execution."""
        try:
            answer = self._stepfunctions.describe_execution(executionArn=execution_arn)
        except ClientError as error:
            if error_code(error) == "ExecutionDoesNotExist":
                return None
            raise
        return WorkflowExecution(
            status=answer["status"],
            input=answer.get("input") or "",
            output=answer.get("output") or "",
            error=answer.get("error") or "",
            cause=answer.get("cause") or "",
            stopped_at=answer.get("stopDate"),
        )

    def running_names(self, state_machine_arn: str) -> frozenset[str]:
        """Names of all running executions; a call lists up to a thousand."""
        pages = self._stepfunctions.get_paginator("list_executions").paginate(
            stateMachineArn=state_machine_arn, statusFilter="RUNNING"
        )
        return frozenset(item["name"] for page in pages for item in page["executions"])

    def send_success(self, token: str, output: str) -> bool:
        """False if nothing waits for the token any more."""
        return self._unless_dead(
            self._stepfunctions.send_task_success, taskToken=token, output=output
        )

    def send_failure(self, token: str, error: str, cause: str) -> bool:
        """False if nothing waits for the token any more."""
        return self._unless_dead(
            self._stepfunctions.send_task_failure, taskToken=token, error=error, cause=cause
        )

    @staticmethod
    def _unless_dead(call: Callable[..., object], **arguments: str) -> bool:
        try:
            call(**arguments)
        except ClientError as error:
            if error_code(error) in _DEAD_TOKEN:
                return False
            raise
        return True


class BatchClient:
    """AWS Batch, but for the submission of jobs."""

    def __init__(self, batch: BaseClient) -> None:
        self._batch = batch

    def list_named(self, queue: str, name: str) -> list[BatchJob]:
        """All jobs of that name that Batch remembers, whatever their status."""
        pages = self._batch.get_paginator("list_jobs").paginate(
            jobQueue=queue, filters=[{"name": "JOB_NAME", "values": [name]}]
        )
        found = (_batch_job(item) for page in pages for item in page["jobSummaryList"])
        return [job for job in found if job.name == name]  # the filter ignores case

    def describe(self, job_ids: Sequence[str]) -> dict[str, BatchJob]:
        """By id, at most 100; ids that Batch does not know are missing."""
        answer = self._batch.describe_jobs(jobs=list(job_ids[:BATCH_DESCRIBE_JOBS_MAX]))
        return {item["jobId"]: _batch_job(item) for item in answer["jobs"]}

    def terminate(self, job_id: str, reason: str) -> None:
        self._batch.terminate_job(jobId=job_id, reason=reason)


class BatchSubmitter:
    """Submits AWS Batch jobs."""

    def __init__(self, batch: BaseClient) -> None:
        """`batch` must not retry by itself: SubmitJob has no idempotency token, so a retry after a
        lost answer would start a second job. The queue's redelivery looks for the job first."""
        self._batch = batch

    def submit(self, arguments: Mapping[str, Any]) -> str:
        """The new job's id."""
        return self._batch.submit_job(**arguments)["jobId"]


def _batch_job(item: Mapping[str, Any]) -> BatchJob:
    container = item.get("container") or {}
    return BatchJob(
        job_id=item["jobId"],
        name=item["jobName"],
        status=item.get("status", ""),
        created_at=item.get("createdAt", 0),
        status_reason=item.get("statusReason") or "",
        exit_code=container.get("exitCode"),
        container_reason=container.get("reason") or "",
        array_size=(item.get("arrayProperties") or {}).get("size"),
        ending=bool(item.get("isTerminated") or item.get("isCancelled")),
        waiting_since=_waiting_since(item),
    )


def _waiting_since(item: Mapping[str, Any]) -> int | None:
    """An array is PENDING until all its children have ended; their counts show more."""
    children = (item.get("arrayProperties") or {}).get("statusSummary") or {}
    working = children.get("STARTING", 0) + children.get("RUNNING", 0)
    if item.get("status") != "RUNNABLE" and (not children.get("RUNNABLE") or working):
        return None
    stops = [attempt.get("stoppedAt") or 0 for attempt in item.get("attempts") or ()]
    return max([item.get("createdAt", 0), *stops])


class TopicPublisher:
    """Publishes to one SNS topic."""

    def __init__(self, sns: BaseClient, arn: str) -> None:
        self._sns = sns
        self._arn = arn

    def publish_email(self, subject: str, text: str, attributes: Mapping[str, str]) -> None:
        """Publish what people read; subscriptions may filter by the attributes."""
        self._sns.publish(
            TopicArn=self._arn,
            Subject=subject,
            Message=text,
            MessageAttributes={
                name: {"DataType": "String", "StringValue": value}
                for name, value in attributes.items()
            },
        )

    def publish_json(self, message: str) -> None:
        """Publish what a program reads."""
        self._sns.publish(TopicArn=self._arn, Message=message)
