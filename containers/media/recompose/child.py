"""The child's part of recompose: all that touches shards, sidecar and result, which a film may
have had written.
"""

import contextlib
import encodings.cp437
import io
import zipfile

import av.error
import numpy as np
from numpy.typing import NDArray

from containers.common.confined.child import ParentLink, send_answer
from containers.common.confined.files import Descriptor
from containers.common.film import opening
from containers.common.runtime.errors import mismatch
from containers.media.labels.captions import (
    ByTime,
    Captions,
    can_carry,
    place_captions,
)
from containers.media.labels.sidecar import SidecarFiles
from containers.media.recompose.handover import ComposeTask
from containers.media.recompose.mux.join import JoinedShards, insert_captions
from containers.media.recompose.mux.result import write_result
from containers.media.recompose.proof.ledger import check_result
from contracts.film.ledger import Ledger
from contracts.film.manifest import Manifest

_LOADED_LATE = zipfile, encodings.cp437
"""By numpy's archives, when no file can be opened any more."""


def serve(link: ParentLink) -> None:
    """Put one film together; the answer is its Ledger."""
    opening.on_packet = link.alive
    task = ComposeTask.model_validate_json(link.task() or "")
    timestamps = link.blob()
    index = None if task.sidecar is None else link.blob()
    captions = link.blob() if task.captions else None
    send_answer(link, compose_film(task, timestamps, index, captions, link))


def compose_film(
    task: ComposeTask,
    timestamps: bytes,
    index: bytes | None,
    captions: bytes | None,
    link: ParentLink,
) -> Ledger:
    """Write the result and account for every packet of it. Raises WorkerError for what is wrong."""
    manifest, result = task.manifest, Descriptor(task.result, link.alive)
    stamps = np.load(io.BytesIO(timestamps), allow_pickle=False)
    if len(stamps) != manifest.video.frames:
        raise mismatch(f"{len(stamps)} timestamps for {manifest.video.frames} frames")
    sidecar = None
    if task.sidecar is not None and index is not None:
        times = np.load(io.BytesIO(index), allow_pickle=False)
        sidecar = SidecarFiles(Descriptor(task.sidecar, link.alive), times)
    told = {} if captions is None else _placed(captions, manifest, stamps)
    try:
        joined = JoinedShards(manifest, stamps, Descriptor(task.shard, link.alive), link.fetch)
        with contextlib.closing(joined):
            packets = insert_captions(joined.packets(), told, joined.template)
            write_result(result, manifest, stamps, joined.template, packets, sidecar)
        return check_result(result, manifest, stamps, task.made, sidecar, told)
    except MemoryError:
        raise
    except av.error.FFmpegError as error:
        raise mismatch(f"the result cannot be put together ({error.strerror})") from error


def _placed(stored: bytes, manifest: Manifest, timestamps: NDArray[np.int64]) -> ByTime:
    """Captions by frames, as far as the result's pictures have a place for them."""
    track = manifest.sidecar.captions
    if track is None or not can_carry(manifest.encoder.codec):
        return {}
    captions = Captions.from_arrays(np.load(io.BytesIO(stored), allow_pickle=False))
    return place_captions(captions, track.time_base, timestamps, manifest.video)
