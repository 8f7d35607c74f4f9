"""Rules on Batch jobs, instances and images."""

import re
from collections.abc import Mapping
from typing import Any

from contracts.names import Stage
from contracts.stack.environ import JOB_REGION_VARIABLE, WORKERS
from contracts.stack.images import BUILD_TAG_PREFIX
from policy.rule import Problems, Resource, listed, rule_alone

SECRET_NAME = re.compile(r"TOKEN|SECRET|PASSWORD|CREDENTIAL|PRIVATE|ACCESS_KEY", re.IGNORECASE)
SECRET_VALUE = re.compile(r"\b(AKIA|ASIA)[A-Z0-9]{16}\b|-----BEGIN|arn:[\w-]+:secretsmanager:")
"""Access keys of AWS, private keys, and references that a job's role would have to open."""

MOVING_TAGS = frozenset({f"{BUILD_TAG_PREFIX}*"})
"""Of builds that nobody has promoted; stacks name images by digest."""

TAGS = frozenset({"project", "stack", "owner", "cost-center"})


def variables(container: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(one["name"], one["value"]) for one in listed(container.get("environment"))]


@rule_alone("A job gets exactly the variables that its program reads", "JobDefinition")
def job_environment_is_its_model(definition: Resource) -> Problems:
    """And its region; but those that the function sets which submits the job."""
    container = definition.text("containerProperties")
    stage = (container.get("command") or [""])[-1]
    if stage not in list(Stage):
        yield f"runs {container.get('command')}, which is no stage"
        return
    model = WORKERS[Stage(stage)]
    expected = {model.variable(f) for f in set(model.model_fields) - model.submitted}
    expected.add(JOB_REGION_VARIABLE)
    names = [name for name, _ in variables(container)]
    for name in sorted(expected - set(names)):
        yield f"does not get {name}"
    for name in sorted(set(names) - expected):
        yield f"gets {name}, which it does not read"
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"gets {name} twice"


@rule_alone("A job gets no secrets: it opens hostile media", "JobDefinition")
def job_has_no_secrets(definition: Resource) -> Problems:
    container = definition.text("containerProperties")
    if container.get("secrets"):
        yield "gets secrets"
    for name, value in variables(container):
        if SECRET_NAME.search(name) or SECRET_VALUE.search(value):
            yield f"{name} looks like a secret"


@rule_alone("A job writes to its scratch folder alone, without privileges", "JobDefinition")
def job_is_confined(definition: Resource) -> Problems:
    container = definition.text("containerProperties")
    if container.get("readonlyRootFilesystem") is not True:
        yield "can write to its root file system"
    if container.get("privileged"):
        yield "is privileged"
    for volume in listed(container.get("volumes")):
        if (volume.get("host") or {}).get("sourcePath"):
            yield f"sees {volume['host']['sourcePath']} of its host"


@rule_alone("A job ends, and tries again only what may succeed", "JobDefinition")
def job_has_limits(definition: Resource) -> Problems:
    if not (definition.props.get("timeout") or {}).get("attemptDurationSeconds"):
        yield "has no time limit"
    rules = (definition.props.get("retryStrategy") or {}).get("evaluateOnExits") or []
    last = rules[-1] if rules else {}
    if (last.get("action"), last.get("onReason")) != ("EXIT", "*"):
        yield "tries again whatever no rule matches: end evaluateOnExits with EXIT *"


@rule_alone("An instance asks for its credentials by token", "LaunchTemplate")
def instance_asks_by_token(template: Resource) -> Problems:
    if (template.props.get("metadataOptions") or {}).get("httpTokens") != "required":
        yield "does not require httpTokens (IMDSv2)"


@rule_alone("An instance encrypts its disks", "LaunchTemplate")
def instance_disks_are_encrypted(template: Resource) -> Problems:
    for disk in template.props.get("blockDeviceMappings") or []:
        if "ebs" in disk and str(disk["ebs"].get("encrypted")).lower() != "true":
            yield f"{disk['deviceName']} is not encrypted"


@rule_alone("Instances and volumes say whose they are", "LaunchTemplate")
def instance_is_tagged(template: Resource) -> Problems:
    """The provider's default tags do not reach what Batch starts."""
    specifications = template.props.get("tagSpecifications") or []
    given = {s["resourceType"]: {k for k, v in s["tags"].items() if v} for s in specifications}
    for kind in ("instance", "volume"):
        for tag in sorted(TAGS - given.get(kind, set())):
            yield f"gives its {kind}s no tag {tag}"


@rule_alone("Machines that nobody needs are given back", "ComputeEnvironment")
def environment_scales_to_zero(environment: Resource) -> Problems:
    if (environment.props.get("computeResources") or {}).get("minVcpus"):
        yield "keeps machines while there is no work: set minVcpus to 0"


@rule_alone("An image is scanned, and its tag never moves, but for builds", "Repository")
def repository_is_safe(repository: Resource) -> Problems:
    kind = repository.props.get("imageTagMutability")
    moving = {f["filter"] for f in repository.props.get("imageTagMutabilityExclusionFilters") or []}
    if kind not in ("IMMUTABLE", "IMMUTABLE_WITH_EXCLUSION") or not moving <= MOVING_TAGS:
        yield "lets a tag move to another image"
    if (repository.props.get("imageScanningConfiguration") or {}).get("scanOnPush") is not True:
        yield "does not scan what is pushed"
