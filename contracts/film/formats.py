"""Which files are read as films, by the workers and for the before/after picture."""

DEMUXERS = (
    "mov", "matroska", "mpegts", "mpeg", "avi", "mxf", "ivf", "ogg", "flv", "asf",
    "dv",
)  # fmt: skip
"""FFmpeg's names. None of these formats refers to other files."""
