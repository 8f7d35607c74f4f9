"""What a user chooses survives the metadata of an upload, or is refused in one sentence."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.base import ContractError
from contracts.job import Settings
from tests.unit.contracts.support import TEXT, settings


@given(settings())
def test_settings_survive_the_metadata_of_an_upload(chosen: Settings) -> None:
    assert Settings.from_metadata(chosen.to_metadata()) == chosen


@given(st.dictionaries(TEXT, TEXT))
def test_metadata_of_other_names_is_the_users_own(metadata: dict[str, str]) -> None:
    own = {k: v for k, v in metadata.items() if not k.startswith("superres-")}
    assert Settings.from_metadata(own) == Settings()


@given(
    st.dictionaries(
        st.sampled_from(sorted(Settings.model_fields)).map(lambda f: f.replace("_", "-")) | TEXT,
        TEXT | st.sampled_from(["nan", "inf", "-1", "1e999", "", "4", "h264", "\n"]),
    )
)
def test_any_metadata_gives_settings_or_one_sentence(fields: dict[str, str]) -> None:
    sentence = ""
    try:
        chosen = Settings.from_metadata({"superres-" + k: v for k, v in fields.items()})
    except ContractError as error:
        chosen, sentence = None, str(error)
    if chosen is None:
        assert sentence
        assert sentence.isprintable() or not all(name.isprintable() for name in fields)
    else:
        assert Settings.from_metadata(chosen.to_metadata()) == chosen


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"scale": "5"}, "scale: got '5', must be 2, 3 or 4"),
        ({"fit": "big"}, "fit: got 'big', must be the lines of the result, such as 2160p"),
        ({"fit": "721p"}, "fit: got '721', must be a multiple of 2"),
        ({"strength": "0"}, "strength: got '0', must be greater than 0"),
        (
            {"strength": "0.5", "model": "lanczos"},
            "strength: has no meaning for lanczos; leave it out",
        ),
        ({"grain": "some"}, "grain: got 'some', must be keep, or a number above 0, up to 32"),
        ({"grain": "0"}, "grain: got '0', must be keep, or a number above 0, up to 32"),
        (
            {"grain": "keep", "model": "lanczos"},
            "grain: has no meaning for lanczos, which keeps all grain; leave it out",
        ),
        ({"codec": "vp9"}, "codec: got 'vp9', must be h264, hevc, av1, prores or ffv1"),
        ({"quality": "52"}, "quality: got 52, must be 0 to 51 for h264"),
        (
            {"codec": "ffv1", "quality": "1"},
            "quality: has no meaning for ffv1; leave it out",
        ),
        (
            {"codec": "ffv1", "container": "mp4"},
            "container: mp4 cannot hold ffv1; choose mkv",
        ),
        (
            {"codec": "prores", "container": "webm"},
            "container: webm cannot hold prores; choose mov or mkv",
        ),
        (
            {"codec": "av1", "pixel_format": "yuv444p"},
            "pixel_format: got 'yuv444p', must be yuv420p or yuv420p10le for av1",
        ),
        (
            {"codec": "prores", "preset": "hq", "pixel_format": "yuv444p10le"},
            "preset: got 'hq', must be 4444 or 4444xq for yuv444p10le",
        ),
        ({"codec": "prores", "quality": "9"}, "quality: has no meaning for prores; leave it out"),
        ({"codec": "ffv1", "preset": "1"}, "preset: has no meaning for ffv1; leave it out"),
        ({"sacle": "2"}, "sacle: is not a known field; did you mean scale?"),
    ],
)
def test_a_wrong_setting_is_named_with_what_is_allowed(
    fields: dict[str, str], sentence: str
) -> None:
    with pytest.raises(ContractError) as refused:
        Settings.parse(fields)
    assert str(refused.value) == sentence


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"shard_seconds": "0"}, "--shard-seconds: got '0', must be greater than or equal to 0.04"),
        (
            {"codec": "av1", "pixel_format": "yuv444p"},
            "--pixel-format: got 'yuv444p', must be yuv420p or yuv420p10le for av1",
        ),
        ({"max_csot": "1"}, "--max-csot: is not a known field; did you mean --max-cost?"),
    ],
)
def test_a_wrong_setting_is_called_what_the_user_called_it(
    fields: dict[str, str], sentence: str
) -> None:
    with pytest.raises(ContractError) as refused:
        Settings.parse(fields, lambda field: "--" + field.replace("_", "-"))
    assert str(refused.value) == sentence


def test_a_wrong_piece_of_metadata_is_called_by_its_own_name() -> None:
    with pytest.raises(ContractError, match=r"^superres-pixel-format: got 'rgb', must be yuv420p,"):
        Settings.from_metadata({"superres-pixel-format": "rgb"})
