"""PgBouncer before a PostgreSQL server, for as long as what uses it.

It listens on a port of its own on the loopback interface, and has a configuration of
its own in a temporary folder.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tools.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

#: Debian's folder for it, which is on the PATH of root alone.
_SBIN = "/usr/sbin"

START_SECONDS = 30
STOP_SECONDS = 30

#: Who may use the console.
_ADMIN = "admin"

#: PgBouncer refuses to be root.
_UNPRIVILEGED = "nobody"


class PgBouncerError(RuntimeError):
    """PgBouncer could not be started."""


def program() -> str | None:
    """Return the path of PgBouncer, or None where it is not installed."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), _SBIN])
    return shutil.which("pgbouncer", path=path)


class PgBouncer:
    """A PgBouncer with its configuration and its log in one folder.

    ``server``: the settings of a Django database on the server behind it.
    ``pool_mode``: session, transaction or statement. ``pool_size``: how many
    connections to the server each database may have.
    """

    def __init__(
        self,
        folder: Path,
        server: Mapping[str, Any],
        *,
        pool_mode: str,
        pool_size: int,
    ) -> None:
        self.port = free_port()
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        # It reads the file again after it has given up root.
        folder.chmod(0o755)
        password = f" password={server['PASSWORD']}" if server.get("PASSWORD") else ""
        (folder / "pgbouncer.ini").write_text(
            "[databases]\n"
            f"* = host={server['HOST'] or '127.0.0.1'} port={server['PORT'] or 5432} "
            f"user={server['USER'] or 'postgres'}{password}\n"
            "[pgbouncer]\n"
            "listen_addr = 127.0.0.1\n"
            f"listen_port = {self.port}\n"
            "unix_socket_dir =\n"
            # Whoever reaches the port may do all, in the console too.
            "auth_type = any\n"
            f"admin_users = {_ADMIN}\n"
            f"pool_mode = {pool_mode}\n"
            f"default_pool_size = {pool_size}\n"
            "max_client_conn = 1000\n"
        )

    def start(self) -> None:
        """Start, and wait until clients are served; raise PgBouncerError otherwise."""
        command = [program() or "pgbouncer"]
        if os.geteuid() == 0:
            command += ["-u", _UNPRIVILEGED]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*command, str(self._folder / "pgbouncer.ini")],
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Ctrl-C is for the tests beside it.
                start_new_session=True,
            )
        give_up = time.monotonic() + START_SECONDS
        while time.monotonic() < give_up and self._process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                time.sleep(0.02)
            else:
                return
        log_text = (self._folder / "log").read_text(errors="replace")
        raise PgBouncerError(f"PgBouncer did not start:\n{log_text}")

    def stop(self) -> None:
        """Cut all connections, and end."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def command(self, text: str) -> None:
        """Have the console carry out a command, such as RECONNECT."""
        import psycopg

        console = f"host=127.0.0.1 port={self.port} dbname=pgbouncer user={_ADMIN}"
        # The console knows no transactions.
        with psycopg.connect(console, autocommit=True) as connection:
            connection.execute(text.encode())

    def before(self, database: Mapping[str, Any]) -> dict[str, Any]:
        """Return the settings of a database as it is reached by way of this."""
        return {**database, "HOST": "127.0.0.1", "PORT": str(self.port)}


@contextmanager
def running(
    server: Mapping[str, Any], *, pool_mode: str, pool_size: int = 4
) -> Iterator[PgBouncer]:
    """Run PgBouncer before ``server``, to the end of the block."""
    with tempfile.TemporaryDirectory(prefix="uidgen-pgbouncer-") as folder:
        pgbouncer = PgBouncer(
            Path(folder), server, pool_mode=pool_mode, pool_size=pool_size
        )
        try:
            pgbouncer.start()
            yield pgbouncer
        finally:
            pgbouncer.stop()
