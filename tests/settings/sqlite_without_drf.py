"""SQLite in an environment where Django REST framework is not installed."""

from __future__ import annotations

import importlib.util

from tests.settings.sqlite import *  # noqa: F403
from tests.settings.sqlite import INSTALLED_APPS

if importlib.util.find_spec("rest_framework") is not None:
    msg = "These settings are for an environment without Django REST framework."
    raise RuntimeError(msg)

ROOT_URLCONF = "tests.urls_without_drf"
# The example project's app is built on REST framework.
INSTALLED_APPS = [
    app for app in INSTALLED_APPS if app not in {"rest_framework", "live"}
]
