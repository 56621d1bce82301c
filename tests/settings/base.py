"""What the settings of all databases share."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE_PROJECT = str(ROOT / "example_project")

# Processes that the suite starts use these settings too, and need the app "live".
if EXAMPLE_PROJECT not in sys.path:
    sys.path.append(EXAMPLE_PROJECT)

# Names the databases of one run, so that runs side by side do not meet. It is in the
# environment because the processes that the suite starts must find the same names.
RUN = os.environ.setdefault("UIDGEN_TEST_RUN", str(os.getpid()))

SECRET_KEY = "not a secret: for tests only"
USE_TZ = True
ROOT_URLCONF = "tests.urls"
STATIC_URL = "/static/"
DEFAULT_AUTO_FIELD = "django_uidgen.fields.UidAutoField"
UIDGEN: dict[str, Any] = {"default": {}, "orders": {}}

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "rest_framework",
    "django_uidgen",
    "tests.testapp",
    "live",
]

MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
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
            ],
        },
    },
]

# The default hasher is slow on purpose.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


def server_databases(engine: str, variable: str) -> dict[str, dict[str, Any]]:
    """Return both aliases on the server whose URL is in an environment variable.

    The URL is ``scheme://user:password@host:port/?option=value``. Its query gives
    options of the driver, but for ``host``, which may be the folder of a Unix socket.
    Tests make databases of their own, so a database name in the URL is not used.
    """
    url = os.environ.get(variable)
    if not url:
        msg = f"Set {variable} to the URL of a database server, or run `make test`."
        raise RuntimeError(msg)
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query))
    server = {
        "ENGINE": engine,
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": options.pop("host", parts.hostname or ""),
        "PORT": str(parts.port or ""),
        "OPTIONS": options,
    }
    return {
        "default": server | named(f"test_uidgen_{RUN}"),
        "other": server | named(f"test_uidgen_{RUN}_other"),
    }


def named(name: str) -> dict[str, Any]:
    """Return the name of a test database, as its name outside the test run too.

    A process that the suite starts has no test run of its own, and must use the test
    database at once.
    """
    return {"NAME": name, "TEST": {"NAME": name}}
