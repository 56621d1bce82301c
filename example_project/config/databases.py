"""Read the database setting of the example project."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

ENGINES = {
    "postgresql": "django.db.backends.postgresql",
    "mysql": "django.db.backends.mysql",
    "mariadb": "django.db.backends.mysql",
}

# Several processes write to one file: wait for the lock, take it when the
# transaction begins (an upgrade half-way cannot wait), and let readers read on.
# "synchronous" stays at FULL: a lease that was committed must outlive a power cut.
SQLITE_OPTIONS = {
    "timeout": 20,
    "transaction_mode": "IMMEDIATE",
    "init_command": "PRAGMA journal_mode=WAL",
}


def database(value: str) -> dict[str, Any]:
    """Return the Django setting for a SQLite path or a database URL.

    A URL looks like ``postgresql://user:password@host:5432/name``; the schemes are
    the keys of ``ENGINES``. Raise ``ImproperlyConfigured`` for any other scheme.
    """
    if "://" not in value:
        return {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": value,
            "OPTIONS": dict(SQLITE_OPTIONS),
        }
    url = urlsplit(value)
    if url.scheme not in ENGINES:
        raise ImproperlyConfigured(
            f"EXAMPLE_DB has the scheme {url.scheme!r}. "
            f"Use a file path or one of: {', '.join(ENGINES)}."
        )
    return {
        "ENGINE": ENGINES[url.scheme],
        "NAME": unquote(url.path.removeprefix("/")),
        "USER": unquote(url.username or ""),
        "PASSWORD": unquote(url.password or ""),
        "HOST": url.hostname or "",
        "PORT": url.port or "",
    }
