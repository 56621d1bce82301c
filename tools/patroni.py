"""Two PostgreSQL servers under Patroni, with etcd, all of them from Debian's packages.

    apt-get install postgresql patroni etcd-server

Patroni promotes the standby by itself, when the leader's lock in etcd has lapsed, and
makes a standby of the server that was killed. Clients know both servers.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tools import proxy
from tools.postgres import account, kill_with_children
from tools.replication import PATIENCE, free_port, wait_until

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Seconds after which the lock of a leader that was killed lapses, and how often
#: Patroni looks. Its defaults are 30 and 10.
TTL, LOOP_WAIT, RETRY_TIMEOUT = 8, 1, 3


def binaries() -> Path | None:
    """Return the newest of Debian's folders of PostgreSQL, or None."""
    found = Path("/usr/lib/postgresql").glob("*/bin")
    return max(found, key=lambda path: int(path.parent.name), default=None)


def is_installed() -> bool:
    """Tell whether the machine has what is needed."""
    return bool(binaries() and shutil.which("patroni") and shutil.which("etcd"))


class Member:
    """One PostgreSQL server and the Patroni that looks after it."""

    def __init__(self, name: str, folder: Path, etcd_port: int) -> None:
        self._name = name
        self._folder = folder / name
        self._folder.mkdir()
        self._owner = account(self._folder)
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()
        #: By which the other server follows this one, and hears nothing while it is
        #: stalled.
        self.proxy = proxy.Proxy(("127.0.0.1", self.port))
        self.proxy.start()
        # JSON is YAML.
        configuration = json.dumps(self._configuration(etcd_port))
        (self._folder / "patroni.yml").write_text(configuration)

    def _configuration(self, etcd_port: int) -> Mapping[str, Any]:
        rest = f"127.0.0.1:{free_port()}"
        access = [
            f"host {name} all 127.0.0.1/32 trust" for name in ("all", "replication")
        ]
        times = {"ttl": TTL, "loop_wait": LOOP_WAIT, "retry_timeout": RETRY_TIMEOUT}
        return {
            "scope": "uidgen",
            "name": self._name,
            "restapi": {"listen": rest, "connect_address": rest},
            "etcd3": {"host": f"127.0.0.1:{etcd_port}"},
            "bootstrap": {
                "dcs": {**times, "postgresql": {"use_pg_rewind": True}},
                "initdb": [{"encoding": "UTF8"}, "data-checksums"],
            },
            "postgresql": {
                "listen": f"127.0.0.1:{self.port}",
                "connect_address": f"127.0.0.1:{self.proxy.port}",
                "data_dir": f"{self._folder}/data",
                "bin_dir": str(binaries()),
                "pgpass": f"{self._folder}/pgpass",
                "pg_hba": ["local all all trust", *access],
                "authentication": {
                    "superuser": {"username": "postgres", "password": "none"},
                    "replication": {"username": "replicator", "password": "none"},
                },
                "parameters": {
                    "unix_socket_directories": str(self._folder),
                    "max_connections": 200,
                    "fsync": "off",
                },
            },
        }

    def start(self) -> None:
        """Start Patroni, which starts or makes the server."""
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(shutil.which("patroni")), "patroni.yml"],
                cwd=self._folder,
                env=os.environ | {"HOME": str(self._folder)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **self._owner,
            )

    def query(self, statement: str) -> str:
        """Run a statement; return the one value of its result, or an empty string."""
        program = f"{binaries()}/psql"
        how = ["--no-psqlrc", "--quiet", "--tuples-only", "--no-align"]
        where = f"--dbname=host=127.0.0.1 port={self.port} user=postgres"
        done = subprocess.run(
            [program, *how, where, f"--command={statement}"],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        return done.stdout.strip()

    def leads(self) -> bool:
        """Tell whether this server takes writes."""
        return self.query("SELECT pg_is_in_recovery()") == "f"

    def receives(self) -> bool:
        """Tell whether this server receives what the other one commits."""
        receivers = "SELECT count(*) FROM pg_stat_wal_receiver WHERE status="
        return self.query(f"{receivers}'streaming'") == "1"

    def kill(self) -> None:
        """End Patroni and the server at once."""
        process, self._process = self._process, None
        if process is None:
            return
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        with suppress(FileNotFoundError, ProcessLookupError):
            pid_file = self._folder / "data" / "postmaster.pid"
            kill_with_children(int(pid_file.read_text().split()[0]))


class Etcd:
    """What holds the lock of the leader: one server of it, without others."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()

    def start(self) -> None:
        """Start it. Patroni waits until it serves."""
        self._folder.mkdir()
        client = f"http://127.0.0.1:{self.port}"
        peer = f"http://127.0.0.1:{free_port()}"
        options = [
            f"--data-dir={self._folder}/data",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
        ]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(shutil.which("etcd")), *options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **account(self._folder),
            )

    def kill(self) -> None:
        """End it at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()


class PatroniCluster:
    """Two servers, of which Patroni makes one the leader."""

    def __init__(self, folder: Path) -> None:
        self._etcd = Etcd(folder / "etcd")
        self.primary = Member("one", folder, self._etcd.port)
        self.standby = Member("two", folder, self._etcd.port)

    @property
    def database(self) -> dict[str, Any]:
        """The database in Django's settings: both servers, whichever takes writes."""
        members = [self.primary, self.standby]
        return {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": "postgres",
            "USER": "postgres",
            "HOST": ",".join("127.0.0.1" for _ in members),
            "PORT": ",".join(str(one.port) for one in members),
            "OPTIONS": {"connect_timeout": 3, "target_session_attrs": "read-write"},
        }

    def start(self) -> None:
        """Start etcd and the first server, and wait until that takes writes."""
        self._etcd.start()
        self.primary.start()
        wait_until(self.primary.leads, "the first server takes writes")

    def add_standbys(self) -> None:
        """Start the other server, and wait until it receives."""
        self.primary.proxy.resume()
        self.standby.start()
        wait_until(self.standby.receives, "the standby receives")

    def lose_what_follows(self) -> None:
        """From here on the standby lacks what the primary commits."""
        self.primary.proxy.stall()

    def fail_over(self) -> None:
        """Kill the leader, and wait until the other server takes writes."""
        self.primary.kill()
        # What it holds back is lost.
        self.primary.proxy.stop()
        wait_until(self.standby.leads, "Patroni promotes the standby")
        self.primary, self.standby = self.standby, self.primary
        self.standby.proxy.start()

    def end(self) -> None:
        """End all."""
        for member in (self.primary, self.standby):
            member.kill()
            member.proxy.end()
        self._etcd.kill()
