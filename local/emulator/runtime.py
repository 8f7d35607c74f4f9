"""The running emulator. Importing this imports ministack: export the settings first."""

import asyncio
import concurrent.futures
import logging
import os
import socket
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from hypercorn.asyncio import serve
from hypercorn.config import Config
from ministack import app
from ministack.core import lambda_runtime
from ministack.services import eventbridge, lambda_svc

from local.emulator import patches
from local.emulator.batch import api
from local.emulator.batch.executor import Executor
from local.emulator.batch.processes.attempt import AttemptSettings
from local.emulator.batch.surroundings import AwsSurroundings
from local.emulator.guard import Guard
from local.emulator.patches.permissions import access_log
from local.emulator.settings import EmulatorSettings

NEEDS = {
    "ministack.app": ("app",),
    "ministack.core.lambda_runtime": ("ensure_spawned", "get_or_create_worker", "reset"),
    "ministack.services.eventbridge": ("_rules", "_targets"),
    "ministack.services.lambda_svc": ("_esms", "_functions"),
}

log = logging.getLogger(__name__)

JOB_GRACE_SECONDS = 30.0
"""Between a job's SIGTERM and SIGKILL, as ECS's default stop timeout."""
STOP_GRACE_SECONDS = 5.0
"""The same when the emulator itself stops."""
_PUBLIC_ADMIN_PATHS = ("/_ministack/health", "/_ministack/ready")
_KEEP_ALIVE_SECONDS = 75

Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]


class Runtime:
    """ministack, patched, with the Batch executor in it."""

    def __init__(self, settings: EmulatorSettings, guard: Guard) -> None:
        """Raises patching.PatchError if ministack is not the version that we know."""
        patches.apply_all(NEEDS)
        access_log.write_to(settings.access_log)
        vcpus = float(_cores())
        self.executor = Executor(
            AttemptSettings(
                scratch=settings.scratch / "jobs",
                logs=settings.logs,
                python_path=settings.code,
                endpoint=settings.endpoint,
                region=settings.region,
                grace_seconds=JOB_GRACE_SECONDS,
                import_ahead=settings.import_ahead,
            ),
            AwsSurroundings(settings.account, settings.region, vcpus, guard),
            host_vcpus=vcpus,
            arn_prefix=f"arn:aws:batch:{settings.region}:{settings.account}:job/",
        )
        api.install(self.executor)

    async def serve(self, listener: socket.socket, stop: asyncio.Event) -> None:
        """Answer requests on the bound socket until `stop` is set."""
        config = Config()
        config.bind = [f"fd://{listener.detach()}"]
        config.keep_alive_timeout = _KEEP_ALIVE_SECONDS
        config.graceful_timeout = 0.5
        await serve(_without_admin, config, shutdown_trigger=stop.wait)  # pyright: ignore[reportArgumentType] - hypercorn's own ASGI scope types are narrower than ASGI's

    def warm_functions(self) -> None:
        """Start a worker for each function, so that no first call waits for its imports.

        Functions without a queue come first: events reach them before any queue is filled. Nothing
        waits for scheduled functions, so they are left out.
        """
        fed = {mapping["FunctionName"] for mapping in lambda_svc._esms._data.values()}
        scheduled = _scheduled_functions()
        functions = [
            function
            for function in lambda_svc._functions._data.values()
            if function["config"]["FunctionArn"] not in scheduled
        ]
        functions.sort(key=lambda function: function["config"]["FunctionName"] in fed)
        began = time.monotonic()
        # one core stays free for the first film, which comes meanwhile
        with concurrent.futures.ThreadPoolExecutor(max(1, _cores() - 1)) as pool:
            pool.map(_warm, functions)
        log.info("%d functions warmed in %.2f s", len(functions), time.monotonic() - began)

    def close(self) -> None:
        """End all jobs and Lambda workers."""
        self.executor.close(STOP_GRACE_SECONDS)
        lambda_runtime.reset()


def _scheduled_functions() -> set[str]:
    """ARNs of the targets of scheduled rules."""
    return {
        target["Arn"]
        for key, rule in eventbridge._rules._data.items()
        if rule.get("ScheduleExpression")
        for target in eventbridge._targets._data.get(key, [])
    }


def _warm(function: dict[str, Any]) -> None:
    config = function["config"]
    name = config["FunctionName"]
    try:
        # Not leased meanwhile: a call that comes now waits for this worker, and starts no second.
        worker = lambda_runtime.get_or_create_worker(name, config, function["code_zip"])
        lambda_runtime.ensure_spawned(worker)
    except Exception:
        log.exception("function %s was not warmed", name)


def _cores() -> int:
    return len(os.sched_getaffinity(0))


async def _without_admin(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
    """ministack's application without its unauthenticated administration."""
    path = scope.get("path", "")
    if path.startswith(("/_ministack/", "/_localstack/")) and path not in _PUBLIC_ADMIN_PATHS:
        await send({"type": "http.response.start", "status": 404, "headers": []})
        await send({"type": "http.response.body", "body": b""})
        return
    await app.app(scope, receive, send)
