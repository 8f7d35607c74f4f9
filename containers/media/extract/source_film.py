"""What extract does with the film's pictures: judge fields, measure seeking, copy."""

import itertools
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Self

import numpy as np
from numpy.typing import NDArray

from containers.common.confined.parent import Confinement
from containers.common.film.coded_film import Film
from containers.common.film.decoder.client import FilmDecoder
from containers.common.film.lossless import find_lossless_shard, write_pictures
from containers.common.film.pictures import (
    Picture,
    picture_bytes,
    plain_format,
)
from containers.common.film.source_pictures import source_decode
from containers.common.runtime.storage import SCAN_AHEAD_BLOCKS, S3Store
from containers.media.extract.export import PngDestination, export_frames
from containers.media.extract.fields.treatment import TreatedFilm, plan_treatment
from containers.media.extract.plan.extraction_mode import choose_extraction_mode, only_shards
from contracts.base import one_line
from contracts.film.facts import Damage, Video
from contracts.film.manifest import (
    Extraction,
    LosslessShard,
    Run,
    Shard,
)
from contracts.job import Job
from contracts.keys import lossless_shard_key
from contracts.limits import S3_PUT_BYTES
from contracts.names import LOSSLESS_SHARD_METADATA
from contracts.stack.environ import ExtractEnvironment

log = logging.getLogger(__name__)


class SourceFilm:
    """The examined film, decoded in a confined child. Leave the `with` block to end that.

    `video`, `timestamps` and `keyframes` are of the coded frames, in the source's time base.
    """

    def __init__(
        self,
        environment: ExtractEnvironment,
        store: S3Store,
        job: Job,
        video: Video,
        timestamps: NDArray[np.int64],
        keyframes: NDArray[np.int64],
        damage: Damage,
    ) -> None:
        self._place = PngDestination(store, environment.intermediate_bucket, job.job_id)
        self._job, self._video = job, video
        self._stamps, self._keyframes, self._damage = timestamps, keyframes, damage
        self._reader = store.reader(job.source, SCAN_AHEAD_BLOCKS)
        self._limits = Confinement.of(environment)
        self._name = one_line(PurePosixPath(job.source.key).name)
        self._decoder: FilmDecoder | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._decoder is not None:
            self._decoder.__exit__(*exception)

    def decode(self, first: int, count: int) -> Iterator[Picture]:
        """Coded frames. The child starts with the first that are asked for."""
        if self._decoder is None:
            self._decoder = FilmDecoder(self._limits, self._name)
        decode = source_decode(
            self._decoder, self._reader, self._job.source.size, self._video,
            self._stamps, self._damage,
        )  # fmt: skip
        return decode(first, count)

    def fields(self) -> TreatedFilm:
        """Interlaced, telecined or neither, and what becomes of it."""
        setting = self._job.settings.deinterlace
        return plan_treatment(setting, self._video, self._stamps, self._keyframes, self.decode)

    def extraction(
        self, planned: TreatedFilm, shards: Sequence[Shard], runs: Sequence[Run], folder: Path
    ) -> Extraction:
        """Choose where the workers take the pictures from, and write what they or users need."""
        choice, film = self._job.settings.extraction, self._film(planned)
        firsts = [shards[run.first_shard].first_frame for run in runs]
        starts = [f if film.plan is None else film.plan.coded(f, 1)[0] for f in firsts]
        if self._video.by_order:
            chosen = only_shards(choice, self._name)
        else:
            chosen = choose_extraction_mode(
                choice, self._video, self._stamps, self._keyframes, starts, self.decode,
                lambda: self._reader.bytes_fetched,
            )  # fmt: skip
        large = choice == "auto" and not self._video.by_order and self._too_large(shards)
        if chosen.mode == "shards" and large:
            reason = "a lossless shard could be larger than one upload takes"
            chosen = chosen.model_copy(update={"mode": "ranged", "reason": reason})
        if chosen.mode == "shards":
            self._write_shards(planned.video, film, shards, folder)
        if choice == "frames":
            count = export_frames(self._place, planned.video, film, self.decode)
            chosen = chosen.model_copy(update={"exported_frames": count})
        return chosen

    def damage(self, planned: TreatedFilm) -> Damage:
        """As found, with the number of the film's frames that it touches."""
        concealed = self._film(planned).concealed(self._damage)
        return self._damage.model_copy(update={"concealed_frames": int(concealed.sum())})

    def _too_large(self, shards: Sequence[Shard]) -> bool:
        """True where a shard that does not compress at all would be refused by S3."""
        video = self._video
        picture = picture_bytes(plain_format(video.pixel_format), video.width, video.height)
        return max(shard.frames for shard in shards) * picture > S3_PUT_BYTES

    def _film(self, planned: TreatedFilm) -> Film:
        return Film.planned(planned.fields, planned.timestamps, self._stamps, planned.plan)

    def _write_shards(
        self, video: Video, film: Film, shards: Sequence[Shard], folder: Path
    ) -> None:
        """Those that no earlier attempt has written; one on disk at a time.

        An attempt of a stack with other workers may have cut the film elsewhere: what it left
        under the same number is replaced.
        """
        missing = [shard for shard in shards if not self._stands(shard)]
        log.info("writing %d of %d lossless shards", len(missing), len(shards))
        for _, group in itertools.groupby(
            enumerate(missing), key=lambda item: item[1].index - item[0]
        ):
            together = [shard for _, shard in group]
            first = together[0].first_frame
            frames = sum(shard.frames for shard in together)
            pictures = film.pictures(self.decode, first, frames)
            for shard in together:
                path = folder / "lossless.mkv"
                write_pictures(path, itertools.islice(pictures, shard.frames), video.frame_rate)
                self._commit(shard, path)
                path.unlink()

    def _stands(self, shard: Shard) -> bool:
        job, place = self._job, self._place
        there = find_lossless_shard(place.store, place.bucket, job.job_id, job.source, shard)
        return there is not None

    def _commit(self, shard: Shard, path: Path) -> None:
        store, bucket, job = self._place.store, self._place.bucket, self._job
        said = LosslessShard.of(job.job_id, job.source, shard).to_json()
        metadata = {LOSSLESS_SHARD_METADATA: said}
        key = lossless_shard_key(job.job_id, shard.index)
        if not store.put_file_once(bucket, key, path, metadata):
            store.upload(path, bucket, key, "video/x-matroska", metadata)
