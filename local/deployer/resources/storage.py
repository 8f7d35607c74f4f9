"""S3."""

from typing import Any

from local.deployer.resource import Aws, Created, RequestedResource, pascal


def _bucket(aws: Aws, r: RequestedResource) -> Created:
    r.ignore("forceDestroy")
    name = r.physical_name("bucket")
    elsewhere = {"CreateBucketConfiguration": {"LocationConstraint": aws.region}}
    aws.client("s3").create_bucket(Bucket=name, **({} if aws.region == "us-east-1" else elsewhere))
    outputs = {
        "bucket": name,
        "arn": f"arn:aws:s3:::{name}",
        "bucketRegion": aws.region,
        "bucketDomainName": f"{name}.s3.amazonaws.com",
        "bucketRegionalDomainName": f"{name}.s3.{aws.region}.amazonaws.com",
    }
    return Created(name, outputs)


def _versioning(aws: Aws, r: RequestedResource) -> Created:
    aws.client("s3").put_bucket_versioning(
        Bucket=r["bucket"], VersioningConfiguration=pascal(r["versioningConfiguration"])
    )
    return Created(r["bucket"], {})


def _encryption(aws: Aws, r: RequestedResource) -> Created:
    rules = [_encryption_rule(rule) for rule in r["rules"]]
    aws.client("s3").put_bucket_encryption(
        Bucket=r["bucket"], ServerSideEncryptionConfiguration={"Rules": rules}
    )
    return Created(r["bucket"], {})


def _encryption_rule(rule: dict[str, Any]) -> dict[str, Any]:
    default = rule["applyServerSideEncryptionByDefault"]
    names = {"sseAlgorithm": "SSEAlgorithm", "kmsMasterKeyId": "KMSMasterKeyID"}
    applied = {names[key]: value for key, value in default.items()}
    return {
        "ApplyServerSideEncryptionByDefault": applied,
        "BucketKeyEnabled": rule.get("bucketKeyEnabled", False),
        "BlockedEncryptionTypes": {"EncryptionType": rule.get("blockedEncryptionTypes", ["NONE"])},
    }


def _public_access_block(aws: Aws, r: RequestedResource) -> Created:
    settings = r.pick(
        BlockPublicAcls="blockPublicAcls",
        BlockPublicPolicy="blockPublicPolicy",
        IgnorePublicAcls="ignorePublicAcls",
        RestrictPublicBuckets="restrictPublicBuckets",
    )
    aws.client("s3").put_public_access_block(
        Bucket=r["bucket"], PublicAccessBlockConfiguration=settings
    )
    return Created(r["bucket"], {})


def _policy(aws: Aws, r: RequestedResource) -> Created:
    aws.client("s3").put_bucket_policy(Bucket=r["bucket"], Policy=r["policy"])
    return Created(r["bucket"], {})


def _lifecycle(aws: Aws, r: RequestedResource) -> Created:
    rules = [_lifecycle_rule(rule) for rule in r["rules"]]
    aws.client("s3").put_bucket_lifecycle_configuration(
        Bucket=r["bucket"], LifecycleConfiguration={"Rules": rules}
    )
    return Created(r["bucket"], {})


def _lifecycle_rule(rule: dict[str, Any]) -> dict[str, Any]:
    converted = pascal(rule)
    converted["ID"] = converted.pop("Id")
    return converted


def _notification(aws: Aws, r: RequestedResource) -> Created:
    configuration = {"EventBridgeConfiguration": {}} if r.get("eventbridge") else {}
    aws.client("s3").put_bucket_notification_configuration(
        Bucket=r["bucket"], NotificationConfiguration=configuration
    )
    return Created(r["bucket"], {})


def _ownership(aws: Aws, r: RequestedResource) -> Created:
    aws.client("s3").put_bucket_ownership_controls(
        Bucket=r["bucket"], OwnershipControls={"Rules": [pascal(r["rule"])]}
    )
    return Created(r["bucket"], {})


def _logging(aws: Aws, r: RequestedResource) -> Created:
    target = r.pick(TargetBucket="targetBucket", TargetPrefix="targetPrefix")
    if key_format := r.get("targetObjectKeyFormat"):
        target["TargetObjectKeyFormat"] = pascal(key_format)
    aws.client("s3").put_bucket_logging(
        Bucket=r["bucket"], BucketLoggingStatus={"LoggingEnabled": target}
    )
    return Created(r["bucket"], {})


HANDLERS = {
    "aws:s3/bucket:Bucket": _bucket,
    "aws:s3/bucketVersioning:BucketVersioning": _versioning,
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": (
        _encryption
    ),
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": _public_access_block,
    "aws:s3/bucketPolicy:BucketPolicy": _policy,
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": _lifecycle,
    "aws:s3/bucketNotification:BucketNotification": _notification,
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls": _ownership,
    "aws:s3/bucketLogging:BucketLogging": _logging,
}
