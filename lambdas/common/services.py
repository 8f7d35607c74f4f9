"""The AWS that one function works with: each adapter over a client made when first needed."""

import os
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Generic, Protocol, TypeVar

from botocore.client import BaseClient

from lambdas.common.answers import TaskAnswerer
from lambdas.common.aws import (
    BatchClient,
    BatchSubmitter,
    ObjectClient,
    TopicPublisher,
    WorkflowClient,
    make_client,
)
from lambdas.common.job_registry import JobRegistry

E_co = TypeVar("E_co", covariant=True)


class _HasRegistryTable(Protocol):
    @property
    def registry_table(self) -> str: ...


class _HasIntermediateBucket(Protocol):
    @property
    def intermediate_bucket(self) -> str: ...


class _HasEmailTopic(Protocol):
    @property
    def email_topic_arn(self) -> str: ...


class _HasNotificationTopic(Protocol):
    @property
    def notification_topic_arn(self) -> str: ...


class Services(Generic[E_co]):
    """A handler declares it with its environment model, as in `Services(TriggerEnvironment.read)`.

    Nothing is read or made before it is first used; clients then live as long as the process. What
    needs a name, such as a table's, is there only where the environment model has it: the type
    checker refuses the rest.
    """

    def __init__(
        self,
        read_environment: Callable[[Mapping[str, str]], E_co],
        make_client: Callable[[str, int], BaseClient] = make_client,
    ) -> None:
        self._read_environment = read_environment
        self._make_client = make_client
        self._clients: dict[tuple[str, int], BaseClient] = {}

    @cached_property
    def environment(self) -> E_co:
        """Raises ContractError where a variable is missing or wrong."""
        return self._read_environment(os.environ)

    def check_environment(self) -> None:
        """A broken environment must fail the whole function, not one message after another.

        Raises ContractError.
        """
        _ = self.environment

    @property
    def objects(self) -> ObjectClient:
        return ObjectClient(self._client("s3"))

    @property
    def batch(self) -> BatchClient:
        return BatchClient(self._client("batch"))

    @property
    def submitter(self) -> BatchSubmitter:
        return BatchSubmitter(self._client("batch", attempts=1))

    @property
    def workflow(self) -> WorkflowClient:
        return WorkflowClient(self._client("stepfunctions"))

    @property
    def registry(self: "Services[_HasRegistryTable]") -> JobRegistry:
        return JobRegistry(self._client("dynamodb"), self.environment.registry_table)

    @property
    def answerer(self: "Services[_HasIntermediateBucket]") -> TaskAnswerer:
        return TaskAnswerer(
            objects=self.objects,
            bucket=self.environment.intermediate_bucket,
            workflow=self.workflow,
        )

    @property
    def email_topic(self: "Services[_HasEmailTopic]") -> TopicPublisher:
        return TopicPublisher(self._client("sns"), self.environment.email_topic_arn)

    @property
    def notification_topic(self: "Services[_HasNotificationTopic]") -> TopicPublisher:
        return TopicPublisher(self._client("sns"), self.environment.notification_topic_arn)

    def _client(self, service: str, attempts: int = 3) -> BaseClient:
        key = (service, attempts)
        if key not in self._clients:
            self._clients[key] = self._make_client(service, attempts)
        return self._clients[key]
