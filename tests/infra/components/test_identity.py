"""Roles: one per workload, each with what it needs and no more."""

import json

import pytest

from components.common.identity import Link, join_links
from components.common.policy import Grant
from contracts.names import Stage
from tests.infra.support.linting import policy_findings
from tests.infra.support.recorder import PLACE, Deployment

MISTAKEN = (
    "RESOURCE_MISMATCH: [{'action': 'batch:SubmitJob'",
    "RESOURCE_MISMATCH: [{'action': 'states:DescribeExecution'",
    "RESOURCE_MISMATCH: [{'action': 'states:ListExecutions'",
)
"""What parliament's table has wrong. It asks for a job's ARN to submit one; AWS asks for queue and
definition with revision:
https://docs.aws.amazon.com/batch/latest/userguide/iam-example-restrict-job-submission.html
And it knows express workflows and map runs only, where AWS takes an execution and a state machine:
https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsstepfunctions.html"""


def test_policies_are_clean(stack: Deployment) -> None:
    for role, document in stack.policies():
        findings = [f for f in policy_findings(document) if not f.startswith(MISTAKEN)]
        assert findings == [], role


@pytest.mark.parametrize("kind", ["BucketPolicy", "QueuePolicy", "TopicPolicy"])
def test_resource_policies_are_clean(stack: Deployment, kind: str) -> None:
    for policy in stack.of(kind):
        assert policy_findings(json.loads(policy.inputs["policy"])) == [], policy.name


def test_a_star_without_reason_is_refused() -> None:
    with pytest.raises(ValueError, match=r"grant All: resource \* needs a reason"):
        Grant(sid="All", actions=("s3:GetObject",), resources=("*",))


def test_a_star_among_the_actions_is_refused() -> None:
    with pytest.raises(ValueError, match=r"grant Any: name each action"):
        Grant(sid="Any", actions=("s3:Get*",), resources=("arn:aws:s3:::b/k",))


def test_links_that_contradict_each_other_are_refused() -> None:
    a, b = Link(values={"bucket": "one"}), Link(values={"bucket": "two"})
    with pytest.raises(ValueError, match="two links give bucket different values"):
        join_links(a, b)


def _objects(stack: Deployment, role: str) -> dict[str, set[str]]:
    """S3 actions of a role: `bucket/pattern`."""
    prefix = f"arn:aws:s3:::superres-{stack.stack}-"
    return {
        action.removeprefix("s3:"): {
            r.removeprefix(prefix).replace(f"-{PLACE}", "") for r in resources
        }
        for action, resources in stack.policy(role).items()
        if action.startswith("s3:")
    }


def test_who_may_touch_which_objects(stack: Deployment) -> None:
    """The access matrix, written out a second time."""
    job = "intermediate/jobs/*"
    assert _objects(stack, "trigger") == {
        "GetObjectVersion": {"source/uploads/*"},
        "ListBucket": {"source"},
        "PutObject": {f"{job}/job.json"},
    }
    assert _objects(stack, "extract-job") == {
        "GetObjectVersion": {"source/uploads/*"},
        "GetObject": {
            "source/models/*.json",
            f"{job}/job.json",
            f"{job}/extract/lossless/*",
            f"{job}/extract/frames/*",
            f"{job}/results/extract.json",
        },
        "ListBucket": {"intermediate", "source"},
        "PutObject": {
            f"{job}/extract/*",
            f"{job}/results/extract.json",
            f"{job}/failures/extract-*",
        },
        "AbortMultipartUpload": {f"{job}/extract/*"},
    }
    assert _objects(stack, "process-job") == {
        "GetObjectVersion": {"source/uploads/*"},
        "GetObject": {"source/models/*.safetensors", f"{job}/extract/*", f"{job}/shards/*"},
        "ListBucket": {"intermediate", "source"},
        "PutObject": {f"{job}/shards/*", f"{job}/progress/*", f"{job}/failures/process-*"},
    }
    assert _objects(stack, "recompose-job") == {
        "GetObject": {f"{job}/extract/*", f"{job}/shards/*"},
        "ListBucket": {"intermediate"},
        "PutObject": {
            f"{job}/results/recompose.json",
            f"{job}/failures/recompose-*",
            "final/results/*",
        },
        "AbortMultipartUpload": {"final/results/*"},
    }
    assert _objects(stack, "reconciler") == _objects(stack, "job-state")
    assert _objects(stack, "job-state") == {
        "GetObject": {
            f"{job}/results/extract.json",
            f"{job}/results/recompose.json",
            *(f"{job}/failures/{stage.value}-*" for stage in Stage),
        },
        "ListBucket": {"intermediate"},
    }
    for role in ("extract-frames", "process-frames", "recompose-video", "completion-notification"):
        assert _objects(stack, role) == {}
    assert _objects(stack, "execution-ended") == {}
    assert _objects(stack, "workflow") == _objects(stack, "instance") == {}


def _others(stack: Deployment, role: str) -> set[str]:
    own = ("s3:", "logs:", "xray:")
    return {a for a in stack.policy(role) if not a.startswith(own)}


QUEUE = {"sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"}
PUBLISH = {"sns:Publish", "kms:Decrypt", "kms:GenerateDataKey"}


def test_who_may_call_which_service(stack: Deployment) -> None:
    assert _others(stack, "trigger") == {
        "dynamodb:PutItem",
        "sqs:SendMessage",
        "states:StartExecution",
    }
    for role in ("extract-frames", "process-frames", "recompose-video"):
        assert _others(stack, role) == {
            "batch:ListJobs",
            "batch:SubmitJob",
            "batch:TerminateJob",
            "dynamodb:UpdateItem",
            "states:DescribeExecution",
            *QUEUE,
        }
    assert _others(stack, "job-state") == {
        "batch:DescribeJobs",
        "batch:TerminateJob",
        "dynamodb:GetItem",
        "sqs:SendMessage",
        "states:SendTaskFailure",
        "states:SendTaskSuccess",
    }
    assert _others(stack, "execution-ended") == {
        "batch:ListJobs",
        "batch:TerminateJob",
        "sqs:SendMessage",
        "states:DescribeExecution",
        *PUBLISH,
    }
    assert _others(stack, "reconciler") == {
        "batch:DescribeJobs",
        "batch:ListJobs",
        "batch:TerminateJob",
        "dynamodb:Query",
        "sqs:SendMessage",
        "states:DescribeExecution",
        "states:ListExecutions",
        "states:SendTaskFailure",
        "states:SendTaskSuccess",
        *PUBLISH,
    }
    assert _others(stack, "completion-notification") == {"dynamodb:UpdateItem", *PUBLISH, *QUEUE}
    assert _others(stack, "workflow") == PUBLISH
    for stage in Stage:
        assert _others(stack, f"{stage.value}-job") == set()


def test_a_stage_function_submits_only_its_own_job_to_its_own_queue(stack: Deployment) -> None:
    wanted = {
        "extract-frames": ("media", "extract"),
        "process-frames": ("process", "process"),
        "recompose-video": ("media", "recompose"),
    }
    for role, (queue, definition) in wanted.items():
        assert stack.policy(role)["batch:SubmitJob"] == [
            stack.one("JobQueue", queue).arn,
            stack.one("JobDefinition", definition).arn,
        ]


def test_the_workflow_publishes_to_its_four_topics(stack: Deployment) -> None:
    names = ("extract-frames", "processing", "recomposition", "notification")
    assert stack.policy("workflow")["sns:Publish"] == [stack.one("Topic", n).arn for n in names]
    assert stack.policy("completion-notification")["sns:Publish"] == [
        stack.outputs["email_topic_arn"]
    ]


def test_executions_are_looked_at_only_of_our_workflow(stack: Deployment) -> None:
    machine = stack.outputs["state_machine_arn"]
    executions = machine.replace(":stateMachine:", ":execution:") + ":*"
    for role in (
        "extract-frames",
        "process-frames",
        "recompose-video",
        "execution-ended",
        "reconciler",
    ):
        assert stack.policy(role)["states:DescribeExecution"] == [executions]
    assert stack.policy("reconciler")["states:ListExecutions"] == [machine]


def test_the_reconciler_reads_the_table_and_the_index_of_running_jobs(stack: Deployment) -> None:
    table = stack.one("Table", "")
    assert stack.policy("reconciler")["dynamodb:Query"] == [
        table.arn,
        f"{table.arn}/index/open-jobs",
    ]
    (index,) = table.inputs["globalSecondaryIndexes"]
    assert index["name"] == "open-jobs"
    assert index["projectionType"] == "KEYS_ONLY"


def test_who_ends_a_job_tells_the_completion_function_only(stack: Deployment) -> None:
    topic = stack.one("Topic", "notification").arn
    for role in ("execution-ended", "reconciler"):
        assert stack.policy(role)["sns:Publish"] == [topic]


def test_only_private_images_bring_permission_to_pull(prod: Deployment, local: Deployment) -> None:
    assert len(prod.policy("instance")["ecr:BatchGetImage"]) == 2
    assert not [a for a in local.policy("instance") if a.startswith("ecr:")]
