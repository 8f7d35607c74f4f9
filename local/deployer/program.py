"""Runs a Pulumi program as its command line's language host does, against our own monitor."""

import asyncio
import runpy
import sys
from pathlib import Path
from typing import Any

from pulumi.runtime import rpc, set_all_config, settings
from pulumi.runtime.mocks import MockMonitor, Mocks, set_mocks
from pulumi.runtime.stack import run_in_stack

from local.deployer.config import StackConfig

_STACK_TYPE = "pulumi:pulumi:Stack"


class _Monitor(MockMonitor):
    """Keeps the stack's outputs, which Pulumi's own drops."""

    def __init__(self, mocks: Mocks) -> None:
        super().__init__(mocks)
        self.outputs: dict[str, Any] = {}

    def RegisterResourceOutputs(self, request: Any) -> Any:  # noqa: N802 - Pulumi's name
        if request.urn.split("::")[2] == _STACK_TYPE:
            self.outputs = rpc.deserialize_properties(request.outputs) or {}
        return super().RegisterResourceOutputs(request)


def run_program(folder: Path, config: StackConfig, mocks: Mocks) -> dict[str, Any]:
    """Run `folder`'s program; returns the stack's outputs. Raises whatever the program raises."""
    set_all_config(config.values)
    monitor = _Monitor(mocks)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    set_mocks(mocks, project=config.project, stack=config.stack, preview=False, monitor=monitor)
    # run_in_stack makes the stack's resource itself
    settings.set_root_resource(None)  # pyright: ignore[reportArgumentType] - None is the start value
    sys.path.insert(0, str(folder))

    def program() -> None:
        runpy.run_path(str(folder / "__main__.py"), run_name="__main__")

    loop.run_until_complete(run_in_stack(program))
    return monitor.outputs
