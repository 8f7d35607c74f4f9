"""Has a confined child put a film together; it gets shards and sidecar as files."""

import io
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Self

from pydantic import ValidationError

from containers.common.confined.messages import Done, Fetch
from containers.common.confined.parent import ConfinedChild, Confinement
from containers.common.runtime.storage import S3Store
from containers.media.recompose.handover import ComposeTask
from containers.media.recompose.shards import CommittedShards
from contracts.base import ObjectRef, one_line
from contracts.film.ledger import Ledger, ShardResult
from contracts.film.manifest import Manifest
from contracts.stack.environ import RecomposeEnvironment

PROGRAM = "containers.media.recompose.child:serve"
ANY_SIZE = 2**62
"""Of the result, until the sizes of its parts are known."""
SIDECAR_FACTOR, PACKET_BYTES, ALLOWANCE = 2, 64, 64 * 1024**2
"""What the result may take beside its shards: a multiple of the sidecar, bytes for each packet (an
index takes half of them), and bytes for labels and attachments."""
CAPTION_FACTOR = 10
"""Three bytes of captions make a message of thirty; longer ones add less."""
_RESULT, _SIDECAR, _SHARD = "result", "sidecar", "shard"


@dataclass(frozen=True)
class ComposedFilm:
    """The finished film; the child that wrote it has ended."""

    path: Path
    shards: list[ShardResult]
    ledger: Ledger


class Composer:
    """Starts the child early, so that it loads its libraries while S3 answers.

    Leave the `with` block to end it. `folder` is empty and holds the files.
    """

    def __init__(self, environment: RecomposeEnvironment, folder: Path) -> None:
        self._folder = folder
        limits = Confinement.of(environment, file_bytes=ANY_SIZE)
        with ExitStack() as opened:
            files = [opened.enter_context((folder / name).open("w+b")) for name in _NAMES]
            self._fds = {name: file.fileno() for name, file in zip(_NAMES, files, strict=True)}
            fds = tuple(self._fds.values())
            self._child = ConfinedChild(PROGRAM, limits, environment.job_id, fds=fds, tool="muxer")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._child.close()

    def compose(self, store: S3Store, bucket: str, manifest: Manifest) -> ComposedFilm:
        """Call it once. Raises WorkerError: LEDGER_MISMATCH for what is unlike the plan, BAD_SOURCE
        or LIMIT_EXCEEDED for a film that misuses the muxer, and what the store raises.
        """
        child = self._child
        child.name = one_line(PurePosixPath(manifest.source.key).name)
        shards = CommittedShards.find(store, bucket, manifest)
        payload, blobs = manifest.sidecar.payload, [_get(store, manifest.timestamps)]
        if payload is not None and manifest.sidecar.index is not None:
            store.download(payload.bucket, payload.key, self._folder / _SIDECAR)
            blobs.append(_get(store, manifest.sidecar.index))
        track = manifest.sidecar.captions
        captions = track.payload if track is not None else None
        if captions is not None:
            blobs.append(_get(store, captions))
        child.lower_file_bytes(self._most_bytes(manifest, shards))
        task = ComposeTask(
            manifest=manifest,
            made=shards.counts(),
            result=self._fds[_RESULT],
            sidecar=self._fds[_SIDECAR] if payload is not None else None,
            captions=captions is not None,
            shard=self._fds[_SHARD],
        )
        child.give(task, *blobs)
        answer = self._serve_shards(shards)
        child.close()  # or it could change what is judged and uploaded next
        ledger = self._check_ledger(answer, manifest, task.made).model_copy(
            update={
                "frames_concealed": shards.concealed,
                "concealed": manifest.damage.concealed,
            }
        )
        return ComposedFilm(self._folder / _RESULT, shards.results, ledger)

    def _serve_shards(self, shards: CommittedShards) -> str:
        """Fetch shards for the child until its task is done; its answer."""
        for number, message in enumerate(self._child.messages(io.BytesIO(), 0)):
            if isinstance(message, Done):
                return message.answer
            if message != Fetch(number=number) or number == len(shards.results):
                break
            shards.download(number, self._folder / _SHARD)
            self._child.reply()
        raise self._child.nonsense()

    def _most_bytes(self, manifest: Manifest, shards: CommittedShards) -> int:
        """The size that the result may have."""
        sidecar = (self._folder / _SIDECAR).stat().st_size * SIDECAR_FACTOR
        packets = manifest.video.frames + sum(s.packets for s in manifest.sidecar.streams)
        track = manifest.sidecar.captions
        captions = CAPTION_FACTOR * track.bytes if track is not None else 0
        return shards.bytes + sidecar + captions + packets * PACKET_BYTES + ALLOWANCE

    def _check_ledger(self, answer: str, manifest: Manifest, made: dict[str, int]) -> Ledger:
        """Parse the answer. Raises BAD_SOURCE for one that cannot be true of this film."""
        try:
            ledger = Ledger.model_validate_json(answer)
        except ValidationError:
            raise self._child.nonsense() from None
        planned, track = manifest.video.frames, manifest.sidecar.captions
        if not (
            ledger.balanced
            and ledger.frames_planned == planned
            and all(getattr(ledger, f"frames_{stage}") == count for stage, count in made.items())
            and len(ledger.streams) == len(manifest.sidecar.streams)
            and ledger.attachments == len(manifest.sidecar.attachments)
            and ledger.captioned_frames <= (track.pictures if track is not None else 0)
        ):
            raise self._child.nonsense()
        return ledger


_NAMES = (_RESULT, _SIDECAR, _SHARD)


def _get(store: S3Store, ref: ObjectRef) -> bytes:
    return store.get_bytes(ref.bucket, ref.key)
