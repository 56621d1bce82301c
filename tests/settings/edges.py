"""SQLite, with the packages of the extra "edges": as the example project has them."""

from __future__ import annotations

import config.settings as example

from tests.settings.sqlite import *  # noqa: F403
from tests.settings.sqlite import INSTALLED_APPS

INSTALLED_APPS = [
    *INSTALLED_APPS,
    "django.contrib.staticfiles",
    "django_filters",
    "drf_spectacular",
]
TIME_ZONE = example.TIME_ZONE
ROOT_URLCONF = "config.urls"
REST_FRAMEWORK = example.REST_FRAMEWORK
SPECTACULAR_SETTINGS = example.SPECTACULAR_SETTINGS
