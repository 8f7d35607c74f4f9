"""Who may call what, written out a second time, and one harmless call of each kind to try it.

A call is harmless even where it is allowed: what it asks for is absent, or badly formed, which AWS
finds out only after it has looked at the caller's permissions.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from contracts import keys
from contracts.names import Stage

Clients = Callable[[str], Any]
Call = Callable[[Clients], Any]

JOB = "matrix-0"
S3_FILES = {
    "job.json": keys.job_key(JOB),
    "extract": keys.manifest_key(JOB),
    "lossless": keys.lossless_shard_key(JOB, 0),
    "frame": keys.frame_key(JOB, 0, 0.0),
    "shard": keys.shard_key(JOB, 0, "mp4"),
    "progress": keys.progress_key(JOB, 0),
    **{f"{stage.value} result": keys.stage_result_key(JOB, stage) for stage in Stage},
    **{f"{stage.value} failure": keys.failure_key(JOB, stage) for stage in Stage},
}
STAGE_QUEUES = {
    "extract-frames": "extract-frames",
    "processing": "process-frames",
    "recomposition": "recompose-video",
    "notification": "completion-notification",
}
"""Queues (and topics), and the only function that may read each."""


_FAILURES = {f"list {stage.value} failures" for stage in Stage}
_LISTS = {"list intermediate", *_FAILURES}
_ANSWERS = {
    *(f"read {stage} result" for stage in ("extract", "recompose")),
    *(f"read {stage.value} failure" for stage in Stage),
    *_FAILURES,
    "answer a task",
    "fail a task",
}

MAY: dict[str, set[str]] = {
    "extract-job": {
        "read source version", "list source", *_LISTS,
        "read job.json", "read extract result", "read model facts", "read lossless", "read frame",
        "write extract", "write lossless", "write frame", "write extract result",
        "write extract failure",
    },
    "process-job": {
        "read source version", "list source", *_LISTS,
        "read extract", "read lossless", "read frame", "read shard", "read model weights",
        "write shard", "write progress", "write process failure",
    },
    "recompose-job": {
        *_LISTS, "read extract", "read lossless", "read frame", "read shard",
        "write recompose result", "write recompose failure", "write final",
    },
    "trigger": {
        "read source version", "list source", "write job.json", "put item", "start execution",
        "send to trigger-dlq",
    },
    "extract-frames": {
        "receive from extract-frames", "update item", "list jobs", "terminate job",
        "submit extract", "describe execution",
    },
    "process-frames": {
        "receive from processing", "update item", "list jobs", "terminate job",
        "submit process", "describe execution",
    },
    "recompose-video": {
        "receive from recomposition", "update item", "list jobs", "terminate job",
        "submit recompose", "describe execution",
    },
    "job-state": {
        *_ANSWERS, "describe jobs", "terminate job", "get item", "send to job-state-dlq",
    },
    "execution-ended": {
        "list jobs", "terminate job", "describe execution", "publish to notification",
        "send to execution-ended-dlq",
    },
    "reconciler": {
        *_ANSWERS, "list jobs", "describe jobs", "terminate job", "describe execution",
        "list executions", "query open jobs", "query items", "publish to notification",
        "send to reconciler-dlq",
    },
    "completion-notification": {
        "receive from notification", "update item", "publish to email-notification",
    },
    "workflow": {f"publish to {topic}" for topic in STAGE_QUEUES},
    "instance": set(),
    "flow-log": set(),
}  # fmt: skip
"""By role. What is not here must be refused."""


def calls(names: Callable[[str, str], str], outputs: Mapping[str, str]) -> dict[str, Call]:
    """Every call by its name. `names` gives a queue's URL, a topic's ARN ... by kind and name."""
    return {
        **dict(_storage(outputs)),
        **dict(_messaging(names)),
        **dict(_batch(names, outputs)),
        **dict(_registry(outputs["registry_table"])),
        **dict(_workflow(outputs["state_machine_arn"])),
        **_administration(names, outputs),
    }


def _storage(outputs: Mapping[str, str]) -> Iterator[tuple[str, Call]]:
    source, intermediate = outputs["source_bucket"], outputs["intermediate_bucket"]
    final, upload = outputs["final_bucket"], keys.upload_key("matrix.mkv")
    result = f"{keys.RESULTS}{JOB}/film.mkv"
    for bucket, key, what in (
        (source, upload, "source"),
        (source, keys.model_facts_key("0" * 64), "model facts"),
        (source, keys.model_weights_key("0" * 64), "model weights"),
        (final, result, "final"),
        *((intermediate, key, what) for what, key in S3_FILES.items()),
    ):
        where = {"Bucket": bucket, "Key": key}
        yield f"read {what}", lambda c, where=where: c("s3").get_object(**where)
        yield f"write {what}", lambda c, where=where: c("s3").put_object(**where, Body=b"x")
        yield f"delete {what}", lambda c, where=where: c("s3").delete_object(**where)
        yield (
            f"delete {what} version",
            lambda c, where=where: c("s3").delete_object(**where, VersionId="none"),
        )
    version = {"Bucket": source, "Key": upload, "VersionId": "none"}
    yield "read source version", lambda c: c("s3").get_object(**version)
    for name, bucket in (("source", source), ("intermediate", intermediate), ("final", final)):
        yield f"list {name}", lambda c, b=bucket: c("s3").list_objects_v2(Bucket=b)
        yield f"empty {name}", lambda c, b=bucket: c("s3").delete_bucket(Bucket=b)
        yield f"open {name}", lambda c, b=bucket: c("s3").delete_bucket_policy(Bucket=b)
    for stage in Stage:
        prefix = keys.failures_prefix(JOB, stage)
        yield (
            f"list {stage.value} failures",
            lambda c, p=prefix: c("s3").list_objects_v2(Bucket=intermediate, Prefix=p),
        )
    yield "list buckets", lambda c: c("s3").list_buckets()


def _messaging(names: Callable[[str, str], str]) -> Iterator[tuple[str, Call]]:
    letters = [f"{f}-dlq" for f in ("trigger", "job-state", "execution-ended", "reconciler")]
    letters += [f"{queue}-dlq" for queue in STAGE_QUEUES]
    for queue in (*STAGE_QUEUES, *letters):
        url = names("queue", queue)
        yield (
            f"receive from {queue}",
            lambda c, u=url: c("sqs").receive_message(QueueUrl=u, MaxNumberOfMessages=99),
        )
        yield (
            f"send to {queue}",
            lambda c, u=url: c("sqs").send_message(QueueUrl=u, MessageBody="", DelaySeconds=9999),
        )
        yield f"purge {queue}", lambda c, u=url: c("sqs").purge_queue(QueueUrl=u)
    for topic in (*STAGE_QUEUES, "email-notification"):
        arn = names("topic", topic)
        yield f"publish to {topic}", lambda c, a=arn: c("sns").publish(TopicArn=a, Message="")
        yield (
            f"subscribe to {topic}",
            lambda c, a=arn: c("sns").subscribe(TopicArn=a, Protocol="carrier-pigeon"),
        )


def _batch(
    names: Callable[[str, str], str], outputs: Mapping[str, str]
) -> Iterator[tuple[str, Call]]:
    for stage in Stage:
        queue = outputs["process_queue_arn" if stage is Stage.PROCESS else "media_queue_arn"]
        submission = {
            "jobName": JOB, "jobQueue": queue, "arrayProperties": {"size": 1},
            "jobDefinition": names("definition", stage.value),
        }  # fmt: skip
        yield f"submit {stage.value}", lambda c, s=submission: c("batch").submit_job(**s)
    reason = {"jobId": "none", "reason": "matrix"}
    yield "list jobs", lambda c: c("batch").list_jobs(jobQueue="none")
    yield "describe jobs", lambda c: c("batch").describe_jobs(jobs=["none"])
    yield "terminate job", lambda c: c("batch").terminate_job(**reason)
    yield "cancel job", lambda c: c("batch").cancel_job(**reason)
    yield (
        "define job",
        lambda c: c("batch").register_job_definition(jobDefinitionName="a", type="container"),
    )


def _registry(table: str) -> Iterator[tuple[str, Call]]:
    bad: Any = {"pk": {"S": ""}, "sk": {"S": ""}}
    key = {"TableName": table, "Key": bad}
    query = {
        "TableName": table, "KeyConditionExpression": "pk = :p",
        "ExpressionAttributeValues": {":p": {"S": JOB}},
    }  # fmt: skip
    yield "get item", lambda c: c("dynamodb").get_item(**key)
    yield "put item", lambda c: c("dynamodb").put_item(TableName=table, Item=bad)
    yield "update item", lambda c: c("dynamodb").update_item(**key, UpdateExpression="?")
    yield "delete item", lambda c: c("dynamodb").delete_item(**key)
    yield "scan items", lambda c: c("dynamodb").scan(TableName=table, Limit=1)
    yield "query items", lambda c: c("dynamodb").query(**query)
    yield (
        "query open jobs",
        lambda c: c("dynamodb").query(**query, IndexName="open-jobs"),
    )
    yield "delete table", lambda c: c("dynamodb").delete_table(TableName=table)


def _workflow(machine: str) -> Iterator[tuple[str, Call]]:
    execution = machine.replace(":stateMachine:", ":execution:") + f":{JOB}"
    token = {"taskToken": "none"}
    yield (
        "start execution",
        lambda c: c("stepfunctions").start_execution(stateMachineArn=machine, input="{"),
    )
    yield "stop execution", lambda c: c("stepfunctions").stop_execution(executionArn=execution)
    yield (
        "describe execution",
        lambda c: c("stepfunctions").describe_execution(executionArn=execution),
    )
    yield (
        "list executions",
        lambda c: c("stepfunctions").list_executions(stateMachineArn=machine),
    )
    yield "answer a task", lambda c: c("stepfunctions").send_task_success(**token, output="{}")
    yield "fail a task", lambda c: c("stepfunctions").send_task_failure(**token)
    yield (
        "delete workflow",
        lambda c: c("stepfunctions").delete_state_machine(
            stateMachineArn="arn:aws:states:us-east-1:123456789012:stateMachine:none"
        ),
    )


def _administration(
    names: Callable[[str, str], str], outputs: Mapping[str, str]
) -> dict[str, Call]:
    """What no role of a workload may do at all."""
    trigger, role = names("function", "trigger"), names("role", "workflow")
    return {
        "invoke a function": lambda c: c("lambda").invoke(FunctionName=trigger, Payload=b"{}"),
        "read a function": lambda c: c("lambda").get_function(FunctionName=trigger),
        "read a role": lambda c: c("iam").get_role(RoleName=role),
        "widen a role": lambda c: c("iam").put_role_policy(
            RoleName=role, PolicyName="wide", PolicyDocument="{}"
        ),
        "make a user": lambda c: c("iam").create_user(UserName="matrix"),
        "take another role": lambda c: c("sts").assume_role(
            RoleArn=f"arn:aws:iam::123456789012:role/{role}", RoleSessionName="matrix"
        ),
        "disable a rule": lambda c: c("events").disable_rule(Name="none"),
        "put an event": lambda c: c("events").put_events(Entries=[{"Source": "a"}]),
        "start an instance": lambda c: c("ec2").run_instances(MinCount=1, MaxCount=1),
        "read a parameter": lambda c: c("ssm").get_parameter(Name="none"),
        "delete a log": lambda c: c("logs").delete_log_group(logGroupName="none"),
        "silence an alarm": lambda c: c("cloudwatch").delete_alarms(AlarmNames=["none"]),
    }
