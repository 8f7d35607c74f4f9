"""`python -m ...waiting MODULE`: import it, read a job from stdin, become it."""

import contextlib
import importlib
import json
import os
import runpy
import sys
import tempfile


def main(module: str) -> None:
    """Ends without a word where stdin closes before a job comes."""
    with contextlib.suppress(Exception):  # the job will meet it too, and say so in its log
        importlib.import_module(module)
    line = sys.stdin.buffer.readline()
    if not line:
        return
    order = json.loads(line)
    log, null = os.open(order["log"], os.O_WRONLY | os.O_APPEND), os.open(os.devnull, os.O_RDONLY)
    for source, stream in ((null, 0), (log, 1), (log, 2)):
        os.dup2(source, stream)
    os.close(log)
    os.close(null)
    os.chdir(order["folder"])
    os.environ.clear()
    os.environ.update(order["environment"])
    tempfile.tempdir = None  # an import may have asked for it
    sys.argv = order["arguments"]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1])
