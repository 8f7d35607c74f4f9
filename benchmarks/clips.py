"""Clips for benchmarks, made from the sample so that nothing is downloaded."""

from itertools import cycle
from pathlib import Path

import av
import numpy as np

SAMPLE = Path(__file__).resolve().parents[1] / "samples" / "bunny.mp4"


def sample_frames() -> list[np.ndarray]:
    """The sample's frames: RGB, uint8, shape (180, 320, 3)."""
    with av.open(str(SAMPLE)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def make_clip(target: Path, frames: int, rate: int = 25) -> Path:
    """`frames` frames of the sample played to and fro, so that no frame repeats its predecessor."""
    pictures = sample_frames()
    order = cycle([*range(len(pictures)), *range(len(pictures) - 2, 0, -1)])
    with av.open(str(target), "w") as out:
        stream = out.add_stream("libx264", rate=rate, options={"crf": "16", "preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = 320, 180, "yuv420p"
        for _ in range(frames):
            frame = av.VideoFrame.from_ndarray(pictures[next(order)], format="rgb24")
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return target
