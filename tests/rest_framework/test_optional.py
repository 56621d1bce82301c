"""django-filter and drf-spectacular may be absent."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

# None in sys.modules makes the import fail, as if the package were not installed.
PROGRAM = """
import importlib, pkgutil, sys
sys.modules.update(django_filters=None, drf_spectacular=None)
import django
django.setup()
from django_uidgen import rest_framework
prefix = f"{rest_framework.__name__}."
for module in pkgutil.walk_packages(rest_framework.__path__, prefix):
    try:
        importlib.import_module(module.name)
    except ImportError as error:
        print(module.name.removeprefix(prefix), error.name.partition(".")[0])
"""


@pytest.fixture
def failed_imports(settings):
    """Return the modules that cannot be imported, with the package each misses."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=os.environ | {"DJANGO_SETTINGS_MODULE": settings.SETTINGS_MODULE},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return sorted(done.stdout.splitlines())


def test_without_them(failed_imports):
    """Three modules need them, and name the one that is missing; no other does."""
    assert failed_imports == [
        "endpoint.schema drf_spectacular",
        "filters django_filters",
        "schema drf_spectacular",
    ]
