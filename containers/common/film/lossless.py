"""Lossless shards: pictures in FFV1 and Matroska, which extract writes and workers read."""

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from containers.common.film.decoder.client import FilmDecoder
from containers.common.film.pictures import Picture, to_frame
from containers.common.runtime.errors import mismatch
from containers.common.runtime.storage import S3Store
from contracts.film.manifest import (
    LosslessShard,
    Manifest,
    Shard,
)
from contracts.job import SourceObject
from contracts.keys import lossless_shard_key
from contracts.names import LOSSLESS_SHARD_METADATA

FFV1_OPTIONS = {"level": "3", "g": "1", "slices": "12", "slicecrc": "1"}
_STORED_AS = {"gbrp": "bgr0", "gbrap": "bgra"}
"""FFV1 takes RGB of 8 bits packed; the samples are the same."""


def write_pictures(path: Path, pictures: Iterator[Picture], rate: Fraction) -> int:
    """Write a file whose k-th frame has timestamp k; returns the number of frames."""
    count, reformatter = 0, VideoReformatter()
    with av.open(str(path), "w", format="matroska") as out:
        stream: Any = None
        for count, picture in enumerate(pictures, 1):
            stored_as = _STORED_AS.get(picture.pixel_format, picture.pixel_format)
            if stream is None:
                stream = out.add_stream("ffv1", rate=rate, options=dict(FFV1_OPTIONS))
                stream.width, stream.height = picture.width, picture.height
                stream.pix_fmt = stored_as
                stream.codec_context.time_base = stream.time_base = MILLISECOND
            frame = to_frame(picture)
            if stored_as != picture.pixel_format:
                frame = reformatter.reformat(frame, format=stored_as, threads=1)
            frame.pts, frame.time_base = count - 1, MILLISECOND
            out.mux(stream.encode(frame))
        if stream is not None:
            out.mux(stream.encode(None))
    return count


MILLISECOND = Fraction(1, 1000)
"""Matroska's own unit: timestamps survive in it."""


def find_lossless_shard(
    store: S3Store, bucket: str, job_id: str, source: SourceObject, shard: Shard
) -> int | None:
    """Bytes of the shard's object, if its metadata name this source and these frames; else None."""
    info = store.info(bucket, lossless_shard_key(job_id, shard.index))
    wanted = LosslessShard.of(job_id, source, shard).to_json()
    if info is None or info.metadata.get(LOSSLESS_SHARD_METADATA) != wanted:
        return None
    return info.size


class LosslessShards:
    """Reads the pictures of a film from the shards that extract wrote."""

    def __init__(
        self, store: S3Store, bucket: str, manifest: Manifest, decoder: FilmDecoder
    ) -> None:
        self._store, self._bucket = store, bucket
        self._manifest, self._decoder = manifest, decoder
        self._video = manifest.video.model_copy(update={"stream_index": 0, "by_order": False})

    def decode(self, first: int, count: int) -> Iterator[Picture]:
        """Frames of the film from number `first` on, with their numbers as timestamps."""
        for shard in self._manifest.shards:
            begin = max(first, shard.first_frame)
            end = min(first + count, shard.first_frame + shard.frames)
            if begin < end:
                yield from self._part(shard, begin, end)

    def _part(self, shard: Shard, begin: int, end: int) -> Iterator[Picture]:
        manifest = self._manifest
        key = lossless_shard_key(manifest.job_id, shard.index)
        size = find_lossless_shard(
            self._store, self._bucket, manifest.job_id, manifest.source, shard
        )
        if size is None:
            raise mismatch(
                f"s3://{self._bucket}/{key} does not hold the {shard.frames} frames from "
                f"{shard.first_frame} on; run the job again"
            )
        source = SourceObject(bucket=self._bucket, key=key, version_id="", etag="", size=size)
        stamps = np.arange(begin, end) - shard.first_frame
        reader = self._store.reader(source)
        for picture in self._decoder.pictures(reader, size, self._video, stamps, first_frame=begin):
            yield replace(picture, pts=picture.pts + shard.first_frame)
