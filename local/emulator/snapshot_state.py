"""The deployed emulator as bytes, and back: what a snapshot file holds."""

import base64
import json
import logging
import time
from pathlib import Path
from typing import Any

from ministack import app
from ministack.core import persistence
from ministack.services import eventbridge, lambda_svc

NEEDS = {
    "ministack.app": (
        "_build_persistence_save_dict",
        "_get_module",
        "_reset_all_state",
        "_state_map",
    ),
    "ministack.core.persistence": ("_json_default", "_json_object_hook"),
    "ministack.services.eventbridge": ("_rule_last_fired", "_rules"),
    "ministack.services.lambda_svc": ("CODE_BLOB_DIR",),
}

log = logging.getLogger(__name__)


def dump(outputs: dict[str, Any]) -> bytes:
    """All services' state with the stack's outputs."""
    services = {name: get() for name, get in app._build_persistence_save_dict().items()}
    code = {
        path.name: base64.b64encode(path.read_bytes()).decode()
        for path in Path(lambda_svc.CODE_BLOB_DIR).glob("*.zip")
    }
    document = {"outputs": outputs, "services": services, "code": code}
    return json.dumps(document, default=persistence._json_default).encode()


def load(body: bytes) -> dict[str, Any]:
    """Restore into an empty emulator; returns the stack's outputs.

    Raises whatever a bad document causes, and leaves the emulator empty.
    """
    try:
        document = json.loads(body, object_hook=persistence._json_object_hook)
        folder = Path(lambda_svc.CODE_BLOB_DIR)
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in document["code"].items():
            (folder / name).write_bytes(base64.b64decode(content))
        for name, payload in document["services"].items():
            app._get_module(app._state_map[name]).load_persisted_state(payload)
        # as if the stack had been deployed just now: else every schedule is due at once
        eventbridge._rule_last_fired.update(dict.fromkeys(eventbridge._rules._data, time.time()))
        return document["outputs"]
    except Exception:
        app._reset_all_state()
        raise
