"""The child's part of recompose: all that touches shards, sidecar and result, which a film may
have had written.
"""

import contextlib
import encodings.cp437
import io
import zipfile

import av.error
import numpy as np

from containers.common import media
from containers.common.confined.child import Link, answer
from containers.common.confined.files import Descriptor
from containers.common.errors import mismatch
from containers.media.compose_task import Compose
from containers.media.join import JoinedShards
from containers.media.ledger import check_result
from containers.media.mux import write_result
from containers.media.sidecar import SidecarFiles
from contracts.manifest import Ledger

_LOADED_LATE = zipfile, encodings.cp437
"""By numpy's archives, when no file can be opened any more."""


def serve(link: Link) -> None:
    """Put one film together; the answer is its Ledger."""
    media.on_packet = link.alive
    task = Compose.model_validate_json(link.task() or "")
    timestamps = link.blob()
    index = None if task.sidecar is None else link.blob()
    answer(link, composition(task, timestamps, index, link))


def composition(task: Compose, timestamps: bytes, index: bytes | None, link: Link) -> Ledger:
    """Write the result and account for every packet of it. Raises WorkerError for what is wrong."""
    manifest, result = task.manifest, Descriptor(task.result, link.alive)
    stamps = np.load(io.BytesIO(timestamps), allow_pickle=False)
    if len(stamps) != manifest.video.frames:
        raise mismatch(f"{len(stamps)} timestamps for {manifest.video.frames} frames")
    sidecar = None
    if task.sidecar is not None and index is not None:
        times = np.load(io.BytesIO(index), allow_pickle=False)
        sidecar = SidecarFiles(Descriptor(task.sidecar, link.alive), times)
    try:
        joined = JoinedShards(manifest, stamps, Descriptor(task.shard, link.alive), link.fetch)
        with contextlib.closing(joined):
            write_result(result, manifest, stamps, joined.template, joined.packets(), sidecar)
        return check_result(result, manifest, stamps, sidecar)
    except MemoryError:
        raise
    except av.error.FFmpegError as error:
        raise mismatch(f"the result cannot be put together ({error.strerror})") from error
