"""The job table: the state of every job, and the task tokens of its stages."""

from dataclasses import dataclass
from typing import Literal

import pulumi
import pulumi_aws as aws

from components.common.encryption import DECRYPT, Key
from components.common.identity import Link
from components.common.options import stateful
from components.common.policy import Grant
from contracts.messages import (
    REGISTRY_OPEN,
    REGISTRY_OPEN_INDEX,
    REGISTRY_OPEN_SINCE,
    REGISTRY_PARTITION_KEY,
    REGISTRY_SORT_KEY,
    REGISTRY_TTL,
)

Action = Literal["GetItem", "PutItem", "UpdateItem"]


@dataclass(frozen=True, kw_only=True)
class JobTableArgs:
    protect: bool
    key: Key | None
    """None: the key that AWS manages for DynamoDB in the account, alias/aws/dynamodb."""


class JobTable(pulumi.ComponentResource):
    """A DynamoDB table, paid by request, encrypted, restorable to any second of 35 days."""

    table: pulumi.Output[str]
    arn: pulumi.Output[str]

    def __init__(
        self, name: str, args: JobTableArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("superres:registry:Registry", name, None, opts)
        table = aws.dynamodb.Table(
            name,
            billing_mode="PAY_PER_REQUEST",
            hash_key=REGISTRY_PARTITION_KEY,
            range_key=REGISTRY_SORT_KEY,
            attributes=[
                {"name": REGISTRY_PARTITION_KEY, "type": "S"},
                {"name": REGISTRY_SORT_KEY, "type": "S"},
                {"name": REGISTRY_OPEN, "type": "S"},
                {"name": REGISTRY_OPEN_SINCE, "type": "S"},
            ],
            # holds running jobs only, so that looking for them never scans the table
            global_secondary_indexes=[
                {
                    "name": REGISTRY_OPEN_INDEX,
                    "key_schemas": [
                        {"attribute_name": REGISTRY_OPEN, "key_type": "HASH"},
                        {"attribute_name": REGISTRY_OPEN_SINCE, "key_type": "RANGE"},
                    ],
                    "projection_type": "KEYS_ONLY",
                }
            ],
            ttl={"attribute_name": REGISTRY_TTL, "enabled": True},
            point_in_time_recovery={"enabled": True},
            server_side_encryption={
                "enabled": True,
                "kms_key_arn": args.key.arn if args.key else None,
            },
            deletion_protection_enabled=args.protect,
            opts=stateful(self, protect=args.protect),
        )
        self._key = args.key.through("dynamodb", table.name) if args.key else None
        self.table = table.name
        self.arn = table.arn
        self.register_outputs({"table": self.table, "arn": self.arn})

    def grant_use(self, *actions: Action) -> Link:
        """The table's name, and these DynamoDB actions on it.

        Each caller must be able to decrypt the table's own key; DynamoDB made it, and encrypts
        by it. https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/encryption.usagenotes.html
        """
        grant = Grant(
            sid="UseRegistry",
            actions=tuple(f"dynamodb:{action}" for action in actions),
            resources=(self.arn,),
        )
        return self._usable(grant)

    def grant_query(self) -> Link:
        """The table's name, and permission to query it for running jobs and their records."""
        index = pulumi.Output.concat(self.arn, "/index/", REGISTRY_OPEN_INDEX)
        grant = Grant(sid="FindOpenJobs", actions=("dynamodb:Query",), resources=(self.arn, index))
        return self._usable(grant)

    def _usable(self, grant: Grant) -> Link:
        key = (self._key.grant("UseRegistryKey", DECRYPT),) if self._key else ()
        return Link(values={"registry_table": self.table}, grants=(grant, *key))
