"""A user's model in the plan: found by its hash, described once, never loaded by extract."""

from pathlib import Path

import pytest

from contracts import keys
from contracts.film.manifest import Manifest
from contracts.messages import Failure
from contracts.models import Engine, StoredModel
from contracts.names import ExitCode, Stage
from tests.support.bench import SOURCE_BUCKET, Bench
from tests.support.films import make
from tests.unit.media.support import DIGEST, FACTS


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    film = make(tmp_path / "clip.mkv", frames=6, width=64, height=48)
    return Bench(film, model=keys.stored_model(DIGEST))


def store(bench: Bench, body: bytes) -> None:
    bench.s3.put_object(Bucket=SOURCE_BUCKET, Key=keys.model_facts_key(DIGEST), Body=body)


def failure(bench: Bench) -> Failure:
    return bench.read(Failure, keys.failure_key(bench.job_id, Stage.EXTRACT))


def test_the_manifest_carries_the_models_facts_and_where_its_weights_lie(bench: Bench) -> None:
    store(bench, StoredModel(facts=FACTS).to_json().encode())
    changes = {"inference_memory_mib": "9000", "inference_dtype": "bfloat16"}
    assert bench.extract(**changes) == ExitCode.OK
    planned = bench.read(Manifest, keys.manifest_key(bench.job_id)).inference
    assert planned.facts == FACTS
    assert planned.model == keys.stored_model(DIGEST)
    assert planned.weights is not None
    assert planned.weights.key == keys.model_weights_key(DIGEST)
    assert planned.weights.bucket == SOURCE_BUCKET
    assert (planned.engine, planned.dtype) == (Engine.TORCH, "float32")
    assert (planned.tile, planned.halo) == (32, 48)


@pytest.mark.logs_errors
def test_a_model_that_nobody_stored_is_named(bench: Bench) -> None:
    assert bench.extract() == ExitCode.SOURCE_MISSING
    assert f"models/{DIGEST} is not stored in {SOURCE_BUCKET}" in failure(bench).message


@pytest.mark.logs_errors
@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"{}", "facts: is missing"),
        (b"nonsense", "invalid JSON"),
        (
            StoredModel(facts=FACTS.model_copy(update={"weights_sha256": "6" * 64})).to_json(),
            "describes weights with SHA-256 666",
        ),
        (
            StoredModel(facts=FACTS).to_json().replace('"torch"', '"ncnn"'),
            "do not say how much memory torch needs",
        ),
        (
            StoredModel(facts=FACTS).to_json().replace('"spandrel"', '"rrdb"'),
            "do not describe a model that a user brought",
        ),
    ],
)
def test_facts_that_are_not_the_weights_are_refused(
    bench: Bench, body: bytes | str, reason: str
) -> None:
    store(bench, body if isinstance(body, bytes) else body.encode())
    assert bench.extract() == ExitCode.BAD_REQUEST
    assert reason in failure(bench).message
