"""The model that the user chose, from the catalogue or stored by a user: its facts and weights."""

from dataclasses import dataclass

from containers.common.runtime.errors import WorkerError
from containers.common.runtime.storage import S3Store
from contracts.base import ObjectRef
from contracts.job import Settings
from contracts.keys import model_facts_key, model_weights_key, stored_model
from contracts.models import CATALOGUE, ModelFacts, ModelName, StoredModel
from contracts.names import ExitCode


@dataclass(frozen=True)
class Model:
    """A model of a job. `weights`: where a user's lie; None for a model in the workers' image."""

    facts: ModelFacts
    weights: ObjectRef | None = None


def find_model(settings: Settings, store: S3Store, bucket: str) -> Model:
    """The chosen model; a user's own lies in `bucket`.

    Raises WorkerError: SOURCE_MISSING where none is stored under that name, BAD_REQUEST where its
    facts are not those of its weights.
    """
    digest = settings.stored_model
    if digest is None:
        return Model(CATALOGUE[ModelName(settings.model)])
    try:
        facts = store.get_json(StoredModel, bucket, model_facts_key(digest)).facts
    except WorkerError as error:
        if error.exit_code is not ExitCode.SOURCE_MISSING:
            raise
        raise WorkerError(
            ExitCode.SOURCE_MISSING,
            f"the model {stored_model(digest)} is not stored in {bucket}; store both of its files "
            "there: superres inspect FILE --to DIR makes them",
        ) from error
    if facts.weights_sha256 != digest:
        raise WorkerError(
            ExitCode.BAD_REQUEST,
            f"s3://{bucket}/{model_facts_key(digest)} describes weights with SHA-256 "
            f"{facts.weights_sha256}; inspect the model again and store both files",
        )
    return Model(facts, ObjectRef(bucket=bucket, key=model_weights_key(digest)))
