"""Writes docs/benchmarks.md: each benchmark writes its section, with the day and the machine."""

import datetime
import platform
from importlib.metadata import version
from pathlib import Path

from benchmarks.superres import ROOT
from cli.stacks.machine import cores
from tools.sections import between

PAGE = ROOT / "docs" / "benchmarks.md"
SIMD = ("avx2", "avx512f", "avx512_bf16", "avx_vnni", "amx_tile")


def describe_machine() -> str:
    """Name the processor, its cores and its wide SIMD instructions."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.split(":", 1)[1].strip() for line in lines if "model name" in line), "?")
    flags = next((line for line in lines if line.startswith("flags")), "")
    simd = [name for name in SIMD if name in flags.split()]
    return f"{model}, {cores()} cores ({', '.join(simd) or 'no wide SIMD'}), {platform.machine()}"


def provenance(*packages: str, also: str = "") -> str:
    """Format one line: the day, the machine, the packages' versions, and `also`."""
    versions = [f"Python {platform.python_version()}"]
    versions += [f"{name} {version(name)}" for name in packages]
    if also:
        versions.append(also)
    day = f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}"
    return f"{day}; {describe_machine()}; {', '.join(versions)}."


def write_section(name: str, text: str, page: Path = PAGE) -> None:
    """Put `text` between the page's comments `name`. Raises ValueError if it has none."""
    page.write_text(between(name, lambda: text)(page.read_text()))
