"""What the executor needs from ministack: queues, events and job roles."""

import contextlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from ministack.core import responses
from ministack.services import batch, eventbridge

from local.emulator import iam
from local.emulator.batch.processes.attempt import StartError
from local.emulator.batch.scheduler import ComputeEnvironment, JobQueue
from local.emulator.guard import Guard

JOB_PRINCIPAL = "ecs-tasks.amazonaws.com"


class AwsSurroundings:
    """Surroundings backed by ministack's stores, in one account and region."""

    def __init__(self, account: str, region: str, host_vcpus: float, guard: Guard) -> None:
        self._account = account
        self._region = region
        self._host_vcpus = host_vcpus
        self._guard = guard

    def queue(self, arn: str) -> JobQueue | None:
        with self._scope():
            record = find_queue(arn)
            if record is None or record["state"] != "ENABLED":
                return None
            order = sorted(record["computeEnvironmentOrder"], key=lambda entry: entry["order"])
            named = (find_environment(entry["computeEnvironment"]) for entry in order)
            environments = tuple(
                self._environment(e) for e in named if e and e["state"] == "ENABLED"
            )
        return JobQueue(record["priority"], environments)

    def publish(self, job_arn: str, detail: dict[str, Any]) -> None:
        # PutEvents would also keep every event for ever; the rules only need to see it.
        event = {
            "EventId": responses.new_uuid(),
            "Source": "aws.batch",
            "DetailType": "Batch Job State Change",
            "Detail": json.dumps(detail),
            "EventBusName": "default",
            "Time": int(detail.get("stoppedAt") or detail["createdAt"]) // 1000,
            "Resources": [job_arn],
            "Account": self._account,
            "Region": self._region,
        }
        with self._scope():
            eventbridge._dispatch_event(event)

    def credentials(self, role_arn: str, session: str) -> Mapping[str, str]:
        with self._scope():
            try:
                return iam.assume(role_arn, JOB_PRINCIPAL, session).variables()
            except iam.CannotAssumeError as error:
                raise StartError(str(error)) from error

    def group_started(self, group: int) -> None:
        self._guard.watch(group)

    def group_ended(self, group: int) -> None:
        self._guard.forget(group)

    @contextlib.contextmanager
    def _scope(self) -> Iterator[None]:
        with responses.request_scope(self._account, self._region):
            yield

    def _environment(self, environment: Mapping[str, Any]) -> ComputeEnvironment:
        resources = environment.get("computeResources") or {}
        vcpus = resources.get("maxvCpus") or environment.get("unmanagedvCpus") or self._host_vcpus
        return ComputeEnvironment(
            environment["computeEnvironmentArn"], min(float(vcpus), self._host_vcpus)
        )


def find_queue(reference: str) -> dict[str, Any] | None:
    """A job queue by name or ARN, in the scope of the request."""
    return batch._job_queues.get(reference.rsplit("/", 1)[-1])


def find_environment(reference: str) -> dict[str, Any] | None:
    return batch._compute_envs.get(reference.rsplit("/", 1)[-1])


def find_definition(reference: str) -> dict[str, Any] | None:
    """An active job definition by name, name:revision or ARN; the newest without a revision."""
    name, _, revision = reference.rsplit("/", 1)[-1].partition(":")
    revisions = [
        one
        for one in batch._job_definitions.get(name, [])
        if one["status"] == "ACTIVE" and revision in ("", str(one["revision"]))
    ]
    return revisions[-1] if revisions else None
