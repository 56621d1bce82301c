"""What holds for every test of the suite."""

from __future__ import annotations

import pytest
from django.apps import apps
from django.conf import settings

# Folders whose tests need Django REST framework. They are left out only by the settings
# made for its absence: with any other, its absence is an error.
NEEDS_DRF = ["example", "rest_framework"]


def pytest_configure(config: pytest.Config) -> None:
    """Refuse to run with no settings, which would mean: with no known database."""
    if not settings.configured:
        message = "Name a database: `make test` or `pytest --ds=tests.settings.sqlite`."
        raise pytest.UsageError(message)


def pytest_ignore_collect(collection_path, config: pytest.Config) -> bool | None:
    """Leave out the tests of Django REST framework where it is absent on purpose."""
    folder_left_out = collection_path.parent == config.rootpath / "tests" and (
        collection_path.name in NEEDS_DRF
    )
    if folder_left_out and not apps.is_installed("rest_framework"):
        return True
    return None
