"""Which files are read as films: by the workers, and where a picture of one is drawn."""

DEMUXERS = (
    "mov", "matroska", "mpegts", "mpeg", "avi", "mxf", "ivf", "ogg", "flv", "asf",
    "dv",
)  # fmt: skip
"""FFmpeg's names. None is a list of other files."""
