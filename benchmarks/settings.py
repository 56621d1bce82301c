"""Django's settings for the benchmarks that need Django.

UIDGEN_BENCH_FOLDER: where the SQLite database lies. UIDGEN_BENCH_DATABASE: the alias of
the database with the worker table. The servers are those of the suite's settings, if
their variables are set: UIDGEN_TEST_POSTGRES_URL, UIDGEN_TEST_MARIADB_URL.
"""

from __future__ import annotations

import os
from pathlib import Path

from tools.databases import RUN, server_databases

SECRET_KEY = "not a secret: for benchmarks only"
USE_TZ = True
ROOT_URLCONF = "benchmarks.urls"
ALLOWED_HOSTS = ["127.0.0.1"]

_file = str(Path(os.environ.get("UIDGEN_BENCH_FOLDER", "."), f"bench_{RUN}.sqlite3"))
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": _file,
        "TEST": {"NAME": _file},
        "OPTIONS": {"transaction_mode": "IMMEDIATE"},
    }
}
for _alias, _engine, _variable in [
    ("postgres", "django.db.backends.postgresql", "UIDGEN_TEST_POSTGRES_URL"),
    ("mariadb", "django.db.backends.mysql", "UIDGEN_TEST_MARIADB_URL"),
]:
    if os.environ.get(_variable):
        DATABASES[_alias] = server_databases(_engine, _variable)["default"]

INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "rest_framework",
    "django_uidgen",
    "benchmarks",
]
REST_FRAMEWORK = {
    # Both views let everyone in, and look for no session.
    "DEFAULT_AUTHENTICATION_CLASSES": ["benchmarks.authentication.Everyone"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
}
UIDGEN = {
    "default": {
        "DATABASE": os.environ.get("UIDGEN_BENCH_DATABASE", "default"),
        "WORKER_IDS": (0, 1023),
        "OPTIONS": {"MAX_WAIT": 60.0},
    }
}
