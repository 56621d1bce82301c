"""PostgreSQL at UIDGEN_TEST_POSTGRES_URL."""

from __future__ import annotations

from tests.settings.base import *  # noqa: F403
from tools.databases import server_databases

DATABASES = server_databases(
    "django.db.backends.postgresql", "UIDGEN_TEST_POSTGRES_URL"
)
