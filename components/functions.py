"""Lambda functions: code, role, log, and what wakes them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pulumi
import pulumi_aws as aws

from components.common.encryption import Key
from components.common.identity import (
    Link,
    Location,
    Role,
    RoleArgs,
)
from components.common.logs import LogSettings, log_group
from components.common.policy import (
    ANY,
    Grant,
    allow_service,
)
from components.messaging.queues import Queue, dead_letters
from contracts.stack.environ import Environment

TIMEOUT_SECONDS = 60
MEMORY_MIB = 512
BATCH_SIZE = 5
EVENT_AGE_SECONDS = 6 * 3600
"""An event older than this goes to the DLQ; the most that Lambda allows."""
EVENT_RETRIES = 2

RUNTIME = "python3.11"
CODE_PACKAGES = ("lambdas", "contracts")
POWERTOOLS_ACCOUNT = "017000801446"

REPOSITORY = Path(__file__).resolve().parents[1]

TRACE = Grant(
    sid="SendTraces",
    actions=("xray:PutTelemetryRecords", "xray:PutTraceSegments"),
    resources=(ANY,),
    reason="A trace belongs to no resource; these actions have no resource level: "
    "https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsx-ray.html",
)


def code_archive(root: Path = REPOSITORY) -> pulumi.AssetArchive:
    """The packages that functions are made of: sources only, so that equal code hashes equal.

    There is nothing to build: all that they import besides is in the layer. Raises
    pulumi.RunError, which Pulumi shows without traceback, where a package is missing.
    """
    sources = {package: sorted((root / package).rglob("*.py")) for package in CODE_PACKAGES}
    if missing := [package for package, files in sources.items() if not files]:
        raise pulumi.RunError(
            f"the functions' code: no Python files in {root / missing[0]}; run pulumi in a "
            "complete checkout of the repository"
        )
    files = [file for found in sources.values() for file in found]
    return pulumi.AssetArchive(
        {f.relative_to(root).as_posix(): pulumi.FileAsset(str(f)) for f in files}
    )


def powertools_layer_arn(location: Location, architecture: str, version: int) -> pulumi.Output[str]:
    """The public Powertools V3 layer, which carries pydantic.

    https://docs.aws.amazon.com/powertools/python/latest/getting-started/install/
    """
    name = f"AWSLambdaPowertoolsPythonV3-{RUNTIME.replace('.', '')}-{architecture}"
    return pulumi.Output.format(
        "arn:{0}:lambda:{1}:{2}:layer:{3}:{4}",
        location.partition,
        location.region,
        POWERTOOLS_ACCOUNT,
        name,
        version,
    )


@dataclass(frozen=True, kw_only=True)
class QueueSource:
    """Messages of a queue, in small batches; only those that failed are delivered again."""

    queue: Queue


@dataclass(frozen=True, kw_only=True)
class EventSource:
    """Events of the account's default bus."""

    pattern: pulumi.Input[str]
    """JSON."""


@dataclass(frozen=True, kw_only=True)
class ScheduleSource:
    """The clock."""

    minutes: int

    @property
    def expression(self) -> str:
        """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-scheduled-rule-pattern.html"""
        return f"rate({self.minutes} minute{'' if self.minutes == 1 else 's'})"


@dataclass(frozen=True, kw_only=True)
class FunctionSpec:
    """What a function runs, with which settings and permissions, and when."""

    handler: str
    description: str
    environment: type[Environment]
    link: Link
    source: QueueSource | EventSource | ScheduleSource
    values: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    """Settings beyond those that the link brings."""
    timeout_seconds: int = TIMEOUT_SECONDS
    memory_mib: int = MEMORY_MIB
    """More memory is more processor too; imports take most of a cold start."""
    alone: bool = False
    """Two at once would only do the same work twice, so its reserve, if there is one, is one."""


@dataclass(frozen=True, kw_only=True)
class FunctionArgs:
    spec: FunctionSpec
    code: pulumi.Archive
    layer_arn: pulumi.Input[str]
    architecture: str
    log_name: str
    logs: LogSettings
    dlq_key: Key | None
    """None: SQS's own."""
    reserved_concurrency: int | None
    queue_concurrency: int
    tracing: bool

    @property
    def grants(self) -> tuple[Grant, ...]:
        return (*self.spec.link.grants, *((TRACE,) if self.tracing else ()))

    @property
    def reserve(self) -> int | None:
        return 1 if self.reserved_concurrency and self.spec.alone else self.reserved_concurrency


class Function(pulumi.ComponentResource):
    """One function, with a role of its own that may do what its link says and write its log."""

    arn: pulumi.Output[str]
    function_name: pulumi.Output[str]
    dlq: Queue | None = None
    """For events that the function could not handle; messages of a queue go to that queue's DLQ."""

    def __init__(
        self, name: str, args: FunctionArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("superres:functions:Function", name, None, opts)
        self._name = name
        self._child = pulumi.ResourceOptions(parent=self)
        spec = args.spec
        log = log_group(name, args.log_name, args.logs, self._child)
        if isinstance(spec.source, QueueSource):
            function = self._read_queue(args, log, spec.source)
        else:
            function = self._hear_events(args, log, spec.source)
        self.arn, self.function_name = function.arn, function.name
        self.register_outputs({"arn": self.arn})

    def _function(
        self, args: FunctionArgs, log: aws.cloudwatch.LogGroup, *grants: Grant
    ) -> aws.lambda_.Function:
        spec = args.spec
        write_log = Grant(
            sid="WriteLog",
            actions=("logs:CreateLogStream", "logs:PutLogEvents"),
            resources=(pulumi.Output.concat(log.arn, ":*"),),
        )
        role = Role(
            self._name,
            RoleArgs(service="lambda.amazonaws.com", grants=(*args.grants, *grants, write_log)),
            self._child,
        )
        return aws.lambda_.Function(
            self._name,
            description=spec.description,
            runtime=RUNTIME,
            architectures=[args.architecture],
            handler=spec.handler,
            code=args.code,
            layers=[args.layer_arn],
            role=role.arn,
            timeout=spec.timeout_seconds,
            memory_size=spec.memory_mib,
            reserved_concurrent_executions=args.reserve,
            tracing_config={"mode": "Active"} if args.tracing else None,
            environment={
                "variables": spec.environment.static_variables(
                    {**spec.link.values, **spec.values, "stack": pulumi.get_stack()}
                )
            },
            logging_config={"log_format": "JSON", "log_group": log.name},
            opts=self._child,
        )

    def _read_queue(
        self, args: FunctionArgs, log: aws.cloudwatch.LogGroup, source: QueueSource
    ) -> aws.lambda_.Function:
        function = self._function(args, log, *source.queue.grant_read("ReadQueue"))
        aws.lambda_.EventSourceMapping(
            self._name,
            event_source_arn=source.queue.arn,
            function_name=function.arn,
            batch_size=BATCH_SIZE,
            function_response_types=["ReportBatchItemFailures"],
            scaling_config={"maximum_concurrency": args.queue_concurrency},
            opts=self._child,
        )
        return function

    def _hear_events(
        self,
        args: FunctionArgs,
        log: aws.cloudwatch.LogGroup,
        source: EventSource | ScheduleSource,
    ) -> aws.lambda_.Function:
        scheduled = isinstance(source, ScheduleSource)
        rule = aws.cloudwatch.EventRule(
            self._name,
            description=args.spec.description,
            event_pattern=None if scheduled else source.pattern,
            schedule_expression=source.expression if scheduled else None,
            opts=self._child,
        )
        self.dlq = dlq = dead_letters(
            f"{self._name}-dlq", self, args.dlq_key, lambda arn: [_from_rule(arn, rule.arn)]
        )
        function = self._function(args, log, *dlq.grant_send("SendToDlq"))
        aws.lambda_.FunctionEventInvokeConfig(
            self._name,
            function_name=function.name,
            maximum_event_age_in_seconds=EVENT_AGE_SECONDS,
            maximum_retry_attempts=EVENT_RETRIES,
            destination_config={"on_failure": {"destination": dlq.arn}},
            opts=self._child,
        )
        allowed = aws.lambda_.Permission(
            self._name,
            action="lambda:InvokeFunction",
            function=function.name,
            principal="events.amazonaws.com",
            source_arn=rule.arn,
            opts=self._child,
        )
        aws.cloudwatch.EventTarget(
            self._name,
            rule=rule.name,
            arn=function.arn,
            dead_letter_config={"arn": dlq.arn},
            opts=pulumi.ResourceOptions(parent=self, depends_on=[allowed]),
        )
        return function


def _from_rule(queue_arn: str, rule_arn: pulumi.Output[str]) -> pulumi.Output[dict[str, object]]:
    return rule_arn.apply(
        lambda rule: allow_service(
            "AllowRule", "events.amazonaws.com", "sqs:SendMessage", queue_arn, rule
        )
    )


@dataclass(frozen=True, kw_only=True)
class FunctionsArgs:
    specs: Mapping[str, FunctionSpec]
    layer_arn: pulumi.Input[str]
    architecture: str
    logs: LogSettings
    dlq_key: Key | None
    """None: SQS's own."""
    reserved_concurrency: int | None
    queue_concurrency: int
    tracing: bool


class Functions(pulumi.ComponentResource):
    """All functions, from one archive."""

    functions: dict[str, Function]

    def __init__(
        self, name: str, args: FunctionsArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("superres:functions:Functions", name, None, opts)
        code = code_archive()
        child = pulumi.ResourceOptions(parent=self)
        self.functions = {
            short: Function(
                f"{name}-{short}",
                FunctionArgs(
                    spec=spec,
                    code=code,
                    layer_arn=args.layer_arn,
                    architecture=args.architecture,
                    log_name=f"/{name}/functions/{short}",
                    logs=args.logs,
                    dlq_key=args.dlq_key,
                    reserved_concurrency=args.reserved_concurrency,
                    queue_concurrency=args.queue_concurrency,
                    tracing=args.tracing,
                ),
                child,
            )
            for short, spec in args.specs.items()
        }
        self.register_outputs({"arns": {k: f.arn for k, f in self.functions.items()}})
