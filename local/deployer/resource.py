"""A resource to create, and the AWS to create it in."""

import hashlib
import threading
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

import boto3
from botocore.config import Config

_NAME_HASH_CHARS = 7


class DeployError(Exception):
    """A resource could not be created; the text is one sentence that names it."""


class Created(NamedTuple):
    """A resource's id, and the properties that AWS computes."""

    id: str
    outputs: dict[str, Any]


class Aws:
    """Clients of the embedded AWS, by service, shared by the threads of the deployment."""

    def __init__(self, region: str) -> None:
        """Endpoint and credentials come from the environment."""
        self.region = region
        self._session = boto3.Session(region_name=region)
        self._clients: dict[str, Any] = {}
        self._lock = threading.Lock()
        self.account: str = self.client("sts").get_caller_identity()["Account"]

    def client(self, service: str) -> Any:
        if service in self._clients:
            return self._clients[service]
        with self._lock:  # sessions make one client at a time
            if service not in self._clients:
                settings = Config(retries={"total_max_attempts": 1}, max_pool_connections=32)
                self._clients[service] = self._session.client(service, config=settings)
            return self._clients[service]

    def arn(self, service: str, resource: str) -> str:
        return f"arn:aws:{service}:{self.region}:{self.account}:{resource}"


@dataclass
class RequestedResource:
    """What Pulumi requests. Every input must be read, or ignored by name: none gets lost."""

    type: str
    """Token, e.g. aws:sqs/queue:Queue."""
    name: str
    """Logical name."""
    inputs: dict[str, Any]
    """In camelCase, whole numbers as int, nothing that is None."""
    _read: set[str] = field(default_factory=lambda: {"tags", "region"})

    @classmethod
    def of(cls, type_: str, name: str, inputs: dict[str, Any]) -> Self:
        """Takes inputs as they arrive from Pulumi, numbers as floats."""
        return cls(type_, name, _tidy(inputs))

    def __getitem__(self, key: str) -> Any:
        """Raises DeployError for a missing property."""
        if key not in self.inputs:
            raise DeployError(f"{self}: property {key} is missing.")
        return self.get(key)

    def get(self, key: str, default: Any = None) -> Any:
        self._read.add(key)
        return self.inputs.get(key, default)

    def ignore(self, *keys: str) -> None:
        """Properties that mean nothing to the embedded AWS."""
        self._read.update(keys)

    def pick(self, **names: str) -> dict[str, Any]:
        """API parameters: those of `parameter=property` whose property is given."""
        found = {parameter: self.get(key) for parameter, key in names.items()}
        return {parameter: value for parameter, value in found.items() if value is not None}

    def unread(self) -> list[str]:
        return sorted(set(self.inputs) - self._read)

    def physical_name(self, key: str = "name") -> str:
        """The given name, or the logical one with a suffix that never changes."""
        digest = hashlib.sha256(f"{self.type} {self.name}".encode()).hexdigest()
        return self.get(key) or f"{self.name}-{digest[:_NAME_HASH_CHARS]}"

    def __str__(self) -> str:
        return f"{self.type} {self.name!r}"


def pascal(value: Any) -> Any:
    """Nested keys from Pulumi's camelCase to the PascalCase of most AWS APIs."""
    if isinstance(value, dict):
        return {key[:1].upper() + key[1:]: pascal(item) for key, item in value.items()}
    return [pascal(item) for item in value] if isinstance(value, list) else value


def _tidy(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _tidy(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_tidy(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
