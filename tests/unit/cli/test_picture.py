"""The before/after picture."""

import io
from pathlib import Path

import av
import av.error
import numpy as np
import pytest
from PIL import Image

from cli.runs.picture import draw_before_after
from tests.support.canaries import Canary


def still(path: Path, width: int, height: int) -> Path:
    """A one-frame film: grey on the left, noise on the right."""
    picture = np.full((height, width, 3), 128, np.uint8)
    noise = np.random.default_rng(1).integers(0, 255, (height, width // 2, 3))
    picture[:, width // 2 :] = noise
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25, options={"crf": "10"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        out.mux(stream.encode(None))
    return path


def test_the_picture_shows_both_films_and_a_busy_detail(tmp_path: Path) -> None:
    small, large = still(tmp_path / "s.mp4", 64, 36), still(tmp_path / "l.mp4", 256, 144)
    draw_before_after(small, large, tmp_path / "picture.png")
    with Image.open(io.BytesIO((tmp_path / "picture.png").read_bytes())) as image:
        assert image.size == (2 * 640 + 3 * 8, 2 * (360 + 36) + 2 * 8)
        detail = np.asarray(image)[-340:-20, -620:-20]
    assert detail.std() > 20


def test_a_picture_of_a_film_that_names_other_files_opens_none(tmp_path: Path) -> None:
    with Canary(tmp_path / "canary.mp4") as canary:
        film = tmp_path / "film.m3u8"
        film.write_text(
            f"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nfile://{canary.path}\n#EXT-X-ENDLIST\n"
        )
        with pytest.raises(av.error.FFmpegError):
            draw_before_after(film, film, tmp_path / "picture.png")
    assert canary.opened == []
    with canary.again() as control, pytest.raises(av.error.FFmpegError):
        av.open(str(film), timeout=5)
    assert control.opened == ["file"]
