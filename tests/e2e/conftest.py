"""One embedded AWS for all end-to-end tests, IAM enforced, and a way to follow a job on it."""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest

from cli.models.weights import ensure_weights
from cli.stacks.embedded import embedded_stack
from cli.stacks.machine import machine_settings
from cli.stacks.pipeline import FINAL_STATES, Pipeline, Snapshot
from cli.stacks.stack import Stack
from contracts.job import Settings, SourceObject, make_job_id
from contracts.models import ModelName
from contracts.names import Stage, batch_job_name

SAMPLE = Path(__file__).parents[2] / "samples" / "bunny.mp4"
PATIENCE_SECONDS = 120.0


@dataclass
class Bench:
    """A running stack with an ear on its e-mail topic."""

    stack: Stack
    mail_queue: str
    received: list[dict[str, Any]] = field(default_factory=list)
    """The e-mails that were taken out of the queue so far."""

    def client(self, service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=self.stack.endpoint,
            region_name=self.stack.region,
            **self.stack.credentials,
        )

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
        pipeline, deadline = Pipeline(self.stack), time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            now = pipeline.look(job_id)
            if now.state in FINAL_STATES:
                return now
            time.sleep(0.1)
        raise TimeoutError(f"job {job_id} did not end; logs: {self.stack.log_dir}")

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
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            self._empty_mailbox()
            if found := [mail for mail in self.received if text in mail["Message"]]:
                return found
            time.sleep(0.05)
        raise TimeoutError(f"no e-mail about {text}")

    def _empty_mailbox(self) -> None:
        sqs, queue = self.client("sqs"), self.mail_queue
        while got := sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages"):
            for message in got:
                self.received.append(json.loads(message["Body"]))
                sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    ensure_weights(ModelName.ANIMEVIDEOV3)
    with running(tmp_path_factory.mktemp("state")) as bench:
        yield bench


@pytest.fixture(scope="session")
def kms(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """A stack with buckets, table, queues and logs under keys of the account's."""
    with running(tmp_path_factory.mktemp("state-kms"), encryption="kms") as bench:
        yield bench


@contextmanager
def running(state: Path, **settings: str) -> Iterator[Bench]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(state))
        with embedded_stack({**machine_settings(workers=2, precision="auto"), **settings}) as stack:
            yield Bench(stack, listen(stack))


def listen(stack: Stack) -> str:
    """Subscribe a queue to the e-mail topic, as a person's mailbox would be."""
    names = {"endpoint_url": stack.endpoint, "region_name": stack.region, **stack.credentials}
    sqs, sns = boto3.client("sqs", **names), boto3.client("sns", **names)
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
