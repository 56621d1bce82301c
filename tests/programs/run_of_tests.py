"""A test run of a project, which mints on command, and the processes that run it.

    python -m tests.programs.run_of_tests NAME HOW

NAME is that of its test database, which is kept. HOW tells how the database comes to
be: "migrate", "sync" (without migrations), or "connect" to one that is there. Each line
of the input has it create a row, and answer with the worker id.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys

import django

#: Seconds that a caller waits for an answer. Far more than it takes.
PATIENCE = 120


class RunOfTests:
    """The process, seen by the one that started it."""

    def __init__(self, settings_module: str, name: str, how: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.programs.run_of_tests", name, how],
            env={**os.environ, "DJANGO_SETTINGS_MODULE": settings_module},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def worker_id(self) -> int:
        """Return the worker id of a row that the test run creates."""
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        readable, _, _ = select.select([self._process.stdout], [], [], PATIENCE)
        assert readable, "The test run gives no answer."
        return int(self._process.stdout.readline())

    def kill(self) -> None:
        """End the process, in whatever state it is."""
        self._process.kill()
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()


def main(name: str, how: str) -> None:
    """Set up the test run as Django's runner does, and create rows on command."""
    django.setup()
    from django.conf import settings
    from django.db import connection, transaction
    from django.test.utils import setup_databases, setup_test_environment

    from django_uidgen import parse
    from tests.testapp.models import Event

    setup_test_environment()
    connection.settings_dict["TEST"]["NAME"] = name
    if how == "connect":
        settings.DATABASES["default"]["NAME"] = name
        connection.settings_dict["NAME"] = name
    else:
        connection.settings_dict["TEST"]["MIGRATE"] = how == "migrate"
        setup_databases(
            verbosity=0, interactive=False, keepdb=True, aliases={"default"}
        )
    for _ in sys.stdin:
        with transaction.atomic():
            pk = Event.objects.create(name="x").pk
        sys.stdout.write(f"{parse(pk).worker_id}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
