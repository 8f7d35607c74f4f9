"""The manifest: all that the workers need to know of a film, and all that decides its bytes."""

from typing import Literal, Self

from pydantic import Field, model_validator

from contracts.base import Contract, ObjectRef, Rational, Versioned
from contracts.job import Codec, Container, Grain, SourceObject
from contracts.models import Engine, ModelFacts, NumberFormat

CONVERTIBLE_MATRICES = (1, 4, 5, 6, 7, 9)
"""Matrix coefficients (ITU-T H.273) that the workers turn into RGB and back."""

UNSPECIFIED, BT709, SMPTE170M, EBU_3213 = 2, 1, 6, 22
SAME_CURVE, SAME_BT601 = (1, 6, 14, 15), (5, 6)
"""Code points of one transfer curve, and of one matrix. x264 and x265 do not know EBU_3213."""
PRORES_PRIMARIES, PRORES_TRANSFERS = (1, 5, 6, 9, 11, 12), (1, 16, 18)
PRORES_MATRICES = (1, 6, 9)
"""What a ProRes frame's header can say (SMPTE RDD 36, 5.1.1); it knows no full range."""


class Colour(Contract):
    """Code points of ITU-T H.273; 2 means unspecified in the source."""

    primaries: int
    transfer: int
    matrix: int
    full_range: bool


class LostLabel(Contract):
    """A tag, a disposition or a chapter that the result's container cannot hold."""

    of: str
    """`file`, `film` or `stream N`, N being the source's."""
    label: str
    value: str
    found: str | None
    """What the result says instead."""


class MasteringDisplay(Contract):
    """SMPTE ST 2086, of the display that the film was graded on; units of ITU-T H.265, D.2.28."""

    red: tuple[int, int]
    green: tuple[int, int]
    blue: tuple[int, int]
    white: tuple[int, int]
    """Chromaticities x, y in 1/50,000."""
    min_luminance: int
    max_luminance: int
    """In 1/10,000 cd/m2."""


class LightLevel(Contract):
    """CTA-861.3, cd/m2: the brightest pixel, and the brightest frame's average."""

    max_content: int
    max_average: int


class Video(Contract):
    """The source's video stream. Sizes are of the decoded picture, before rotation and SAR."""

    stream_index: int
    codec: str
    width: int = Field(gt=0)
    height: int = Field(gt=0)
    pixel_format: str
    bit_depth: int
    time_base: Rational
    """Seconds per unit of the timestamps; a quarter of the source's after inverse telecine."""
    frame_rate: Rational
    """Average frames per second; what the encoders are told."""
    sample_aspect_ratio: Rational
    flagged_interlaced: bool = False
    """The first frame says that it is; the pictures may say otherwise (see Fields)."""
    rotation: int
    """Degrees counter-clockwise that a player turns the picture; a multiple of 90."""
    mirrored: bool = False
    """Whether it then shows the picture left for right."""
    colour: Colour
    """As the source says it."""
    working_colour: Colour
    """With unspecified values filled in by convention; what conversion and output use."""
    mastering_display: MasteringDisplay | None = None
    light_level: LightLevel | None = None
    lost: tuple[LostLabel, ...] = ()
    """Of the pictures, what no result can hold: dynamic metadata, alpha that no decoder here
    reads."""
    chroma_location: int = Field(default=1, ge=1, le=6)
    """Where 4:2:0 and 4:2:2 have their chroma, as FFmpeg numbers it: 1 left, 2 centre, 3 top left,
    4 top, 5 bottom left, 6 bottom. By convention where the source does not say it."""
    by_order: bool = False
    """The file tells only in which order its frames are decoded (B-frames in AVI): frame k is the
    k-th that the decoder gives. Such a film is decoded from its beginning only."""
    frames: int = Field(gt=0)
    start_pts: int
    end_pts: int
    """Timestamp at which the last frame's display ends, in time_base."""


Cadence = Literal["progressive", "interlaced", "shifted", "telecined"]
"""Shifted: film at two fields a frame, whose frames were cut between the two."""
FieldOrder = Literal["top", "bottom"]
"""Which field comes first in time."""
Treatment = Literal["as_coded", "deinterlaced", "inverse_telecine"]


class FieldEvidence(Contract):
    """What the sampled pictures say of the two fields of each coded frame."""

    cadence: Cadence = "progressive"
    order: FieldOrder | None = None
    samples: int = 0
    """Stretches of consecutive frames, spread over the film."""
    agreeing_samples: int = 0
    sampled_frames: int = 0
    moving_frames: int = 0
    """Of those, in which enough moved to tell."""
    flagged_interlaced: bool = False
    """What the file says; it decides only where nothing moves."""
    top_votes: int = 0
    bottom_votes: int = 0
    """Frames whose combing shows that this field comes first."""


class Fields(Contract):
    """How the film's frames are made of the coded ones. The numbers of Video are of the film."""

    treatment: Treatment = "as_coded"
    order: FieldOrder = "top"
    reason: str = "not looked at"
    """One sentence for people."""
    evidence: FieldEvidence = FieldEvidence()
    coded_frames: int | None = None
    """None: as many as the film has."""
    removed_frames: int = 0
    """Coded frames that only repeat fields of others."""
    deinterlaced_frames: int = 0
    plan: ObjectRef | None = None
    """npz where the treatment is inverse_telecine: `coded_pts`, int64, shape (coded_frames,), in
    the source's time base; `top` and `bottom`, int64, shape (frames,): the coded frames that give
    a frame's fields; `deinterlaced`, bool, shape (frames,)."""


class SeekProbe(Contract):
    """What it took to begin decoding at one place of the source."""

    frame: int
    seconds: float
    """To the first picture wanted."""
    bytes_read: int


class Extraction(Contract):
    """Where the workers take the pictures from; the pictures are the same either way."""

    mode: Literal["ranged", "shards"] = "ranged"
    """ranged: by seeking in the source; shards: from lossless ones that extract wrote."""
    reason: str = "not measured"
    """One sentence for people."""
    exported_frames: int = 0
    """PNGs written for people; no worker reads them."""
    frame_seconds: float = 0
    """To decode one frame after another."""
    probes: tuple[SeekProbe, ...] = ()
    lead_frames: int = 0
    """Decoded and dropped before the first frames of all runs, by the distance of keyframes."""


class Concealed(Contract):
    """Consecutive damaged frames with one stand-in. Numbers are of the source's frames, which are
    the film's unless inverse telecine removed some."""

    first_frame: int = Field(ge=0)
    frames: int = Field(gt=0)
    seconds: float
    """The first one's timestamp."""
    stands_in: Literal["decoder"] | int
    """What the decoder made of each, or the frame of this number for all of them."""


class Stretch(Contract):
    """Source frames around damage, from a good keyframe up to the next good one: decoded in one go
    by one thread, so that every worker gets the same pictures."""

    first_frame: int = Field(ge=0)
    frames: int = Field(gt=0)

    @property
    def end(self) -> int:
        return self.first_frame + self.frames


class Damage(Contract):
    """What extract found damaged, where it is to be concealed."""

    concealed_frames: int = Field(default=0, ge=0)
    """Frames of the film that are made of damaged ones."""
    concealed: tuple[Concealed, ...] = ()
    stretches: tuple[Stretch, ...] = ()
    """In order, none overlapping another."""


class SidecarStream(Contract):
    """A stream copied from the source, packet by packet."""

    source_index: int
    sidecar_index: int
    kind: Literal["audio", "subtitle"]
    codec: str
    """FFmpeg's name, e.g. aac, mov_text."""
    time_base: Rational
    packets: int = Field(ge=0)
    sha256: str
    """Over the payloads of the stored packets, in order."""
    labels: dict[str, str] = Field(default_factory=dict)
    """Its tags: language, title and the like."""
    disposition: int = 0
    """FFmpeg's AV_DISPOSITION bits."""


class DroppedStream(Contract):
    """A stream that is not in the result, and why."""

    source_index: int
    kind: str
    codec: str
    reason: str


class Chapter(Contract):
    start: int
    end: int
    time_base: Rational
    metadata: dict[str, str] = Field(default_factory=dict)


class Attachment(Contract):
    """A file within the film: a font, or the picture for its case."""

    name: str
    kind: str
    """MIME type."""
    sha256: str
    cover: bool = False


class CaptionTrack(Contract):
    """Captions within the source's pictures: CEA-608 and CEA-708, as ATSC A/53 carries them."""

    pictures: int = Field(ge=0)
    """So many carry some."""
    bytes: int = Field(ge=0)
    """Of their triplets together."""
    untimed: int = Field(default=0, ge=0)
    """So many more cannot be placed, for the file does not tell when they are shown."""
    unread: int = Field(default=0, ge=0)
    """So many more have some in a form that is not read: of DVDs, or of SCTE 20."""
    time_base: Rational
    payload: ObjectRef | None = None
    """npz: `caption_pts` and `caption_sizes`, int64, shape (pictures,), in the file's order;
    `caption_data`, int64: the triplets (cc_data) of all, eight bytes a number."""


class Sidecar(Contract):
    """All that is not video. `payload` is None where nothing was copied."""

    payload: ObjectRef | None = None
    index: ObjectRef | None = None
    """npz: for stream i the arrays pts_i, dts_i, duration_i, int64, shape (packets,)."""
    streams: tuple[SidecarStream, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    chapters: tuple[Chapter, ...] = ()
    metadata: dict[str, str] = Field(default_factory=dict)
    """The file's tags."""
    film_labels: dict[str, str] = Field(default_factory=dict)
    """The video stream's tags, its time code among them."""
    film_disposition: int = 0
    captions: CaptionTrack | None = None
    dropped: tuple[DroppedStream, ...] = ()


class Shard(Contract):
    """A run of consecutive frames: frames[first_frame : first_frame + frames] of the film.

    Context frames are decoded and handed to the model, but not kept.
    """

    index: int = Field(ge=0)
    first_frame: int = Field(ge=0)
    frames: int = Field(gt=0)
    context_before: int = Field(default=0, ge=0)
    context_after: int = Field(default=0, ge=0)


class Run(Contract):
    """Consecutive shards that one Batch child takes; its index is the array index."""

    index: int = Field(ge=0)
    first_shard: int = Field(ge=0)
    shards: int = Field(gt=0)


class Inference(Contract):
    """All that decides the pixels. A worker that cannot honour it exits UNSUPPORTED."""

    model: str
    """As in Settings.model."""
    facts: ModelFacts
    weights: ObjectRef | None = None
    """A user's model's; None where the image has them, or where there are none."""
    scale: float = Field(gt=0)
    """The result's lines over the source's."""
    strength: float = Field(default=1.0, gt=0, le=1)
    """Share of the network in the result; the rest is Lanczos."""
    grain: Grain | None = None
    """As in Settings.grain."""
    anchored: bool = False
    """Whether what a network changes in the mean of a source pixel is added back, enlarged by
    Lanczos: for HDR, whose signal no network was trained on."""
    engine: Engine
    dtype: NumberFormat
    batch: int = Field(default=1, ge=1)
    tile: int = Field(default=0, ge=0)
    """Tile side in source pixels; 0 is untiled."""
    halo: int = Field(default=0, ge=0)
    threads: int = Field(ge=1)
    """CPU threads of the model."""


class Encoder(Contract):
    """All that decides the bitstream."""

    codec: Codec
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
    """Written by extract, read by process and recompose; rests as `manifest.json`."""

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
        """Of the result: the film's, as far as the codec has a word for it."""
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
        return self.shards[run.first_shard : run.first_shard + run.shards]


class LosslessShard(Contract):
    """Which frames a lossless shard holds, and of what; rests as the object's user metadata."""

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


class ShardResult(Versioned):
    """What a worker says of a committed shard; rests as the shard object's user metadata."""

    job_id: str
    index: int
    decoded_frames: int = Field(ge=0)
    """Of the film, as the model got them."""
    upscaled_frames: int = Field(ge=0)
    """Computed, or repeats of what was."""
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
    """The part that was busy longest: what a faster worker would have to improve."""
    device_share: float = Field(ge=0)
    """Of the wall time, the part in which the device computed."""
    repeated_frames: int = Field(ge=0)
    """Frames equal to their predecessor, whose result was used again."""
    concealed_frames: int = Field(default=0, ge=0)
    """Frames made of damaged ones; the manifest says what stands in."""
    tile: int = Field(ge=0)
    """As used: smaller than planned where memory ran short. 0 is untiled."""
    peak_memory_mib: int
    """Of the worker's process."""
    device_memory_mib: int = Field(ge=0)
    """Peak on the device; 0 where that is the process's own memory."""
    device: str
    engine: Engine
    weights_sha256: str | None
    versions: dict[str, str]

    def frames_per_second(self) -> dict[str, float]:
        """What each part could do alone, and what the shard did."""
        seconds = {
            "decode": self.decode_seconds,
            "inference": self.inference_seconds,
            "encode": self.encode_seconds,
            "wall": self.wall_seconds,
        }
        return {name: round(self.frames / value, 2) for name, value in seconds.items() if value}

    def counts(self) -> dict[str, int]:
        """Frames behind each stage, counted there; all are the shard's, or some were lost."""
        return {
            "decoded": self.decoded_frames,
            "upscaled": self.upscaled_frames,
            "encoded": self.frames,
        }


class Progress(Versioned):
    """How far a run, or a child's share of it, is; overwritten about once a second."""

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
    """What the conversion of a subtitle left out."""
    offset_seconds: float
    """Of its first packet against the first frame, in the source; of sound the decoder's
    preparation counts."""
    result_offset_seconds: float


class Ledger(Contract):
    """Every frame accounted for. `balanced` is the claim; the rest is its proof."""

    frames_coded: int
    """In the source."""
    frames_removed: int = 0
    """Of those, repeats of telecine that inverse telecine took out (see Fields)."""
    frames_planned: int
    frames_decoded: int
    frames_upscaled: int
    frames_encoded: int
    """Sums over the shard results, each counted in its own stage."""
    frames_in_result: int
    """Packets read back from the finished file."""
    frames_concealed: int = 0
    """Of those, frames made of damaged ones: sum over the shard results, equal to the plan."""
    concealed: tuple[Concealed, ...] = ()
    """Each damaged frame, and what stands in for it."""
    timestamps_equal: bool
    max_timestamp_error_seconds: float
    """0 in MP4; at most 0.0005 in Matroska, which counts in milliseconds."""
    frames_tested: int
    """Decoded from the finished file: the first of each shard, and all since the last keyframe."""
    colour: Colour
    sample_aspect_ratio: Rational
    rotation: int
    mirrored: bool = False
    """Read back; equal to what was planned."""
    alpha: bool = False
    """Whether the result's pictures have it, read back; equal to what was planned."""
    attachments: int = 0
    """Fonts and covers, each with the source's bytes."""
    captioned_frames: int = 0
    """Frames that carry the captions of the source's pictures, with the same bytes."""
    streams: tuple[LedgerStream, ...] = ()
    dropped: tuple[DroppedStream, ...] = ()
    lost: tuple[LostLabel, ...] = ()

    @property
    def balanced(self) -> bool:
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
