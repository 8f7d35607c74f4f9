"""`python -m containers.media extract` and `python -m containers.media recompose`."""

import sys

from containers.common.worker import run_worker
from containers.media import extract, recompose
from contracts.environ import ExtractEnvironment, RecomposeEnvironment
from contracts.names import ExitCode, Stage


def main(arguments: list[str]) -> int:
    """Run the named stage; its exit code."""
    match arguments:
        case [Stage.EXTRACT]:
            return run_worker(Stage.EXTRACT, ExtractEnvironment, extract.run)
        case [Stage.RECOMPOSE]:
            return run_worker(Stage.RECOMPOSE, RecomposeEnvironment, recompose.run)
    sys.stderr.write("usage: python -m containers.media extract|recompose\n")
    return ExitCode.BAD_REQUEST


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
