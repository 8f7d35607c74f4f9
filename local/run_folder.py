"""One folder per run: log of the server, logs of the jobs, scratch. Old runs are pruned.

STATE_DIR/snapshots/                   see snapshot_file.py
STATE_DIR/runs/<run>/server.log        log of the emulator and its deployer
STATE_DIR/runs/<run>/access.jsonl      which statement of which role allowed which call
STATE_DIR/runs/<run>/jobs/*.log        one file per attempt of a Batch job
STATE_DIR/runs/<run>/tmp/              gone when the run ends
STATE_DIR/runs/<run>/lock              held while the run lives
"""

import contextlib
import fcntl
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

_KEPT = 5


@dataclass(frozen=True)
class RunFolder:
    path: Path
    lock: int
    """File descriptor that holds the lock; a forked child keeps it too."""

    @property
    def server_log(self) -> Path:
        return self.path / "server.log"

    @property
    def access_log(self) -> Path:
        return self.path / "access.jsonl"

    @property
    def jobs(self) -> Path:
        return self.path / "jobs"

    @property
    def scratch(self) -> Path:
        return self.path / "tmp"


def open_run(state_dir: Path) -> RunFolder:
    """A new run's folder, locked; removes what dead runs left behind. Raises OSError."""
    runs = state_dir.absolute() / "runs"
    path = runs / f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{os.getpid()}"
    path.mkdir(parents=True)
    lock = os.open(path / "lock", os.O_CREAT | os.O_RDWR, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    run = RunFolder(path, lock)
    # Only under the lock: a run that prunes at this moment takes an unlocked folder for dead.
    run.jobs.mkdir()
    run.scratch.mkdir()
    _prune(runs, path)
    return run


def _prune(runs: Path, own: Path) -> None:
    dead = [path for path in sorted(runs.iterdir()) if path != own and _remove_scratch(path)]
    for path in dead[: max(0, len(dead) - _KEPT)]:
        shutil.rmtree(path, ignore_errors=True)


def _remove_scratch(run: Path) -> bool:
    """Remove a dead run's scratch; False if the run is alive."""
    try:
        lock = os.open(run / "lock", os.O_RDWR)
    except OSError:
        return False
    try:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(run / "tmp", ignore_errors=True)
            return True
        return False
    finally:
        os.close(lock)
