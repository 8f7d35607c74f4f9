"""Jobs in a folder that stands in for S3, small enough to upscale in a test.

`python -m tests.unit.upscaler.support FOLDER` runs the process worker against such a folder.
"""

import io
import os
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from containers.common.film.pictures import Picture
from containers.upscaler.children import Share
from containers.upscaler.device.colour import PictureConverter
from containers.upscaler.device.target import Target
from containers.upscaler.models.upscaler import Upscaler
from contracts.base import ObjectRef
from contracts.film.facts import (
    Colour,
    Sidecar,
    Video,
)
from contracts.film.manifest import (
    Encoder,
    Inference,
    Manifest,
    Output,
    Run,
    Shard,
)
from contracts.job import Codec, Container, SourceObject
from contracts.keys import manifest_key, shard_key, timestamps_key, upload_key
from contracts.models import CATALOGUE, Engine, ModelName
from contracts.planning import output_size
from tests.support.fake_s3 import FolderS3
from tests.support.films import make, picture

BUCKET = "work"
SOURCES = "source"
MODULE = "tests.unit.upscaler.support"
JOB_ID = "clip-0123456789abcdef0123"
BT709 = Colour(primaries=1, transfer=1, matrix=1, full_range=False)
X264 = {"preset": "ultrafast", "crf": "23"}


def manifest(frames: int = 12, **changes: Any) -> Manifest:
    """A job of `frames` frames, 64x48 at 25/s, in shards of four frames.

    Changes: inference, model, scale, dtype, batch, tile, halo, codec, encoder, options, container,
    pixel_format, width, height, colour, shard_frames, run_shards, rate.
    """
    model = changes.get("model", ModelName.LANCZOS)
    scale, rate = changes.get("scale", 2), changes.get("rate", Fraction(25))
    width, height = changes.get("width", 64), changes.get("height", 48)
    dtype = "uint8" if model is ModelName.LANCZOS else "float32"
    engine = Engine.OPENCV if model is ModelName.LANCZOS else Engine.TORCH
    out_width, out_height = output_size(width, height, scale)
    size = changes.get("shard_frames", 4)
    firsts = range(0, frames, size)
    shards = tuple(Shard(index=i, first_frame=a, frames=min(size, frames - a))
                   for i, a in enumerate(firsts))  # fmt: skip
    in_run = changes.get("run_shards", len(shards))
    colour = changes.get("colour", BT709)
    return Manifest(
        job_id=JOB_ID,
        source=SourceObject(
            bucket=SOURCES, key=upload_key("clip.mkv"), version_id="v1", etag="e",
            size=changes.get("source_bytes", 0),
        ),
        format="matroska,webm",
        video=Video(
            stream_index=0, codec="h264", width=width, height=height, pixel_format="yuv420p",
            bit_depth=changes.get("bit_depth", 8), time_base=Fraction(1, 1000), frame_rate=rate,
            sample_aspect_ratio=changes.get("sar", Fraction(1)), rotation=0, colour=colour,
            working_colour=colour, frames=frames, start_pts=0, end_pts=frames * 40,
        ),
        timestamps=ObjectRef(bucket=BUCKET, key=timestamps_key(JOB_ID)),
        inference=changes.get("inference") or Inference(
            model=model, facts=CATALOGUE[model], scale=scale,
            engine=changes.get("engine", engine),
            dtype=changes.get("dtype", dtype), batch=changes.get("batch", 1),
            tile=changes.get("tile", 0), halo=changes.get("halo", 0), threads=1,
        ),
        encoder=Encoder(
            codec=changes.get("codec", Codec.H264), encoder=changes.get("encoder", "libx264"),
            pixel_format=changes.get("pixel_format", "yuv420p"),
            options=changes.get("options", X264), threads=1,
            shard_container=changes.get("container", Container.MP4),
        ),
        output=Output(
            width=out_width, height=out_height, label=f"{scale}x", container=Container.MP4,
        ),
        shards=shards,
        runs=tuple(
            Run(index=i, first_shard=a, shards=min(in_run, len(shards) - a))
            for i, a in enumerate(range(0, len(shards), in_run))
        ),
        sidecar=Sidecar(),
    )  # fmt: skip


def prepare(folder: Path, frames: int = 12, **changes: Any) -> Manifest:
    """Put source, timestamps and manifest of a job into the folder; returns the manifest."""
    s3 = FolderS3(folder)
    source = folder / SOURCES / "clip.mkv"
    source.parent.mkdir(parents=True, exist_ok=True)
    if not source.exists():
        make(source, frames=frames)
    content = source.read_bytes()
    job = manifest(frames, source_bytes=len(content), **changes)
    s3.put_object(Bucket=SOURCES, Key=job.source.key, Body=content)
    with av.open(str(source)) as container:
        stamps = sorted(p.pts for p in container.demux(video=0) if p.pts is not None)
    buffer = io.BytesIO()
    np.save(buffer, np.array(stamps[:frames], np.int64))
    s3.put_object(Bucket=BUCKET, Key=job.timestamps.key, Body=buffer.getvalue())
    s3.put_object(Bucket=BUCKET, Key=manifest_key(JOB_ID), Body=job.to_json().encode())
    return job


def environment(model_dir: Path, **changes: str) -> dict[str, str]:
    """The worker's variables."""
    fields = {
        "job_id": JOB_ID, "intermediate_bucket": BUCKET, "model_dir": str(model_dir),
        "device": "cpu", "children": "1", "progress_seconds": "0.05", **changes,
    }  # fmt: skip
    return {"SUPERRES_" + name.upper(): value for name, value in fields.items()}


def shard_path(folder: Path, index: int, extension: str = "mp4") -> Path:
    """Where FolderS3 keeps a shard."""
    return FolderS3(folder).path(BUCKET, shard_key(JOB_ID, index, extension))


def texture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """uint8 RGB with edges, gradients and grain, shape (1, height, width, 3)."""
    image = picture(3, width, height).astype(np.int16)
    image[height // 3 :, width // 2 :] //= 3
    image += np.random.default_rng(seed).integers(-20, 20, image.shape, dtype=np.int16)
    return np.clip(image, 0, 255).astype(np.uint8)[None]


def coded(rgb: np.ndarray, pixel_format: str = "yuv420p", colour: Colour = BT709) -> list[Picture]:
    """RGB of shape (n, height, width, 3) as pictures of that format, numbered."""
    bits = 8 if rgb.dtype == np.uint8 else 16
    numbers = [Picture(pts, "gbrp", ()) for pts in range(len(rgb))]
    converter = PictureConverter(colour, colour, pixel_format=pixel_format, bits=bits)
    return converter.to_pictures(rgb, numbers)


def target(width: int, height: int, bits: Any = 8) -> Target:
    """Pictures in RGB, so that tests see the model's own values."""
    pixel_format = "gbrp" if bits == 8 else "gbrp16le"
    return Target(
        width=width, height=height, pixel_format=pixel_format,
        source_colour=BT709, colour=BT709, bits=bits,
    )  # fmt: skip


def enlarge(upscaler: Upscaler, rgb: np.ndarray) -> np.ndarray:
    """RGB in, RGB out, shape (n, height, width, 3), through pictures in RGB that lose nothing."""
    pixel_format = "gbrp" if rgb.dtype == np.uint8 else "gbrp16le"
    given = [
        Picture(n, pixel_format, tuple(np.ascontiguousarray(a[..., i]) for i in (1, 2, 0)))
        for n, a in enumerate(rgb)
    ]
    made = upscaler.upscale(given)
    assert [p.pts for p in made] == list(range(len(rgb)))
    return np.stack([np.stack([p.planes[i] for i in (2, 0, 1)], axis=-1) for p in made])


def main() -> None:
    """Run the worker as its command would, with the folder in place of S3."""
    from containers.common.runtime import worker
    from containers.upscaler.__main__ import process_run

    worker.s3_client = lambda: FolderS3(Path(sys.argv[1]))
    os.environ.setdefault("SUPERRES_DEVICE", "cpu")
    share = Share.parse(sys.argv[3]) if len(sys.argv) > 3 else None
    sys.exit(process_run(share, [sys.executable, "-m", MODULE, sys.argv[1]]))


if __name__ == "__main__":
    main()
