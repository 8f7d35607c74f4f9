"""Runs `superres run` in its own process, as a user does, and reads its JSON."""

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class TimedRun:
    """Wall seconds of the whole command, and the JSON that it printed."""

    seconds: float
    result: dict[str, Any]

    @property
    def shards(self) -> list[dict[str, Any]]:
        return self.result["shards"]

    @property
    def shard_seconds(self) -> float:
        """What the shards took: inference, encoding and decoding overlap."""
        return sum(shard["wall_seconds"] for shard in self.shards)

    @property
    def overhead(self) -> float:
        """Everything except the shards; true for one worker."""
        return self.seconds - self.shard_seconds

    @property
    def peak_mib(self) -> int:
        return max(shard["peak_memory_mib"] for shard in self.shards)


def table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """Format a Markdown table."""
    lines = ["| " + " | ".join(row) + " |" for row in (header, ("---",) * len(header), *rows)]
    return "\n".join(lines)


def run_superres(video: Path, target: Path, *options: str) -> TimedRun:
    """Upscale `video` to `target`. Raises SystemExit where the command fails."""
    command = [sys.executable, "-m", "cli.main", "run", str(video), "-o", str(target), "--force"]
    began = time.perf_counter()
    done = subprocess.run(
        [*command, "--json", *options], cwd=ROOT, capture_output=True, text=True, check=False
    )
    seconds = time.perf_counter() - began
    if done.returncode:
        raise SystemExit(f"{video.name}: {done.stderr.strip()}")
    return TimedRun(seconds, json.loads(done.stdout))
