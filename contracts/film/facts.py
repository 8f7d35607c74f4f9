"""A film as its file tells it: pictures, fields, damage, and all that is not pictures."""

from typing import Literal

from pydantic import Field

from contracts.base import Contract, ObjectRef, Rational

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
