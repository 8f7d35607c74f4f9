"""`python -m containers.media extract` and `python -m containers.media recompose`."""

import sys

from containers.common.runtime.worker import run_worker
from contracts.names import ExitCode, Stage
from contracts.stack.environ import ExtractEnvironment, RecomposeEnvironment


def main(arguments: list[str]) -> int:
    """Run the named stage; its exit code. Loads what that stage needs and no more."""
    match arguments:
        case [Stage.EXTRACT]:
            from containers.media.extract import worker

            return run_worker(Stage.EXTRACT, ExtractEnvironment, worker.run)
        case [Stage.RECOMPOSE]:
            from containers.media.recompose import worker

            return run_worker(Stage.RECOMPOSE, RecomposeEnvironment, worker.run)
    sys.stderr.write("usage: python -m containers.media extract|recompose\n")
    return ExitCode.BAD_REQUEST


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
