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
for module in pkgutil.iter_modules(rest_framework.__path__):
    try:
        importlib.import_module(f"{rest_framework.__name__}.{module.name}")
    except ImportError as error:
        print(module.name, error.name.partition(".")[0])
"""


@pytest.fixture
def failed_imports(settings):
    """Return the modules that cannot be imported, with what they want."""
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
    """Two modules want them, and say which; nothing else does."""
    assert failed_imports == ["filters django_filters", "schema drf_spectacular"]
