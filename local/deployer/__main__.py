"""`python -m local.deployer`: one deployment, in a process of its own.

Endpoint and credentials come from the environment. Prints the stack's outputs as JSON, or on
failure one sentence, with exit code 1.
"""

import argparse
import json
import logging
import os
import sys
from pathlib import Path

from pulumi import RunError

from local.deployer.config import ConfigError, parse_overrides, read_config
from local.deployer.mocks import Deployer
from local.deployer.program import run_program
from local.deployer.resource import Aws


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m local.deployer", description=__doc__)
    parser.add_argument("--project", type=Path, required=True)
    parser.add_argument("--stack", required=True)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("botocore").setLevel(logging.WARNING)
    try:
        config = read_config(given.project, given.stack, parse_overrides(given.set))
    except ConfigError as error:
        return _fail(str(error))
    deployer = Deployer(Aws(config.region))
    try:
        outputs = run_program(given.project, config, deployer)
    except (Exception, RunError) as error:
        logging.exception("the deployment failed")
        return _fail(str(deployer.failure or f"The Pulumi program failed: {error}"))
    sys.stdout.write(json.dumps(outputs))
    return 0


def _fail(sentence: str) -> int:
    sys.stdout.write(" ".join(sentence.split()))
    return 1


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    # Nothing is left to finish, and tearing the loaded modules down takes half a second.
    os._exit(code)
