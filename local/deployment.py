"""Runs the Pulumi program in a process of its own, which gives its memory back when it ends."""

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from local.emulator.guard import Guard

_REPOSITORY = Path(__file__).parents[1]


class ServeError(Exception):
    """The embedded AWS could not be started; the text is one sentence."""


class Deployment:
    """A started `python -m local.deployer`."""

    def __init__(self, process: asyncio.subprocess.Process, guard: Guard) -> None:
        self._process = process
        self._guard = guard

    @classmethod
    async def start(
        cls, options: Mapping[str, str], overrides: Mapping[str, str], endpoint: str, guard: Guard
    ) -> Self:
        """Options and overrides as of `python -m local.deployer`."""
        arguments = [word for name, value in options.items() for word in (f"--{name}", value)]
        for name, value in overrides.items():
            arguments += ["--set", f"{name}={value}"]
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "local.deployer",
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "AWS_ENDPOINT_URL": endpoint, "PYTHONPATH": str(_REPOSITORY)},
            start_new_session=True,
        )
        guard.watch(process.pid)
        return cls(process, guard)

    async def outputs(self) -> dict[str, Any]:
        """Wait for the stack's outputs. Raises ServeError; kills the process if cancelled."""
        process = self._process
        try:
            answer, _ = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
            self._guard.forget(process.pid)
        if process.returncode:
            raise ServeError(answer.decode().strip() or "The deployment failed.")
        return json.loads(answer)
