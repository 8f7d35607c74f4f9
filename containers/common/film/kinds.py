"""The kind of a film's pictures, size and format, which must not change from first to last."""

from dataclasses import dataclass

from av.video.frame import VideoFrame

from containers.common.film.pictures import plain_format
from containers.common.runtime.errors import WorkerError
from contracts.names import ExitCode


@dataclass(frozen=True)
class Kind:
    """Of pictures: size in pixels, and plain format."""

    width: int
    height: int
    pixel_format: str


def kind_of(frame: VideoFrame) -> Kind:
    """Raises WorkerError UNSUPPORTED for formats that `plain_format` does not know."""
    return Kind(frame.width, frame.height, plain_format(frame.format.name))


def kind_change(
    name: str, before: Kind, after: Kind, *, frame: int, seconds: float | None
) -> WorkerError:
    """The error UNSUPPORTED: names both kinds and the frame (at `seconds`, if known) that differs
    from those before it.
    """
    place = f"frame {frame}" if seconds is None else f"frame {frame} ({seconds:.3f} s)"
    what, parts = "pixel format", "format"
    change = f"from {before.pixel_format} to {after.pixel_format}"
    if (before.width, before.height) != (after.width, after.height):
        what, parts = "picture size", "size"
        change = f"from {before.width}x{before.height} to {after.width}x{after.height}"
    return WorkerError(
        ExitCode.UNSUPPORTED,
        f"{name} changes its {what} {change} at {place}; cut it into parts of one {parts}",
    )
