"""What the workers report about their shards, and the ledger that accounts for every frame."""

from typing import Literal

from pydantic import Field

from contracts.base import Contract, ObjectRef, Rational, Versioned
from contracts.film.facts import (
    Colour,
    Concealed,
    DroppedStream,
    Fields,
    LostLabel,
    Video,
)
from contracts.film.manifest import (
    Encoder,
    Extraction,
    Inference,
    Output,
)
from contracts.job import SourceObject
from contracts.models import Engine


class ShardResult(Versioned):
    """A worker's account of a committed shard; stored as the shard object's user metadata."""

    job_id: str
    index: int
    decoded_frames: int = Field(ge=0)
    """Frames of the film that reached the model."""
    upscaled_frames: int = Field(ge=0)
    """Frames that left the model, computed or repeated."""
    frames: int
    """Encoded."""
    bytes: int
    sha256: str
    decode_seconds: float
    inference_seconds: float
    encode_seconds: float
    """Busy time of each overlapped part."""
    wall_seconds: float
    bound_by: Literal["decode", "inference", "encode"]
    """The part that was busy longest: what a faster worker would have to speed up."""
    device_share: float = Field(ge=0)
    """Share of the wall time in which the device computed."""
    repeated_frames: int = Field(ge=0)
    """Frames equal to the one before, whose result was used again."""
    concealed_frames: int = Field(default=0, ge=0)
    """Frames made from damaged ones; the manifest says what stands in."""
    tile: int = Field(ge=0)
    """Tile side as used, in source pixels: smaller than planned if memory ran short; 0: untiled."""
    peak_memory_mib: int
    """Of the worker's process."""
    device_memory_mib: int = Field(ge=0)
    """Peak on the device; 0 where that is the process's own memory."""
    device: str
    engine: Engine
    weights_sha256: str | None
    versions: dict[str, str]

    def frames_per_second(self) -> dict[str, float]:
        """Frames per second of each part by itself, and of the whole shard."""
        seconds = {
            "decode": self.decode_seconds,
            "inference": self.inference_seconds,
            "encode": self.encode_seconds,
            "wall": self.wall_seconds,
        }
        return {name: round(self.frames / value, 2) for name, value in seconds.items() if value}

    def counts(self) -> dict[str, int]:
        """Frames that came out of each part, counted there; unequal numbers mean lost frames."""
        return {
            "decoded": self.decoded_frames,
            "upscaled": self.upscaled_frames,
            "encoded": self.frames,
        }


class Progress(Versioned):
    """How far a run, or a child's share of it, has come; overwritten about once a second."""

    run: int
    frames: int


class LedgerStream(Contract):
    """One copied stream: planned and muxed packet counts and payload hashes."""

    source_index: int
    kind: str
    codec: str
    result_codec: str
    packets_planned: int
    packets_muxed: int
    payload_equal: bool
    """Payload hash equal to the source's; False only for a converted subtitle."""
    lost: str | None = None
    """What was lost when a subtitle was converted."""
    offset_seconds: float
    """From the first frame to the stream's first packet, in the source; for sound, the decoder's
    preparation counts."""
    result_offset_seconds: float


class Ledger(Contract):
    """Accounts for every frame. `balanced` is the claim; the rest is its proof."""

    frames_coded: int
    """Frames in the source."""
    frames_removed: int = 0
    """Those that inverse telecine removed as repeats (see Fields)."""
    frames_planned: int
    frames_decoded: int
    frames_upscaled: int
    frames_encoded: int
    """Sums over the shard results, each counted where it happens."""
    frames_in_result: int
    """Packets read back from the finished file."""
    frames_concealed: int = 0
    """Frames made from damaged ones: the sum over the shard results, equal to the plan."""
    concealed: tuple[Concealed, ...] = ()
    """Each damaged frame, and what stands in for it."""
    timestamps_equal: bool
    max_timestamp_error_seconds: float
    """0 in MP4; at most 0.0005 in Matroska, which counts in milliseconds."""
    frames_tested: int
    """Frames decoded from the finished file: each shard's first, all since the last keyframe."""
    colour: Colour
    sample_aspect_ratio: Rational
    rotation: int
    mirrored: bool = False
    """Read back; equal to what was planned."""
    alpha: bool = False
    """Whether the result's pictures have alpha, read back; equal to what was planned."""
    attachments: int = 0
    """Fonts and covers in the result, each with the source's bytes."""
    captioned_frames: int = 0
    """Frames that carry the captions of the source's pictures, with the same bytes."""
    streams: tuple[LedgerStream, ...] = ()
    dropped: tuple[DroppedStream, ...] = ()
    lost: tuple[LostLabel, ...] = ()

    @property
    def balanced(self) -> bool:
        """Whether all counts of frames agree, every timestamp, and every stream's packets."""
        film = self.frames_coded - self.frames_removed
        made = {self.frames_decoded, self.frames_upscaled, self.frames_encoded}
        counts_equal = {film, *made, self.frames_in_result} == {self.frames_planned}
        packets_equal = all(s.packets_planned == s.packets_muxed for s in self.streams)
        return counts_equal and self.timestamps_equal and packets_equal


class Report(Versioned):
    """The JSON report beside the result."""

    job_id: str
    source: SourceObject
    result: ObjectRef
    result_bytes: int
    result_sha256: str
    duration_seconds: float
    video: Video
    output: Output
    inference: Inference
    encoder: Encoder
    fields: Fields
    extraction: Extraction
    shards: tuple[ShardResult, ...]
    ledger: Ledger
