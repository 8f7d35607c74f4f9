"""DynamoDB and KMS."""

from typing import Any

from local.deployer.resource import Aws, Created, RequestedResource, pascal


def _table(aws: Aws, r: RequestedResource) -> Created:
    name = r.physical_name()
    dynamodb = aws.client("dynamodb")
    keys = [{"AttributeName": r["hashKey"], "KeyType": "HASH"}]
    if range_key := r.get("rangeKey"):
        keys.append({"AttributeName": range_key, "KeyType": "RANGE"})
    attributes = [
        {"AttributeName": one["name"], "AttributeType": one["type"]} for one in r["attributes"]
    ]
    description = dynamodb.create_table(
        TableName=name,
        KeySchema=keys,
        AttributeDefinitions=attributes,
        **_table_options(r),
    )["TableDescription"]
    _table_upkeep(dynamodb, name, r)
    return Created(name, {"name": name, "arn": description["TableArn"]})


def _table_options(r: RequestedResource) -> dict[str, Any]:
    options = r.pick(
        BillingMode="billingMode",
        DeletionProtectionEnabled="deletionProtectionEnabled",
        TableClass="tableClass",
    )
    if r.get("readCapacity"):
        options["ProvisionedThroughput"] = {
            "ReadCapacityUnits": r["readCapacity"],
            "WriteCapacityUnits": r["writeCapacity"],
        }
    if indexes := r.get("globalSecondaryIndexes"):
        options["GlobalSecondaryIndexes"] = [_index(index) for index in indexes]
    encryption = r.get("serverSideEncryption", {})
    if encryption.get("enabled"):
        options["SSESpecification"] = {"Enabled": True, "SSEType": "KMS"}
        if key := encryption.get("kmsKeyArn"):
            options["SSESpecification"]["KMSMasterKeyId"] = key
    if r.get("streamEnabled"):
        options["StreamSpecification"] = {
            "StreamEnabled": True,
            "StreamViewType": r["streamViewType"],
        }
    return options


def _index(index: dict[str, Any]) -> dict[str, Any]:
    """Raises KeyError for a property that is not known here."""
    names = {
        "name": "IndexName",
        "keySchemas": "KeySchema",
        "projectionType": "Projection",
    }
    parameters = {names[key]: value for key, value in index.items()}
    return {
        **parameters,
        "KeySchema": [pascal(key) for key in parameters["KeySchema"]],
        "Projection": {"ProjectionType": parameters["Projection"]},
    }


def _table_upkeep(dynamodb: Any, name: str, r: RequestedResource) -> None:
    if ttl := r.get("ttl"):
        dynamodb.update_time_to_live(
            TableName=name,
            TimeToLiveSpecification={
                "Enabled": ttl.get("enabled", False),
                "AttributeName": ttl["attributeName"],
            },
        )
    if recovery := r.get("pointInTimeRecovery"):
        dynamodb.update_continuous_backups(
            TableName=name,
            PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": recovery["enabled"]},
        )


def _key(aws: Aws, r: RequestedResource) -> Created:
    r.ignore("deletionWindowInDays", "bypassPolicyLockoutSafetyCheck")
    kms = aws.client("kms")
    metadata = kms.create_key(
        **r.pick(
            Description="description",
            Policy="policy",
            KeyUsage="keyUsage",
            KeySpec="customerMasterKeySpec",
            MultiRegion="multiRegion",
        )
    )["KeyMetadata"]
    if r.get("enableKeyRotation"):
        kms.enable_key_rotation(KeyId=metadata["KeyId"])
    return Created(metadata["KeyId"], {"keyId": metadata["KeyId"], "arn": metadata["Arn"]})


def _alias(aws: Aws, r: RequestedResource) -> Created:
    name = r.physical_name()
    target = r["targetKeyId"]
    aws.client("kms").create_alias(AliasName=name, TargetKeyId=target)
    key = target if target.startswith("arn:") else aws.arn("kms", f"key/{target}")
    return Created(name, {"name": name, "arn": aws.arn("kms", name), "targetKeyArn": key})


HANDLERS = {
    "aws:dynamodb/table:Table": _table,
    "aws:kms/key:Key": _key,
    "aws:kms/alias:Alias": _alias,
}
