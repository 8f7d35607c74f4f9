"""What a job's pictures are to become: the one thing that both ends of a network agree on."""

from dataclasses import dataclass
from typing import Self

from containers.upscaler.device.colour import Bits, Converter
from contracts.film.facts import Colour
from contracts.film.manifest import Manifest


@dataclass(frozen=True, kw_only=True)
class Target:
    """What the pictures are to become, and what their samples mean."""

    width: int
    height: int
    pixel_format: str
    """The encoder's, planar."""
    source_colour: Colour
    colour: Colour
    """Of the result: the source's, but for the range of ProRes."""
    bits: Bits
    """Of the RGB between them, where that is of integers."""
    chroma_location: int = 1
    """See film.Video; of the source, and of results in 4:2:0. Others have it left."""

    @classmethod
    def of(cls, manifest: Manifest) -> Self:
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

    def converter(self) -> Converter:
        return Converter(self.source_colour, self.colour, self.pixel_format, self.bits)
