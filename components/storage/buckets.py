"""A bucket of ours, and what it gives to workloads."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.common.encryption import (
    DECRYPT,
    ENCRYPT,
    Key,
)
from components.common.identity import Link
from components.common.options import stateful
from components.common.policy import (
    Document,
    Grant,
    to_json,
)
from components.storage.bucket_policy import bucket_policy, deny_other_keys
from components.storage.lifecycle import Rule

_DIGEST_CHARS = 10


def bucket_name(namespace: str, purpose: str, account: str, region: str) -> str:
    """The same for the same place at every deployment, and nobody else's.

    It follows no name of Pulumi's, so that a component renamed without an alias meets the old
    bucket's name instead of an empty new bucket: docs/decisions/0010.
    """
    digest = hashlib.sha256(f"{account}/{region}".encode()).hexdigest()[:_DIGEST_CHARS]
    return f"{namespace}-{purpose}-{digest}"


@dataclass(frozen=True, kw_only=True)
class AccessLog:
    """Where a bucket's access log goes."""

    bucket: pulumi.Input[str]
    prefix: str


@dataclass(frozen=True, kw_only=True)
class BucketArgs:
    purpose: str
    """One word, for the names of statements."""
    name: pulumi.Input[str]
    versioned: bool
    rules: Sequence[Rule]
    """Lifecycle rules."""
    protect: bool
    key: Key | None = None
    """None: S3's own key (SSE-S3)."""
    events: bool = False
    """Tell EventBridge of every new object."""
    access_log: AccessLog | None = None
    statements: Callable[[str], list[pulumi.Input[Document]]] | None = None
    """Further statements of the bucket's policy, for its ARN."""


class Bucket(pulumi.ComponentResource):
    """A private bucket: encrypted, TLS only, no access lists, logged elsewhere."""

    bucket: pulumi.Output[str]
    arn: pulumi.Output[str]

    def __init__(
        self, name: str, args: BucketArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("superres:storage:Bucket", name, None, opts)
        self._name, self._args = name, args
        self._child = pulumi.ResourceOptions(parent=self)
        bucket = aws.s3.Bucket(
            name,
            bucket=args.name,
            force_destroy=not args.protect,
            opts=stateful(self, protect=args.protect),
        )
        self.bucket, self.arn = bucket.id, bucket.arn
        self._purpose = args.purpose.capitalize()
        # with a bucket key data is bound to the bucket, without one to each object
        objects = pulumi.Output.concat(bucket.arn, "/*")
        self._key = args.key.through("s3", bucket.arn, objects) if args.key else None
        self._shut()
        self._encrypt()
        self._keep()
        if args.events:
            aws.s3.BucketNotification(name, bucket=bucket.id, eventbridge=True, opts=self._child)
        if args.access_log:
            self._log(args.access_log)
        self.register_outputs({"bucket": self.bucket, "arn": self.arn})

    def _shut(self) -> None:
        blocked = aws.s3.BucketPublicAccessBlock(
            self._name,
            bucket=self.bucket,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=self._child,
        )
        # S3 refuses two changes of a bucket's access at a time, so they wait for each other
        owned = aws.s3.BucketOwnershipControls(
            self._name,
            bucket=self.bucket,
            rule={"object_ownership": "BucketOwnerEnforced"},
            opts=pulumi.ResourceOptions(parent=self, depends_on=[blocked]),
        )
        aws.s3.BucketPolicy(
            self._name,
            bucket=self.bucket,
            policy=self._policy(),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[owned]),
        )

    def _policy(self) -> pulumi.Output[str]:
        further, key = self._args.statements, self._args.key
        return pulumi.Output.all(
            arn=self.arn,
            key_arn=key.arn if key else None,
            further=self.arn.apply(
                lambda arn: pulumi.Output.all(*(further(arn) if further else ()))
            ),
        ).apply(lambda known: to_json(_policy(**known)))

    def _encrypt(self) -> None:
        key = self._args.key
        aws.s3.BucketServerSideEncryptionConfiguration(
            self._name,
            bucket=self.bucket,
            rules=[
                {
                    "apply_server_side_encryption_by_default": {
                        "sse_algorithm": "aws:kms" if key else "AES256",
                        "kms_master_key_id": key.arn if key else None,
                    },
                    "bucket_key_enabled": key is not None,
                    "blocked_encryption_types": ["SSE-C"],
                }
            ],
            opts=self._child,
        )

    def _keep(self) -> None:
        before: list[pulumi.Resource] = []
        if self._args.versioned:
            versioning = aws.s3.BucketVersioning(
                self._name,
                bucket=self.bucket,
                versioning_configuration={"status": "Enabled"},
                opts=self._child,
            )
            before.append(versioning)
        aws.s3.BucketLifecycleConfiguration(
            self._name,
            bucket=self.bucket,
            rules=list(self._args.rules),
            opts=pulumi.ResourceOptions(parent=self, depends_on=before),
        )

    def _log(self, log: AccessLog) -> None:
        aws.s3.BucketLogging(
            self._name,
            bucket=self.bucket,
            target_bucket=log.bucket,
            target_prefix=log.prefix,
            target_object_key_format={"partitioned_prefix": {"partition_date_source": "EventTime"}},
            opts=self._child,
        )

    def link_name(self, field: str) -> Link:
        """The bucket's name as a workload's setting."""
        return Link(values={field: self.bucket})

    def grant_read(self, sid: str, *patterns: str, versions: bool = False) -> Link:
        """Get and head objects; with `versions` only by version, else only the latest."""
        action = "s3:GetObjectVersion" if versions else "s3:GetObject"
        return self._objects(sid, (action,), patterns, (DECRYPT,))

    def grant_write(self, sid: str, *patterns: str) -> Link:
        """Put small objects."""
        return self._objects(sid, ("s3:PutObject",), patterns, (ENCRYPT,))

    def grant_upload(self, sid: str, *patterns: str) -> Link:
        """Put files of any size, in parts; a failed upload is aborted.

        S3 reads the parts when it joins them.
        """
        actions = ("s3:PutObject", "s3:AbortMultipartUpload")
        return self._objects(sid, actions, patterns, (DECRYPT, ENCRYPT))

    def grant_list(self, sid: str, *prefixes: str) -> Link:
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

    def _objects(
        self,
        sid: str,
        actions: tuple[str, ...],
        patterns: tuple[str, ...],
        key_actions: tuple[str, ...],
    ) -> Link:
        resources = tuple(pulumi.Output.concat(self.arn, "/", pattern) for pattern in patterns)
        grants = (Grant(sid=sid, actions=actions, resources=resources),)
        if self._key:
            grants += (self._key.grant(f"UseKeyOf{self._purpose}", *key_actions),)
        return Link(grants=grants)


def _policy(arn: str, key_arn: str | None, further: list[Document]) -> Document:
    return bucket_policy(arn, *(deny_other_keys(arn, key_arn) if key_arn else ()), *further)
