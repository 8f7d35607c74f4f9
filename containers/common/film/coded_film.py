"""A film's coded frames, and the frames of film they become: their numbers and times."""

import io
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from containers.common.film.deinterlacing import (
    Decode,
    FieldPlan,
    film_pictures,
)
from containers.common.film.pictures import Picture
from containers.common.film.source_pictures import damaged_frames
from containers.common.runtime.storage import S3Store
from contracts.base import ObjectRef
from contracts.film.facts import Damage, Fields, Video
from contracts.film.manifest import Manifest


@dataclass(frozen=True)
class CodedFrames:
    """The frames as the source has them, in its time base, and how to get their pictures."""

    video: Video
    timestamps: NDArray[np.int64]
    """Shape (frames,), rising."""
    keyframes: NDArray[np.int64]
    """Timestamps of some frames that decode by themselves, in the file's order."""
    decode: Decode


@dataclass(frozen=True)
class Film:
    """Timestamps (int64) of the film's frames and of the coded ones, and how these become those.

    `timestamps` count in the manifest's time base, `coded_pts` in the source's.
    """

    timestamps: NDArray[np.int64]
    coded_pts: NDArray[np.int64]
    plan: FieldPlan | None

    @classmethod
    def of(cls, store: S3Store, manifest: Manifest) -> "Film":
        fields, frames = manifest.fields, manifest.video.frames
        timestamps = np.load(_stored(store, manifest.timestamps), allow_pickle=False)
        if fields.plan is not None:
            file = _stored(store, fields.plan)
            coded = np.load(file, allow_pickle=False)["coded_pts"]
            file.seek(0)
            return cls(timestamps, coded, FieldPlan.load(fields, file, frames))
        return cls.planned(fields, timestamps, timestamps, None)

    @classmethod
    def planned(
        cls,
        fields: Fields,
        timestamps: NDArray[np.int64],
        coded_pts: NDArray[np.int64],
        plan: FieldPlan | None,
    ) -> "Film":
        """By the treatment, and by the plan where the treatment needs one."""
        if plan is None and fields.treatment == "deinterlaced":
            plan = FieldPlan.all_deinterlaced(fields.order, len(timestamps))
        return cls(timestamps, coded_pts, plan)

    @property
    def stored(self) -> "Film":
        """The same film read from lossless shards, which hold its frames and count them."""
        return Film(self.timestamps, np.arange(len(self.timestamps)), None)

    def concealed(self, damage: Damage) -> NDArray[np.bool_]:
        """bool, shape (frames,): which frames of the film are made of damaged ones."""
        damaged = damaged_frames(damage, len(self.coded_pts))
        if self.plan is None:
            return damaged
        return damaged[self.plan.top] | damaged[self.plan.bottom]

    def pictures(self, decode: Decode, first: int, count: int) -> Iterator[Picture]:
        """`count` frames of the film from number `first` on, out of the coded frames."""
        return film_pictures(self.plan, self.timestamps, decode, first, count)


def _stored(store: S3Store, ref: ObjectRef) -> io.BytesIO:
    return io.BytesIO(store.get_bytes(ref.bucket, ref.key))
