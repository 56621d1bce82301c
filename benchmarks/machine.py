"""Where and with what a benchmark was run."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def describe(packages: list[str]) -> str:
    """Return machine, versions and date in one line."""
    every = dict.fromkeys(["Django", *packages])
    found = [f"{name} {number}" for name in every if (number := _version(name))]
    parts = [
        f"{_processor()}, {os.cpu_count()} cores",
        f"{platform.system()} {platform.machine()}",
        f"CPython {platform.python_version()}",
        f"django-uidgen {_commit()}",
        *found,
        datetime.now(UTC).date().isoformat(),
    ]
    return "; ".join(parts)


def suffix() -> str:
    """Return what is added to names for another Python than that of the docs."""
    major_and_minor = platform.python_version_tuple()[:2]
    return "" if major_and_minor == ("3", "13") else "-py" + "".join(major_and_minor)


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    names = [line.partition(":")[2] for line in lines if line.startswith("model name")]
    return names[0].strip() if names else platform.processor() or "unknown processor"


def _commit() -> str:
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
    try:
        return subprocess.check_output(command, text=True).strip()
    except (OSError, subprocess.CalledProcessError):
        return version("django-uidgen")


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
