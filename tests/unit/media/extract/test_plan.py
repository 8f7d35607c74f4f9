"""From facts and settings to all that decides the bytes."""

from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest

from containers.common.runtime.errors import WorkerError
from containers.media.extract.plan.encoder import ENCODERS, plan_encoder
from containers.media.extract.plan.inference import plan_inference
from containers.media.extract.plan.model import Model
from containers.media.extract.plan.output import plan_output
from containers.media.recompose.mux.clock import mp4_timescale, rescale
from contracts.film.facts import Colour, Video
from contracts.film.manifest import Inference
from contracts.job import HOLDS, PIXEL_FORMATS, PRESETS, Codec, Container, Settings
from contracts.models import CATALOGUE, Engine, ModelName
from contracts.planning import SMALLEST_TILE
from contracts.stack.environ import ExtractEnvironment
from tests.support.bench import EXTRACT_ENVIRONMENT

BT709 = Colour(primaries=1, transfer=1, matrix=1, full_range=False)


def video(width: int = 640, height: int = 360, **changes: Any) -> Video:
    facts: dict[str, Any] = {
        "stream_index": 0, "codec": "h264", "width": width, "height": height,
        "pixel_format": "yuv420p", "bit_depth": 8, "time_base": Fraction(1, 24000),
        "frame_rate": Fraction(24000, 1001), "sample_aspect_ratio": Fraction(1), "rotation": 0,
        "colour": BT709, "working_colour": BT709, "frames": 100, "start_pts": 0,
        "end_pts": 100100, **changes,
    }  # fmt: skip
    return Video(**facts)


def environment(**changes: str) -> ExtractEnvironment:
    return ExtractEnvironment.model_validate(
        {**EXTRACT_ENVIRONMENT, "job_id": "film-1", "encoder_threads": "3", **changes}
    )


def encoder(facts: Video, hardware: bool = False, **settings: Any) -> Any:
    chosen = Settings(**settings)
    output = plan_output(chosen, facts, Container.MP4)
    return plan_encoder(chosen, facts, output, threads=3, hardware=hardware)


@pytest.mark.parametrize(
    ("codec", "name", "options"),
    [
        ("h264", "libx264", {"preset": "fast", "crf": "18", "g": "48"}),
        ("hevc", "libx265", {"preset": "fast", "crf": "20"}),
        ("av1", "libsvtav1", {"preset": "8", "crf": "28", "g": "48"}),
        ("prores", "prores_ks", {"profile": "hq", "vendor": "apl0"}),
        ("ffv1", "ffv1", {"level": "3", "slicecrc": "1"}),
    ],
)
def test_each_codec_has_its_encoder_and_defaults(
    codec: str, name: str, options: dict[str, str]
) -> None:
    planned = encoder(video(), codec=codec)
    assert (planned.codec.value, planned.encoder, planned.threads) == (codec, name, 3)
    assert options.items() <= planned.options.items()
    assert planned.shard_container in (Container.MP4, Container.MOV, Container.MKV)
    assert Codec(codec) in HOLDS[planned.shard_container]


def test_groups_are_closed_and_two_seconds_long() -> None:
    assert encoder(video()).options["x264-params"] == "open-gop=0"
    params = encoder(video(), codec="hevc").options["x265-params"].split(":")
    assert {"open-gop=0", "keyint=48", "frame-threads=2"} <= set(params)
    assert encoder(video(frame_rate=Fraction(500))).options["g"] == "250"
    assert encoder(video(frame_rate=Fraction(1))).options["g"] == "2"


def test_the_users_quality_and_preset_are_taken() -> None:
    planned = encoder(video(), codec="av1", quality=40, preset="12").options
    assert (planned["crf"], planned["preset"]) == ("40", "12")


def test_quality_0_is_lossless() -> None:
    x264 = encoder(video(), quality=0).options
    assert (x264["qp"], x264.get("crf")) == ("0", None)
    assert "lossless=1" in encoder(video(), codec="hevc", quality=0).options["x265-params"]
    assert "lossless=1" in encoder(video(), codec="av1", quality=0).options["svtav1-params"]


@pytest.mark.parametrize(
    ("codec", "source", "bits", "result"),
    [
        ("h264", "yuv420p", 8, "yuv420p"),
        ("h264", "yuv422p10le", 10, "yuv420p10le"),
        ("hevc", "yuv444p12le", 12, "yuv420p10le"),
        ("av1", "gbrp10le", 10, "yuv420p10le"),
        ("prores", "yuv420p", 8, "yuv422p10le"),
        ("prores", "yuva444p12le", 12, "yuva444p10le"),
        ("ffv1", "yuv420p", 8, "yuv420p"),
        ("ffv1", "yuvj422p", 8, "yuv422p"),
        ("ffv1", "yuv422p12le", 12, "yuv422p12le"),
        ("ffv1", "gbrp10le", 10, "yuv444p10le"),
        ("ffv1", "gray16le", 16, "yuv420p16le"),
        ("ffv1", "rgb24", 8, "yuv444p"),
        ("ffv1", "pal8", 8, "yuv444p"),
        ("ffv1", "yuva420p", 8, "yuva420p"),
        ("ffv1", "rgba64be", 16, "yuva444p16le"),
        ("ffv1", "ya8", 8, "yuva444p"),
        ("hevc", "yuva420p", 8, "yuv420p"),
    ],
)
def test_deep_sources_stay_deep_and_the_rest_plays_everywhere(
    codec: str, source: str, bits: int, result: str
) -> None:
    facts = video(pixel_format=source, bit_depth=bits)
    assert encoder(facts, codec=codec).pixel_format == result


def test_the_users_pixel_format_is_taken() -> None:
    assert encoder(video(), pixel_format="yuv444p10le").pixel_format == "yuv444p10le"


@pytest.mark.parametrize(
    ("settings", "profile", "pixel_format"),
    [
        ({"preset": "lt"}, "lt", "yuv422p10le"),
        ({"preset": "4444xq"}, "4444xq", "yuv444p10le"),
        ({"pixel_format": "yuv444p10le"}, "4444", "yuv444p10le"),
        ({"pixel_format": "yuva444p10le"}, "4444", "yuva444p10le"),
    ],
)
def test_a_prores_profile_and_its_pixels_go_together(
    settings: dict[str, Any], profile: str, pixel_format: str
) -> None:
    planned = encoder(video(), codec="prores", **settings)
    assert (planned.options["profile"], planned.pixel_format) == (profile, pixel_format)


@pytest.mark.parametrize("codec", Codec)
def test_every_pixel_format_on_offer_is_one_that_the_encoder_takes(codec: Codec) -> None:
    taken = {f.name for f in av.Codec(ENCODERS[codec], "w").video_formats or []}
    assert set(PIXEL_FORMATS[codec]) <= taken


def test_h264_gives_way_to_hevc_above_4096_pixels(caplog: pytest.LogCaptureFixture) -> None:
    assert encoder(video(1024, 1024), scale=4).codec is Codec.H264
    planned = encoder(video(1026, 576), scale=4)
    assert (planned.codec, planned.encoder) == (Codec.HEVC, "libx265")
    assert planned.instead_of is Codec.H264
    assert encoder(video(1024, 1024), scale=4).instead_of is None
    assert "4104x2304 is more than H.264 decoders take" in caplog.text


@pytest.mark.parametrize(
    ("codec", "width", "height"),
    [("h264", 3072, 3000), ("hevc", 4300, 100), ("av1", 4098, 100), ("av1", 100, 2178)],
)
def test_a_result_that_no_level_of_its_codec_holds_is_refused(
    codec: str, width: int, height: int
) -> None:
    with pytest.raises(WorkerError, match=f"{4 * width}x{4 * height} pixels; .* allows"):
        encoder(video(width, height), scale=4, codec=codec)
    assert encoder(video(width, height), scale=4, codec="ffv1").codec is Codec.FFV1


@pytest.mark.parametrize(("codec", "width", "height"), [("hevc", 2048, 1088), ("av1", 2048, 1088)])
def test_the_largest_level_of_a_codec_is_used_up(codec: str, width: int, height: int) -> None:
    assert encoder(video(width, height), scale=4, codec=codec).codec is Codec(codec)


def plan(settings: Settings, film: Video, stack: ExtractEnvironment) -> Inference:
    model = Model(CATALOGUE[ModelName(settings.model)])
    return plan_inference(settings, model, film, stack)


@pytest.mark.parametrize(
    ("width", "height", "fit", "size"),
    [
        (640, 360, "2160p", (3840, 2160)),
        (1920, 800, 2160, (5184, 2160)),
        (853, 480, "1080p", (1920, 1080)),
        (720, 576, "576", (720, 576)),
    ],
)
def test_fit_gives_the_lines_asked_for_and_keeps_the_aspect(
    width: int, height: int, fit: Any, size: tuple[int, int]
) -> None:
    settings = Settings(fit=fit)
    output = plan_output(settings, video(width, height), Container.MP4)
    assert ((output.width, output.height), output.label) == (size, f"{size[1]}p")
    planned = plan(settings, video(width, height), environment())
    assert planned.scale == size[1] / height


def test_strength_is_passed_on() -> None:
    assert plan(Settings(strength=0.6), video(), environment()).strength == 0.6


@pytest.mark.parametrize(("asked", "grain"), [(None, None), ("keep", "keep"), ("2.5", 2.5)])
def test_grain_is_passed_on(asked: Any, grain: Any) -> None:
    assert plan(Settings(grain=asked), video(), environment()).grain == grain


@pytest.mark.parametrize(("transfer", "anchored"), [(1, False), (16, True), (18, True)])
def test_networks_are_held_to_the_source_in_hdr_only(transfer: int, anchored: bool) -> None:
    colour = Colour(primaries=9, transfer=transfer, matrix=9, full_range=False)
    facts = video(working_colour=colour)
    assert plan(Settings(), facts, environment()).anchored is anchored
    lanczos = Settings(model=ModelName.LANCZOS)
    assert not plan(lanczos, facts, environment()).anchored


def test_encoders_are_told_where_chroma_lies_unless_it_goes_without_saying() -> None:
    assert "chroma_sample_location" not in encoder(video()).options
    said = encoder(video(chroma_location=3)).options["chroma_sample_location"]
    assert said == "topleft"


def test_lanczos_works_on_integers_and_needs_no_tiles() -> None:
    settings = Settings(model=ModelName.LANCZOS)
    planned = plan(settings, video(3840, 2160), environment())
    assert (planned.dtype, planned.tile, planned.facts.weights_sha256) == ("uint8", 0, None)
    assert plan(settings, video(bit_depth=10), environment()).dtype == "uint16"


@pytest.mark.parametrize(
    ("width", "height", "model", "tile", "halo"),
    [
        (320, 180, ModelName.X4PLUS, 0, 0),
        (1280, 720, ModelName.X4PLUS, 371, 48),
        (1280, 720, ModelName.ANIMEVIDEOV3, 0, 0),
        (1920, 1080, ModelName.ANIMEVIDEOV3, 823, 18),
    ],
)
def test_networks_are_tiled_where_memory_asks_for_it(
    width: int, height: int, model: ModelName, tile: int, halo: int
) -> None:
    settings = Settings(model=model, scale=4)
    planned = plan(settings, video(width, height), environment())
    assert (planned.tile, planned.halo, planned.scale) == (tile, halo, 4)
    assert (planned.dtype, planned.threads) == ("float32", 1)


@pytest.mark.parametrize(
    ("model", "wanted", "dtype", "engine"),
    [
        (ModelName.ANIMEVIDEOV3, "ncnn", "float32", Engine.NCNN),
        (ModelName.ANIMEVIDEOV3, "ncnn", "bfloat16", Engine.TORCH),
        (ModelName.ANIMEVIDEOV3, "torch", "float32", Engine.TORCH),
        (ModelName.X4PLUS, "ncnn", "float32", Engine.TORCH),
        (ModelName.LANCZOS, "ncnn", "float32", Engine.OPENCV),
    ],
)
def test_ncnn_takes_what_it_does_faster_and_exactly(
    model: ModelName, wanted: str, dtype: str, engine: Engine
) -> None:
    stack = environment(inference_engine=wanted, inference_dtype=dtype)
    assert plan(Settings(model=model), video(), stack).engine is engine


def test_a_picture_that_memory_cannot_hold_gets_the_smallest_tiles() -> None:
    planned = plan(Settings(), video(3840, 2160), environment(inference_memory_mib="9"))
    assert (planned.tile, planned.halo) == (SMALLEST_TILE, 18)


@pytest.mark.parametrize(
    ("time_base", "stamps", "end", "scale"),
    [
        (Fraction(1, 25), [0, 1, 2], 3, 12800),
        (Fraction(1, 90000), [0, 3600, 7201], 10801, 90000),
        (Fraction(1, 90000), [0, 3600, 7200], 10800, 12800),
        (Fraction(1001, 24000), [0, 1, 2], 3, 24000),
        (Fraction(1, 10**9), [0, 40_000_000, 80_000_000], 120_000_000, 12800),
    ],
)
def test_the_timescale_of_mp4_holds_every_timestamp(
    time_base: Fraction, stamps: list[int], end: int, scale: int
) -> None:
    assert mp4_timescale(time_base, np.array(stamps), end) == scale
    assert all((stamp * time_base * scale).denominator == 1 for stamp in [*stamps, end])


def test_rescaling_goes_to_the_nearest_unit() -> None:
    assert rescale(1, Fraction(1, 24), Fraction(1, 1000)) == 42
    assert rescale(-1, Fraction(1, 24), Fraction(1, 1000)) == -42
    assert rescale(3003, Fraction(1, 90000), Fraction(1, 30000)) == 1001


@pytest.mark.parametrize(
    ("codec", "name", "options"),
    [
        ("h264", "h264_nvenc", {"preset": "p5", "qp": "18", "g": "48", "bf": "2"}),
        ("hevc", "hevc_nvenc", {"preset": "p5", "qp": "20", "g": "48", "bf": "2"}),
        ("av1", "av1_nvenc", {"preset": "p3", "qp": "112", "g": "48", "bf": "0"}),
    ],
)
def test_hardware_encodes_where_the_stack_says_so(
    codec: str, name: str, options: dict[str, str]
) -> None:
    planned = encoder(video(), hardware=True, codec=codec)
    assert planned.encoder == name
    assert options.items() <= planned.options.items()
    assert {"rc": "constqp", "strict_gop": "1", "no-scenecut": "1"}.items() <= (
        planned.options.items()
    )


@pytest.mark.parametrize(
    ("facts", "settings", "name"),
    [
        ({"pixel_format": "yuv420p10le", "bit_depth": 10}, {}, "libx264"),
        ({"pixel_format": "yuv420p10le", "bit_depth": 10}, {"codec": "hevc"}, "hevc_nvenc"),
        ({"width": 2048, "height": 1080}, {"scale": 4}, "hevc_nvenc"),
        ({"width": 2052, "height": 1000}, {"scale": 4}, "libx265"),
        ({"width": 64, "height": 48}, {}, "libx264"),
        ({}, {"quality": 0}, "h264_nvenc"),
        ({}, {"codec": "av1", "quality": 0}, "libsvtav1"),
        ({}, {"codec": "ffv1"}, "ffv1"),
        ({}, {"codec": "prores"}, "prores_ks"),
    ],
)
def test_what_hardware_cannot_make_is_encoded_on_processors(
    facts: dict[str, Any], settings: dict[str, Any], name: str
) -> None:
    assert encoder(video(**facts), hardware=True, **settings).encoder == name


def test_every_preset_has_its_twin_in_hardware() -> None:
    for codec in (Codec.H264, Codec.HEVC, Codec.AV1):
        planned = [
            encoder(video(), hardware=True, codec=codec.value, preset=preset).options["preset"]
            for preset in PRESETS[codec]
        ]
        assert set(planned) == {f"p{n}" for n in range(1, 8)}


@pytest.mark.parametrize(
    ("changes", "batch"),
    [
        ({"inference_batch": "4"}, 4),
        ({"inference_batch": "64"}, 8),
        ({"inference_batch": "4", "inference_memory_mib": "9"}, 1),
        ({}, 1),
    ],
)
def test_as_many_pictures_at_once_as_asked_for_and_as_fit(
    changes: dict[str, str], batch: int
) -> None:
    settings = {"inference_engine": "torch", "inference_memory_mib": "3800", **changes}
    assert plan(Settings(), video(), environment(**settings)).batch == batch


def test_lanczos_works_on_one_picture_at_a_time() -> None:
    planned = plan(Settings(model=ModelName.LANCZOS), video(), environment(inference_batch="4"))
    assert planned.batch == 1
