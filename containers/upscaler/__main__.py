"""`python -m containers.upscaler`: `process`, `weights --to DIR` and `inspect FILE --to DIR`."""

import argparse
import functools
import json
import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from contracts.names import ExitCode, Stage

if TYPE_CHECKING:
    from containers.upscaler.children import Share


def main() -> int:
    """Run the command line; return the process's exit code."""
    parser = argparse.ArgumentParser(prog="python -m containers.upscaler", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    process = commands.add_parser(
        "process", help="process one run of shards; reads SUPERRES_* variables"
    )
    process.add_argument(
        "--share", type=_share, help="process only this part of the run, such as 0/4"
    )
    weights = commands.add_parser("weights", help="fill a folder with the models' weights")
    weights.add_argument("--to", type=Path, required=True, metavar="DIR")
    weights.add_argument("--json", action="store_true", help="print what was done as JSON")
    inspect = commands.add_parser("inspect", help="prepare a model of yours for storing")
    inspect.add_argument("file", type=Path, help="a safetensors file, or one of torch.save")
    inspect.add_argument("--to", type=Path, required=True, metavar="DIR")
    inspect.add_argument("--json", action="store_true", help="print what it is as JSON")
    arguments = parser.parse_args()
    if arguments.command == "weights":
        return fill_weights(arguments.to, as_json=arguments.json)
    if arguments.command == "inspect":
        return inspect_model(arguments.file, arguments.to, as_json=arguments.json)
    return process_run(arguments.share)


def _share(text: str) -> "Share":
    from containers.upscaler.children import Share

    return Share.parse(text)


COMMAND = (sys.executable, "-m", "containers.upscaler", "process")


def process_run(share: "Share | None" = None, command: Sequence[str] = COMMAND) -> int:
    """Process one run, or a share of it; with several devices, run `command` for each one's share.

    Ends the process without waiting for a stage that is still computing a frame.
    """
    # As process 1 of a container we must handle SIGTERM ourselves until the worker does.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(ExitCode.INTERRUPTED))
    os.environ.setdefault("SVT_LOG", "1")  # else SVT-AV1 logs its settings
    from containers.common.runtime.worker import run_worker
    from containers.upscaler.children import Share, children_wanted, run_children
    from contracts.stack.environ import ProcessEnvironment

    count = children_wanted(os.environ)
    if share is None and count > 1:
        return run_children(count, command, os.environ)
    from containers.upscaler.worker import process

    body = functools.partial(process, share=share or Share())
    code = run_worker(Stage.PROCESS, ProcessEnvironment, body)
    logging.shutdown()
    os._exit(code)


def fill_weights(folder: Path, *, as_json: bool) -> int:
    """Convert the weights missing in `folder` and print what it holds; return the exit code."""
    from containers.common.runtime.worker import WorkerError
    from containers.upscaler.weights.cache import fill_cache

    try:
        files = fill_cache(folder)
    except WorkerError as error:
        sys.stderr.write(f"error: {error.message}\n")
        return error.exit_code
    rows = [
        {"model": f.model.value, "path": str(f.path), "sha256": f.sha256, "bytes": f.bytes,
         "converted": f.converted}
        for f in files
    ]  # fmt: skip
    if as_json:
        sys.stdout.write(json.dumps(rows) + "\n")
    else:
        for row in rows:
            state = "converted" if row["converted"] else "there already"
            sys.stdout.write(f"{row['path']}  {row['sha256']}  {state}\n")
    return ExitCode.OK


def inspect_model(path: Path, folder: Path, *, as_json: bool) -> int:
    """Write a user's model into `folder`, as stacks store it, and print what it is.

    Returns the exit code.
    """
    from containers.common.runtime.worker import WorkerError
    from containers.upscaler.inspection.model_file import inspect

    try:
        found = inspect(path, folder)
    except WorkerError as error:
        sys.stderr.write(f"error: {error.message}\n")
        return error.exit_code
    facts = found.facts
    if as_json:
        sys.stdout.write(facts.to_json() + "\n")
        return ExitCode.OK
    reach = "unbounded" if facts.radius is None else f"{facts.radius} pixels"
    rows = {
        "model": f"{facts.name}, {facts.native_scale}x",
        "work": f"{facts.flop_per_pixel / 1e6:.2f} MFLOP per source pixel",
        "memory": f"{max(facts.bytes_per_pixel.values())} bytes per source pixel",
        "reach": f"{reach}; tiles overlap by {facts.halo}",
        "licence": facts.licence or "not stated in the file",
        "weights": str(found.weights_path),
        "facts": str(found.facts_path),
    }
    sys.stdout.writelines(f"{name:8} {value}\n" for name, value in rows.items())
    return ExitCode.OK


if __name__ == "__main__":
    sys.exit(main())
