"""The job registry: conditional writes, so that events may come twice and out of order.

One item per job (sort key `job`), per stage (`stage#<stage>`), and per e-mail (`notice`).
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from botocore.client import BaseClient
from botocore.exceptions import ClientError

from contracts.messages import (
    REGISTRY_JOB_SORT,
    REGISTRY_OPEN,
    REGISTRY_OPEN_INDEX,
    REGISTRY_PARTITION_KEY,
    REGISTRY_SORT_KEY,
    REGISTRY_TTL,
    Notification,
    RegistryRecord,
    StageRequest,
    registry_stage_sort,
)
from contracts.names import JobStatus, Stage, batch_job_name
from lambdas.common.aws import error_code
from lambdas.common.values import BusyError, JobRecords, StageRecord

RETENTION = timedelta(days=90)
"""As long as Step Functions remembers an execution's name."""
LEASE = timedelta(seconds=60)
"""How long a delivery may hold a lease: as long as a function may run. The queues' visibility
timeout is longer, so that the redelivery after a death finds the lease expired."""
NOTICE_SORT = "notice"
OPEN_PAGE = 100
"""Jobs to a page, as many as DescribeJobs takes."""
_OPEN = "yes"
_REFUSED = "ConditionalCheckFailedException"


class JobRegistry:
    """Adapter over one DynamoDB table."""

    def __init__(self, dynamodb: BaseClient, table: str) -> None:
        self._dynamodb = dynamodb
        self._table = table

    def create_job(self, record: RegistryRecord, now: datetime) -> bool:
        """Write a job's first record; False if the job is known already."""
        item = {
            **record.model_dump(mode="json", exclude_none=True),
            REGISTRY_PARTITION_KEY: record.job_id,
            REGISTRY_SORT_KEY: REGISTRY_JOB_SORT,
            REGISTRY_TTL: _expiry(now),
            REGISTRY_OPEN: _OPEN,
        }
        return self._unless_refused(
            self._dynamodb.put_item,
            Item=serialize(item),
            ConditionExpression=f"attribute_not_exists({REGISTRY_PARTITION_KEY})",
        )

    def advance(self, job_id: str, stage: Stage, now: datetime) -> None:
        """Show that a running job has reached `stage`; an earlier stage never comes back."""
        order = list(Stage)
        earlier = {f":s{i}": s.value for i, s in enumerate(order[: order.index(stage)])}
        behind = f" OR #stage IN ({', '.join(earlier)})" if earlier else ""
        self._unless_refused(
            self._dynamodb.update_item,
            Key=_key(job_id, REGISTRY_JOB_SORT),
            UpdateExpression="SET #stage = :stage, updated_at = :now",
            ConditionExpression=f"#status = :running AND (attribute_not_exists(#stage){behind})",
            ExpressionAttributeNames={"#stage": "stage", "#status": "status"},
            ExpressionAttributeValues=serialize(
                {
                    ":stage": stage.value,
                    ":now": now.isoformat(),
                    ":running": JobStatus.RUNNING.value,
                    **earlier,
                }
            ),
        )

    def settle(self, notification: Notification, now: datetime) -> bool:
        """Give a running job its final status; False if it has one already."""
        ending = notification.model_dump(
            mode="json",
            exclude_none=True,
            include={"status", "error", "message", "result", "report"},
        )
        fields = {**ending, "updated_at": now.isoformat()}
        return self._unless_refused(
            self._dynamodb.update_item,
            Key=_key(notification.job_id, REGISTRY_JOB_SORT),
            UpdateExpression="SET "
            + ", ".join(f"#{name} = :{name}" for name in fields)
            + f" REMOVE {REGISTRY_OPEN}",
            ConditionExpression="#status = :running",
            ExpressionAttributeNames={f"#{name}": name for name in fields},
            ExpressionAttributeValues=serialize(
                {":running": JobStatus.RUNNING.value, **{f":{k}": v for k, v in fields.items()}}
            ),
        )

    @contextmanager
    def stage_lease(self, request: StageRequest, now: datetime) -> Iterator[StageRecord]:
        """Record the request's token and lease its stage; gives the record as it was before.

        Raises BusyError while another delivery holds the lease.
        """
        sort = registry_stage_sort(request.stage)
        name = batch_job_name(request.job_id, request.stage)
        more = "batch_job_name = :name ADD task_tokens :token"
        values = {":name": name, ":token": {request.task_token}}
        with self._lease(request.job_id, sort, now, more, values) as before:
            yield _stage_record(before)

    def finish_stage(self, request: StageRequest, batch_job_id: str) -> None:
        """Record the job that serves the request, and release the lease."""
        self._dynamodb.update_item(
            TableName=self._table,
            Key=_key(request.job_id, registry_stage_sort(request.stage)),
            UpdateExpression="SET batch_job_id = :id REMOVE lease_until ADD served_tokens :token",
            ExpressionAttributeValues=serialize(
                {":id": batch_job_id, ":token": {request.task_token}}
            ),
        )

    def read_stage(self, job_id: str, stage: Stage) -> StageRecord | None:
        """None for a stage that was never requested."""
        answer = self._dynamodb.get_item(
            TableName=self._table,
            Key=_key(job_id, registry_stage_sort(stage)),
            ConsistentRead=True,
        )
        return _stage_record(deserialize(answer["Item"])) if "Item" in answer else None

    def open_jobs(self) -> Iterator[list[str]]:
        """Ids of the running jobs, oldest first, in pages of at most 100.

        They come from an index, which may lag a moment behind.
        """
        pages = self._dynamodb.get_paginator("query").paginate(
            TableName=self._table,
            IndexName=REGISTRY_OPEN_INDEX,
            KeyConditionExpression=f"{REGISTRY_OPEN} = :open",
            ExpressionAttributeValues=serialize({":open": _OPEN}),
            PaginationConfig={"PageSize": OPEN_PAGE},
        )
        for page in pages:
            yield [deserialize(item)[REGISTRY_PARTITION_KEY] for item in page["Items"]]

    def read_job(self, job_id: str) -> JobRecords | None:
        """A job with its stages, read consistently; None for an unknown job."""
        answer = self._dynamodb.query(
            TableName=self._table,
            ConsistentRead=True,
            KeyConditionExpression=f"{REGISTRY_PARTITION_KEY} = :job",
            ExpressionAttributeValues=serialize({":job": job_id}),
        )
        items = {i[REGISTRY_SORT_KEY]: i for i in map(deserialize, answer["Items"])}
        if REGISTRY_JOB_SORT not in items:
            return None
        found = {stage: items.get(registry_stage_sort(stage)) for stage in Stage}
        return JobRecords(
            job=RegistryRecord.from_item(items[REGISTRY_JOB_SORT]),
            stages={stage: _stage_record(item) for stage, item in found.items() if item},
        )

    @contextmanager
    def notice_lease(self, job_id: str, now: datetime) -> Iterator[bool]:
        """Lease the job's e-mail; gives True if it was sent already.

        Raises BusyError while another delivery holds the lease.
        """
        with self._lease(job_id, NOTICE_SORT, now) as before:
            yield before.get("sent", False)

    def finish_notice(self, job_id: str) -> None:
        """Record that the e-mail was sent, and release the lease."""
        self._dynamodb.update_item(
            TableName=self._table,
            Key=_key(job_id, NOTICE_SORT),
            UpdateExpression="SET sent = :sent REMOVE lease_until",
            ExpressionAttributeValues=serialize({":sent": True}),
        )

    @contextmanager
    def _lease(
        self,
        job_id: str,
        sort: str,
        now: datetime,
        more: str = "",
        values: Mapping[str, Any] | None = None,
    ) -> Iterator[dict[str, Any]]:
        """Lease an item, created if absent; gives the item as it was before.

        An error ends the lease at once but leaves its mark: what failed may yet have taken effect.
        """
        before = self._claim(job_id, sort, now, more, values or {})
        try:
            yield before
        except Exception:
            self._dynamodb.update_item(
                TableName=self._table,
                Key=_key(job_id, sort),
                UpdateExpression="SET lease_until = :ended",
                ExpressionAttributeValues=serialize({":ended": 0}),
            )
            raise

    def _claim(
        self, job_id: str, sort: str, now: datetime, more: str, values: Mapping[str, Any]
    ) -> dict[str, Any]:
        update = f"SET lease_until = :until, claimed_at = :now, {REGISTRY_TTL} = :expiry"
        times = {
            ":now": _milliseconds(now),
            ":until": _milliseconds(now + LEASE),
            ":expiry": _expiry(now),
        }
        try:
            answer = self._dynamodb.update_item(
                TableName=self._table,
                Key=_key(job_id, sort),
                UpdateExpression=f"{update}, {more}" if more else update,
                ConditionExpression="attribute_not_exists(lease_until) OR lease_until <= :now",
                ExpressionAttributeValues=serialize({**times, **values}),
                ReturnValues="ALL_OLD",
            )
        except ClientError as error:
            if error_code(error) == _REFUSED:
                raise BusyError(f"{job_id} {sort}: another delivery is at work") from error
            raise
        return deserialize(answer.get("Attributes", {}))

    def _unless_refused(self, call: Callable[..., object], **arguments: Any) -> bool:
        """Make a conditional write; False if its condition does not hold."""
        try:
            call(TableName=self._table, **arguments)
        except ClientError as error:
            if error_code(error) == _REFUSED:
                return False
            raise
        return True


def _stage_record(item: Mapping[str, Any]) -> StageRecord:
    return StageRecord(
        task_tokens=frozenset(item.get("task_tokens", ())),
        served_tokens=frozenset(item.get("served_tokens", ())),
        batch_job_id=item.get("batch_job_id"),
        submitting="lease_until" in item,
        claimed_at=int(item.get("claimed_at", 0)),
    )


def _key(job_id: str, sort: str) -> dict[str, Any]:
    return serialize({REGISTRY_PARTITION_KEY: job_id, REGISTRY_SORT_KEY: sort})


def _expiry(now: datetime) -> int:
    return int((now + RETENTION).timestamp())


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def serialize(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Plain values in DynamoDB's typed form."""
    serializer = TypeSerializer()
    return {name: serializer.serialize(value) for name, value in fields.items()}


def deserialize(item: Mapping[str, Any]) -> dict[str, Any]:
    """DynamoDB's typed form as plain values; numbers become Decimal."""
    deserializer = TypeDeserializer()
    return {name: deserializer.deserialize(value) for name, value in item.items()}
