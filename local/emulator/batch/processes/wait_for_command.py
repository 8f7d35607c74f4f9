"""`python -m ...wait_for_command MODULE`: import it, read a job's command from stdin, become it."""

import contextlib
import importlib
import json
import os
import runpy
import sys
import tempfile


def main(module: str) -> None:
    """Ends silently if stdin closes before a command comes."""
    with contextlib.suppress(Exception):  # the job will meet the error too, and log it
        importlib.import_module(module)
    line = sys.stdin.buffer.readline()
    if not line:
        return
    command = json.loads(line)
    log, null = os.open(command["log"], os.O_WRONLY | os.O_APPEND), os.open(os.devnull, os.O_RDONLY)
    for source, stream in ((null, 0), (log, 1), (log, 2)):
        os.dup2(source, stream)
    os.close(log)
    os.close(null)
    os.chdir(command["folder"])
    os.environ.clear()
    os.environ.update(command["environment"])
    tempfile.tempdir = None  # an import may have asked for it
    sys.argv = command["arguments"]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1])
