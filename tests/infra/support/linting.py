"""Third-party linters, made callable."""

import importlib.util
import json
import sys
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def _without_setuptools() -> None:
    """parliament asks pkg_resources, which setuptools no longer brings, for two file paths."""

    def resource_filename(package: str, name: str) -> str:
        spec = importlib.util.find_spec(package)
        assert spec is not None
        assert spec.origin is not None
        return str(Path(spec.origin).parent / name)

    shim = types.ModuleType("pkg_resources")
    vars(shim)["resource_filename"] = resource_filename
    sys.modules.setdefault("pkg_resources", shim)


TLS_VERSION = "s3:TlsVersion"
"""parliament takes whole numbers only, and lists the key for all S3 actions but two."""


def policy_findings(document: Mapping[str, Any]) -> list[str]:
    """What parliament says against a policy; nothing where it is clean."""
    _without_setuptools()
    from parliament import analyze_policy_string

    findings = analyze_policy_string(json.dumps(document)).findings
    listed = [f"{f.issue}: {f.detail} {f.location}" for f in findings]
    return [finding for finding in listed if TLS_VERSION not in finding]
