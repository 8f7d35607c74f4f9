"""FFmpeg's errors, which mean damage; a lack of memory does not, so it is raised as it is."""

import contextlib
from collections.abc import Callable, Iterator

import av.error


@contextlib.contextmanager
def media_errors_as(make: Callable[[av.error.FFmpegError], Exception]) -> Iterator[None]:
    """Raise what `make` makes of FFmpeg's error, and a MemoryError as it is."""
    try:
        yield
    except av.error.FFmpegError as error:
        if isinstance(error, MemoryError):
            raise
        raise make(error) from error


@contextlib.contextmanager
def suppress_media_errors() -> Iterator[None]:
    """Go on behind the block where FFmpeg fails; raise a MemoryError."""
    with contextlib.suppress(_MediaError), media_errors_as(_MediaError):
        yield


class _MediaError(Exception):
    """What `suppress_media_errors` drops."""
