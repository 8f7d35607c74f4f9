"""The buckets: what users drop, what a job needs while it runs, and what comes out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from components.bucket_policy import bucket_policy
from components.identity import Link
from components.policy import Grant, to_json
from contracts.keys import JOBS

ABORT_UPLOAD_DAYS = 7

Rule = dict[str, Any]


def abort_uploads() -> Rule:
    """Lifecycle: parts of uploads that were never completed cost money until they are aborted."""
    return {
        "id": "abort-incomplete-uploads",
        "status": "Enabled",
        "filter": {"prefix": ""},
        "abort_incomplete_multipart_upload": {"days_after_initiation": ABORT_UPLOAD_DAYS},
    }


def expire_noncurrent(days: int) -> Rule:
    """Lifecycle: replaced and deleted versions, and delete markers that hide nothing, go."""
    return {
        "id": "expire-noncurrent",
        "status": "Enabled",
        "filter": {"prefix": ""},
        "noncurrent_version_expiration": {"noncurrent_days": days},
        "expiration": {"expired_object_delete_marker": True},
    }


def expire(prefix: str, days: int) -> Rule:
    """Lifecycle: objects under a prefix go after so many days."""
    return {
        "id": "expire",
        "status": "Enabled",
        "filter": {"prefix": prefix},
        "expiration": {"days": days},
    }


@dataclass(frozen=True, kw_only=True)
class BucketArgs:
    versioned: bool
    rules: Sequence[Mapping[str, Any]]
    """Lifecycle rules."""
    protect: bool
    events: bool = False
    """Tell EventBridge of every new object."""


class Bucket(pulumi.ComponentResource):
    """A private bucket: encrypted (SSE-S3), TLS only, no access lists."""

    bucket: pulumi.Output[str]
    arn: pulumi.Output[str]

    def __init__(
        self, name: str, args: BucketArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("superres:storage:Bucket", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        bucket = aws.s3.Bucket(
            name,
            force_destroy=not args.protect,
            opts=pulumi.ResourceOptions(
                parent=self, protect=args.protect, retain_on_delete=args.protect
            ),
        )
        blocked = aws.s3.BucketPublicAccessBlock(
            name,
            bucket=bucket.id,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=child,
        )
        aws.s3.BucketOwnershipControls(
            name,
            bucket=bucket.id,
            rule={"object_ownership": "BucketOwnerEnforced"},
            opts=pulumi.ResourceOptions(parent=self, depends_on=[blocked]),
        )
        aws.s3.BucketPolicy(
            name,
            bucket=bucket.id,
            policy=bucket.arn.apply(lambda arn: to_json(bucket_policy(arn))),
            # S3 refuses two changes of a bucket's access at a time
            opts=pulumi.ResourceOptions(parent=self, depends_on=[blocked]),
        )
        aws.s3.BucketServerSideEncryptionConfiguration(
            name,
            bucket=bucket.id,
            rules=[{"apply_server_side_encryption_by_default": {"sse_algorithm": "AES256"}}],
            opts=child,
        )
        self._versions(name, bucket, args)
        if args.events:
            aws.s3.BucketNotification(name, bucket=bucket.id, eventbridge=True, opts=child)
        self.bucket = bucket.id
        self.arn = bucket.arn
        self.register_outputs({"bucket": self.bucket, "arn": self.arn})

    def _versions(self, name: str, bucket: aws.s3.Bucket, args: BucketArgs) -> None:
        before: list[pulumi.Resource] = []
        if args.versioned:
            versioning = aws.s3.BucketVersioning(
                name,
                bucket=bucket.id,
                versioning_configuration={"status": "Enabled"},
                opts=pulumi.ResourceOptions(parent=self),
            )
            before.append(versioning)
        aws.s3.BucketLifecycleConfiguration(
            name,
            bucket=bucket.id,
            rules=list(args.rules),  # pyright: ignore[reportArgumentType] - rules are plain dicts
            opts=pulumi.ResourceOptions(parent=self, depends_on=before),
        )

    def named(self, field: str) -> Link:
        """The bucket's name as a workload's setting."""
        return Link(values={field: self.bucket})

    def read(self, sid: str, *patterns: str, versions: bool = False) -> Link:
        """Get and head objects; with `versions` only by version, else only the latest."""
        action = "s3:GetObjectVersion" if versions else "s3:GetObject"
        return self._objects(sid, (action,), patterns)

    def write(self, sid: str, *patterns: str) -> Link:
        """Put small objects."""
        return self._objects(sid, ("s3:PutObject",), patterns)

    def upload(self, sid: str, *patterns: str) -> Link:
        """Put files of any size, in parts; a failed upload is aborted."""
        return self._objects(sid, ("s3:PutObject", "s3:AbortMultipartUpload"), patterns)

    def list_keys(self, sid: str, *prefixes: str) -> Link:
        """List keys, under these prefix patterns or (without any) all.

        S3 answers 404 for a missing object only to callers that may list the bucket without a
        condition on the prefix, else 403: who must tell "not yet there" from "not allowed" has
        to list all. https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html
        """
        condition = {"StringLike": {"s3:prefix": [*prefixes]}} if prefixes else None
        grant = Grant(
            sid=sid, actions=("s3:ListBucket",), resources=(self.arn,), condition=condition
        )
        return Link(grants=(grant,))

    def _objects(self, sid: str, actions: tuple[str, ...], patterns: tuple[str, ...]) -> Link:
        resources = tuple(pulumi.Output.concat(self.arn, "/", pattern) for pattern in patterns)
        return Link(grants=(Grant(sid=sid, actions=actions, resources=resources),))


@dataclass(frozen=True, kw_only=True)
class StorageArgs:
    noncurrent_days: int
    """Days after which replaced and deleted versions go."""
    intermediate_days: int
    """Days after which intermediate objects go."""
    protect: bool


class Storage(pulumi.ComponentResource):
    """Source and final bucket are versioned; the intermediate one is not, for it is expendable
    and its progress records are overwritten every few seconds."""

    source: Bucket
    intermediate: Bucket
    final: Bucket

    def __init__(
        self, name: str, args: StorageArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("superres:storage:Storage", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        kept = (abort_uploads(), expire_noncurrent(args.noncurrent_days))
        self.source = Bucket(
            f"{name}-source",
            BucketArgs(versioned=True, rules=kept, protect=args.protect, events=True),
            child,
        )
        expendable = (abort_uploads(), expire(JOBS, args.intermediate_days))
        self.intermediate = Bucket(
            f"{name}-intermediate",
            BucketArgs(versioned=False, rules=expendable, protect=args.protect),
            child,
        )
        self.final = Bucket(
            f"{name}-final", BucketArgs(versioned=True, rules=kept, protect=args.protect), child
        )
        self.register_outputs(
            {
                "source": self.source.bucket,
                "intermediate": self.intermediate.bucket,
                "final": self.final.bucket,
            }
        )
