"""Settings of the example project.

What differs between machines comes from the environment:

``EXAMPLE_DB``             path of the SQLite file, or a database URL
``EXAMPLE_SECRET_KEY``     Django's secret key
``EXAMPLE_DEBUG``          ``1`` switches Django's debug mode on
``EXAMPLE_ALLOWED_HOSTS``  more host names, separated by commas
``LIVE_PUBLISH_TOKENS``    JSON: who may publish, see ``live.tokens``
"""

from __future__ import annotations

import json
import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from config.databases import database

BASE_DIR = Path(__file__).resolve().parent.parent

# For development only. A site that others can reach sets EXAMPLE_SECRET_KEY.
DEV_SECRET_KEY = "django-insecure-example-project-for-development-only"
SECRET_KEY = os.environ.get("EXAMPLE_SECRET_KEY") or DEV_SECRET_KEY

DEBUG = os.environ.get("EXAMPLE_DEBUG") == "1"

ALLOWED_HOSTS = ["127.0.0.1", "localhost", "[::1]"]
ALLOWED_HOSTS += filter(None, os.environ.get("EXAMPLE_ALLOWED_HOSTS", "").split(","))

# Every model without a key of its own gets a UID, beside Django's own apps,
# which pin their integer keys.
DEFAULT_AUTO_FIELD = "django_uidgen.fields.UidAutoField"

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "django_uidgen",
    "live",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"

DATABASES: dict[str, dict[str, Any]] = {
    "default": database(os.environ.get("EXAMPLE_DB") or str(BASE_DIR / "db.sqlite3"))
}

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True

STATIC_URL = "static/"

# Without it, Django keeps an error of the site to itself outside of debug mode.
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "%(asctime)s %(levelname)s %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "plain"}},
    "root": {"handlers": ["console"], "level": "WARNING"},
}

REST_FRAMEWORK: dict[str, Any] = {
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_THROTTLE_RATES": {"uidgen": "600/min"},
}

# The API of live.rest, with filters and a schema, where these two are installed.
if find_spec("django_filters") and find_spec("drf_spectacular"):
    INSTALLED_APPS += ["django_filters", "drf_spectacular"]
    REST_FRAMEWORK["DEFAULT_SCHEMA_CLASS"] = (
        "django_uidgen.rest_framework.schema.UidAutoSchema"
    )
    SPECTACULAR_SETTINGS = {
        "TITLE": "Example project of django_uidgen",
        "VERSION": "1",
        # Requests and answers apart: that a text must not be blank is of requests.
        "COMPONENT_SPLIT_REQUEST": True,
        "ENFORCE_NON_BLANK_FIELDS": True,
        "POSTPROCESSING_HOOKS": ["live.openapi.add_refusals"],
    }

# None: everyone may publish. See live.tokens for the form.
LIVE_PUBLISH_TOKENS = json.loads(os.environ.get("LIVE_PUBLISH_TOKENS") or "null")
