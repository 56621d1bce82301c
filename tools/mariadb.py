"""MariaDB servers of the machine that last as long as what uses them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from typing import TYPE_CHECKING, Any

from tools.postgres import account
from tools.replication import (
    PATIENCE,
    ReplicationError,
    ended_if_it_fails,
    free_port,
    wait_until,
)

if TYPE_CHECKING:
    from pathlib import Path

#: The programs of MariaDB that are needed. Distributions have them outside PATH, too.
PROGRAMS = ["mariadbd", "mariadb-install-db", "mariadb", "mariadb-dump"]

_PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/libexec"])


def program(name: str) -> str | None:
    """Return the path of a program, or None where it is not installed."""
    return shutil.which(name, path=_PATH)


def is_installed() -> bool:
    """Tell whether the machine has what is needed."""
    return all(map(program, PROGRAMS))


class MariadbNode:
    """A MariaDB server. It listens on a port, and on a Unix socket in its folder."""

    def __init__(self, folder: Path, port: int, owner: dict[str, Any]) -> None:
        """Let the server run in ``folder``, which has its data.

        ``owner``: the subprocess options for the user who owns the data.
        """
        self.address: tuple[str, int] | str = ("127.0.0.1", port)
        self.port = port
        self._folder = folder
        self._owner = owner
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, and wait until statements are served."""
        options = [
            f"--datadir={self._folder}/data",
            f"--socket={self._folder}/socket",
            f"--pid-file={self._folder}/pid",
            "--bind-address=127.0.0.1",
            f"--port={self.port}",
            # In a replication each server has its own.
            f"--server-id={self.port}",
            "--log-bin=binary-log",
            "--binlog-format=ROW",
            "--log-slave-updates",
            # The servers crash; the machine does not.
            "--innodb-flush-log-at-trx-commit=2",
            "--sync-binlog=0",
            "--innodb-buffer-pool-size=32M",
            "--max-connections=400",
        ]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(program("mariadbd")), "--no-defaults", *options],
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **self._owner,
            )
        wait_until(self._serves, f"MariaDB serves ({self._folder}/log)")

    def _serves(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            log = (self._folder / "log").read_text(errors="replace")
            raise ReplicationError(f"MariaDB did not start:\n{log}")
        return self._call("mariadb", "--execute=SELECT 1").returncode == 0

    def _call(
        self, name: str, *arguments: str, standard_input: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a client program of MariaDB as root, on the socket."""
        where = [f"--socket={self._folder}/socket", "--user=root"]
        return subprocess.run(
            [str(program(name)), "--no-defaults", *where, *arguments],
            input=standard_input,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def query(self, statement: str) -> str:
        """Run a statement; return the one value of its result, or an empty string."""
        how = ["--batch", "--skip-column-names"]
        return printed(self._call("mariadb", *how, f"--execute={statement}"))

    def follow(self, primary: MariadbNode, database: str) -> None:
        """Copy a database of ``primary``, and become its standby."""
        what = ["--single-transaction", "--master-data", "--gtid", "--databases"]
        dump = printed(primary._call("mariadb-dump", *what, database))
        # What is copied is in the log of the primary already.
        unlogged = "--init-command=SET sql_log_bin = 0"
        printed(self._call("mariadb", unlogged, standard_input=dump))
        self.query("SET GLOBAL read_only = ON")
        where = f"MASTER_HOST = '127.0.0.1', MASTER_PORT = {primary.port}"
        how = "MASTER_USER = 'root', MASTER_USE_GTID = slave_pos"
        self.query(f"CHANGE MASTER TO {where}, {how}; START SLAVE")

    def receives(self) -> bool:
        """Tell whether this standby receives what its primary commits."""
        state = self.query("SHOW STATUS LIKE 'Slave_running'")
        return state.endswith("ON")

    def stop_receiving(self) -> None:
        """Let this standby receive nothing more."""
        self.query("STOP SLAVE IO_THREAD")

    def promote(self) -> None:
        """Make this standby a primary, and wait until it takes writes."""
        self.query("STOP SLAVE")
        self.query("RESET SLAVE ALL")
        self.query("SET GLOBAL read_only = OFF")

    def kill(self) -> None:
        """End its process at once."""
        process, self._process = self._process, None
        if process is not None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


class MariadbNodes:
    """Makes MariaDB servers in a folder, which they may reach.

    A server that takes the place of another has its port, too, as in production: for
    MariaDB, whose ``server_uid`` is made of the port and the machine's address, it is
    the same one.
    """

    database: dict[str, Any] = {
        "ENGINE": "django.db.backends.mysql",
        "NAME": "uidgen",
        "USER": "root",
        "OPTIONS": {"connect_timeout": 3},
    }

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ports: dict[str, int] = {}
        self._empty = folder / "empty"
        self._empty.mkdir()
        command = [str(program("mariadb-install-db")), "--no-defaults"]
        command += [f"--datadir={self._empty}/data", "--skip-test-db"]
        # Root without a password, on the socket and on 127.0.0.1.
        command += ["--auth-root-authentication-method=normal"]
        done = subprocess.run(
            command,
            cwd=self._empty,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
            **account(self._empty),
        )
        printed(done)

    def start(self, name: str, primary: MariadbNode | None) -> MariadbNode:
        """Start a primary, or a standby of ``primary``."""
        folder = self._folder / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        owner = account(folder)
        subprocess.run(
            ["cp", "-r", self._empty / "data", folder / "data"], check=True, **owner
        )
        port = self._ports.setdefault(name, free_port())
        node = MariadbNode(folder, port, owner)
        with ended_if_it_fails(node):
            node.start()
            if primary is None:
                node.query(f"CREATE DATABASE {self.database['NAME']}")
            else:
                node.follow(primary, self.database["NAME"])
        return node


def printed(done: subprocess.CompletedProcess[str]) -> str:
    """Return what a program printed; raise ReplicationError if it failed."""
    if done.returncode != 0:
        raise ReplicationError(f"{done.args} failed:\n{done.stdout}{done.stderr}")
    return done.stdout.strip()
