"""A small Pulumi program of our own, the embedded AWS that runs it, and ways to wait for it."""

import atexit
import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import boto3
from botocore.config import Config

from tools.source import REPOSITORY

DEADLINE_SECONDS = 60.0
T = TypeVar("T")

PROGRAM = '''
import json
import pulumi
import pulumi_aws as aws

def trust(service):
    return json.dumps({"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}]})

def role(name, service, actions, resources):
    made = aws.iam.Role(name, assume_role_policy=trust(service))
    policy = aws.iam.RolePolicy(name, role=made.name, policy=pulumi.Output.all(*resources).apply(
        lambda found: json.dumps({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": actions, "Resource": found}]})))
    return pulumi.Output.all(made.arn, policy.id).apply(lambda known: known[0])

config = pulumi.Config()
bucket = aws.s3.Bucket("films")
aws.s3.BucketVersioning(
    "films", bucket=bucket.id, versioning_configuration={"status": "Enabled"})
aws.s3.BucketNotification("films", bucket=bucket.id, eventbridge=True)
environment = aws.batch.ComputeEnvironment("machines", type="UNMANAGED")
queue = aws.batch.JobQueue("jobs", state="ENABLED", priority=1, compute_environment_orders=[
    {"order": 1, "compute_environment": environment.arn}])
job_role = role("job", "ecs-tasks.amazonaws.com", ["s3:PutObject"],
                [pulumi.Output.concat(bucket.arn, "/out/*")])
definition = aws.batch.JobDefinition(
    "job", type="container", platform_capabilities=["EC2"],
    retry_strategy={"attempts": 3, "evaluate_on_exits": [
        {"on_exit_code": "75", "action": "RETRY"}, {"on_reason": "*", "action": "EXIT"}]},
    container_properties=pulumi.Output.all(job_role, bucket.id).apply(lambda a: json.dumps({
        "image": "any:1", "command": ["python", "-c", "pass"], "jobRoleArn": a[0],
        "environment": [{"name": "BUCKET", "value": a[1]}, {"name": "COLOUR", "value": "red"}],
        "resourceRequirements": [
            {"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "64"}]})))

seen, unheard = aws.sqs.Queue("seen"), aws.sqs.Queue("unheard")
rule = aws.cloudwatch.EventRule("ended", event_pattern=json.dumps({"$or": [
    {"source": ["aws.s3"]},
    {"source": ["aws.states"], "detail": {"status": ["ABORTED", "TIMED_OUT"]}},
    {"source": ["aws.batch"], "detail": {"status": ["SUCCEEDED", "FAILED"]}}]}))
aws.sqs.QueuePolicy("seen", queue_url=seen.url, policy=pulumi.Output.all(seen.arn, rule.arn).apply(
    lambda a: json.dumps({"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage", "Resource": a[0],
        "Condition": {"ArnEquals": {"aws:SourceArn": a[1]}}}]})))
aws.cloudwatch.EventTarget("unheard", rule=rule.name, arn=unheard.arn)
aws.cloudwatch.EventTarget("ended", rule=rule.name, arn=seen.arn)

allowed, forbidden = aws.sns.Topic("allowed"), aws.sns.Topic("forbidden")
code = pulumi.AssetArchive({"main.py": pulumi.StringAsset("""
class FilmBroken(Exception):
    pass

def handler(event, context):
    raise FilmBroken("no film")
""")})
function = aws.lambda_.Function(
    "breaks", runtime="python3.11", handler="main.handler", code=code,
    role=role("breaks", "lambda.amazonaws.com", ["sqs:SendMessage"], ["*"]))
aws.lambda_.FunctionEventInvokeConfig(
    "breaks", function_name=function.name, maximum_retry_attempts=1,
    destination_config={"on_failure": {"destination": seen.arn}})
uploaded = aws.cloudwatch.EventRule("uploaded", event_pattern=json.dumps({"source": ["aws.s3"]}))
aws.cloudwatch.EventTarget("uploaded", rule=uploaded.name, arn=function.arn)
aws.lambda_.Permission(
    "uploaded", action="lambda:InvokeFunction", function=function.name,
    principal="events.amazonaws.com", source_arn=uploaded.arn)
machine_role = role("machine", "states.amazonaws.com", [
    "sns:Publish", "lambda:InvokeFunction", "sqs:SendMessage"], [
    allowed.arn, function.arn, seen.arn])

def machine(name, state, **limits):
    made = aws.sfn.StateMachine(name, role_arn=machine_role, definition=pulumi.Output.from_input(
        state).apply(lambda task: json.dumps({"StartAt": "Task", **limits, "States": {
            "Task": {"Type": "Task", "End": True, **task},
            "Caught": {"Type": "Pass", "Result": "caught by name", "End": True}}})))
    pulumi.export(name, made.arn)

def wait(topic, **limits):
    return {"Resource": "arn:aws:states:::sns:publish.waitForTaskToken", **limits,
            "Parameters": {"TopicArn": topic, "Message.$": "$$.Task.Token"}}

machine("publishes_allowed", {"Resource": "arn:aws:states:::sns:publish",
                              "Parameters": {"TopicArn": allowed.arn, "Message": "film"}})
machine("publishes_forbidden", {"Resource": "arn:aws:states:::sns:publish",
                                "Parameters": {"TopicArn": forbidden.arn, "Message": "film"}})
machine("catches_by_class", {"Resource": function.arn, "Catch": [
    {"ErrorEquals": ["FilmBroken"], "Next": "Caught"}]})
machine("waits_by_path", wait(allowed.arn, TimeoutSecondsPath="$.seconds"))
machine("waits_for_heartbeat", wait(allowed.arn, HeartbeatSeconds=1, TimeoutSeconds=60))
machine("waits_too_long", wait(allowed.arn, Catch=[
    {"ErrorEquals": ["States.ALL"], "Next": "Caught"}]), TimeoutSeconds=1)
machine("waits_for_ever", {
    "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
    "Parameters": {"QueueUrl": seen.url, "MessageBody": {"token.$": "$$.Task.Token"}}})
pulumi.export("bucket", bucket.id)
pulumi.export("queue", queue.arn)
pulumi.export("definition", definition.arn)
pulumi.export("seen", seen.url)
pulumi.export("seen_arn", seen.arn)
pulumi.export("unheard", unheard.url)
pulumi.export("function", function.name)
pulumi.export("job_role", job_role)
pulumi.export("greeting", config.require("greeting"))
'''


def write_project(folder: Path, program: str = PROGRAM) -> Path:
    """A Pulumi project with the stack `local`; returns its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "Pulumi.yaml").write_text("name: films\nruntime: python\n")
    settings = "config:\n  aws:region: us-east-1\n  films:greeting: hello\n"
    (folder / "Pulumi.local.yaml").write_text(settings)
    (folder / "__main__.py").write_text(program)
    return folder


@dataclass(frozen=True)
class Server:
    """A running `python -m local serve`."""

    process: subprocess.Popen[str]
    ready: dict[str, Any]

    @property
    def outputs(self) -> dict[str, str]:
        return self.ready["outputs"]

    @property
    def logs(self) -> Path:
        return Path(self.ready["log_dir"])

    def client(self, service: str) -> Any:
        return boto3.client(
            service,
            region_name=self.ready["region"],
            endpoint_url=self.ready["endpoint"],
            aws_access_key_id=self.ready["access_key_id"],
            aws_secret_access_key=self.ready["secret_access_key"],
            config=Config(retries={"total_max_attempts": 1}),
        )

    def stop(self) -> int:
        """Close its stdin; returns the exit code."""
        with self.process:
            pass
        return self.process.returncode


def launch(project: Path, state_dir: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start the server without waiting for it."""
    return subprocess.Popen(
        [
            sys.executable, "-m", "local", "serve",
            "--state-dir", str(state_dir), "--project", str(project), *arguments,
        ],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip


def await_ready(process: subprocess.Popen[str]) -> Server:
    """Fails with the server's own words if it does not come up."""
    assert process.stdout is not None
    assert process.stderr is not None
    line = process.stdout.readline()
    assert line, process.stderr.read()
    return Server(process, json.loads(line))


def serve(project: Path, state_dir: Path, *arguments: str) -> Server:
    return await_ready(launch(project, state_dir, *arguments))


def refused(project: Path, state_dir: Path, *arguments: str) -> str:
    """The server's message when it does not start."""
    process = launch(project, state_dir, *arguments)
    assert process.stderr is not None
    with process:
        errors = process.stderr.read()  # its stdin stays open meanwhile: the end of that is a stop
    assert process.returncode == 1
    return errors


@functools.cache
def shared_server() -> Server:
    """One for all tests that only use it; its stdin closes with this process."""
    folder = Path(tempfile.mkdtemp(prefix="superres-local-"))
    server = serve(write_project(folder / "project"), folder / "state")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    atexit.register(server.stop)
    return server


def deploy(server: Server, project: Path, stack: str) -> dict[str, Any]:
    """Deploy a further program into a running embedded AWS; returns its outputs."""
    environment = {
        **os.environ,
        "AWS_ENDPOINT_URL": server.ready["endpoint"],
        "AWS_ACCESS_KEY_ID": server.ready["access_key_id"],
        "AWS_SECRET_ACCESS_KEY": server.ready["secret_access_key"],
        "AWS_DEFAULT_REGION": server.ready["region"],
    }
    command = [sys.executable, "-m", "local.deployer", "--project", str(project), "--stack", stack]
    done = subprocess.run(
        command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    return json.loads(done.stdout)


@functools.cache
def registry_server() -> Server:
    """The shared server with the image registry of registry/."""
    server = shared_server()
    outputs = deploy(server, REPOSITORY / "registry", "shared")
    assert outputs["media_repository"].endswith("/superres/media")
    assert set(outputs["deploy_role_arns"]) == {"dev", "staging", "prod"}
    return server


def eventually(look: Callable[[], T | None]) -> T:
    """What `look` finds as soon as it finds something."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.05)
    raise AssertionError("it did not happen")


def alive(pid: int) -> bool:
    """Whether a process exists that is more than a zombie."""
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (ProcessLookupError, FileNotFoundError):
        return False
    return state != "Z"


def kill(process: subprocess.Popen[str], number: signal.Signals) -> int:
    """Send a signal; returns the exit code."""
    with process:
        process.send_signal(number)
        process.wait(DEADLINE_SECONDS)
    return process.returncode
