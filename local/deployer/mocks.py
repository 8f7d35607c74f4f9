"""Answers Pulumi's requests by creating resources in the embedded AWS."""

import logging
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError
from pulumi.runtime.mocks import MockCallArgs, MockResourceArgs, Mocks

from local.deployer.invokes import INVOKES
from local.deployer.resource import Aws, DeployError, RequestedResource
from local.deployer.resources import HANDLERS

log = logging.getLogger(__name__)


class Deployer(Mocks):
    """Called from several threads at once, as far as resources do not depend on each other."""

    def __init__(self, aws: Aws) -> None:
        self._aws = aws
        self.failure: DeployError | None = None
        """The first one; Pulumi wraps what is raised here beyond recognition."""

    def call(self, args: MockCallArgs) -> tuple[dict[str, Any], list[tuple[str, str]]]:
        answer = INVOKES.get(args.token)
        if answer is None:
            raise self._failed(DeployError(f"The local stack cannot answer {args.token}."))
        return answer(self._aws, args.args), []

    def new_resource(self, args: MockResourceArgs) -> tuple[str, dict[str, Any]]:
        if not args.custom or args.typ.startswith("pulumi:"):
            return args.name, args.inputs
        resource = RequestedResource.of(args.typ, args.name, args.inputs)
        try:
            identifier, outputs = self._create(resource)
        except DeployError as error:
            raise self._failed(error) from error
        except (ClientError, BotoCoreError, ParamValidationError, ValueError) as error:
            raise self._failed(DeployError(f"{resource}: {error}")) from error
        log.info("created %s: %s", resource, identifier)
        return identifier, {**args.inputs, **outputs}

    def _create(self, resource: RequestedResource) -> tuple[str, dict[str, Any]]:
        handler = HANDLERS.get(resource.type)
        if handler is None:
            raise DeployError(
                f"{resource}: the local stack has no handler for this type of resource; "
                "add one in local/deployer/resources."
            )
        created = handler(self._aws, resource)
        if unread := resource.unread():
            raise DeployError(
                f"{resource}: the local stack does not know {', '.join(unread)}; "
                "teach its handler in local/deployer/resources."
            )
        return created

    def _failed(self, error: DeployError) -> DeployError:
        self.failure = self.failure or error
        return error
