"""The frame around every worker: environment, logs, signals, and how it gives up."""

import contextlib
import errno
import functools
import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import FrameType
from typing import Any, Generic, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from containers.common.runtime.errors import (
    NO_ROOM,
    WorkerError,
    has_errno,
)
from containers.common.runtime.meter import Meter
from containers.common.runtime.storage import S3Store, worker_error
from contracts.base import ContractError
from contracts.keys import failure_key
from contracts.messages import Failure
from contracts.names import ExitCode, Stage
from contracts.stack.environ import (
    ExtractEnvironment,
    ProcessEnvironment,
    RecomposeEnvironment,
)

__all__ = ["Interrupted", "Task", "WorkerError", "run_worker", "s3_client"]

AnyEnvironment = ExtractEnvironment | ProcessEnvironment | RecomposeEnvironment
E = TypeVar("E", bound=AnyEnvironment)

INTERRUPT_GRACE_SECONDS = 20.0
"""After SIGTERM, how long unwinding may take before the process exits without it."""

log = logging.getLogger(__name__)


class Interrupted(Exception):  # noqa: N818 - an order to stop, not an error
    """SIGTERM arrived (Spot reclaim, cancelled job): abandon what is not committed."""


@dataclass(frozen=True, kw_only=True)
class Task(Generic[E]):
    """What a worker's body gets. `run` is the array index, 0 for a plain job."""

    environment: E
    store: S3Store
    run: int
    meter: Meter


def run_worker(
    stage: Stage,
    environment: type[E],
    body: Callable[[Task[E]], None],
    *,
    environ: Mapping[str, str] = os.environ,
    client: Any = None,
) -> int:
    """Run one worker and return its exit code; call from the main thread.

    A WorkerError becomes a Failure object and its own code, AWS trouble TRANSIENT, SIGTERM
    INTERRUPTED (no Failure: the job will be tried again), anything else CRASH.
    """
    run = int(environ.get("AWS_BATCH_JOB_ARRAY_INDEX", "0"))
    _log_as_json(stage, run, environ)
    try:
        settings = environment.read(environ)
    except ContractError as error:
        log.error("%s", error)
        return ExitCode.BAD_REQUEST
    meter = Meter(stage, settings)
    log.info("attempt begins", extra=meter.started(_attempt_number(environ)))
    task = Task(
        environment=settings,
        store=S3Store(client or _MadeAtFirstUse(s3_client)),
        run=run,
        meter=meter,
    )
    failure = None
    with contextlib.suppress(Interrupted), _listening_for_sigterm() as stopping:
        failure = _attempt(task, body)
    code = _exit_code(interrupted=stopping.is_set(), failure=failure)
    log.info("attempt ends", extra={"exit_code": code.name, **meter.ended(code)})
    if code is ExitCode.INTERRUPTED:
        log.warning("interrupted by SIGTERM")
    elif failure is None:
        log.info("done")
    else:
        log.error(failure.message, extra={"error": failure.exit_code.error})
        _record(task, stage, failure)
    return code


def _exit_code(*, interrupted: bool, failure: WorkerError | None) -> ExitCode:
    if interrupted:
        return ExitCode.INTERRUPTED
    return ExitCode.OK if failure is None else failure.exit_code


def _attempt_number(environ: Mapping[str, str]) -> int:
    return int(environ.get("AWS_BATCH_JOB_ATTEMPT", "1"))


class _MadeAtFirstUse:
    """A client that is slow to make, so it is made when a body needs it."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make

    @functools.cached_property
    def _client(self) -> Any:
        return self._make()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)


def s3_client() -> Any:
    """An S3 client that retries by itself; endpoint and credentials from the environment."""
    import boto3
    from botocore.config import Config

    config = Config(
        retries={"mode": "standard", "total_max_attempts": 5},
        connect_timeout=5,
        read_timeout=30,
    )
    return boto3.client("s3", config=config)


def _attempt(task: Task[E], body: Callable[[Task[E]], None]) -> WorkerError | None:
    try:
        body(task)
    except WorkerError as error:
        return error
    except ContractError as error:
        return WorkerError(ExitCode.BAD_REQUEST, str(error))
    except (BotoCoreError, ClientError) as error:
        return worker_error(error, "AWS")
    except Exception as error:
        log.exception("crash")
        if has_errno(error, errno.ENOSPC):
            return WorkerError(ExitCode.CRASH, NO_ROOM)
        return WorkerError(ExitCode.CRASH, f"internal error: {type(error).__name__}: {error}")
    return None


def _record(task: Task[E], stage: Stage, error: WorkerError) -> None:
    settings = task.environment
    failure = Failure(
        job_id=settings.job_id,
        stage=stage,
        run=task.run,
        exit_code=error.exit_code,
        error=error.exit_code.error,
        message=error.message,
    )
    key = failure_key(settings.job_id, stage, task.run)
    try:
        task.store.put_json(settings.intermediate_bucket, key, failure)
    except WorkerError as trouble:
        log.error("cannot write %s: %s", key, trouble)


@contextlib.contextmanager
def _listening_for_sigterm() -> Iterator[threading.Event]:
    """On SIGTERM raise Interrupted in the main thread, and make sure that the process ends.

    The event is set even where a library swallowed the exception.
    """
    stopping = threading.Event()
    deadline = threading.Timer(INTERRUPT_GRACE_SECONDS, os._exit, (ExitCode.INTERRUPTED,))
    deadline.daemon = True

    def stop(_signal: int, _frame: FrameType | None) -> None:
        if not stopping.is_set():
            stopping.set()
            deadline.start()
            raise Interrupted("SIGTERM")

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield stopping
    finally:
        deadline.cancel()
        signal.signal(signal.SIGTERM, before)


_RECORD_FIELDS = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime"}


class _JsonFormatter(logging.Formatter):
    """One JSON object per line; fields given as `extra` stand beside the message."""

    def __init__(self, context: dict[str, Any]) -> None:
        super().__init__()
        self._context = context

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname,
            "message": record.getMessage(),
            "logger": record.name,
            **self._context,
            **{k: v for k, v in record.__dict__.items() if k not in _RECORD_FIELDS},
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def _log_as_json(stage: Stage, run: int, environ: Mapping[str, str]) -> None:
    context = {
        "job_id": environ.get("SUPERRES_JOB_ID"),
        "stage": stage.value,
        "run": run,
        "attempt": _attempt_number(environ),
        "batch_job_id": environ.get("AWS_BATCH_JOB_ID"),
    }
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonFormatter({k: v for k, v in context.items() if v is not None}))
    logging.basicConfig(handlers=[handler], level=logging.INFO)
    logging.getLogger("botocore").setLevel(logging.WARNING)
