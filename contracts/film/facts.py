"""A film as its file describes it: pictures, fields, damage, and everything else in it."""

from typing import Literal

from pydantic import Field

from contracts.base import Contract, ObjectRef, Rational

CONVERTIBLE_MATRICES = (1, 4, 5, 6, 7, 9)
"""Matrix coefficients (ITU-T H.273) that the workers can convert to RGB and back."""

UNSPECIFIED, BT709, SMPTE170M, EBU_3213 = 2, 1, 6, 22
SAME_CURVE, SAME_BT601 = (1, 6, 14, 15), (5, 6)
"""Code points that share one transfer curve, and one matrix. x264 and x265 lack EBU_3213."""
PRORES_PRIMARIES, PRORES_TRANSFERS = (1, 5, 6, 9, 11, 12), (1, 16, 18)
PRORES_MATRICES = (1, 6, 9)
"""What a ProRes frame header can hold (SMPTE RDD 36, 5.1.1); it has no full range."""


class Colour(Contract):
    """Code points of ITU-T H.273; 2 means unspecified in the source."""

    primaries: int
    transfer: int
    matrix: int
    full_range: bool


class LostLabel(Contract):
    """A tag, a disposition or a chapter that the result's container cannot hold."""

    of: str
    """What it labels: `file`, `film` or `stream N`, by the source's numbers."""
    label: str
    value: str
    found: str | None
    """What the result has instead; None for nothing."""


class MasteringDisplay(Contract):
    """The display that the film was graded on (SMPTE ST 2086), in units of ITU-T H.265, D.2.28."""

    red: tuple[int, int]
    green: tuple[int, int]
    blue: tuple[int, int]
    white: tuple[int, int]
    """Chromaticities x, y in 1/50,000."""
    min_luminance: int
    max_luminance: int
    """In 1/10,000 cd/m2."""


class LightLevel(Contract):
    """The brightest pixel, and the average of the brightest frame, in cd/m2 (CTA-861.3)."""

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
    """Average frames per second, as the encoders get it."""
    sample_aspect_ratio: Rational
    flagged_interlaced: bool = False
    """As the first frame is flagged; what the pictures show may differ (see Fields)."""
    rotation: int
    """Degrees counter-clockwise by which a player turns the picture; a multiple of 90."""
    mirrored: bool = False
    """Whether a player then swaps left and right."""
    colour: Colour
    """As the source declares it."""
    working_colour: Colour
    """With unspecified values filled in by convention; what conversion and output use."""
    mastering_display: MasteringDisplay | None = None
    light_level: LightLevel | None = None
    lost: tuple[LostLabel, ...] = ()
    """What no result can hold of the pictures: dynamic metadata, alpha that our decoders do not
    read."""
    chroma_location: int = Field(default=1, ge=1, le=6)
    """Where 4:2:0 and 4:2:2 have their chroma, as FFmpeg numbers it: 1 left, 2 centre, 3 top left,
    4 top, 5 bottom left, 6 bottom. By convention where the source does not declare it."""
    by_order: bool = False
    """The file gives only the order in which its frames are decoded (B-frames in AVI): frame k is
    the k-th that the decoder returns. Such a film can only be decoded from its beginning."""
    frames: int = Field(gt=0)
    start_pts: int
    end_pts: int
    """Timestamp at which the last frame's display ends, in time_base."""


Cadence = Literal["progressive", "interlaced", "shifted", "telecined"]
"""Shifted: film at two fields a frame, whose frames were cut between the two."""
FieldOrder = Literal["top", "bottom"]
"""The field that comes first in time."""
Treatment = Literal["as_coded", "deinterlaced", "inverse_telecine"]


class FieldEvidence(Contract):
    """What the sampled pictures show about the two fields of each coded frame."""

    cadence: Cadence = "progressive"
    order: FieldOrder | None = None
    samples: int = 0
    """Samples taken; each is a stretch of consecutive frames, and they are spread over the film."""
    agreeing_samples: int = 0
    sampled_frames: int = 0
    moving_frames: int = 0
    """Sampled frames with enough motion to decide."""
    flagged_interlaced: bool = False
    """As the file declares; it decides only where nothing moves."""
    top_votes: int = 0
    bottom_votes: int = 0
    """Frames whose combing shows that this field comes first."""


class Fields(Contract):
    """How the film's frames are made from the coded ones. Video counts the film's frames."""

    treatment: Treatment = "as_coded"
    order: FieldOrder = "top"
    reason: str = "not looked at"
    """One sentence for people."""
    evidence: FieldEvidence = FieldEvidence()
    coded_frames: int | None = None
    """In the source; None: as many as the film has."""
    removed_frames: int = 0
    """Coded frames that only repeat fields of others."""
    deinterlaced_frames: int = 0
    plan: ObjectRef | None = None
    """npz where the treatment is inverse_telecine: `coded_pts`, int64, shape (coded_frames,), in
    the source's time base; `top` and `bottom`, int64, shape (frames,): the coded frames that give
    a frame's fields; `deinterlaced`, bool, shape (frames,)."""


class Concealed(Contract):
    """Consecutive damaged frames with one stand-in.

    Frames are numbered as in the source, which is as in the film unless inverse telecine removed
    some.
    """

    first_frame: int = Field(ge=0)
    frames: int = Field(gt=0)
    seconds: float
    """Timestamp of the first one."""
    stands_in: Literal["decoder"] | int
    """`decoder`: what it made of each frame; a number: that frame replaces all of them."""


class Stretch(Contract):
    """Source frames around damage, from a good keyframe up to the next good one.

    One thread decodes them in one go, so that every worker gets the same pictures.
    """

    first_frame: int = Field(ge=0)
    frames: int = Field(gt=0)

    @property
    def end(self) -> int:
        return self.first_frame + self.frames


class Damage(Contract):
    """What extract found damaged; empty unless damage is concealed."""

    concealed_frames: int = Field(default=0, ge=0)
    """Frames of the film that are made from damaged ones."""
    concealed: tuple[Concealed, ...] = ()
    stretches: tuple[Stretch, ...] = ()
    """In order, without overlaps."""


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
    """Of the payloads of the stored packets, in order."""
    labels: dict[str, str] = Field(default_factory=dict)
    """Tags of the stream: language, title and the like."""
    disposition: int = 0
    """FFmpeg's AV_DISPOSITION bits."""


class DroppedStream(Contract):
    """A stream that is not in the result, and why."""

    source_index: int
    kind: str
    codec: str
    reason: str


class Chapter(Contract):
    """A chapter of the source; `start` and `end` count in `time_base`."""

    start: int
    end: int
    time_base: Rational
    metadata: dict[str, str] = Field(default_factory=dict)


class Attachment(Contract):
    """A file within the film: a font, or a cover picture."""

    name: str
    kind: str
    """MIME type."""
    sha256: str
    cover: bool = False


class CaptionTrack(Contract):
    """Captions within the source's pictures: CEA-608 and CEA-708, as ATSC A/53 carries them."""

    pictures: int = Field(ge=0)
    """How many pictures carry captions."""
    bytes: int = Field(ge=0)
    """Size of all their triplets together."""
    untimed: int = Field(default=0, ge=0)
    """How many more cannot be placed, because the file does not say when they are shown."""
    unread: int = Field(default=0, ge=0)
    """How many more carry captions in a form that we do not read: of DVDs, or SCTE 20."""
    time_base: Rational
    payload: ObjectRef | None = None
    """npz: `caption_pts` and `caption_sizes`, int64, shape (pictures,), in the file's order;
    `caption_data`, int64: the triplets (cc_data) of all, eight bytes a number."""


class Sidecar(Contract):
    """Everything in the source but its video. `payload` is None where nothing was copied."""

    payload: ObjectRef | None = None
    index: ObjectRef | None = None
    """npz: for stream i the arrays pts_i, dts_i, duration_i, int64, shape (packets,)."""
    streams: tuple[SidecarStream, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    chapters: tuple[Chapter, ...] = ()
    metadata: dict[str, str] = Field(default_factory=dict)
    """Tags of the file."""
    film_labels: dict[str, str] = Field(default_factory=dict)
    """Tags of the video stream, its time code among them."""
    film_disposition: int = 0
    captions: CaptionTrack | None = None
    dropped: tuple[DroppedStream, ...] = ()
