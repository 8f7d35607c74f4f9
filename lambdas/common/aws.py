"""Small typed adapters over AWS clients: a method is one call and the errors that mean a value."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from contracts.limits import BATCH_DESCRIBE_JOBS_MAX
from lambdas.common.values import BatchJob, Execution, ObjectHead, StoredObject

_GONE = frozenset({"404", "405", "NoSuchKey", "NoSuchVersion", "MethodNotAllowed"})
"""405: the version is a delete marker."""
_DEAD_TOKEN = frozenset({"TaskTimedOut", "InvalidToken", "TaskDoesNotExist"})


def client(service: str, attempts: int = 3) -> Any:
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


class Store:
    """S3."""

    def __init__(self, s3: Any) -> None:
        self._s3 = s3

    def head(self, bucket: str, key: str, version_id: str) -> ObjectHead | None:
        """None where that version is gone."""
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
        """Write JSON once; False where the object is there already."""
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
        """At most `limit` bytes, for workers near hostile media wrote it; None where absent.

        Who may not list the whole bucket is told "access denied" of an absent object.
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


class Workflow:
    """Step Functions."""

    def __init__(self, stepfunctions: Any) -> None:
        self._stepfunctions = stepfunctions

    def start(self, state_machine_arn: str, name: str, execution_input: str) -> bool:
        """False where an execution of that name has ended or runs with another input.

        The same name and input while it runs is answered with the running execution: True.
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

    def describe(self, execution_arn: str) -> Execution | None:
        """None where there is no such execution."""
        try:
            answer = self._stepfunctions.describe_execution(executionArn=execution_arn)
        except ClientError as error:
            if error_code(error) == "ExecutionDoesNotExist":
                return None
            raise
        return Execution(
            status=answer["status"],
            input=answer.get("input") or "",
            output=answer.get("output") or "",
            error=answer.get("error") or "",
            cause=answer.get("cause") or "",
            stopped_at=answer.get("stopDate"),
        )

    def running(self, state_machine_arn: str) -> frozenset[str]:
        """Names of all running executions, a thousand to a call."""
        pages = self._stepfunctions.get_paginator("list_executions").paginate(
            stateMachineArn=state_machine_arn, statusFilter="RUNNING"
        )
        return frozenset(item["name"] for page in pages for item in page["executions"])

    def succeed(self, token: str, output: str) -> bool:
        """False where nobody waits for the token any more."""
        return self._answer(self._stepfunctions.send_task_success, taskToken=token, output=output)

    def fail(self, token: str, error: str, cause: str) -> bool:
        """False where nobody waits for the token any more."""
        return self._answer(
            self._stepfunctions.send_task_failure, taskToken=token, error=error, cause=cause
        )

    @staticmethod
    def _answer(call: Any, **arguments: str) -> bool:
        try:
            call(**arguments)
        except ClientError as error:
            if error_code(error) in _DEAD_TOKEN:
                return False
            raise
        return True


class Batch:
    """AWS Batch."""

    def __init__(self, reader: Any, submitter: Any) -> None:
        """`submitter` must not retry by itself: SubmitJob has no idempotency token, so a retry
        after a lost answer would start a second job. The queue's redelivery looks first."""
        self._reader = reader
        self._submitter = submitter

    def named(self, queue: str, name: str) -> list[BatchJob]:
        """All jobs of that name that Batch remembers, whatever their status."""
        pages = self._reader.get_paginator("list_jobs").paginate(
            jobQueue=queue, filters=[{"name": "JOB_NAME", "values": [name]}]
        )
        found = (_batch_job(item) for page in pages for item in page["jobSummaryList"])
        return [job for job in found if job.name == name]  # the filter ignores case

    def submit(self, arguments: Mapping[str, Any]) -> str:
        """The new job's id."""
        return self._submitter.submit_job(**arguments)["jobId"]

    def describe(self, job_ids: Sequence[str]) -> dict[str, BatchJob]:
        """By id, at most 100; ids that Batch does not know are left out."""
        answer = self._reader.describe_jobs(jobs=list(job_ids[:BATCH_DESCRIBE_JOBS_MAX]))
        return {item["jobId"]: _batch_job(item) for item in answer["jobs"]}

    def terminate(self, job_id: str, reason: str) -> None:
        self._reader.terminate_job(jobId=job_id, reason=reason)


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
    """An array is PENDING until all its children have ended; their numbers tell how it stands."""
    children = (item.get("arrayProperties") or {}).get("statusSummary") or {}
    working = children.get("STARTING", 0) + children.get("RUNNING", 0)
    if item.get("status") != "RUNNABLE" and (not children.get("RUNNABLE") or working):
        return None
    stops = [attempt.get("stoppedAt") or 0 for attempt in item.get("attempts") or ()]
    return max([item.get("createdAt", 0), *stops])


class Topic:
    """An SNS topic."""

    def __init__(self, sns: Any, arn: str) -> None:
        self._sns = sns
        self._arn = arn

    def publish(self, subject: str, text: str, attributes: Mapping[str, str]) -> None:
        self._sns.publish(
            TopicArn=self._arn,
            Subject=subject,
            Message=text,
            MessageAttributes={
                name: {"DataType": "String", "StringValue": value}
                for name, value in attributes.items()
            },
        )

    def send(self, message: str) -> None:
        """Publish what a program reads."""
        self._sns.publish(TopicArn=self._arn, Message=message)
