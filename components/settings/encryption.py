"""Settings of encryption at rest."""

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, model_validator

from components.settings.reading import SettingsPart
from contracts.base import ContractError

_KEY_ARN = re.compile(r"arn:[a-z-]+:kms:(?P<region>[a-z0-9-]+):\d{12}:key/[A-Za-z0-9-]+")


def _key_arn(value: str) -> str:
    if not _KEY_ARN.fullmatch(value):
        raise ValueError(
            "expected a key's ARN (no alias), such as arn:aws:kms:us-east-1:111122223333:key/..."
        )
    return value


class EncryptionSettings(SettingsPart):
    encryption: Literal["s3", "kms"] = "s3"
    """s3: keys that AWS manages, free of charge. kms: the account's own keys for buckets,
    job table, queues, logs and volumes; their use is granted, logged and can be revoked."""
    kms_key_arn: Annotated[str, AfterValidator(_key_arn)] | None = None
    """An existing key to use instead of the stack's, for buckets, job table, logs and volumes."""

    @model_validator(mode="after")
    def _key_is_used(self) -> Self:
        if self.kms_key_arn is not None and self.encryption != "kms":
            raise ValueError(f"encryption: got {self.encryption!r} with kms_key_arn, must be 'kms'")
        return self

    def check_region(self, region: str) -> None:
        """Raises ContractError where the key is elsewhere than the stack: S3 would refuse it."""
        match = _KEY_ARN.fullmatch(self.kms_key_arn or "")
        if match and match["region"] != region:
            raise ContractError(
                f"stack settings: superres:kms_key_arn: got a key in {match['region']}, must be "
                f"a key in the stack's region, {region}"
            )
