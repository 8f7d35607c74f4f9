"""Snapshot files: one per fingerprint, complete or absent, the newest few kept.

A file is one header line (digest of the rest, the address that the state names) and the
state. It is written aside and renamed, so concurrent runs need no lock; URLs in the state name
the port of the run that saved it, and are rewritten to the port of the run that loads it.
"""

import contextlib
import hashlib
import json
import os
import secrets
from pathlib import Path

_SUFFIX = ".snapshot"
_KEPT = 3


def save(folder: Path, key: str, address: str, state: bytes) -> None:
    """`address` is host:port."""
    folder.mkdir(parents=True, exist_ok=True)
    header = {"sha256": hashlib.sha256(state).hexdigest(), "address": address}
    aside = folder / f"{key}.{secrets.token_hex(4)}.part"
    aside.write_bytes(json.dumps(header).encode() + b"\n" + state)
    aside.replace(folder / (key + _SUFFIX))
    _prune(folder)


def read(folder: Path, key: str, address: str) -> bytes | None:
    """The state for `address`; None if there is none, or the file is damaged."""
    path = folder / (key + _SUFFIX)
    try:
        header, _, state = path.read_bytes().partition(b"\n")
        saved = json.loads(header)
        if saved["sha256"] != hashlib.sha256(state).hexdigest():
            return None
        os.utime(path)
        return state.replace(saved["address"].encode(), address.encode())
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _prune(folder: Path) -> None:
    def age(path: Path) -> float:
        try:
            return path.stat().st_mtime
        except FileNotFoundError:  # another run prunes too
            return 0.0

    newest = sorted(folder.glob("*" + _SUFFIX), key=age, reverse=True)
    for path in newest[_KEPT:]:
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
