"""An embedded AWS with IAM enforced, and ways to follow a job on it."""

import contextlib
import fcntl
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import boto3
import pytest
from botocore.config import Config

from cli.stacks.embedded import embedded_stack
from cli.stacks.machine import machine_settings
from cli.stacks.pipeline import FINAL_STATES, Pipeline, Snapshot
from cli.stacks.stack import Stack
from contracts.job import Settings, SourceObject, make_job_id
from contracts.names import Stage, batch_job_name

T = TypeVar("T")

SAMPLE = Path(__file__).parents[2] / "samples" / "bunny.mp4"
PATIENCE_SECONDS = 120.0
POLL_SECONDS = 0.2
"""A look costs client and server together some 30 ms of a core."""


def eventually(
    look: Callable[[], T | None],
    patience: float = PATIENCE_SECONDS,
    missing: str = "it did not happen",
) -> T:
    """What `look` finds, as soon as it finds something. Raises TimeoutError."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(POLL_SECONDS)
    raise TimeoutError(missing)


@dataclass
class Bench:
    """A running stack with an ear on its e-mail topic."""

    stack: Stack
    mail_queue: str
    received: list[dict[str, Any]] = field(default_factory=list)
    """The e-mails that were taken out of the queue so far."""
    _clients: dict[str, Any] = field(default_factory=dict)

    def client(self, service: str) -> Any:
        if service not in self._clients:
            self._clients[service] = make_client(self.stack, service)
        return self._clients[service]

    def drop(self, body: bytes, name: str, metadata: Mapping[str, str]) -> str:
        """Put an object as a user would with the AWS CLI; return the job id it must start."""
        bucket = self.stack.outputs["source_bucket"]
        put = self.client("s3").put_object(
            Bucket=bucket, Key=f"uploads/{name}", Body=body, Metadata=dict(metadata)
        )
        source = SourceObject(
            bucket=bucket, key=f"uploads/{name}", version_id=put["VersionId"],
            etag=put["ETag"].strip('"'), size=len(body),
        )  # fmt: skip
        return make_job_id(source, Settings.from_metadata(metadata).to_json())

    def upload(self, video: Path, settings: Settings) -> str:
        return Pipeline(self.stack).upload(video, settings, lambda _: None)[0]

    def finish(self, job_id: str) -> Snapshot:
        """Wait for the job's execution to end."""
        pipeline = Pipeline(self.stack)

        def look() -> Snapshot | None:
            now = pipeline.look(job_id)
            return now if now.state in FINAL_STATES else None

        missing = f"job {job_id} did not end; logs: {self.stack.log_dir}"
        return eventually(look, missing=missing)

    def result(self, job_id: str, folder: Path) -> tuple[Path, Any]:
        """Wait, download, and return (file, report)."""
        pipeline, snapshot = Pipeline(self.stack), self.finish(job_id)
        assert snapshot.state == "SUCCEEDED", snapshot
        outcome, report = pipeline.result(snapshot)
        target = folder / Path(outcome.result.key).name
        pipeline.fetch(outcome, target)
        return target, report

    def batch_jobs(self, job_id: str, stage: Stage) -> list[dict[str, Any]]:
        output = "process_queue_arn" if stage is Stage.PROCESS else "media_queue_arn"
        wanted = [{"name": "JOB_NAME", "values": [batch_job_name(job_id, stage)]}]
        return self.client("batch").list_jobs(jobQueue=self.stack.outputs[output], filters=wanted)[
            "jobSummaryList"
        ]

    def mail(self, text: str, patience: float = 20) -> dict[str, Any]:
        """The e-mail that holds a text, such as a job's id: Subject, Message, MessageAttributes."""
        return self.mails(text, patience)[0]

    def mails(self, text: str, patience: float = 20) -> list[dict[str, Any]]:
        """Wait for one, then all that have come with the text."""

        def look() -> list[dict[str, Any]]:
            self._empty_mailbox()
            return [mail for mail in self.received if text in mail["Message"]]

        return eventually(look, patience, f"no e-mail about {text}")

    def _empty_mailbox(self) -> None:
        sqs, queue = self.client("sqs"), self.mail_queue
        while got := sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages"):
            for message in got:
                self.received.append(json.loads(message["Body"]))
                sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])


@contextmanager
def running(state: Path, name: str, **settings: str) -> Iterator[Bench]:
    """Start a stack. `name` stands for its settings: workers that need the same start in turn."""
    with contextlib.ExitStack() as exits:
        patch = exits.enter_context(pytest.MonkeyPatch.context())
        patch.setenv("XDG_STATE_HOME", str(state))
        settings = {**machine_settings(workers=2, precision="auto"), **settings}
        with locked(state / f"{name}.lock"):
            snapshots = count_snapshots(state)
            stack = exits.enter_context(embedded_stack(settings))
            deadline = time.monotonic() + 10
            while not stack.warm and count_snapshots(state) == snapshots:
                if time.monotonic() > deadline:
                    break  # then the next worker deploys too
                time.sleep(0.05)
        yield Bench(stack, listen(stack))


@contextmanager
def locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def count_snapshots(state: Path) -> int:
    return len(list(state.glob("*/snapshots/*.snapshot")))


def make_client(
    stack: Stack, service: str, config: Config | None = None, **credentials: str
) -> Any:
    """A client of the stack, with other credentials than the root's where they are given.

    Of boto3's one session: each new session parses the service's model again, up to 0.2 s.
    """
    return boto3.client(
        service,
        endpoint_url=stack.endpoint,
        region_name=stack.region,
        config=config,
        **(credentials or stack.credentials),
    )


def listen(stack: Stack) -> str:
    """Subscribe a queue to the e-mail topic, as a person's mailbox would be."""
    sqs, sns = make_client(stack, "sqs"), make_client(stack, "sns")
    url = sqs.create_queue(QueueName="mailbox")["QueueUrl"]
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    arn = attributes["Attributes"]["QueueArn"]
    policy = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "sns.amazonaws.com"},
                "Action": "sqs:SendMessage",
                "Resource": arn,
            }
        ],
    }
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps(policy)})
    sns.subscribe(TopicArn=stack.outputs["email_topic_arn"], Protocol="sqs", Endpoint=arn)
    return url
