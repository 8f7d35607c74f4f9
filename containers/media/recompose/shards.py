"""The job's shards as the workers committed them, each verified against its result."""

import hashlib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self

from containers.common.runtime.errors import mismatch
from containers.common.runtime.storage import S3Store
from contracts import keys
from contracts.film.ledger import ShardResult
from contracts.film.manifest import Manifest, Shard
from contracts.names import SHARD_RESULT_METADATA

LOOKING = 8
"""Shards looked up at the same time."""


class CommittedShards:
    """All shards of a job; `results` stand in the manifest's order."""

    def __init__(self, store: S3Store, bucket: str, manifest: Manifest) -> None:
        self._store, self._bucket, self._manifest = store, bucket, manifest
        self.results: list[ShardResult] = []
        self.bytes = 0

    @classmethod
    def find(cls, store: S3Store, bucket: str, manifest: Manifest) -> Self:
        """Look all of them up.

        Raises LEDGER_MISMATCH naming the first that is missing or not as planned.
        """
        shards = cls(store, bucket, manifest)
        with ThreadPoolExecutor(LOOKING) as pool:
            found = list(pool.map(shards._find, manifest.shards))
        shards.results = [result for result, _ in found]
        shards.bytes = sum(size for _, size in found)
        planned = manifest.damage.concealed_frames
        if shards.concealed != planned:
            raise mismatch(f"the plan conceals {planned} frames, the shards say {shards.concealed}")
        return shards

    @property
    def concealed(self) -> int:
        """Frames of all shards that were made of damaged ones."""
        return sum(result.concealed_frames for result in self.results)

    def counts(self) -> Counter[str]:
        """Frames behind each stage, of all shards."""
        made = Counter[str]()
        for result in self.results:
            made.update(result.counts())
        return made

    def _key(self, shard: Shard) -> str:
        extension = self._manifest.encoder.shard_container.value
        return keys.shard_key(self._manifest.job_id, shard.index, extension)

    def _which(self, shard: Shard) -> str:
        return f"shard {shard.index} of {len(self._manifest.shards)}"

    def _find(self, shard: Shard) -> tuple[ShardResult, int]:
        manifest, which = self._manifest, self._which(shard)
        info = self._store.info(self._bucket, self._key(shard))
        if info is None:
            raise mismatch(f"{which} is missing")
        said = info.metadata.get(SHARD_RESULT_METADATA)
        if said is None:
            raise mismatch(f"{which} has no result in its metadata")
        result = ShardResult.model_validate_json(said)
        if (result.job_id, result.index) != (manifest.job_id, shard.index):
            raise mismatch(f"{which} is shard {result.index} of job {result.job_id}")
        for stage, count in result.counts().items():
            if count != shard.frames:
                last = shard.first_frame + shard.frames - 1
                raise mismatch(
                    f"{which} (frames {shard.first_frame} to {last}) has {count} frames {stage} "
                    f"instead of {shard.frames}"
                )
        return result, info.size

    def download(self, number: int, path: Path) -> None:
        """Replace what the file holds. LEDGER_MISMATCH for bytes that its worker did not write."""
        shard = self._manifest.shards[number]
        self._store.download(self._bucket, self._key(shard), path)
        with path.open("rb") as body:
            if hashlib.file_digest(body, "sha256").hexdigest() != self.results[number].sha256:
                raise mismatch(f"{self._which(shard)} does not have the bytes that its worker made")
