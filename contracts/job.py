"""The job: a pinned source and the settings that decide what comes out."""

import hashlib
import re
from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, ValidationError, field_validator, model_validator

from contracts.base import Contract, ContractError, FieldError, Versioned, either, explain
from contracts.keys import STORED_MODEL_PATTERN, parse_stored_model, stored_model
from contracts.limits import SHARD_SECONDS_DEFAULT, SHARD_SECONDS_MAX, SHARD_SECONDS_MIN
from contracts.models import ModelName
from contracts.names import METADATA_PREFIX

StoredModelName = Annotated[str, Field(pattern=f"^{STORED_MODEL_PATTERN}$")]
"""A user's model, by the hash of its weights: `models/<sha256>`."""
JOB_ID_PATTERN = r"[a-z0-9][a-z0-9-]{0,59}"


class Codec(StrEnum):
    H264 = "h264"
    HEVC = "hevc"
    AV1 = "av1"
    PRORES = "prores"
    FFV1 = "ffv1"


class Container(StrEnum):
    MP4 = "mp4"
    MOV = "mov"
    MKV = "mkv"
    WEBM = "webm"


X26X_PRESETS = (
    "ultrafast", "superfast", "veryfast", "faster", "fast",
    "medium", "slow", "slower", "veryslow",
)  # fmt: skip
MAX_FIT = 8192
"""Lines; more than any of our encoders takes."""
SVT_PRESETS = tuple(str(n) for n in range(14))
_PRORES_4444 = ("4444", "4444xq")
PRORES_PROFILES = {
    "yuv422p10le": ("proxy", "lt", "standard", "hq"),
    "yuv444p10le": _PRORES_4444,
    "yuva444p10le": _PRORES_4444,
}
"""By pixel format; ProRes has no other presets."""

MAX_QUALITY: dict[Codec, int | None] = {
    Codec.H264: 51, Codec.HEVC: 51, Codec.AV1: 63, Codec.PRORES: None, Codec.FFV1: None,
}  # fmt: skip
PRESETS: dict[Codec, tuple[str, ...]] = {
    Codec.H264: X26X_PRESETS, Codec.HEVC: X26X_PRESETS, Codec.AV1: SVT_PRESETS,
    Codec.PRORES: tuple(dict.fromkeys(sum(PRORES_PROFILES.values(), ()))), Codec.FFV1: (),
}  # fmt: skip
DEFAULT_QUALITY = {Codec.H264: 18, Codec.HEVC: 20, Codec.AV1: 28}
DEFAULT_PRESET = {Codec.H264: "fast", Codec.HEVC: "fast", Codec.AV1: "8"}
HOLDS: dict[Container, tuple[Codec, ...]] = {
    Container.MP4: (Codec.H264, Codec.HEVC, Codec.AV1),
    Container.MOV: (Codec.H264, Codec.HEVC, Codec.PRORES),
    Container.MKV: tuple(Codec),
    Container.WEBM: (Codec.AV1,),
}
"""The codecs that players expect in a container; Matroska holds all."""


def _yuv(
    *depths: int, sampling: tuple[int, ...] = (420, 422, 444), start: str = "yuv"
) -> tuple[str, ...]:
    ends = ["" if bits == 8 else f"{bits}le" for bits in depths]
    return tuple(f"{start}{chroma}p{end}" for end in ends for chroma in sampling)


PIXEL_FORMATS: dict[Codec, tuple[str, ...]] = {
    Codec.H264: _yuv(8, 10),
    Codec.HEVC: _yuv(8, 10, 12),
    Codec.AV1: _yuv(8, 10, sampling=(420,)),
    Codec.PRORES: tuple(PRORES_PROFILES),
    Codec.FFV1: (
        *_yuv(8, 10, 12, 16),
        *_yuv(8, 10, 16, start="yuva"),
        *_yuv(12, sampling=(422, 444), start="yuva"),
    ),
}
"""What each encoder takes, by FFmpeg's names; `yuva` has alpha."""


Deinterlace = Literal["auto", "on", "off"]
ExtractionChoice = Literal["auto", "ranged", "shards", "frames"]
DamageChoice = Literal["refuse", "conceal"]
KEEP_GRAIN = "keep"
MAX_GRAIN = 32.0
"""Levels of 8 bits; far more than the coarsest film has."""
Grain = Literal["keep"] | Annotated[float, Field(gt=0, le=MAX_GRAIN)]


def _by_codec(values: Mapping[Codec, object]) -> str:
    """For people, such as `18 for h264, 20 for hevc`."""
    return ", ".join(f"{value} for {codec.value}" for codec, value in values.items())


def _words(**words: str) -> Any:
    """What contracts.setting_table shows of a field where its type does not say it."""
    return words


class Settings(Contract):
    """What a user chooses. Every field has a default, so an upload without metadata works.

    The text under a field is its description, in `superres run --help` and in docs/commands.md too.
    """

    model_config = ConfigDict(use_attribute_docstrings=True)

    model: ModelName | StoredModelName = Field(
        default=ModelName.ANIMEVIDEOV3,
        json_schema_extra=_words(allowed=f"{', '.join(ModelName)}, or models/SHA256"),
    )
    """The network: one of the catalogue, or a model of your own that is stored under its hash.
    `superres run` takes your model's file too: a .safetensors or .pth file of any network that
    spandrel knows."""
    scale: Literal[2, 3, 4] = 2
    """How many times larger each side becomes."""
    fit: int | None = Field(
        default=None,
        ge=2,
        le=MAX_FIT,
        multiple_of=2,
        json_schema_extra=_words(
            allowed=f"even numbers from 2 to {MAX_FIT}, such as 2160 or 2160p", unset="by scale"
        ),
    )
    """Lines of the result, instead of a scale; the width follows."""
    strength: float = Field(default=1.0, gt=0, le=1)
    """Share of the network in the result; the rest is Lanczos."""
    grain: Grain | None = Field(
        default=None,
        json_schema_extra=_words(
            allowed=f"{KEEP_GRAIN}, or above 0, up to {MAX_GRAIN:g}",
            unset="as the network leaves it",
        ),
    )
    """Film grain to add: as much as the source has (keep), or as a standard deviation in levels of
    8 bits, such as 2.5."""
    codec: Codec = Codec.H264
    """How the result is encoded."""
    quality: int | None = Field(
        default=None,
        ge=0,
        json_schema_extra=_words(
            allowed=_by_codec({c: f"0 to {q}" for c, q in MAX_QUALITY.items() if q is not None}),
            unset=_by_codec(DEFAULT_QUALITY),
        ),
    )
    """Constant rate factor: lower is better, and 0 is lossless or the best there is."""
    preset: str | None = Field(
        default=None,
        json_schema_extra=_words(
            allowed=f"{X26X_PRESETS[0]} to {X26X_PRESETS[-1]} for h264 and hevc, "
            f"{SVT_PRESETS[0]} to {SVT_PRESETS[-1]} for av1, "
            f"{', '.join(PRESETS[Codec.PRORES])} for prores",
            unset=_by_codec(DEFAULT_PRESET) + ", hq or 4444 for prores",
        ),
    )
    """The encoder's speed; for prores, the profile."""
    pixel_format: str | None = Field(
        default=None,
        json_schema_extra=_words(
            allowed="what the codec takes, such as yuv422p10le",
            unset="the source's depth, up to 10 bits, in 4:2:0; for prores 4:2:2, or 4:4:4 with "
            "alpha where the source has it; for ffv1 as the source",
        ),
    )
    """How pixels are stored, by FFmpeg's names."""
    container: Container | None = Field(
        default=None,
        json_schema_extra=_words(
            unset="the source's kind, or one that holds more of its streams; mov for prores, "
            "mkv for ffv1"
        ),
    )
    """The kind of file."""
    deinterlace: Deinterlace = "auto"
    """What to do about interlaced and telecined film. auto: its pictures decide; interlaced film is
    deinterlaced, telecined film restored."""
    extraction: ExtractionChoice = "auto"
    """Where workers take their frames from. ranged: the source itself; shards: lossless copies in
    the intermediate bucket; auto: whichever costs less by measurement; frames: as auto, and every
    frame becomes a PNG beside the manifest."""
    damage: DamageChoice = "refuse"
    """What to do about damaged frames. refuse: the job fails; conceal: something stands in for a
    few of them."""
    shard_seconds: float | None = Field(
        default=None,
        ge=SHARD_SECONDS_MIN,
        le=SHARD_SECONDS_MAX,
        json_schema_extra=_words(
            unset=f"{SHARD_SECONDS_DEFAULT:g}, or less so that every worker gets a shard"
        ),
    )
    """Length of a shard, the unit of work and of retry, in seconds of film."""
    max_cost: float | None = Field(
        default=None, gt=0, json_schema_extra=_words(unset="as much as the stack allows")
    )
    """US dollars that the job may cost on AWS by the stack's estimate; a dearer one is refused."""

    @field_validator("scale", mode="before")
    @classmethod
    def _scale(cls, value: Any) -> Any:
        number = int(value) if isinstance(value, str) and value.isdecimal() else value
        if number not in (2, 3, 4) or isinstance(number, bool):
            raise ValueError("must be 2, 3 or 4")
        return number

    @field_validator("fit", mode="before")
    @classmethod
    def _lines(cls, value: Any) -> Any:
        text = value.removesuffix("p") if isinstance(value, str) else value
        if isinstance(text, str) and not text.isdecimal():
            raise ValueError("must be the lines of the result, such as 2160p")
        return text

    @field_validator("grain", mode="before")
    @classmethod
    def _amount(cls, value: Any) -> Any:
        if value is None or value == KEEP_GRAIN:
            return value
        try:
            amount = float(value)
        except (TypeError, ValueError):
            amount = 0.0
        if isinstance(value, bool) or not 0 < amount <= MAX_GRAIN:
            raise ValueError(f"must be keep, or a number above 0, up to {MAX_GRAIN:g}")
        return amount

    @field_validator("model", mode="before")
    @classmethod
    def _model(cls, value: Any) -> Any:
        if value in list(ModelName):
            return ModelName(value)
        digest = parse_stored_model(value) if isinstance(value, str) else None
        if digest is None:
            stored = "models/<sha256> of a stored model"
            raise ValueError(f"must be {either([*ModelName, stored])}")
        return stored_model(digest)

    @field_validator("codec", "container", mode="before")
    @classmethod
    def _known(cls, value: Any, info: Any) -> Any:
        choices = {"codec": Codec, "container": Container}[info.field_name]
        if value is not None and value not in list(choices):
            raise ValueError(f"must be {either(choices)}")
        return value

    @property
    def stored_model(self) -> str | None:
        """SHA-256 of the user's model; None for a model of the catalogue."""
        return None if isinstance(self.model, ModelName) else parse_stored_model(self.model)

    @property
    def label(self) -> str:
        """How large the result is, for its file name and for people: 4x, or 2160p."""
        return f"{self.scale}x" if self.fit is None else f"{self.fit}p"

    @model_validator(mode="after")
    def _has_a_network(self) -> Self:
        if self.strength < 1 and self.model is ModelName.LANCZOS:
            raise FieldError("strength", "has no meaning for lanczos; leave it out")
        if self.grain is not None and self.model is ModelName.LANCZOS:
            raise FieldError(
                "grain", "has no meaning for lanczos, which keeps all grain; leave it out"
            )
        return self

    @model_validator(mode="after")
    def _fits_codec(self) -> Self:
        limit = MAX_QUALITY[self.codec]
        if self.quality is not None and limit is None:
            raise FieldError("quality", f"has no meaning for {self.codec.value}; leave it out")
        if self.quality is not None and limit is not None and self.quality > limit:
            raise self._unfit("quality", f"0 to {limit} for {self.codec.value}")
        presets = PRESETS[self.codec]
        if self.preset is not None and not presets:
            raise FieldError("preset", f"has no meaning for {self.codec.value}; leave it out")
        if self.preset is not None and self.preset not in presets:
            raise self._unfit("preset", f"{either(presets)} for {self.codec.value}")
        return self

    def _unfit(self, field: str, allowed: str) -> FieldError:
        """The field's value does not go with the others."""
        return FieldError(field, f"got {getattr(self, field)!r}, must be {allowed}")

    @model_validator(mode="after")
    def _fits_pixels(self) -> Self:
        allowed = PIXEL_FORMATS[self.codec]
        if self.pixel_format is None:
            return self
        if self.pixel_format not in allowed:
            raise self._unfit("pixel_format", f"{either(allowed)} for {self.codec.value}")
        profiles = PRORES_PROFILES.get(self.pixel_format, ())
        if self.codec is Codec.PRORES and self.preset not in (None, *profiles):
            raise self._unfit("preset", f"{either(profiles)} for {self.pixel_format}")
        return self

    @model_validator(mode="after")
    def _fits_container(self) -> Self:
        if self.container is not None and self.codec not in HOLDS[self.container]:
            able = either(c.value for c in Container if self.codec in HOLDS[c])
            raise FieldError(
                "container", f"{self.container.value} cannot hold {self.codec.value}; choose {able}"
            )
        return self

    def to_metadata(self) -> dict[str, str]:
        """S3 user metadata for an upload; only what differs from the defaults."""
        fields = self.model_dump(mode="json", exclude_defaults=True)
        return {metadata_name(field): str(value) for field, value in fields.items()}

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str]) -> Self:
        """Read `superres-*` user metadata; other names are the user's own and are ignored.

        Raises ContractError with one sentence that calls each wrong field by its metadata name.
        """
        fields = {
            name.removeprefix(METADATA_PREFIX).replace("-", "_"): value
            for name, value in metadata.items()
            if name.startswith(METADATA_PREFIX)
        }
        return cls.parse(fields, metadata_name)

    @classmethod
    def parse(cls, fields: Mapping[str, Any], spell: Callable[[str], str] = str) -> Self:
        """Validate. Raises ContractError with one sentence that names each wrong field.

        `spell` turns a field's name into what the user wrote, such as an option.
        """
        try:
            return cls.model_validate(dict(fields))
        except ValidationError as error:
            raise ContractError(explain(error, spell=spell, known=cls.model_fields)) from error


def metadata_name(field: str) -> str:
    """The name of a setting in an upload's metadata: `superres-pixel-format`."""
    return METADATA_PREFIX + field.replace("_", "-")


class SourceObject(Contract):
    """One version of one uploaded object; workers read this version and no other."""

    bucket: str
    key: str
    version_id: str
    etag: str
    size: int = Field(ge=0)
    """Bytes."""


class Job(Versioned):
    """What the trigger accepted; stored as `jobs/<job>/job.json`."""

    job_id: str = Field(pattern=f"^{JOB_ID_PATTERN}$")
    source: SourceObject
    settings: Settings
    attempt: int = Field(default=1, ge=1)


def make_job_id(source: SourceObject, settings_text: str, attempt: int = 1) -> str:
    """The deterministic id of a job, which is also the name of its execution.

    The same object version with the same settings gives the same id, so an event delivered twice
    starts one execution. `settings_text` is the JSON of the settings, or the raw metadata where
    the settings were refused.
    """
    parts = (source.bucket, source.key, source.version_id, settings_text, str(attempt))
    digest = hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()
    stem = PurePosixPath(source.key).stem.lower()
    slug = re.sub(r"[^a-z0-9]+", "-", stem)[:24].strip("-") or "video"
    return f"{slug}-{digest[:20]}"
