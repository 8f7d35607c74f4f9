"""Where the emulator listens, its root credentials, and the environment that ministack reads."""

import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

MINISTACK_VERSION = "1.5.33"
ACCOUNT = "123456789012"
HOST = "127.0.0.1"

SERVICES = (
    "batch", "budgets", "dynamodb", "ec2", "ecr", "events", "iam", "kms", "lambda", "logs",
    "monitoring", "s3", "sns", "sqs", "ssm", "states", "sts", "tagging",
)  # fmt: skip
"""The rest of ministack is unreachable: it would answer for services that nobody checked."""

_KEPT = re.compile(
    r"PATH|HOME|USER|LOGNAME|LANG|LC_[A-Z]+|TZ|TERM|VIRTUAL_ENV|LD_LIBRARY_PATH|XDG_[A-Z_]+"
    r"|CUDA_VISIBLE_DEVICES|NVIDIA_[A-Z_]+"
)


@dataclass(frozen=True)
class EmulatorSettings:
    """One run of the emulator."""

    port: int
    region: str
    scratch: Path
    """Folder for everything temporary; the caller removes it."""
    logs: Path
    """Folder for the jobs' logs."""
    access_log: Path
    """File for which statement allowed which call; see patches/permissions/access_log.py."""
    code: Path
    """Root of the packages that jobs import."""
    import_ahead: str | None = None
    """A module of a package that a job will run, to be imported while the job before it runs."""
    account: str = ACCOUNT
    access_key_id: str = field(
        default_factory=lambda: "AKIA" + secrets.token_hex(20).upper(), repr=False
    )
    """Of the account's root. Random, so that the open port serves nobody else on the machine."""
    secret_access_key: str = field(default_factory=lambda: secrets.token_hex(20), repr=False)

    @property
    def address(self) -> str:
        return f"{HOST}:{self.port}"

    @property
    def endpoint(self) -> str:
        return f"http://{self.address}"

    def export(self) -> None:
        """Replace this process's environment: Lambda workers inherit it, ministack reads it.

        Call before ministack is imported.
        """
        variables = self.variables(os.environ)
        os.environ.clear()
        os.environ.update(variables)

    def variables(self, inherited: Mapping[str, str]) -> dict[str, str]:
        """The environment to run in, given the caller's."""
        kept = {k: v for k, v in inherited.items() if _KEPT.fullmatch(k)}
        return kept | {
            "TMPDIR": str(self.scratch),
            "STATE_DIR": str(self.scratch / "state"),
            "GATEWAY_PORT": str(self.port),
            "BIND_HOST": HOST,
            "MINISTACK_HOST": HOST,
            "MINISTACK_ACCOUNT_ID": self.account,
            "MINISTACK_REGION": self.region,
            "AUTH": "true",
            "SERVICES": ",".join(SERVICES),
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
            # A socket that cannot exist: ministack would reap containers that it takes for its own.
            "DOCKER_HOST": f"unix://{self.scratch}/no-docker.sock",
            "AWS_ACCESS_KEY_ID": self.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.secret_access_key,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
        }
