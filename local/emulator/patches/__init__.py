"""Where ministack 1.5.33 differs from AWS in what matters to us: one module for each subject."""

from local.emulator import iam, key_usage, snapshot_state
from local.emulator.batch import api as batch_api
from local.emulator.patches import (
    ecr_images,
    event_object_versions,
    event_retries,
    execution_ends,
    lambda_activation,
    lambda_error_names,
    missing_object_errors,
    permissions,
    ranged_version_reads,
    spot_fleet_requests,
    task_token_timeouts,
)
from local.emulator.patching import Needs, verify

_PATCHES = (
    permissions.access_log,  # innermost: it sees each resource of a call by itself
    event_object_versions,
    event_retries,
    permissions.events,
    ecr_images,
    lambda_error_names,
    permissions.functions,
    lambda_activation,
    missing_object_errors,
    permissions.requests,
    spot_fleet_requests,
    ranged_version_reads,
    execution_ends,
    permissions.workflows,
    task_token_timeouts,
    permissions.keys,  # outermost: checks a call and each use of a key that it needs
)


def apply_all(*further: Needs) -> None:
    """Raises patching.PatchError, with nothing changed, if a name that a patch needs is missing."""
    verify(
        [
            *(module.NEEDS for module in (*_PATCHES, batch_api, iam, key_usage, snapshot_state)),
            *further,
        ]
    )
    for patch in _PATCHES:
        patch.apply()
