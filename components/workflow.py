"""The workflow: the order of the stages, what each waits for, and how a job ends."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from components.common.identity import (
    Link,
    Location,
    Role,
    RoleArgs,
)
from components.common.logs import LogSettings, log_group
from components.common.policy import ANY, Grant, to_json
from components.messaging.component import Messaging
from components.settings.storage import JOB_DAYS_MAX
from contracts.base import SCHEMA_VERSION
from contracts.names import JobStatus, Stage, execution_arn

State = dict[str, Any]

EXTRACT_TIMEOUT_SECONDS = 12 * 3600
"""Of the whole stage: waiting for an instance, and all attempts. It is fixed, for the plan that
limits the other stages is what this one makes. Six hours of waiting and three attempts of two
hours fit into it, but Batch may also spend all of it on one attempt (workloads.ATTEMPT_SECONDS)."""

SNS_TRANSIENT = [
    "SNS.InternalErrorException",
    "SNS.KMSThrottlingException",
    "SNS.SdkClientException",
    "SNS.ThrottledException",
]
"""Publishing may be repeated: stages find their job by name, notifications are idempotent."""


@dataclass(frozen=True, kw_only=True)
class Topics:
    """ARNs of the topics that the workflow publishes to."""

    stages: Mapping[Stage, str]
    notification: str


def definition(topics: Topics) -> State:
    """The state machine in Amazon States Language (JSONPath).

    Input: contracts.messages.ExecutionInput. Every failure that an execution can see passes
    NotifyFailure; an aborted execution, or one past the top-level limit, sees nothing any more.
    https://states-language.net/spec.html
    """
    extract, process, recompose = Stage.EXTRACT, Stage.PROCESS, Stage.RECOMPOSE
    return {
        "Comment": "Upscale one film: extract, process, recompose, notify",
        "StartAt": "Accepted",
        "TimeoutSeconds": JOB_DAYS_MAX * 24 * 3600,
        "States": {
            "Accepted": _accepted(),
            "Extract": _stage(
                topics, extract, "Process", {"TimeoutSeconds": EXTRACT_TIMEOUT_SECONDS}
            ),
            "Process": _stage(
                topics,
                process,
                "Recompose",
                {"TimeoutSecondsPath": "$.extract.process_timeout_seconds"},
                {"array_size.$": "$.extract.runs"},
            ),
            "Recompose": _stage(
                topics,
                recompose,
                "NotifySuccess",
                {"TimeoutSecondsPath": "$.extract.recompose_timeout_seconds"},
            ),
            "NotifySuccess": _notify(
                topics,
                JobStatus.SUCCEEDED,
                {
                    "error": None,
                    "message": None,
                    "result.$": "$.recompose.result",
                    "report.$": "$.recompose.report",
                    "remarks.$": "$.recompose.remarks",
                },
                # the film is done; the reconciler tells what could not be told here
                {"Next": "Succeeded", "Catch": [_catch("States.ALL", None, "Succeeded")]},
            ),
            "Succeeded": {"Type": "Succeed"},
            "TimedOut": _timed_out(),
            "NotifyFailure": _notify(
                topics,
                JobStatus.FAILED,
                {
                    "error.$": "$.error.Error",
                    "message.$": "$.error.Cause",
                    "result": None,
                    "report": None,
                    "remarks": [],
                },
                {"Next": "Failed", "Catch": [_catch("States.ALL", None, "Failed")]},
            ),
            "Failed": {
                "Type": "Fail",
                "ErrorPath": "$.error.Error",
                "CausePath": "$.error.Cause",
            },
        },
    }


def _accepted() -> State:
    # both tests: the contract writes an absent error as null
    refused = [
        {"Variable": "$.error", "IsPresent": True},
        {"Variable": "$.error", "IsNull": False},
    ]
    return {
        "Type": "Choice",
        "Choices": [{"And": refused, "Next": "NotifyFailure"}],
        "Default": "Extract",
    }


def _stage(
    topics: Topics, stage: Stage, following: str, limit: State, extra: State | None = None
) -> State:
    message = {
        "schema_version": SCHEMA_VERSION,
        "job_id.$": "$.job_id",
        "stage": stage.value,
        "task_token.$": "$$.Task.Token",
        **(extra or {"array_size": 1}),
    }
    return {
        "Type": "Task",
        "Resource": "arn:aws:states:::sns:publish.waitForTaskToken",
        "Parameters": {"TopicArn": topics.stages[stage], "Message": message},
        **limit,
        "ResultPath": f"$.{stage.value}",
        "Retry": [_retry_publish()],
        "Catch": [
            # a time-out has no cause, which the notification needs
            _catch("States.Timeout", "$.error", "TimedOut"),
            _catch("States.ALL", "$.error", "NotifyFailure"),
        ],
        "Next": following,
    }


def _timed_out() -> State:
    cause = "A stage took longer than its time limit."
    return {
        "Type": "Pass",
        "Result": {"Error": "States.Timeout", "Cause": cause},
        "ResultPath": "$.error",
        "Next": "NotifyFailure",
    }


def _notify(topics: Topics, status: JobStatus, outcome: State, onward: State) -> State:
    message = {
        "schema_version": SCHEMA_VERSION,
        "job_id.$": "$.job_id",
        "status": status.value,
        "source.$": "$.source",
        **outcome,
    }
    return {
        "Type": "Task",
        "Resource": "arn:aws:states:::sns:publish",
        "Parameters": {"TopicArn": topics.notification, "Message": message},
        "ResultPath": None,
        "Retry": [_retry_publish()],
        **onward,
    }


def _catch(error: str, result_path: str | None, following: str) -> State:
    return {"ErrorEquals": [error], "ResultPath": result_path, "Next": following}


def _retry_publish() -> State:
    return {
        "ErrorEquals": SNS_TRANSIENT,
        "IntervalSeconds": 2,
        "MaxAttempts": 6,
        "BackoffRate": 2.0,
        "JitterStrategy": "FULL",
    }


ANSWER_TASKS = Grant(
    sid="AnswerTasks",
    actions=("states:SendTaskFailure", "states:SendTaskSuccess"),
    resources=(ANY,),
    reason="The token alone names the task; these actions have no resource level: "
    "https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsstepfunctions.html",
)
LOG_DELIVERY = Grant(
    sid="DeliverLogs",
    actions=(
        "logs:CreateLogDelivery",
        "logs:DeleteLogDelivery",
        "logs:DescribeLogGroups",
        "logs:DescribeResourcePolicies",
        "logs:GetLogDelivery",
        "logs:ListLogDeliveries",
        "logs:PutResourcePolicy",
        "logs:UpdateLogDelivery",
    ),
    resources=(ANY,),
    reason="Step Functions sets up its own log delivery; these actions have no resource level: "
    "https://docs.aws.amazon.com/step-functions/latest/dg/cw-logs.html",
)


TRACE_WORKFLOW = Grant(
    sid="SendTraces",
    actions=(
        "xray:GetSamplingRules",
        "xray:GetSamplingTargets",
        "xray:PutTelemetryRecords",
        "xray:PutTraceSegments",
    ),
    resources=(ANY,),
    reason="A trace belongs to no resource; these actions have no resource level: "
    "https://docs.aws.amazon.com/step-functions/latest/dg/concepts-xray-tracing.html",
)


@dataclass(frozen=True, kw_only=True)
class WorkflowArgs:
    location: Location
    messaging: Messaging
    logs: LogSettings
    tracing: bool


class Workflow(pulumi.ComponentResource):
    """The state machine with its role and log."""

    state_machine_arn: pulumi.Output[str]

    def __init__(
        self, name: str, args: WorkflowArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("superres:workflow:Workflow", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        # this prefix spares the log resource policy: https://docs.aws.amazon.com/step-functions/latest/dg/bp-cwl.html
        log = log_group(f"{name}-workflow", f"/aws/vendedlogs/states/{name}", args.logs, child)
        stage_topics = {s: c.topic_arn for s, c in args.messaging.stages.items()}
        notification = args.messaging.notification.topic_arn
        publish = args.messaging.grant_publish(*stage_topics.values(), notification)
        trace = (TRACE_WORKFLOW,) if args.tracing else ()
        role = Role(
            f"{name}-workflow",
            RoleArgs(
                service="states.amazonaws.com",
                grants=(
                    *publish.grants,
                    LOG_DELIVERY,
                    *trace,
                ),
                account=args.location.account,
            ),
            child,
        )
        topics = pulumi.Output.all(
            stages=pulumi.Output.all(**{s.value: arn for s, arn in stage_topics.items()}),
            notification=notification,
        ).apply(
            lambda known: Topics(
                stages={Stage(s): arn for s, arn in known["stages"].items()},
                notification=known["notification"],
            )
        )
        machine = aws.sfn.StateMachine(
            name,
            role_arn=role.arn,
            definition=topics.apply(lambda topics: to_json(definition(topics))),
            logging_configuration={
                "level": "ALL",
                # the data holds task tokens
                "include_execution_data": False,
                "log_destination": pulumi.Output.concat(log.arn, ":*"),
            },
            tracing_configuration={"enabled": args.tracing},
            opts=child,
        )
        self.state_machine_arn = machine.arn
        self.register_outputs({"state_machine_arn": self.state_machine_arn})

    def grant_start(self) -> Link:
        """The state machine's ARN, and permission to start it."""
        grant = Grant(
            sid="StartJobs",
            actions=("states:StartExecution",),
            resources=(self.state_machine_arn,),
        )
        return Link(values={"state_machine_arn": self.state_machine_arn}, grants=(grant,))

    def grant_describe_by_name(self) -> Link:
        """The state machine's ARN, and permission to look at an execution by its name."""
        return Link(
            values={"state_machine_arn": self.state_machine_arn},
            grants=(self._describe(),),
        )

    def grant_describe(self) -> Link:
        """Permission to look at an execution by its ARN."""
        return Link(grants=(self._describe(),))

    def grant_list(self) -> Link:
        """Permission to list executions."""
        grant = Grant(
            sid="ListExecutions",
            actions=("states:ListExecutions",),
            resources=(self.state_machine_arn,),
        )
        return Link(grants=(grant,))

    def _describe(self) -> Grant:
        executions = self.state_machine_arn.apply(lambda arn: execution_arn(arn, ANY))
        return Grant(
            sid="SeeExecution", actions=("states:DescribeExecution",), resources=(executions,)
        )
