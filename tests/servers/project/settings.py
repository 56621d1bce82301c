"""The suite's own database, and nothing installed but the package."""

from __future__ import annotations

import importlib
import os

_suite = importlib.import_module(os.environ["UIDGEN_TEST_SETTINGS"])

DATABASES = _suite.DATABASES
SECRET_KEY = "not a secret: for tests only"
ALLOWED_HOSTS = ["127.0.0.1"]
DEBUG = "UIDGEN_TEST_DEBUG" in os.environ
INSTALLED_APPS = ["django_uidgen"]
MIDDLEWARE: list[str] = []
ROOT_URLCONF = "tests.servers.project.urls"
USE_TZ = True
UIDGEN = {"default": {"ASSIGN": os.environ.get("UIDGEN_TEST_ASSIGN", "auto")}}
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "loggers": {"django_uidgen": {"handlers": ["console"], "level": "INFO"}},
}
