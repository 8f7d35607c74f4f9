"""The buckets: what users drop, what a job needs while it runs, what comes out, and access logs."""

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi

from components.common.encryption import Key
from components.common.identity import KnownLocation, Location
from components.common.policy import Document
from components.storage.bucket_policy import allow_log_delivery, deny_other_writers
from components.storage.buckets import (
    AccessLog,
    Bucket,
    BucketArgs,
    bucket_name,
)
from components.storage.lifecycle import (
    Rule,
    expire,
    move,
    upkeep,
)
from contracts.keys import JOBS, RESULTS, UPLOADS

SOURCE, INTERMEDIATE, FINAL, LOGS = "source", "intermediate", "final", "access-logs"
LOGGED = (SOURCE, INTERMEDIATE, FINAL)


@dataclass(frozen=True, kw_only=True)
class Retention:
    """How long each kind of object is kept, in days; None: forever."""

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
    """Days after which results move."""
    intermediate_versioned: bool
    final_versioned: bool
    protect: bool


class Storage(pulumi.ComponentResource):
    """The source bucket is always versioned: a job pins a version. The intermediate one is not by
    default, because it is expendable and its progress records are overwritten every few seconds.

    Access logs have a bucket of their own, under S3's own key; log delivery supports no other:
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
        self.access_logs = self._bucket(LOGS, versioned=False, rules=expire("", days.access_logs))
        self.source = self._bucket(
            SOURCE, versioned=True, rules=expire(UPLOADS, days.source), events=True
        )
        self.intermediate = self._bucket(
            INTERMEDIATE,
            versioned=args.intermediate_versioned,
            rules=expire(JOBS, days.intermediate),
        )
        self.final = self._bucket(
            FINAL,
            versioned=args.final_versioned,
            rules=[
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

    def _bucket(
        self, purpose: str, *, versioned: bool, rules: Sequence[Rule], events: bool = False
    ) -> Bucket:
        """A bucket of films under the stack's key and with an access log, or the logs' own."""
        args, logged = self._args, purpose in LOGGED
        bucket_args = BucketArgs(
            purpose=purpose,
            name=self._physical_name(purpose),
            versioned=versioned,
            rules=[*upkeep(args.days.noncurrent), *rules],
            protect=args.protect,
            key=args.key if logged else None,
            events=events,
            access_log=AccessLog(bucket=self.access_logs.bucket, prefix=_log_prefix(purpose))
            if logged
            else None,
            statements=None if logged else self._log_deliveries,
        )
        # a bucket that is logged waits for the log's policy
        after: list[pulumi.Resource] = [self.access_logs] if logged else []
        opts = pulumi.ResourceOptions(parent=self, depends_on=after)
        return Bucket(f"{self._name}-{purpose}", bucket_args, opts)

    def _physical_name(self, purpose: str) -> pulumi.Output[str]:
        """A bucket's name as AWS knows it."""
        namespace = self._args.namespace
        return self._args.location.known().apply(
            lambda at: bucket_name(namespace, purpose, at.account, at.region)
        )

    def _log_deliveries(self, logs_arn: str) -> list[pulumi.Input[Document]]:
        """Statements by which S3 alone writes into the bucket of logs."""

        def delivery(purpose: str, at: KnownLocation, bucket: str) -> Document:
            arn = f"arn:{at.partition}:s3:::{bucket}"
            return allow_log_delivery(logs_arn, arn, _log_prefix(purpose), at.account)

        deliveries = [
            pulumi.Output.all(
                at=self._args.location.known(), bucket=self._physical_name(purpose)
            ).apply(lambda known, purpose=purpose: delivery(purpose, **known))
            for purpose in LOGGED
        ]
        return [deny_other_writers(logs_arn), *deliveries]


def _log_prefix(purpose: str) -> str:
    """Of a bucket's log, in the bucket of logs."""
    return f"{purpose}/"
