"""The child's part of recompose: all that touches shards, sidecar and result, whose bytes a hostile
film may have shaped.
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
from containers.common.film.media_errors import media_errors_as
from containers.common.runtime.errors import WorkerError, mismatch
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
from containers.media.recompose.mux.result_plan import ResultPlan
from containers.media.recompose.proof.ledger import check_result
from containers.media.recompose.proof.readback import read_back
from contracts.film.ledger import Ledger
from contracts.film.manifest import Manifest

_LOADED_LATE = zipfile, encodings.cp437
"""By numpy's archives, when no file can be opened any more."""
Blobs = tuple[bytes, bytes | None, bytes | None]
"""Stored timestamps, the sidecar's index, captions (see ComposeTask)."""


def serve(link: ParentLink) -> None:
    """Put one film together; the answer is its Ledger."""
    task = ComposeTask.model_validate_json(link.task() or "")
    timestamps = link.blob()
    index = None if task.sidecar is None else link.blob()
    captions = link.blob() if task.captions else None
    send_answer(link, compose_film(task, (timestamps, index, captions), link))


def compose_film(task: ComposeTask, blobs: Blobs, link: ParentLink) -> Ledger:
    """Write the result and account for every packet of it. Raises WorkerError for what is wrong."""

    def unfit(error: av.error.FFmpegError) -> WorkerError:
        return mismatch(f"the result cannot be put together ({error.strerror})")

    result = Descriptor(task.result, link.report_alive)
    shard = Descriptor(task.shard, link.report_alive)
    plan = _load_plan(task, blobs, link)
    with media_errors_as(unfit):
        joined = JoinedShards(plan.manifest, plan.timestamps, shard, link.fetch)
        with contextlib.closing(joined):
            packets = insert_captions(joined.packets(), plan.captions, joined.template)
            write_result(result, plan, joined.template, packets)
        found = read_back(result, plan.manifest, link.report_alive)
        return check_result(found, plan, task.made)


def _load_plan(task: ComposeTask, blobs: Blobs, link: ParentLink) -> ResultPlan:
    manifest = task.manifest
    timestamps, index, captions = blobs
    stamps = np.load(io.BytesIO(timestamps), allow_pickle=False)
    if len(stamps) != manifest.video.frames:
        raise mismatch(f"{len(stamps)} timestamps for {manifest.video.frames} frames")
    sidecar = None
    if task.sidecar is not None and index is not None:
        times = np.load(io.BytesIO(index), allow_pickle=False)
        sidecar = SidecarFiles(Descriptor(task.sidecar, link.report_alive), times)
    carried = {} if captions is None else _place(captions, manifest, stamps)
    return ResultPlan(manifest=manifest, timestamps=stamps, sidecar=sidecar, captions=carried)


def _place(stored: bytes, manifest: Manifest, timestamps: NDArray[np.int64]) -> ByTime:
    """Captions by frames, as far as the result's pictures have a place for them."""
    track = manifest.sidecar.captions
    if track is None or not can_carry(manifest.encoder.codec):
        return {}
    captions = Captions.from_arrays(np.load(io.BytesIO(stored), allow_pickle=False))
    return place_captions(captions, track.time_base, timestamps, manifest.video)
