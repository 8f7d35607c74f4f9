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
        ({"scale": "5"}, "scale: got '5', allowed are 2, 3 and 4"),
        ({"fit": "big"}, "fit: got 'big', give the lines of the result, such as 2160p"),
        ({"fit": "721p"}, "fit: got '721', input should be a multiple of 2"),
        ({"strength": "0"}, "strength: got '0', input should be greater than 0"),
        (
            {"strength": "0.5", "model": "lanczos"},
            "strength has no meaning for lanczos; leave it out",
        ),
        ({"grain": "some"}, "grain: got 'some', allowed are keep, and levels over 0 up to 32"),
        ({"grain": "0"}, "grain: got '0', allowed are keep, and levels over 0 up to 32"),
        (
            {"grain": "keep", "model": "lanczos"},
            "grain needs a network, for lanczos keeps all grain; leave it out",
        ),
        ({"codec": "vp9"}, "codec: got 'vp9', allowed are h264, hevc, av1, prores, ffv1"),
        ({"quality": "52"}, "quality 52: h264 allows 0 to 51"),
        (
            {"codec": "ffv1", "quality": "1"},
            "quality has no meaning for ffv1; leave it out",
        ),
        (
            {"codec": "ffv1", "container": "mp4"},
            "container mp4 cannot hold ffv1; choose mkv",
        ),
        (
            {"codec": "prores", "container": "webm"},
            "container webm cannot hold prores; choose mov, mkv",
        ),
        (
            {"codec": "av1", "pixel_format": "yuv444p"},
            "pixel_format 'yuv444p': av1 allows yuv420p, yuv420p10le",
        ),
        (
            {"codec": "prores", "preset": "hq", "pixel_format": "yuv444p10le"},
            "preset 'hq': yuv444p10le allows 4444, 4444xq",
        ),
        ({"codec": "prores", "quality": "9"}, "quality has no meaning for prores; leave it out"),
        ({"sacle": "2"}, "sacle: is not a known field"),
    ],
)
def test_a_wrong_setting_is_named_with_what_is_allowed(
    fields: dict[str, str], sentence: str
) -> None:
    with pytest.raises(ContractError) as refused:
        Settings.parse(fields)
    assert str(refused.value) == sentence
