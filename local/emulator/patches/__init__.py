"""What ministack 1.5.33 does differently from AWS and matters to us, one module a subject."""

from local.emulator import iam, keys, state
from local.emulator.batch import api as batch_api
from local.emulator.patches import (
    events_content,
    events_delivery,
    image_registry,
    lambda_errors,
    lambda_readiness,
    missing_objects,
    permissions,
    spot_fleets,
    version_ranges,
    workflow_endings,
    workflow_waiting,
)
from local.emulator.patching import Needs, verify

_PATCHES = (
    permissions.access_log,  # innermost: it sees each resource of a call by itself
    events_content,
    events_delivery,
    permissions.events,
    image_registry,
    lambda_errors,
    permissions.functions,
    lambda_readiness,
    missing_objects,
    permissions.requests,
    spot_fleets,
    version_ranges,
    workflow_endings,
    permissions.workflows,
    workflow_waiting,
    permissions.keys,  # outermost: a call and each use of a key that it takes are asked one by one
)


def apply_all(*further: Needs) -> None:
    """Raises patching.PatchError, where a name of ours or of `further` is missing, unchanged."""
    verify([*(module.NEEDS for module in (*_PATCHES, batch_api, iam, keys, state)), *further])
    for patch in _PATCHES:
        patch.apply()
