"""`python -m local serve`: the embedded AWS with the stack deployed, for as long as stdin is open.

One JSON line on stdout announces that it is ready; everything else goes to the run's server.log.
"""

import argparse
import asyncio
import contextlib
import json
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from local import snapshot_file
from local.deployer.config import ConfigError, StackConfig, parse_overrides, read_config
from local.deployment import Deployment, ServeError
from local.emulator.guard import Guard
from local.emulator.settings import HOST, EmulatorSettings
from local.fingerprint import fingerprint
from local.run_folder import RunFolder, open_run

log = logging.getLogger("local")
T = TypeVar("T")

STACK = "local"
_REPOSITORY = Path(__file__).parents[1]


@dataclass(frozen=True)
class ServeRequest:
    """The command line, parsed."""

    project: Path
    state_dir: Path
    overrides: dict[str, str]
    config: StackConfig
    import_ahead: str | None


def main(arguments: list[str]) -> int:
    """Exit code 0 after a requested stop, 1 with one sentence on stderr otherwise."""
    try:
        request = _parse(arguments)
        run = open_run(request.state_dir)
    except (ConfigError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    guard = Guard.fork(run.scratch)  # before any thread and before the streams move
    ready, complaints = _redirect_output(run.server_log)
    code = 0
    try:
        asyncio.new_event_loop().run_until_complete(_serve(request, run, guard, ready))
    except ServeError as error:
        os.write(complaints, f"{error} (log: {run.server_log})\n".encode())
        code = 1
    except Exception as error:
        log.exception("the embedded AWS failed")
        os.write(complaints, f"{error!r} (log: {run.server_log})\n".encode())
        code = 1
    guard.finish()
    # ministack's threads may wait for anything; nothing of ours is left to finish.
    os._exit(code)


def _parse(arguments: list[str]) -> ServeRequest:
    parser = argparse.ArgumentParser(prog="python -m local", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    serve = commands.add_parser("serve", help="run the embedded AWS until stdin closes")
    serve.add_argument("--state-dir", type=Path, required=True, help="logs and snapshots")
    serve.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="override a stack setting"
    )
    serve.add_argument(
        "--project", type=Path, default=_REPOSITORY, help="folder of the Pulumi program"
    )
    serve.add_argument(
        "--import-ahead", metavar="MODULE",
        help="import it while the first job runs, for the first job that runs its package",
    )  # fmt: skip
    given = parser.parse_args(arguments)
    project = given.project.absolute()
    overrides = parse_overrides(given.set)
    config = read_config(project, STACK, overrides)
    return ServeRequest(project, given.state_dir, overrides, config, given.import_ahead)


def _redirect_output(log_file: Path) -> tuple[int, int]:
    """stdout and stderr go to the log from here on; returns copies of the caller's."""
    copies = os.dup(1), os.dup(2)
    target = os.open(log_file, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    os.dup2(target, 1)
    os.dup2(target, 2)
    os.close(target)
    return copies


async def _serve(request: ServeRequest, run: RunFolder, guard: Guard, ready: int) -> None:
    started = time.monotonic()
    stop, closed = asyncio.Event(), asyncio.Event()
    _stop_on_signals_and_eof(stop)
    listener = socket.create_server((HOST, 0))
    settings = EmulatorSettings(
        port=listener.getsockname()[1],
        region=request.config.region,
        scratch=run.scratch,
        logs=run.jobs,
        access_log=run.access_log,
        code=request.project,
        import_ahead=request.import_ahead,
    )
    settings.export()
    key = fingerprint(request.project, STACK, request.overrides)
    snapshots = request.state_dir / "snapshots"
    saved = snapshot_file.read(snapshots, key, settings.address)
    # Before ministack is imported, so that both import at once; its requests wait at the socket.
    deployment = None if saved else await _start_deployment(request, settings, guard)
    # ministack reads its environment when it is imported, hence not before.
    from local.emulator.patching import PatchError
    from local.emulator.runtime import Runtime

    try:
        runtime = Runtime(settings, guard)
    except PatchError as error:
        raise ServeError(str(error)) from error
    outputs = _load(saved)
    warm = outputs is not None
    server = asyncio.create_task(runtime.serve(listener, closed))
    state = None
    try:
        if outputs is None:
            deployment = deployment or await _start_deployment(request, settings, guard)
            outputs = await _unless(stop, server, deployment.outputs())
            state = _dump(outputs)
        line = _ready_line(settings, outputs, run, warm, time.monotonic() - started)
        os.write(ready, line.encode())
        threading.Thread(target=runtime.warm_functions, daemon=True).start()
        if state is not None:
            snapshot_file.save(snapshots, key, settings.address, state)
        await _unless(stop, server, asyncio.Event().wait())
    except _StopRequested:
        log.info("stopping")
    finally:
        await asyncio.to_thread(runtime.close)
        closed.set()
    await server


class _StopRequested(Exception):  # noqa: N818 - not an error
    """A signal came, or the caller closed stdin."""


async def _unless(
    stop: asyncio.Event, server: asyncio.Task[None], work: Coroutine[Any, Any, T]
) -> T:
    """The work's result. Raises _StopRequested, or what ended the server, if that comes first."""
    task, stopping = asyncio.create_task(work), asyncio.create_task(stop.wait())
    await asyncio.wait({task, stopping, server}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if task.done():
        return task.result()
    task.cancel()
    await asyncio.wait({task})
    if server.done():
        server.result()
        raise ServeError("The emulator's server ended by itself.")
    raise _StopRequested


def _stop_on_signals_and_eof(stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)

    def read_to_the_end() -> None:
        with contextlib.suppress(OSError):
            while os.read(0, 4096):
                pass
        loop.call_soon_threadsafe(stop.set)

    threading.Thread(target=read_to_the_end, name="stdin", daemon=True).start()


def _load(body: bytes | None) -> dict[str, Any] | None:
    """The outputs of the snapshot's stack; None if it must be deployed again."""
    from local.emulator import snapshot_state

    if body is None:
        return None
    try:
        return snapshot_state.load(body)
    except Exception:
        log.exception("the snapshot could not be restored")
        return None


def _dump(outputs: dict[str, Any]) -> bytes | None:
    from local.emulator import snapshot_state

    try:
        return snapshot_state.dump(outputs)
    except (TypeError, ValueError):
        log.exception("no snapshot was taken: the next start deploys again")
        return None


async def _start_deployment(
    request: ServeRequest, settings: EmulatorSettings, guard: Guard
) -> Deployment:
    options = {"project": str(request.project), "stack": STACK}
    return await Deployment.start(options, request.overrides, settings.endpoint, guard)


def _ready_line(
    settings: EmulatorSettings, outputs: dict[str, Any], run: RunFolder, warm: bool, seconds: float
) -> str:
    facts = {
        "endpoint": settings.endpoint,
        "region": settings.region,
        "account": settings.account,
        "access_key_id": settings.access_key_id,
        "secret_access_key": settings.secret_access_key,
        "outputs": outputs,
        "log_dir": str(run.jobs),
        "access_log": str(run.access_log),
        "warm": warm,
        "deploy_seconds": round(seconds, 3),
    }
    return json.dumps(facts) + "\n"
