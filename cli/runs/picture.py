"""The before/after picture: one frame of the source and of the result, and a detail of it."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from cli.files import in_place
from contracts.film.formats import DEMUXERS

GAP, LABEL = 8, 36
INK, PAPER = (240, 240, 240), (24, 26, 30)


def read_frame(video: Path, stream_index: int, position: float) -> np.ndarray:
    """Decode the RGB frame, uint8, shape (h, w, 3), at `position` (0 to 1) among all frames."""
    shown = sum(1 for _ in _frames(video, stream_index))
    number = max(0, min(int(shown * position), shown - 1))
    frame = next(islice(_frames(video, stream_index), number, None))
    return frame.to_ndarray(format="rgb24")


def _frames(video: Path, stream_index: int) -> Iterator[av.VideoFrame]:
    rules = {"format_whitelist": ",".join(DEMUXERS), "protocol_whitelist": "none"}
    with (
        video.open("rb") as file,
        av.open(file, "r", container_options=rules, io_open=_refuse) as container,
    ):
        stream = container.streams[stream_index]
        for packet in container.demux(stream):
            yield from (f for f in packet.decode() if isinstance(f, av.VideoFrame))


def _refuse(url: str, _flags: int, _options: dict[str, str]) -> Any:
    raise PermissionError(f"it refers to another file, {url[:80]!r}")


def draw_before_after(
    source: Path, result: Path, target: Path, *, stream_index: int = 0, position: float = 0.5
) -> None:
    """Write a PNG: the whole frame and a detail, each enlarged bicubically and as the result.

    `stream_index` is the film's in the source, `position` (0 to 1) the frame's place in the film.
    Raises OSError, FFmpegError, and StopIteration where the film has no frames.
    """
    before = Image.fromarray(read_frame(source, stream_index, position))
    after = Image.fromarray(read_frame(result, 0, position))
    enlarged = before.resize(after.size, Image.Resampling.BICUBIC)
    width = 640
    height = round(width * after.height / after.width)
    canvas = Image.new("RGB", (2 * width + 3 * GAP, 2 * (height + LABEL) + 2 * GAP), PAPER)
    draw = ImageDraw.Draw(canvas)
    label = f"{before.width}x{before.height}, bicubic", f"{after.width}x{after.height}, Superres"
    box = _detail(np.asarray(after, dtype=np.float32), height / width)
    for column, image in enumerate((enlarged, after)):
        x = GAP + column * (width + GAP)
        draw.text((x + 4, 8), label[column], INK, ImageFont.load_default(20))
        canvas.paste(image.resize((width, height), Image.Resampling.LANCZOS), (x, LABEL))
        y = LABEL + height + GAP + LABEL
        draw.text((x + 4, y - 28), "detail", INK, ImageFont.load_default(20))
        canvas.paste(image.crop(box).resize((width, height), Image.Resampling.NEAREST), (x, y))
    with in_place(target) as partial:
        canvas.save(partial, "PNG")


def _detail(image: np.ndarray, aspect: float) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) of the busiest quarter of the width: there enlargement shows."""
    height, width = image.shape[:2]
    crop_w = max(width // 4, 1)
    crop_h = max(min(round(crop_w * aspect), height), 1)
    grey = image.mean(axis=2)

    def energy(corner: tuple[int, int]) -> float:
        x, y = corner
        part = grey[y : y + crop_h, x : x + crop_w]
        return float(np.abs(np.diff(part, axis=0)).mean() + np.abs(np.diff(part, axis=1)).mean())

    x, y = max(_corners(width - crop_w, height - crop_h, crop_w, crop_h), key=energy)
    return x, y, x + crop_w, y + crop_h


def _corners(last_x: int, last_y: int, step_x: int, step_y: int) -> Iterator[tuple[int, int]]:
    for y in range(0, last_y + 1, max(step_y // 2, 1)):
        for x in range(0, last_x + 1, max(step_x // 2, 1)):
            yield x, y
