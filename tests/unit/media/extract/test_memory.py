"""A long film takes no more memory than a short one."""

import subprocess
import sys
from pathlib import Path

import pytest

from containers.common.film.decoding import decode_frames
from containers.common.film.opening import FilmFile
from contracts.names import ExitCode
from tests.support.bench import Bench, encode_shard
from tests.support.fake_s3 import FolderS3
from tests.support.films import make

pytestmark = pytest.mark.slow

GROWTH_MIB = 28
"""Ten times the length may cost so much: read-ahead and malloc's slack, not the film (56 MiB)."""
CHILDREN_MIB = {"decode_memory_mib": "40"}
"""What the confined children may take beside their libraries, however long the film."""


def main(film: Path, folder: Path) -> None:
    """Extract and recompose; say how many MiB the process, without its children, took at most."""
    bench = Bench(film, FolderS3(folder), shard_seconds=10)
    assert bench.extract(**CHILDREN_MIB) == ExitCode.OK
    manifest, stamps = bench.manifest, bench.timestamps
    first = manifest.shards[0]
    with film.open("rb") as file:
        frames = decode_frames(FilmFile(file), stamps[: first.frames])
        body = encode_shard(manifest, frames)
    for shard in manifest.shards:
        bench.commit(shard, body)
    assert bench.recompose(**CHILDREN_MIB) == ExitCode.OK
    status = Path("/proc/self/status").read_text()  # ru_maxrss would count the parent's memory
    (peak,) = (line for line in status.splitlines() if line.startswith("VmHWM"))
    sys.stdout.write(str(int(peak.split()[1]) // 1024))


def peak_mib(folder: Path, seconds: int) -> int:
    film = make(
        folder / f"{seconds}.mkv", frames=25 * seconds, width=32, height=32, audio="pcm_s16le"
    )
    store = folder / f"s3-{seconds}"
    store.mkdir()
    command = [sys.executable, "-m", "tests.unit.media.extract.test_memory", str(film), str(store)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return int(done.stdout)


def test_memory_does_not_grow_with_the_film(tmp_path: Path) -> None:
    short, long = peak_mib(tmp_path, 30), peak_mib(tmp_path, 300)
    assert long - short < GROWTH_MIB, (short, long)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
