"""Databases for a section: made for it, and dropped at its end."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


@contextmanager
def prepared() -> Iterator[list[str]]:
    """Set Django up on SQLite, PostgreSQL and, where its URL is given, MariaDB.

    Give the aliases. Without a URL for it, PostgreSQL is a temporary server.
    """
    from tools.postgres import URL_VARIABLE, temporary_postgres

    with ExitStack() as stack:
        folder = stack.enter_context(
            tempfile.TemporaryDirectory(prefix="uidgen-bench-")
        )
        os.environ["UIDGEN_BENCH_FOLDER"] = folder
        if not os.environ.get(URL_VARIABLE):
            os.environ[URL_VARIABLE] = stack.enter_context(temporary_postgres())
            stack.callback(os.environ.pop, URL_VARIABLE)
        os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.settings"
        import django
        from django.db import connections

        django.setup()
        for alias in connections:
            creation = connections[alias].creation
            name = connections[alias].settings_dict["NAME"]
            creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
            stack.callback(creation.destroy_test_db, name, verbosity=0)
        yield list(connections)
