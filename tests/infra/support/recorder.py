"""Runs the Pulumi program outside its engine and remembers all that it asked for."""

import asyncio
import functools
import json
import runpy
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from pulumi.runtime import rpc, set_all_config, settings
from pulumi.runtime.mocks import MockCallArgs, MockMonitor, MockResourceArgs, Mocks, set_mocks
from pulumi.runtime.stack import run_in_stack

from tools.source import REPOSITORY

PROJECT = "superres"
ACCOUNT = "123456789012"
REGION = "us-east-1"
_IMAGES = "/aws/service/ecs/optimized-ami/amazon-linux-2023"
MACHINE_IMAGES = {
    f"{_IMAGES}/recommended/image_id": "ami-0000000000000c000",
    f"{_IMAGES}/gpu/recommended/image_id": "ami-0000000000000a000",
}
DIGEST = f"sha256:{'a1' * 32}"
"""Of everything that the program builds."""
PLACE = "eb805c6c3f"
"""At the end of buckets' names: a digest of account and region."""
STACKS = ("dev", "staging", "prod", "local")

ARNS = {
    "aws:s3/bucket:Bucket": "arn:aws:s3:::{name}",
    "aws:ecr/repository:Repository": "arn:aws:ecr:{region}:{account}:repository/{name}",
    "aws:ec2/launchTemplate:LaunchTemplate": (
        "arn:aws:ec2:{region}:{account}:launch-template/{name}"
    ),
    "aws:iam/openIdConnectProvider:OpenIdConnectProvider": (
        "arn:aws:iam::{account}:oidc-provider/token.actions.githubusercontent.com"
    ),
    "aws:iam/policy:Policy": "arn:aws:iam::{account}:policy/{name}",
    "aws:iam/role:Role": "arn:aws:iam::{account}:role/{name}",
    "aws:iam/instanceProfile:InstanceProfile": "arn:aws:iam::{account}:instance-profile/{name}",
    "aws:sns/topic:Topic": "arn:aws:sns:{region}:{account}:{name}",
    "aws:sqs/queue:Queue": "arn:aws:sqs:{region}:{account}:{name}",
    "aws:kms/key:Key": "arn:aws:kms:{region}:{account}:key/{name}",
    "aws:lambda/function:Function": "arn:aws:lambda:{region}:{account}:function:{name}",
    "aws:cloudwatch/logGroup:LogGroup": "arn:aws:logs:{region}:{account}:log-group:{name}",
    "aws:cloudwatch/eventRule:EventRule": "arn:aws:events:{region}:{account}:rule/{name}",
    "aws:cloudwatch/metricAlarm:MetricAlarm": "arn:aws:cloudwatch:{region}:{account}:alarm:{name}",
    "aws:sfn/stateMachine:StateMachine": "arn:aws:states:{region}:{account}:stateMachine:{name}",
    "aws:dynamodb/table:Table": "arn:aws:dynamodb:{region}:{account}:table/{name}",
    "aws:batch/jobQueue:JobQueue": "arn:aws:batch:{region}:{account}:job-queue/{name}",
    "aws:batch/jobDefinition:JobDefinition": (
        "arn:aws:batch:{region}:{account}:job-definition/{name}:1"
    ),
    "aws:batch/computeEnvironment:ComputeEnvironment": (
        "arn:aws:batch:{region}:{account}:compute-environment/{name}"
    ),
}
"""Resource types whose ARN the program uses, in AWS's own forms, for linters look at them."""

ANSWERS: dict[str, dict[str, Any]] = {
    "aws:ecr/getAuthorizationToken:getAuthorizationToken": {
        "userName": "AWS",
        "password": "registry-password",
    },
    "aws:index/getCallerIdentity:getCallerIdentity": {"accountId": ACCOUNT},
    "aws:index/getRegion:getRegion": {"region": REGION},
    "aws:index/getPartition:getPartition": {"partition": "aws"},
    "aws:index/getAvailabilityZones:getAvailabilityZones": {
        "names": [f"{REGION}a", f"{REGION}b", f"{REGION}c"]
    },
}


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """A resource as the program declared it; inputs as the provider gets them."""

    type: str
    name: str
    urn: str
    parent: str
    inputs: Mapping[str, Any]
    custom: bool
    protect: bool
    retain: bool
    former_names: tuple[str, ...]
    """Under which Pulumi may know the resource from former deployments."""
    provider: str
    uses: Mapping[str, frozenset[str]]
    """By input: URNs of the resources that its value is made from."""
    waits_for: frozenset[str] = frozenset()
    """URNs of all resources that must stand before it is made."""
    arn: str = ""


@dataclass
class Deployment:
    """What one run of the program declared, and what it exports."""

    stack: str
    resources: list[Recorded] = field(default_factory=list)
    outputs: dict[str, Any] = field(default_factory=dict)
    registered_outputs: set[str] = field(default_factory=set)

    def of(self, kind: str) -> list[Recorded]:
        """Resources by the last part of their type, e.g. `Queue`."""
        return [r for r in self.resources if r.type.rsplit(":", 1)[-1] == kind and r.custom]

    def one(self, kind: str, name: str) -> Recorded:
        """The resource of this kind whose name is the stack's prefix and this."""
        full = f"{PROJECT}-{self.stack}" + (f"-{name}" if name else "")
        (found,) = [r for r in self.of(kind) if r.name == full]
        return found

    def job_container(self, stage: str) -> dict[str, Any]:
        """The container of a stage's job definition."""
        return json.loads(self.one("JobDefinition", stage).inputs["containerProperties"])

    def compute_resources(self, environment: str) -> dict[str, Any]:
        """What a managed compute environment may start."""
        return self.one("ComputeEnvironment", environment).inputs["computeResources"]

    def policies(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Every role's policy: (role's name, document)."""
        for policy in self.of("RolePolicy"):
            yield policy.inputs["role"], json.loads(policy.inputs["policy"])

    def statements(self, role: str) -> list[dict[str, Any]]:
        """Of a role's policy."""
        full = f"{PROJECT}-{self.stack}-{role}"
        (document,) = [d for name, d in self.policies() if name == full]
        return document["Statement"]

    def policy(self, role: str) -> dict[str, list[str]]:
        """Actions of a role, each with its resources."""
        granted: dict[str, list[str]] = {}
        for statement in self.statements(role):
            for action in statement["Action"]:
                granted.setdefault(action, []).extend(statement["Resource"])
        return granted


class _Cloud(Mocks):
    """Answers with what AWS would compute; physical names equal logical ones."""

    def call(self, args: MockCallArgs) -> Any:
        if args.token == "aws:ssm/getParameter:getParameter":
            return {"insecureValue": MACHINE_IMAGES[args.args["name"]]}
        return ANSWERS[args.token]

    def new_resource(self, args: MockResourceArgs) -> tuple[str, dict[str, Any]]:
        name = physical_name(args.typ, args.name, args.inputs)
        state = {**args.inputs, "name": name, "arn": arn_of(args.typ, name)}
        computed = {
            "aws:sqs/queue:Queue": {"url": f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/{name}"},
            "aws:kms/key:Key": {"keyId": name},
            "docker-build:index:Image": {"digest": DIGEST},
            "aws:ec2/launchTemplate:LaunchTemplate": {"latestVersion": 3},
            "aws:batch/computeEnvironment:ComputeEnvironment": {
                "ecsClusterArn": f"arn:aws:ecs:{REGION}:{ACCOUNT}:cluster/{name}"
            },
            "aws:ec2/vpcEndpoint:VpcEndpoint": {"prefixListId": "pl-63a5400a"},
        }
        return name, {**state, **computed.get(args.typ, {})}


def physical_name(kind: str, logical: str, inputs: Mapping[str, Any]) -> str:
    return inputs.get("bucket" if kind == "aws:s3/bucket:Bucket" else "name", logical)


def bucket(stack: str, purpose: str) -> str:
    """Physical name of a stack's bucket."""
    return f"{PROJECT}-{stack}-{purpose}-{PLACE}"


def arn_of(kind: str, name: str) -> str:
    return ARNS.get(kind, "").format(name=name, account=ACCOUNT, region=REGION)


class _Monitor(MockMonitor):
    """Keeps what Pulumi's mocks drop: parents, protection, providers, exports."""

    def __init__(self, deployment: Deployment) -> None:
        super().__init__(_Cloud())
        self.deployment = deployment

    def RegisterResource(self, request: Any) -> Any:
        response = super().RegisterResource(request)
        inputs = rpc.deserialize_properties(request.object)
        self.deployment.resources.append(
            Recorded(
                type=request.type,
                name=request.name,
                urn=response.urn,
                parent=request.parent,
                inputs=inputs,
                custom=request.custom,
                protect=request.protect,
                retain=request.retainOnDelete,
                former_names=tuple(a.spec.name for a in request.aliases if a.spec.name),
                provider=request.provider,
                uses={k: frozenset(d.urns) for k, d in request.propertyDependencies.items()},
                waits_for=frozenset(request.dependencies),
                arn=arn_of(request.type, physical_name(request.type, request.name, inputs)),
            )
        )
        return response

    def RegisterResourceOutputs(self, request: Any) -> Any:
        self.deployment.registered_outputs.add(request.urn)
        if request.urn.split("::")[2] == "pulumi:pulumi:Stack":
            self.deployment.outputs = rpc.deserialize_properties(request.outputs)
        return super().RegisterResourceOutputs(request)


def stack_config(stack: str, folder: Path = REPOSITORY) -> dict[str, str]:
    """A stack file's configuration in the form in which Pulumi hands it to a program."""
    text = (folder / f"Pulumi.{stack}.yaml").read_text()
    return {key: _as_text(value) for key, value in yaml.safe_load(text)["config"].items()}


def _as_text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def run_program(
    stack: str, config: Mapping[str, str], project: str = PROJECT, folder: Path = REPOSITORY
) -> Deployment:
    """Run a program once. Whatever it raises comes out."""

    def program() -> None:
        runpy.run_path(str(folder / "__main__.py"), run_name="__main__")

    return record(stack, config, program, project)


def record(
    stack: str, config: Mapping[str, str], program: Callable[[], None], project: str = PROJECT
) -> Deployment:
    """What a program declares. Whatever it raises comes out."""
    deployment = Deployment(stack)
    set_all_config(dict(config))
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    set_mocks(_Cloud(), project=project, stack=stack, preview=False, monitor=_Monitor(deployment))
    no_root: Any = None  # run_in_stack makes its own, as the language host does
    settings.set_root_resource(no_root)
    try:
        with warnings.catch_warnings():
            # pulumi_aws warns of its own deprecated modules when it loads them
            warnings.simplefilter("ignore", DeprecationWarning)
            loop.run_until_complete(run_in_stack(program))
    finally:
        _abandon(loop)
        loop.close()
        asyncio.set_event_loop(None)
    return deployment


def _abandon(loop: asyncio.AbstractEventLoop) -> None:
    """End what a program that was refused halfway has left waiting."""
    waiting = asyncio.all_tasks(loop)
    for task in waiting:
        task.cancel()
    loop.run_until_complete(asyncio.gather(*waiting, return_exceptions=True))
    settings.SETTINGS.outputs.clear()  # pyright: ignore[reportAttributeAccessIssue] - Pulumi's own


@functools.cache
def deployment(stack: str) -> Deployment:
    """The whole program under a stack's file; run once per test session."""
    return run_program(stack, stack_config(stack))


@functools.cache
def variant(stack: str, *changes: str) -> Deployment:
    """The whole program under a stack's file with some settings changed, as `name=value`."""
    changed = dict(change.split("=", 1) for change in changes)
    settings = {f"{PROJECT}:{name}": value for name, value in changed.items()}
    return run_program(stack, {**stack_config(stack), **settings})
