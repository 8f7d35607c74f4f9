"""`python -m containers.media extract` and `python -m containers.media recompose`."""

import sys

from containers.common.worker import run_worker
from contracts.environ import ExtractEnvironment, RecomposeEnvironment
from contracts.names import ExitCode, Stage


def main(arguments: list[str]) -> int:
    """Run the named stage; its exit code. Loads what that stage needs and no more."""
    match arguments:
        case [Stage.EXTRACT]:
            from containers.media import extract

            return run_worker(Stage.EXTRACT, ExtractEnvironment, extract.run)
        case [Stage.RECOMPOSE]:
            from containers.media import recompose

            return run_worker(Stage.RECOMPOSE, RecomposeEnvironment, recompose.run)
    sys.stderr.write("usage: python -m containers.media extract|recompose\n")
    return ExitCode.BAD_REQUEST


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
