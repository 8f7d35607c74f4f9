"""NVIDIA's hardware encoders: when a job gets one, and the options that decide its bytes."""

from contracts.film.manifest import Output
from contracts.job import SVT_PRESETS, X26X_PRESETS, Codec
from contracts.limits import NVENC_MAX_SIDE, NVENC_MIN_SIDES

_FORMATS = {
    Codec.H264: ("yuv420p",),  # in more bits only since Blackwell, which no instance here has
    Codec.HEVC: ("yuv420p", "yuv420p10le"),
    Codec.AV1: ("yuv420p", "yuv420p10le"),
}
_B_FRAMES = {Codec.H264: 2, Codec.HEVC: 2, Codec.AV1: 0}
_AV1_STEPS = 4
"""Of AV1's 255 quantisers, to one of the 63 that a user names."""
_SLOWEST = 7
_PRESETS = {
    **{name: f"p{min(1 + i, _SLOWEST)}" for i, name in enumerate(X26X_PRESETS)},
    **{name: f"p{_SLOWEST - int(name) // 2}" for name in SVT_PRESETS},
}
"""From our presets (x26x: fast to slow, SVT: slow to fast) to NVENC's p1 (fastest) to p7."""


def suits(codec: Codec, pixel_format: str, output: Output, *, lossless: bool) -> bool:
    """Whether NVENC can make this result. AV1 has no lossless mode there."""
    sides = output.width, output.height
    return (
        pixel_format in _FORMATS.get(codec, ())
        and max(sides) <= NVENC_MAX_SIDE[codec.value]
        and all(side >= least for side, least in zip(sides, NVENC_MIN_SIDES, strict=True))
        and not (lossless and codec is Codec.AV1)
    )


def name(codec: Codec) -> str:
    """FFmpeg's name of the encoder."""
    return f"{codec.value}_nvenc"


def options(
    codec: Codec, distance: int, quality: int, preset: str, *, lossless: bool
) -> dict[str, str]:
    """Constant quantiser, closed groups of fixed length: nothing depends on what came before."""
    quantiser = quality * (_AV1_STEPS if codec is Codec.AV1 else 1)
    rate = {"tune": "lossless"} if lossless else {"tune": "hq", "rc": "constqp"}
    return {
        "preset": _PRESETS[preset],
        **rate,
        "qp": str(0 if lossless else quantiser),
        "g": str(distance),
        "bf": str(_B_FRAMES[codec]),
        "b_ref_mode": "disabled",
        "rc-lookahead": "0",
        "no-scenecut": "1",
        "strict_gop": "1",
        "flags": "+cgop",
    }
