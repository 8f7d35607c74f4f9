"""The buckets: what users drop, what a job needs while it runs, what comes out, who looked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi

from components.common.encryption import Key
from components.common.identity import Location
from components.common.policy import Document
from components.storage.bucket_policy import allow_log_delivery, deny_other_writers
from components.storage.buckets import (
    AccessLog,
    Bucket,
    BucketArgs,
    bucket_name,
)
from components.storage.lifecycle import (
    expire,
    move,
    upkeep,
)
from contracts.keys import JOBS, RESULTS, UPLOADS

SOURCE, INTERMEDIATE, FINAL, LOGS = "source", "intermediate", "final", "access-logs"
LOGGED = (SOURCE, INTERMEDIATE, FINAL)


@dataclass(frozen=True, kw_only=True)
class Retention:
    """How long what is kept, in days; None: for ever."""

    noncurrent: int
    """Replaced and deleted versions."""
    source: int | None
    intermediate: int
    final: int | None
    access_logs: int


@dataclass(frozen=True, kw_only=True)
class StorageArgs:
    location: Location
    namespace: str
    """Beginning of the buckets' names. Another one means other, empty buckets."""
    key: Key | None
    """None: S3's own key."""
    days: Retention
    final_class: str
    """Storage class that results move to."""
    final_class_days: int
    """Days after which they do."""
    intermediate_versioned: bool
    final_versioned: bool
    protect: bool


class Storage(pulumi.ComponentResource):
    """The source bucket is always versioned: a job pins a version. The intermediate one is not by
    default, for it is expendable and its progress records are overwritten every few seconds.

    Access logs lie in a bucket of their own, under S3's own key, for log delivery knows no other:
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/enable-server-access-logging.html
    """

    source: Bucket
    intermediate: Bucket
    final: Bucket
    access_logs: Bucket

    def __init__(
        self, name: str, args: StorageArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("superres:storage:Storage", name, None, opts)
        self._name, self._args = name, args
        days = args.days
        self.access_logs = self._bucket(
            LOGS, False, expire("", days.access_logs), statements=self._deliveries
        )
        self.source = self._data(SOURCE, True, expire(UPLOADS, days.source), events=True)
        self.intermediate = self._data(
            INTERMEDIATE, args.intermediate_versioned, expire(JOBS, days.intermediate)
        )
        self.final = self._data(
            FINAL,
            args.final_versioned,
            [
                *move(RESULTS, args.final_class, args.final_class_days),
                *expire(RESULTS, days.final),
            ],
        )
        self.register_outputs(
            {
                "source": self.source.bucket,
                "intermediate": self.intermediate.bucket,
                "final": self.final.bucket,
                "access_logs": self.access_logs.bucket,
            }
        )

    def _data(
        self, purpose: str, versioned: bool, rules: Sequence[Mapping[str, Any]], **rest: Any
    ) -> Bucket:
        log = AccessLog(bucket=self.access_logs.bucket, prefix=_prefix(purpose))
        return self._bucket(purpose, versioned, rules, key=self._args.key, access_log=log, **rest)

    def _bucket(
        self, purpose: str, versioned: bool, rules: Sequence[Mapping[str, Any]], **rest: Any
    ) -> Bucket:
        args = BucketArgs(
            purpose=purpose,
            name=self._physical(purpose),
            versioned=versioned,
            rules=[*upkeep(self._args.days.noncurrent), *rules],
            protect=self._args.protect,
            **rest,
        )
        # a bucket that is logged waits for the log's policy
        after: list[pulumi.Resource] = [] if purpose == LOGS else [self.access_logs]
        opts = pulumi.ResourceOptions(parent=self, depends_on=after)
        return Bucket(f"{self._name}-{purpose}", args, opts)

    def _physical(self, purpose: str) -> pulumi.Output[str]:
        location, namespace = self._args.location, self._args.namespace
        return pulumi.Output.all(location.account, location.region).apply(
            lambda known: bucket_name(namespace, purpose, *known)
        )

    def _deliveries(self, logs_arn: str) -> list[pulumi.Input[Document]]:
        partition, account = self._args.location.partition, self._args.location.account

        def delivery(purpose: str) -> pulumi.Output[Document]:
            known = pulumi.Output.all(partition, self._physical(purpose), account)
            return known.apply(
                lambda k: allow_log_delivery(
                    logs_arn, f"arn:{k[0]}:s3:::{k[1]}", _prefix(purpose), k[2]
                )
            )

        return [deny_other_writers(logs_arn), *(delivery(purpose) for purpose in LOGGED)]


def _prefix(purpose: str) -> str:
    """Of a bucket's log, in the bucket of logs."""
    return f"{purpose}/"
