"""A small world for the Lambdas: real clients whose requests never leave the process.

S3 and DynamoDB are answered by the embedded AWS's own engines, so that conditional writes are real;
Batch, Step Functions and SNS by the few lines below, which record their calls. The world can
kill a function before or after any of its calls.
"""

import asyncio
import json
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from types import ModuleType, SimpleNamespace
from typing import Any, cast
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.awsrequest import AWSResponse
from ministack.services import dynamodb as dynamodb_engine
from ministack.services import s3 as s3_engine

from contracts.job import SourceObject
from contracts.messages import (
    REGISTRY_OPEN,
    REGISTRY_OPEN_INDEX,
    REGISTRY_OPEN_SINCE,
    ExecutionInput,
    ExtractResult,
    RegistryRecord,
    StageRequest,
    registry_stage_sort,
)
from contracts.names import JobStatus, Stage, batch_job_name
from contracts.stack.environ import (
    CompletionEnvironment,
    Environment,
    JobStateEnvironment,
    ReconcilerEnvironment,
    StageEnvironment,
    TriggerEnvironment,
)
from lambdas.common.aws import BatchClient, ObjectClient, make_client
from lambdas.common.job_registry import JobRegistry, deserialize, serialize
from lambdas.common.services import Services

JOB = "film-0123456789abcdef0123"
PROCESS = batch_job_name(JOB, Stage.PROCESS)
EXTRACTED = ExtractResult(
    job_id=JOB, frames=9, shards=3, runs=2, process_timeout_seconds=9, recompose_timeout_seconds=9
)
STATE_MACHINE = "arn:aws:states:eu-west-1:123456789012:stateMachine:superres"
SOURCE = SourceObject(bucket="source", key="uploads/film.mp4", version_id="v1", etag="e", size=5)
QUEUES = {"extract_queue": "media", "process_queue": "process", "recompose_queue": "media"}
Answer = tuple[int, dict[str, str], bytes]
Body = dict[str, Any]


def make_context(milliseconds_left: int = 60_000) -> LambdaContext:
    context = SimpleNamespace(
        get_remaining_time_in_millis=lambda: milliseconds_left,
        function_name="function",
        memory_limit_in_mb=256,
        invoked_function_arn="arn:aws:lambda:eu-west-1:123456789012:function:function",
        aws_request_id="request",
    )
    return cast("LambdaContext", context)


CONTEXT = make_context()


class KilledError(BaseException):
    """The function's process died. No handler's `except` may see it, as none sees a real death."""


def sqs_event(*bodies: str) -> Body:
    return {"Records": [{"messageId": f"m{i}", "body": body} for i, body in enumerate(bodies)]}


def stage_request(stage: Stage = Stage.PROCESS, size: int = 3, token: str = "t1") -> StageRequest:
    return StageRequest(job_id=JOB, stage=stage, task_token=token, array_size=size)


def registry_record(status: JobStatus = JobStatus.RUNNING) -> RegistryRecord:
    moment = "2030-01-01T00:00:00+00:00"
    return RegistryRecord(
        job_id=JOB, status=status, source=SOURCE, created_at=moment, updated_at=moment
    )


class World:
    """Services for every handler, and what they did."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name, value in {
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",  # else bodies come in chunks
        }.items():
            monkeypatch.setenv(name, value)
        self._monkeypatch = monkeypatch
        self.calls: list[tuple[str, Body]] = []
        self.jobs: dict[str, Body] = {}
        self.executions: dict[str, str] = {}
        """Input of each that was started, by name."""
        self.ended: dict[str, Body] = {}
        """What DescribeExecution says of those that run no more, by name."""
        self.live_tokens: set[str] = set()
        self.refuse: dict[str, str] = {}
        """Operation -> error code that it answers with."""
        self.meanwhile: dict[str, Callable[[], None]] = {}
        """Operation -> what else happens just before it, once."""
        self.kill_at: tuple[int, str] | None = None
        """(number of the call, "before" or "after" its effect)."""
        self.counted = 0
        unique = uuid.uuid4().hex[:12]
        self.source, self.intermediate = f"source-{unique}", f"intermediate-{unique}"
        self.table = f"registry-{unique}"
        self.s3 = self._client("s3", _engine(s3_engine))
        self.dynamodb = self._client("dynamodb", _engine(dynamodb_engine))
        self._make()
        self.calls.clear()
        self.counted = 0

    def _make(self) -> None:
        self.s3.create_bucket(Bucket=self.source)
        self.s3.create_bucket(Bucket=self.intermediate)
        self.s3.put_bucket_versioning(
            Bucket=self.source, VersioningConfiguration={"Status": "Enabled"}
        )
        self.dynamodb.create_table(
            TableName=self.table,
            BillingMode="PAY_PER_REQUEST",
            KeySchema=[
                {"AttributeName": "pk", "KeyType": "HASH"},
                {"AttributeName": "sk", "KeyType": "RANGE"},
            ],
            AttributeDefinitions=[
                {"AttributeName": "pk", "AttributeType": "S"},
                {"AttributeName": "sk", "AttributeType": "S"},
                {"AttributeName": REGISTRY_OPEN, "AttributeType": "S"},
                {"AttributeName": REGISTRY_OPEN_SINCE, "AttributeType": "S"},
            ],
            GlobalSecondaryIndexes=[
                {
                    "IndexName": REGISTRY_OPEN_INDEX,
                    "KeySchema": [
                        {"AttributeName": REGISTRY_OPEN, "KeyType": "HASH"},
                        {"AttributeName": REGISTRY_OPEN_SINCE, "KeyType": "RANGE"},
                    ],
                    "Projection": {"ProjectionType": "KEYS_ONLY"},
                }
            ],
        )
        self._clients = {
            "s3": self.s3,
            "dynamodb": self.dynamodb,
            "batch": self._client("batch", self._batch),
            "stepfunctions": self._client("stepfunctions", self._stepfunctions),
            "sns": self._client("sns", self._sns),
        }
        self.registry = JobRegistry(self.dynamodb, self.table)
        self.objects = ObjectClient(self.s3)
        self.batch = BatchClient(self._clients["batch"])

    def _client(self, service: str, answer: Callable[..., Answer]) -> Any:
        made = make_client(service, attempts=1)

        def send(request: Any, event_name: str, **_: Any) -> AWSResponse:
            return self._send(event_name.rsplit(".", 1)[-1], request, answer)

        made.meta.events.register(f"before-send.{service}", send)
        return made

    def _send(self, operation: str, request: Any, answer: Callable[..., Answer]) -> AWSResponse:
        if other := self.meanwhile.pop(operation, None):
            other()
        self.counted += 1
        die = self.kill_at is not None and self.kill_at[0] == self.counted
        if die and self.kill_at == (self.counted, "before"):
            raise KilledError(operation)
        headers = {
            k.lower(): v.decode() if isinstance(v, bytes) else v for k, v in request.headers.items()
        }
        body = request.body or b""
        if not isinstance(body, bytes):
            body = body.encode() if isinstance(body, str) else body.read()
        if operation in self.refuse:
            error = {"__type": self.refuse[operation], "message": "refused by the test"}
            status, answered, content = 400, {}, json.dumps(error).encode()
        else:
            status, answered, content = answer(operation, request, headers, body)
        if die:
            raise KilledError(operation)
        return AWSResponse(request.url, status, answered, _Raw(content))

    # Batch, Step Functions, SNS

    def _batch(self, operation: str, _request: Any, _headers: Any, body: bytes) -> Answer:
        said = json.loads(body)
        self.calls.append((operation, said))
        if operation == "SubmitJob":
            size = said.get("arrayProperties")
            job = self.add_job(said["jobName"], "SUBMITTED", arrayProperties=size or {})
            return _json({"jobId": job, "jobName": said["jobName"]})
        if operation == "ListJobs":
            name = said["filters"][0]["values"][0].lower()
            found = [j for j in self.jobs.values() if j["jobName"].lower() == name]
            return _json({"jobSummaryList": found})
        if operation == "DescribeJobs":
            return _json({"jobs": [self.jobs[i] for i in said["jobs"] if i in self.jobs]})
        job = self.jobs[said["jobId"]]
        if job["status"] not in {"SUCCEEDED", "FAILED"}:
            job.update(isTerminated=True, statusReason=said["reason"])
        return _json({})

    def add_job(self, name: str, status: str, **fields: Any) -> str:
        job_id = fields.pop("jobId", f"batch-{len(self.jobs)}")
        self.jobs[job_id] = {
            "jobId": job_id,
            "jobName": name,
            "status": status,
            "createdAt": 1_000 + len(self.jobs),
            **fields,
        }
        return job_id

    def _stepfunctions(self, operation: str, _request: Any, _headers: Any, body: bytes) -> Answer:
        said = json.loads(body)
        self.calls.append((operation, said))
        if operation == "StartExecution":
            name = said["name"]
            if name in self.executions:
                return _json({"__type": "ExecutionAlreadyExists", "message": name}, 400)
            self.executions[name] = said["input"]
            return _json({"executionArn": name, "startDate": 0})
        if operation == "ListExecutions":
            named = [n for n in self.executions if n not in self.ended]
            item = {"executionArn": "a", "stateMachineArn": "m", "status": "RUNNING"}
            return _json({"executions": [{**item, "name": n, "startDate": 0} for n in named]})
        if operation == "DescribeExecution":
            name = said["executionArn"].rsplit(":", 1)[-1]
            if name not in self.executions:
                return _json({"__type": "ExecutionDoesNotExist", "message": name}, 400)
            about = {"status": "RUNNING", "input": self.executions[name]}
            return _json({**about, **self.ended.get(name, {})})
        if said["taskToken"] not in self.live_tokens:
            return _json({"__type": "TaskTimedOut", "message": "too late"}, 400)
        self.live_tokens.remove(said["taskToken"])
        return _json({})

    def _sns(self, operation: str, _request: Any, _headers: Any, body: bytes) -> Answer:
        self.calls.append((operation, {k: v[0] for k, v in parse_qs(body.decode()).items()}))
        result = b"<PublishResult><MessageId>1</MessageId></PublishResult>"
        xml = b"<PublishResponse>" + result + b"</PublishResponse>"
        return 200, {"content-type": "text/xml"}, xml

    # What tests set and ask

    def serve(self, handler: ModuleType, environment: Environment) -> None:
        """Let a handler module work in this world."""
        services = Services(lambda _: environment, lambda service, _: self._clients[service])
        self._monkeypatch.setattr(handler, "services", services)

    def trigger_environment(self) -> TriggerEnvironment:
        return TriggerEnvironment(
            state_machine_arn=STATE_MACHINE,
            intermediate_bucket=self.intermediate,
            registry_table=self.table,
        )

    def stage_environment(self, stage: Stage = Stage.PROCESS) -> StageEnvironment:
        return StageEnvironment(
            stage=stage,
            job_queue="queue",
            job_definition="definition",
            registry_table=self.table,
            state_machine_arn=STATE_MACHINE,
        )

    def reconciler_environment(self) -> ReconcilerEnvironment:
        return ReconcilerEnvironment(
            registry_table=self.table,
            intermediate_bucket=self.intermediate,
            state_machine_arn=STATE_MACHINE,
            notification_topic_arn="arn:aws:sns:us-east-1:1:email",
            **QUEUES,
        )

    def job_state_environment(self) -> JobStateEnvironment:
        return JobStateEnvironment(registry_table=self.table, intermediate_bucket=self.intermediate)

    def completion_environment(self) -> CompletionEnvironment:
        return CompletionEnvironment(
            registry_table=self.table, email_topic_arn="arn:aws:sns:us-east-1:1:email"
        )

    def calls_of(self, operation: str) -> list[Body]:
        return [said for name, said in self.calls if name == operation]

    def item(self, sort: str, job_id: str = JOB) -> Body | None:
        key = serialize({"pk": job_id, "sk": sort})
        found = self.dynamodb.get_item(TableName=self.table, Key=key, ConsistentRead=True)
        return deserialize(found["Item"]) if "Item" in found else None

    def stage_item(self, stage: Stage = Stage.PROCESS) -> Body:
        item = self.item(registry_stage_sort(stage))
        assert item is not None
        return item

    def record(self, job_id: str = JOB) -> RegistryRecord:
        item = self.item("job", job_id)
        assert item is not None
        return RegistryRecord.from_item(item)

    def add_record(self, record: RegistryRecord) -> None:
        item = {
            "pk": record.job_id,
            "sk": "job",
            "expires_at": 1,
            **record.model_dump(mode="json", exclude_none=True),
        }
        self.dynamodb.put_item(TableName=self.table, Item=serialize(item))

    def pass_time(self) -> None:
        """All leases run out."""
        for item in self.dynamodb.scan(TableName=self.table)["Items"]:
            if "lease_until" in item:
                item["lease_until"] = {"N": "1"}
                self.dynamodb.put_item(TableName=self.table, Item=item)

    def start_job(self, **fields: Any) -> None:
        """A running job: its record and its execution."""
        self.registry.create_job(registry_record().model_copy(update=fields), datetime.now(UTC))
        self.executions[JOB] = ExecutionInput(job_id=JOB, source=SOURCE).to_json()

    def end_execution(self, status: str, seconds_ago: float = 600, **fields: Any) -> None:
        stopped = datetime.now(UTC).timestamp() - seconds_ago
        self.ended[JOB] = {"status": status, "stopDate": stopped, **fields}

    def submitted_job(self, status: str, stage: Stage = Stage.PROCESS, **fields: Any) -> str:
        """A job that serves token t1, in the given state."""
        job_id = self.add_job(batch_job_name(JOB, stage), status, **fields)
        item = {
            "pk": JOB,
            "sk": registry_stage_sort(stage),
            "batch_job_id": job_id,
            "task_tokens": {"t1"},
            "served_tokens": {"t1"},
        }
        self.dynamodb.put_item(TableName=self.table, Item=serialize(item))
        self.live_tokens.add("t1")
        return job_id

    def put(self, key: str, body: str) -> None:
        self.s3.put_object(Bucket=self.intermediate, Key=key, Body=body.encode())


class _Raw:
    def __init__(self, content: bytes) -> None:
        self._content = content

    def stream(self, *_: Any, **__: Any) -> list[bytes]:
        return [self.read()]

    def read(self, amount: int | None = None, **_: Any) -> bytes:
        size = len(self._content) if amount is None else amount
        out, self._content = self._content[:size], self._content[size:]
        return out

    def close(self) -> None:
        return None


def _json(body: Body, status: int = 200) -> Answer:
    return status, {"content-type": "application/x-amz-json-1.0"}, json.dumps(body).encode()


def _engine(module: Any) -> Callable[..., Answer]:
    def answer(_operation: str, request: Any, headers: dict[str, str], body: bytes) -> Answer:
        url = urlsplit(request.url)
        path = unquote(url.path)
        bucket, dot, _ = url.netloc.partition(".s3.")
        if dot:
            path = f"/{bucket}{path}"
        query = parse_qs(url.query, keep_blank_values=True)
        status, answered, content = asyncio.run(
            module.handle_request(request.method, path, headers, body, query)
        )
        content = content.encode() if isinstance(content, str) else bytes(content)
        return status, {k: str(v) for k, v in answered.items()}, content

    return answer
