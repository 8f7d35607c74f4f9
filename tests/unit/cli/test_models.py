"""`--model`: a name, a file, or something that is neither."""

from pathlib import Path

import pytest

from cli import models
from cli.errors import UserError
from cli.models import inspected, model_file, stored_files
from contracts.keys import model_facts_key, model_weights_key, parse_stored_model
from contracts.models import StoredModel
from contracts.names import ExitCode
from tests.support.users_models import saved


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "superres" / "models"


def test_names_are_told_from_files(tmp_path: Path) -> None:
    path = saved(tmp_path, "compact")
    assert model_file(str(path)) == path
    for name in ("x4plus", "models/" + "0" * 64, "models/" + "0" * 64 + ".json", "x5plus"):
        assert model_file(name) is None


@pytest.mark.parametrize(
    ("name", "reason"),
    [("nowhere.pth", "no such file"), ("a/b", "no such file"), (".", "is not a file")],
)
def test_what_looks_like_a_file_and_is_none_is_refused(name: str, reason: str) -> None:
    with pytest.raises(UserError, match=reason) as caught:
        model_file(name)
    assert caught.value.exit_code == 2


def test_a_file_is_looked_at_once_and_kept_by_its_hash(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(tmp_path, "compact")
    digest = str(parse_stored_model(inspected(path)))
    monkeypatch.setattr(models.subprocess, "run", lambda *_, **__: pytest.fail("looked again"))
    assert inspected(path) == f"models/{digest}"
    files = stored_files(digest)
    assert set(files) == {model_facts_key(digest), model_weights_key(digest)}
    assert all(file.parent == cache and file.is_file() for file in files.values())
    facts = StoredModel.model_validate_json(files[model_facts_key(digest)].read_bytes()).facts
    assert facts.weights_sha256 == digest


def test_the_refusal_of_a_file_keeps_its_sentence_and_its_code(tmp_path: Path) -> None:
    path = tmp_path / "holiday.pth"
    path.write_bytes(b"not weights at all")
    with pytest.raises(UserError, match=r"holiday.pth is not a model: neither") as caught:
        inspected(path)
    assert caught.value.exit_code == ExitCode.BAD_SOURCE


def test_a_hash_that_this_machine_never_saw_is_refused() -> None:
    with pytest.raises(UserError, match="name its file once instead"):
        stored_files("0" * 64)
