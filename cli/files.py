"""Where the program lies, and files that appear whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkstemp

ROOT = Path(__file__).resolve().parent.parent
"""The folder of the program's packages; processes that run them start in it."""


@contextmanager
def in_place(target: Path) -> Iterator[Path]:
    """A file beside `target` to write to; it becomes `target` when the block ends well."""
    handle, name = mkstemp(dir=target.parent, prefix=".superres-")
    os.close(handle)
    partial = Path(name)
    try:
        yield partial
        partial.chmod(0o666 & ~_umask())
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
