"""Functions are active as soon as they exist; ministack makes each wait for half a second."""

from ministack.services import lambda_svc

from local.emulator.patching import wrap

NEEDS = {"ministack.services.lambda_svc": ("_LAMBDA_STATE_TRANSITION_DELAY",)}


def apply() -> None:
    wrap(lambda_svc, "_LAMBDA_STATE_TRANSITION_DELAY", lambda _: 0.0)
