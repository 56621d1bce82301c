"""MariaDB or MySQL at UIDGEN_TEST_MARIADB_URL."""

from __future__ import annotations

from tests.settings.base import *  # noqa: F403
from tools.databases import server_databases

DATABASES = server_databases("django.db.backends.mysql", "UIDGEN_TEST_MARIADB_URL")
for _database in DATABASES.values():
    # Whatever the server's own default is.
    _database["TEST"]["CHARSET"] = "utf8mb4"
