"""The size, format and colour of a job's results, which loading and composing agree on."""

from dataclasses import dataclass
from typing import Self

from containers.upscaler.device.colour import Bits, PictureConverter
from contracts.film.facts import Colour
from contracts.film.manifest import Manifest


@dataclass(frozen=True, kw_only=True)
class Target:
    """The size, format and colour of results, and the colour of the pictures they are made from."""

    width: int
    height: int
    pixel_format: str
    """The encoder's; planar."""
    source_colour: Colour
    colour: Colour
    """Of the result: the source's, except for the range of ProRes."""
    bits: Bits
    """Of the RGB in between, where that consists of integers."""
    chroma_location: int = 1
    """Of the source and of results in 4:2:0, as in film.Video; other results have chroma left."""

    @classmethod
    def of(cls, manifest: Manifest) -> Self:
        """The target of a job."""
        by_dtype: dict[str, Bits] = {"uint8": 8, "uint16": 16}
        deep = manifest.video.bit_depth > 8
        return cls(
            width=manifest.output.width,
            height=manifest.output.height,
            pixel_format=manifest.encoder.pixel_format,
            source_colour=manifest.video.working_colour,
            colour=manifest.result_colour,
            chroma_location=manifest.video.chroma_location,
            bits=by_dtype.get(manifest.inference.dtype, 16 if deep else 8),
        )

    @property
    def size(self) -> tuple[int, int]:
        """(width, height)."""
        return self.width, self.height

    def converter(self) -> PictureConverter:
        """Make a converter from the source's colour to the target."""
        return PictureConverter(
            self.source_colour, self.colour, pixel_format=self.pixel_format, bits=self.bits
        )
