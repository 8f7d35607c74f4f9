"""Rules on buckets, tables and keys."""

from collections.abc import Mapping
from typing import Any

from policy.rule import Graph, Problems, Resource, listed, rule, rule_alone, statements

BLOCKS = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")


def denies_plain_http(document: Mapping[str, Any], action: str) -> bool:
    """Whether everybody is denied an action without TLS."""
    return any(
        statement.get("Principal") in ("*", {"AWS": "*"})
        and action in listed(statement.get("Action"))
        and statement.get("Condition") == {"Bool": {"aws:SecureTransport": "false"}}
        for statement in statements(document, "Deny")
    )


def allows_everybody(document: Mapping[str, Any]) -> bool:
    return any("*" in _principals(s) for s in statements(document, "Allow"))


def _principals(statement: Mapping[str, Any]) -> list[str]:
    principal = statement.get("Principal")
    if not isinstance(principal, Mapping):
        return listed(principal)
    return [name for names in principal.values() for name in listed(names)]


@rule("A bucket blocks all public access", "Bucket")
def bucket_blocks_public_access(bucket: Resource, graph: Graph) -> Problems:
    blocks = graph.users(bucket, "BucketPublicAccessBlock", "bucket")
    if not blocks:
        yield "has no BucketPublicAccessBlock"
    for block in blocks:
        for setting in BLOCKS:
            if block.props.get(setting) is not True:
                yield f"its BucketPublicAccessBlock does not set {setting}"


@rule("A bucket encrypts what it holds", "Bucket")
def bucket_is_encrypted(bucket: Resource, graph: Graph) -> Problems:
    found = graph.users(bucket, "BucketServerSideEncryptionConfiguration", "bucket")
    if not found:
        yield "has no BucketServerSideEncryptionConfiguration"
    for rules in (f.props["rules"] for f in found):
        for one in rules:
            default = one["applyServerSideEncryptionByDefault"]
            if default["sseAlgorithm"] == "AES256":
                continue
            if default["sseAlgorithm"] != "aws:kms" or not default.get("kmsMasterKeyId"):
                yield f"is encrypted by {default['sseAlgorithm']}, without a key of ours"
            elif one.get("bucketKeyEnabled") is not True:
                yield "asks KMS for every object: bucketKeyEnabled is not set"


@rule("A bucket refuses calls without TLS, and trusts nobody outside", "Bucket")
def bucket_wants_tls(bucket: Resource, graph: Graph) -> Problems:
    documents = [p.text("policy") for p in graph.users(bucket, "BucketPolicy", "bucket")]
    if not any(denies_plain_http(document, "s3:*") for document in documents):
        yield "has no policy that denies calls without TLS"
    if any(allows_everybody(document) for document in documents):
        yield "its policy allows everybody something"


@rule("A bucket's owner owns every object; access lists are off", "Bucket")
def bucket_owner_is_enforced(bucket: Resource, graph: Graph) -> Problems:
    owners = graph.users(bucket, "BucketOwnershipControls", "bucket")
    if [o.props["rule"]["objectOwnership"] for o in owners] != ["BucketOwnerEnforced"]:
        yield "does not set objectOwnership to BucketOwnerEnforced"


@rule("A bucket aborts uploads that nobody completed", "Bucket")
def bucket_aborts_uploads(bucket: Resource, graph: Graph) -> Problems:
    found = graph.users(bucket, "BucketLifecycleConfiguration", "bucket")
    rules = [one for lifecycle in found for one in lifecycle.props["rules"]]
    if not any(r.get("abortIncompleteMultipartUpload") for r in rules if r["status"] == "Enabled"):
        yield "keeps, and pays for, parts of uploads that were never completed"


@rule("A bucket's access log goes to another bucket, which logs nowhere", "BucketLogging")
def bucket_log_does_not_loop(logging: Resource, graph: Graph) -> Problems:
    targets = graph.used(logging, "Bucket", "targetBucket")
    sources = graph.used(logging, "Bucket", "bucket")
    if any(graph.users(target, "BucketLogging", "bucket") for target in targets):
        yield f"{sources[0].name} logs into a bucket that is logged itself"


@rule_alone("A table is encrypted and can be restored to any second", "Table")
def table_is_encrypted_and_restorable(table: Resource) -> Problems:
    for setting in ("pointInTimeRecovery", "serverSideEncryption"):
        if (table.props.get(setting) or {}).get("enabled") is not True:
            yield f"does not enable {setting}"


@rule_alone("A key turns over every year", "Key")
def key_rotates(key: Resource) -> Problems:
    if key.props.get("enableKeyRotation") is not True:
        yield "does not set enableKeyRotation"
