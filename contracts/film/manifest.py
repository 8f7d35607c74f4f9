"""The manifest: what the workers need to know about a film, and what decides its bytes."""

from typing import Literal, Self

from pydantic import Field, model_validator

from contracts.base import Contract, ObjectRef, Versioned
from contracts.film.facts import (
    BT709,
    EBU_3213,
    PRORES_MATRICES,
    PRORES_PRIMARIES,
    PRORES_TRANSFERS,
    SAME_BT601,
    SAME_CURVE,
    SMPTE170M,
    UNSPECIFIED,
    Colour,
    Damage,
    Fields,
    Sidecar,
    Video,
)
from contracts.job import Codec, Container, Grain, SourceObject
from contracts.models import Engine, ModelFacts, NumberFormat


class SeekProbe(Contract):
    """The cost of starting to decode at one place in the source."""

    frame: int
    seconds: float
    """Until the first picture that was wanted."""
    bytes_read: int


class Extraction(Contract):
    """Where the workers take the pictures from; they are the same either way."""

    mode: Literal["ranged", "shards"] = "ranged"
    """ranged: by seeking in the source; shards: from lossless shards that extract wrote."""
    reason: str = "not measured"
    """One sentence for people."""
    exported_frames: int = 0
    """PNGs written for the user; no worker reads them."""
    frame_seconds: float = 0
    """Measured seconds per frame when frames are decoded one after another."""
    probes: tuple[SeekProbe, ...] = ()
    lead_frames: int = 0
    """Frames that all runs together decode and drop before their first, by keyframe distance."""


class Shard(Contract):
    """A run of consecutive frames: frames[first_frame : first_frame + frames] of the film."""

    index: int = Field(ge=0)
    first_frame: int = Field(ge=0)
    frames: int = Field(gt=0)


class Run(Contract):
    """Consecutive shards that one Batch child takes; its index is the array index."""

    index: int = Field(ge=0)
    first_shard: int = Field(ge=0)
    shards: int = Field(gt=0)


class Inference(Contract):
    """Everything that decides the pixels. A worker that cannot honour it exits UNSUPPORTED."""

    model: str
    """As in Settings.model."""
    facts: ModelFacts
    weights: ObjectRef | None = None
    """Of a user's model; None where the image has the weights, or the model has none."""
    scale: float = Field(gt=0)
    """The result's lines over the source's."""
    strength: float = Field(default=1.0, gt=0, le=1)
    """Share of the network in the result; the rest is Lanczos."""
    grain: Grain | None = None
    """As in Settings.grain."""
    anchored: bool = False
    """Whether the network's change to the mean of each source pixel is undone, by a correction that
    Lanczos enlarges: for HDR, on which no network was trained."""
    engine: Engine
    dtype: NumberFormat
    batch: int = Field(default=1, ge=1)
    tile: int = Field(default=0, ge=0)
    """Tile side in source pixels; 0 is untiled."""
    halo: int = Field(default=0, ge=0)
    threads: int = Field(ge=1)
    """CPU threads of the model."""


class Encoder(Contract):
    """Everything that decides the bitstream."""

    codec: Codec
    instead_of: Codec | None = None
    """The codec of the settings, where it cannot hold the result; else None."""
    encoder: str
    """FFmpeg's name, e.g. libx264."""
    pixel_format: str
    options: dict[str, str]
    threads: int = Field(ge=1)
    shard_container: Container


class Output(Contract):
    """The result's picture and file."""

    width: int = Field(gt=0)
    height: int = Field(gt=0)
    label: str
    """As in Settings.label; part of the result's name."""
    container: Container


class Manifest(Versioned):
    """Written by extract, read by process and recompose; stored as `manifest.json`."""

    job_id: str
    source: SourceObject
    format: str
    """FFmpeg's name of the demuxer, e.g. mov,mp4,m4a,3gp,3g2,mj2."""
    video: Video
    timestamps: ObjectRef
    """.npy, int64, shape (video.frames,), sorted, in video.time_base."""
    fields: Fields = Fields()
    extraction: Extraction = Extraction()
    damage: Damage = Damage()
    inference: Inference
    encoder: Encoder
    output: Output
    shards: tuple[Shard, ...]
    runs: tuple[Run, ...]
    sidecar: Sidecar

    @model_validator(mode="after")
    def _covers_film(self) -> Self:
        frame = 0
        for number, shard in enumerate(self.shards):
            if shard.index != number or shard.first_frame != frame:
                raise ValueError(f"shard {number} does not continue the film at frame {frame}")
            frame += shard.frames
        if frame != self.video.frames:
            raise ValueError(f"shards cover {frame} of {self.video.frames} frames")
        shard_number = 0
        for number, run in enumerate(self.runs):
            if run.index != number or run.first_shard != shard_number:
                raise ValueError(f"run {number} does not continue at shard {shard_number}")
            shard_number += run.shards
        if shard_number != len(self.shards):
            raise ValueError(f"runs cover {shard_number} of {len(self.shards)} shards")
        return self

    @property
    def result_colour(self) -> Colour:
        """The film's colour, as far as the result's codec can declare it."""
        colour, codec = self.video.working_colour, self.encoder.codec
        if codec in (Codec.H264, Codec.HEVC) and colour.primaries == EBU_3213:
            return colour.model_copy(update={"primaries": UNSPECIFIED})
        if codec is not Codec.PRORES:
            return colour
        transfer = BT709 if colour.transfer in SAME_CURVE else colour.transfer
        matrix = SMPTE170M if colour.matrix in SAME_BT601 else colour.matrix
        return Colour(
            primaries=colour.primaries if colour.primaries in PRORES_PRIMARIES else UNSPECIFIED,
            transfer=transfer if transfer in PRORES_TRANSFERS else UNSPECIFIED,
            matrix=matrix if matrix in PRORES_MATRICES else BT709,
            full_range=False,
        )

    def shards_of(self, run: Run) -> tuple[Shard, ...]:
        """The shards of a run, in order."""
        return self.shards[run.first_shard : run.first_shard + run.shards]


class LosslessShard(Contract):
    """Which frames of which source a lossless shard holds; stored as the object's user metadata."""

    job_id: str
    source_etag: str
    first_frame: int
    frames: int

    @classmethod
    def of(cls, job_id: str, source: SourceObject, shard: Shard) -> Self:
        return cls(
            job_id=job_id,
            source_etag=source.etag,
            first_frame=shard.first_frame,
            frames=shard.frames,
        )
