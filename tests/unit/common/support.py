"""What tests of confined children share."""

import contextlib
from fractions import Fraction
from pathlib import Path

from containers.common.confined.parent import Confinement
from contracts.film.facts import Colour, Video

PROGRAMS = "tests.unit.common.confined_programs:"
LIMITS = Confinement(memory_mib=512, cpu_seconds=60, stall_seconds=30)
COLOUR = Colour(primaries=1, transfer=1, matrix=1, full_range=False)


def video(pixel_format: str = "yuv420p", width: int = 64, height: int = 48) -> Video:
    """Facts of a film of 25 frames a second, as a decoder needs them."""
    return Video(
        stream_index=0, codec="h264", width=width, height=height, pixel_format=pixel_format,
        bit_depth=8, time_base=Fraction(1, 12800), frame_rate=Fraction(25),
        sample_aspect_ratio=Fraction(1), rotation=0, colour=COLOUR, working_colour=COLOUR,
        frames=1, start_pts=0, end_pts=1,
    )  # fmt: skip


def children() -> set[str]:
    """Of this process, ended ones that nobody waited for included; other tests may have some."""
    found: set[str] = set()
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # the thread has ended
            found.update((task / "children").read_text().split())
    return found
