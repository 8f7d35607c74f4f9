"""The film's pictures in extract: judge its fields, measure seeking, upload shards and frames."""

import itertools
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Self

from containers.common.confined.parent import Confinement
from containers.common.film.coded_film import CodedFrames, Film
from containers.common.film.decoder.client import FilmDecoder
from containers.common.film.lossless import find_lossless_shard, write_pictures
from containers.common.film.pictures import (
    Picture,
    picture_bytes,
    plain_format,
)
from containers.common.film.source_pictures import SourcePictures
from containers.common.runtime.storage import SCAN_AHEAD_BLOCKS, S3Store
from containers.media.extract.examiner import ExaminedFilm
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
    """The examined film, decoded in a confined child. Leave the `with` block to end that."""

    def __init__(
        self, film: ExaminedFilm, job: Job, *, environment: ExtractEnvironment, store: S3Store
    ) -> None:
        self._examined, self._job = film, job
        self._destination = PngDestination(store, environment.intermediate_bucket, job.job_id)
        self._coded = CodedFrames(film.video, film.timestamps, film.keyframes, self.decode)
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
        pictures = SourcePictures(
            decoder=self._decoder,
            file=self._reader,
            size=self._job.source.size,
            video=self._examined.video,
            timestamps=self._examined.timestamps,
            damage=self._examined.damage,
        )
        return pictures.decode(first, count)

    def plan_treatment(self) -> TreatedFilm:
        """Decode samples: interlaced, telecined or neither, and how to treat it."""
        return plan_treatment(self._job.settings.deinterlace, self._coded)

    def choose_extraction(
        self, treated: TreatedFilm, shards: Sequence[Shard], runs: Sequence[Run]
    ) -> Extraction:
        """Where the workers take the pictures from; decodes a little to measure seeking."""
        choice, plan = self._job.settings.extraction, treated.plan
        if self._examined.video.by_order:
            return only_shards(choice, self._name)
        firsts = [shards[run.first_shard].first_frame for run in runs]
        starts = [first if plan is None else plan.coded(first, 1)[0] for first in firsts]
        chosen = choose_extraction_mode(
            choice, self._coded, starts, bytes_read=lambda: self._reader.bytes_fetched
        )
        if chosen.mode == "shards" and choice == "auto" and self._too_large(shards):
            reason = "a lossless shard could be larger than one upload takes"
            return chosen.model_copy(update={"mode": "ranged", "reason": reason})
        return chosen

    def upload_pictures(
        self, extraction: Extraction, treated: TreatedFilm, shards: Sequence[Shard], folder: Path
    ) -> Extraction:
        """Upload the lossless shards that workers need, and the frames that the user wants.

        Returns the extraction with the number of exported frames.
        """
        film = self._film(treated)
        if extraction.mode == "shards":
            self._upload_shards(treated.video, film, shards, folder)
        if self._job.settings.extraction != "frames":
            return extraction
        count = export_frames(self._destination, treated.video, film, self.decode)
        return extraction.model_copy(update={"exported_frames": count})

    def damage(self, treated: TreatedFilm) -> Damage:
        """As found, with the number of the film's frames that it touches."""
        damage = self._examined.damage
        concealed = self._film(treated).concealed(damage)
        return damage.model_copy(update={"concealed_frames": int(concealed.sum())})

    def _too_large(self, shards: Sequence[Shard]) -> bool:
        """True where a shard that does not compress at all would be refused by S3."""
        video = self._examined.video
        picture = picture_bytes(plain_format(video.pixel_format), video.width, video.height)
        return max(shard.frames for shard in shards) * picture > S3_PUT_BYTES

    def _film(self, treated: TreatedFilm) -> Film:
        coded = self._examined.timestamps
        return Film.planned(treated.fields, treated.timestamps, coded, treated.plan)

    def _upload_shards(
        self, video: Video, film: Film, shards: Sequence[Shard], folder: Path
    ) -> None:
        """Those that no earlier attempt has uploaded; one on disk at a time.

        An attempt of a stack with other workers may have cut the film elsewhere: what it left
        under the same number is replaced.
        """
        missing = [shard for shard in shards if not self._is_uploaded(shard)]
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

    def _is_uploaded(self, shard: Shard) -> bool:
        job, there = self._job, self._destination
        size = find_lossless_shard(there.store, there.bucket, job.job_id, job.source, shard)
        return size is not None

    def _commit(self, shard: Shard, path: Path) -> None:
        store, bucket, job = self._destination.store, self._destination.bucket, self._job
        said = LosslessShard.of(job.job_id, job.source, shard).to_json()
        metadata = {LOSSLESS_SHARD_METADATA: said}
        key = lossless_shard_key(job.job_id, shard.index)
        if not store.put_file_once(bucket, key, path, metadata):
            store.upload(path, bucket, key, content_type="video/x-matroska", metadata=metadata)
