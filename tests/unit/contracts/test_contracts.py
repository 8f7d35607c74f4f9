"""What the rooms agree on survives every journey, and what breaks it is refused in one sentence."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from contracts.base import Contract
from contracts.film.ledger import ShardResult
from contracts.film.manifest import Manifest, Run
from contracts.limits import S3_USER_METADATA_BYTES
from contracts.messages import RegistryRecord
from contracts.models import Engine
from contracts.names import SHARD_RESULT_METADATA
from tests.unit.contracts.support import (
    ASCII,
    EXECUTION_INPUTS,
    FAILURES,
    JOB_IDS,
    JOBS,
    NOTIFICATIONS,
    RECORDS,
    SIZES,
    STAGE_REQUESTS,
    manifests,
    settings,
)

CONTRACTS = st.one_of(
    settings(),
    JOBS,
    manifests(),
    STAGE_REQUESTS,
    FAILURES,
    EXECUTION_INPUTS,
    NOTIFICATIONS,
    RECORDS,
)


@given(CONTRACTS)
def test_every_contract_survives_its_json(contract: Contract) -> None:
    assert type(contract).model_validate_json(contract.to_json()) == contract


@given(CONTRACTS)
def test_an_unknown_field_is_refused(contract: Contract) -> None:
    fields = {**contract.model_dump(mode="json"), "surprise": 1}
    with pytest.raises(ValidationError, match="surprise"):
        type(contract).model_validate(fields)


@given(RECORDS)
def test_a_record_survives_the_registry_which_keeps_no_empty_fields(record: RegistryRecord) -> None:
    item = record.model_dump(mode="json", exclude_none=True)
    assert RegistryRecord.from_item({**item, "pk": "x", "sk": "job", "expires_at": 1}) == record


@given(manifests())
def test_a_manifest_that_does_not_cover_its_film_is_refused(manifest: Manifest) -> None:
    fields = manifest.model_dump()
    for wrong in (
        {"shards": fields["shards"][:-1]},
        {"runs": fields["runs"][:-1]},
        {"shards": [*fields["shards"], fields["shards"][-1]]},
        {"runs": [*fields["runs"], Run(index=len(fields["runs"]), first_shard=0, shards=1)]},
    ):
        with pytest.raises(ValidationError):
            Manifest.model_validate({**fields, **wrong})


@given(manifests())
def test_the_runs_of_a_manifest_name_its_shards_in_order(manifest: Manifest) -> None:
    named = [shard for run in manifest.runs for shard in manifest.shards_of(run)]
    assert tuple(named) == manifest.shards


@given(
    st.builds(
        ShardResult,
        job_id=JOB_IDS,
        index=st.integers(0, 10**6),
        decoded_frames=st.integers(0, 10**6),
        upscaled_frames=st.integers(0, 10**6),
        frames=st.integers(1, 10**6),
        bytes=SIZES,
        sha256=st.just("f" * 64),
        decode_seconds=st.floats(0, 1e6),
        inference_seconds=st.floats(0, 1e6),
        encode_seconds=st.floats(0, 1e6),
        wall_seconds=st.floats(0, 1e6),
        bound_by=st.sampled_from(["decode", "inference", "encode"]),
        device_share=st.floats(0, 1),
        repeated_frames=st.integers(0, 10**6),
        concealed_frames=st.integers(0, 10**6),
        tile=st.integers(0, 10**4),
        peak_memory_mib=st.integers(0, 10**7),
        device_memory_mib=st.integers(0, 10**7),
        device=ASCII,
        engine=st.sampled_from(Engine),
        weights_sha256=st.just("0" * 64),
        versions=st.dictionaries(ASCII.filter(bool), ASCII, max_size=8),
    )
)
def test_a_shards_result_fits_into_the_metadata_of_its_object(result: ShardResult) -> None:
    text = result.to_json()
    assert len(SHARD_RESULT_METADATA) + len(text.encode()) <= S3_USER_METADATA_BYTES
    assert text.isascii()
    assert ShardResult.model_validate_json(text) == result
