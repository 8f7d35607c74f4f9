"""The job: a pinned source and the settings that decide what comes out."""

import hashlib
import re
from collections.abc import Mapping
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from contracts.base import Contract, ContractError, Versioned, explain
from contracts.keys import STORED_MODEL_PATTERN, parse_stored_model, stored_model
from contracts.limits import SHARD_SECONDS_MAX, SHARD_SECONDS_MIN
from contracts.models import ModelName
from contracts.names import METADATA_PREFIX

StoredModelName = Annotated[str, Field(pattern=f"^{STORED_MODEL_PATTERN}$")]
"""A user's model by the hash of its weights: `models/<sha256>`."""
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
"""Lines: more than any encoder here takes."""
SVT_PRESETS = tuple(str(n) for n in range(14))
_PRORES_4444 = ("4444", "4444xq")
PRORES_PROFILES = {
    "yuv422p10le": ("proxy", "lt", "standard", "hq"),
    "yuv444p10le": _PRORES_4444,
    "yuva444p10le": _PRORES_4444,
}
"""Of each pixel format; ProRes has no other presets."""

MAX_QUALITY: dict[Codec, int | None] = {
    Codec.H264: 51, Codec.HEVC: 51, Codec.AV1: 63, Codec.PRORES: None, Codec.FFV1: None,
}  # fmt: skip
PRESETS: dict[Codec, tuple[str, ...]] = {
    Codec.H264: X26X_PRESETS, Codec.HEVC: X26X_PRESETS, Codec.AV1: SVT_PRESETS,
    Codec.PRORES: tuple(dict.fromkeys(sum(PRORES_PROFILES.values(), ()))), Codec.FFV1: (),
}  # fmt: skip
HOLDS: dict[Container, tuple[Codec, ...]] = {
    Container.MP4: (Codec.H264, Codec.HEVC, Codec.AV1),
    Container.MOV: (Codec.H264, Codec.HEVC, Codec.PRORES),
    Container.MKV: tuple(Codec),
    Container.WEBM: (Codec.AV1,),
}
"""Films that players find in a container; Matroska holds all."""


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
"""FFmpeg's names of what each encoder takes; `yuva` has alpha."""


Deinterlace = Literal["auto", "on", "off"]
ExtractionChoice = Literal["auto", "ranged", "shards", "frames"]
DamageChoice = Literal["refuse", "conceal"]
KEEP_GRAIN = "keep"
MAX_GRAIN = 32.0
"""Levels of 8 bits: far more than the coarsest film has."""
Grain = Literal["keep"] | Annotated[float, Field(gt=0, le=MAX_GRAIN)]


class Settings(Contract):
    """What a user chooses. Every field has a default, so an upload without metadata works."""

    model: ModelName | StoredModelName = ModelName.ANIMEVIDEOV3
    """Of the catalogue, or a user's own that is stored already."""
    scale: Literal[2, 3, 4] = 2
    fit: int | None = Field(default=None, ge=2, le=MAX_FIT, multiple_of=2)
    """Lines of the result, instead of a scale; the width follows. Written 2160 or 2160p."""
    strength: float = Field(default=1.0, gt=0, le=1)
    """Share of the network in the result; the rest is Lanczos."""
    grain: Grain | None = None
    """None: as the network leaves it. `keep`: as strong as in the source. A number: so much more,
    as a standard deviation in levels of 8 bits."""
    codec: Codec = Codec.H264
    quality: int | None = Field(default=None, ge=0)
    """Constant rate factor: 0 (lossless or best) to 51 (h264, hevc) or 63 (av1)."""
    preset: str | None = None
    """The encoder's speed; of prores the profile."""
    pixel_format: str | None = None
    """None: as deep as the source, up to 10 bits, in 4:2:0; prores 4:2:2, or 4:4:4 with alpha where
    the source has it; ffv1 like the source."""
    container: Container | None = None
    """None: the source's kind, or what holds more of its streams; mov for prores, mkv for ffv1."""
    deinterlace: Deinterlace = "auto"
    """auto: interlaced film, found by its pictures, is deinterlaced, telecined film restored."""
    extraction: ExtractionChoice = "auto"
    """ranged, shards (lossless, in the intermediate bucket), auto: whichever costs less by
    measurement; frames: as auto, and every frame as a PNG beside the manifest."""
    damage: DamageChoice = "refuse"
    """refuse: a film with damaged frames fails; conceal: something stands in for a few of them."""
    shard_seconds: float | None = Field(default=None, ge=SHARD_SECONDS_MIN, le=SHARD_SECONDS_MAX)
    max_cost: float | None = Field(default=None, gt=0)
    """Dollars that the job may cost by the stack's estimate; a dearer one is refused. None: as much
    as the stack allows."""

    @field_validator("scale", mode="before")
    @classmethod
    def _scale(cls, value: Any) -> Any:
        number = int(value) if isinstance(value, str) and value.isdecimal() else value
        if number not in (2, 3, 4) or isinstance(number, bool):
            raise ValueError("allowed are 2, 3 and 4")
        return number

    @field_validator("fit", mode="before")
    @classmethod
    def _lines(cls, value: Any) -> Any:
        text = value.removesuffix("p") if isinstance(value, str) else value
        if isinstance(text, str) and not text.isdecimal():
            raise ValueError("give the lines of the result, such as 2160p")
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
            raise ValueError(f"allowed are keep, and levels over 0 up to {MAX_GRAIN:g}")
        return amount

    @field_validator("model", mode="before")
    @classmethod
    def _model(cls, value: Any) -> Any:
        if value in list(ModelName):
            return ModelName(value)
        digest = parse_stored_model(value) if isinstance(value, str) else None
        if digest is None:
            raise ValueError(
                "allowed are " + ", ".join(ModelName) + ", and models/<sha256> of a stored model"
            )
        return stored_model(digest)

    @field_validator("codec", "container", mode="before")
    @classmethod
    def _known(cls, value: Any, info: Any) -> Any:
        choices = {"codec": Codec, "container": Container}[info.field_name]
        if value is not None and value not in list(choices):
            raise ValueError("allowed are " + ", ".join(choices))
        return value

    @property
    def stored_model(self) -> str | None:
        """SHA-256 of the user's model; None for one of the catalogue."""
        return None if isinstance(self.model, ModelName) else parse_stored_model(self.model)

    @property
    def label(self) -> str:
        """How large the result is, for its name and for people: 4x, or 2160p."""
        return f"{self.scale}x" if self.fit is None else f"{self.fit}p"

    @model_validator(mode="after")
    def _has_a_network(self) -> Self:
        if self.strength < 1 and self.model is ModelName.LANCZOS:
            raise ValueError("strength has no meaning for lanczos; leave it out")
        if self.grain is not None and self.model is ModelName.LANCZOS:
            raise ValueError("grain needs a network, for lanczos keeps all grain; leave it out")
        return self

    @model_validator(mode="after")
    def _fits_codec(self) -> Self:
        limit = MAX_QUALITY[self.codec]
        if self.quality is not None and limit is None:
            raise ValueError(f"quality has no meaning for {self.codec.value}; leave it out")
        if self.quality is not None and limit is not None and self.quality > limit:
            raise ValueError(f"quality {self.quality}: {self.codec.value} allows 0 to {limit}")
        presets = PRESETS[self.codec]
        if self.preset is not None and self.preset not in presets:
            allowed = ", ".join(presets) or "none"
            raise ValueError(f"preset {self.preset!r}: {self.codec.value} allows {allowed}")
        return self

    @model_validator(mode="after")
    def _fits_pixels(self) -> Self:
        allowed = PIXEL_FORMATS[self.codec]
        if self.pixel_format is None:
            return self
        if self.pixel_format not in allowed:
            raise ValueError(
                f"pixel_format {self.pixel_format!r}: {self.codec.value} allows "
                + ", ".join(allowed)
            )
        profiles = PRORES_PROFILES.get(self.pixel_format, ())
        if self.codec is Codec.PRORES and self.preset not in (None, *profiles):
            raise ValueError(
                f"preset {self.preset!r}: {self.pixel_format} allows {', '.join(profiles)}"
            )
        return self

    @model_validator(mode="after")
    def _fits_container(self) -> Self:
        if self.container is not None and self.codec not in HOLDS[self.container]:
            able = ", ".join(c.value for c in Container if self.codec in HOLDS[c])
            raise ValueError(
                f"container {self.container.value} cannot hold {self.codec.value}; choose {able}"
            )
        return self

    def to_metadata(self) -> dict[str, str]:
        """S3 user metadata for an upload; only what differs from the defaults."""
        fields = self.model_dump(mode="json", exclude_defaults=True)
        return {METADATA_PREFIX + k.replace("_", "-"): str(v) for k, v in fields.items()}

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str]) -> Self:
        """Read `superres-*` user metadata; other names are the user's own and ignored.

        Raises ContractError with one sentence that names the field.
        """
        fields = {
            name.removeprefix(METADATA_PREFIX).replace("-", "_"): value
            for name, value in metadata.items()
            if name.startswith(METADATA_PREFIX)
        }
        return cls.parse(fields)

    @classmethod
    def parse(cls, fields: Mapping[str, Any]) -> Self:
        """Validate. Raises ContractError with one sentence that names each wrong field."""
        try:
            return cls.model_validate(dict(fields))
        except ValidationError as error:
            raise ContractError(explain(error)) from error


class SourceObject(Contract):
    """One version of one uploaded object; workers read exactly this."""

    bucket: str
    key: str
    version_id: str
    etag: str
    size: int = Field(ge=0)
    """Bytes."""


class Job(Versioned):
    """What the trigger accepted; rests as `jobs/<job>/job.json`."""

    job_id: str = Field(pattern=f"^{JOB_ID_PATTERN}$")
    source: SourceObject
    settings: Settings
    attempt: int = Field(default=1, ge=1)


def make_job_id(source: SourceObject, settings_text: str, attempt: int = 1) -> str:
    """Deterministic id of a job, which is also its execution's name.

    The same object version with the same settings gives the same id, so an event delivered twice
    starts one execution. `settings_text` is the settings' JSON, or for refused settings the raw
    metadata.
    """
    parts = (source.bucket, source.key, source.version_id, settings_text, str(attempt))
    digest = hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()
    stem = PurePosixPath(source.key).stem.lower()
    slug = re.sub(r"[^a-z0-9]+", "-", stem)[:24].strip("-") or "video"
    return f"{slug}-{digest[:20]}"
