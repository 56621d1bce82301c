"""A Galera cluster of MariaDB servers on the loopback interface.

Its nodes have ports and data folders of their own in a temporary folder, and last as
long as what uses them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tools.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

#: Debian's folder for servers, which is on the PATH of root alone.
_SBIN = "/usr/sbin"

#: Where distributions put the library of Galera.
_PROVIDERS = [
    "usr/lib/galera/libgalera_smm.so",
    "usr/lib*/galera-4/libgalera_smm.so",
    "usr/lib/*/galera*/libgalera_smm.so",
]

#: The account of the servers, where this process is root.
_ACCOUNT = "mysql"

START_SECONDS = 90

#: For data that outlives nothing, and for a dead node to be noticed within seconds.
_OPTIONS = [
    "--bind-address=127.0.0.1",
    "--skip-name-resolve",
    "--binlog-format=ROW",
    "--innodb-autoinc-lock-mode=2",
    "--innodb-buffer-pool-size=32M",
    "--innodb-log-file-size=16M",
    "--innodb-flush-log-at-trx-commit=0",
    "--max-connections=400",
    "--wsrep-on=ON",
    "--wsrep-cluster-name=uidgen",
    "--wsrep-node-address=127.0.0.1",
    "--wsrep-sst-method=rsync",
]
_PROVIDER_OPTIONS = [
    "evs.keepalive_period=PT0.5S",
    "evs.suspect_timeout=PT2S",
    "evs.inactive_timeout=PT4S",
    "gcache.size=32M",
]


class GaleraError(RuntimeError):
    """A node could not be started."""


def _program(name: str) -> str | None:
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), _SBIN])
    return shutil.which(name, path=path)


def _provider() -> Path | None:
    """Return the path of Galera's library, or None where it is not installed."""
    return next((one for at in _PROVIDERS for one in Path("/").glob(at)), None)


def is_installed() -> bool:
    """Return whether there is all that a cluster needs."""
    programs = ["mariadbd", "mariadb-install-db", "rsync"]
    return all(map(_program, programs)) and _provider() is not None


def _account() -> list[str]:
    """Return the option of a server that gives up root."""
    return [f"--user={_ACCOUNT}"] if os.geteuid() == 0 else []


def _install(data: Path) -> None:
    """Make the data folder of a new server."""
    done = subprocess.run(
        [
            str(_program("mariadb-install-db")),
            "--no-defaults",
            f"--datadir={data}",
            # Root may come without a password, by the network too.
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
            *_account(),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise GaleraError(f"mariadb-install-db failed:\n{done.stdout}")


class Node:
    """One server of a cluster."""

    def __init__(self, folder: Path, number: int) -> None:
        self.name = f"node{number}"
        self.folder = folder / self.name
        self.port = free_port()
        #: Where the nodes talk to each other.
        self.group_port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.folder.mkdir()
        if os.geteuid() == 0:
            shutil.chown(self.folder, _ACCOUNT, _ACCOUNT)

    def start(self, group: Sequence[Node]) -> None:
        """Start, and join the nodes of ``group``; with none of them, a new cluster."""
        addresses = ",".join(f"127.0.0.1:{node.group_port}" for node in group)
        provider_options = [
            f"gmcast.listen_addr=tcp://127.0.0.1:{self.group_port}",
            f"ist.recv_addr=127.0.0.1:{free_port()}",
            *_PROVIDER_OPTIONS,
        ]
        command = [
            str(_program("mariadbd")),
            "--no-defaults",
            *_account(),
            f"--datadir={self.folder}/data",
            f"--socket={self.folder}/socket",
            f"--pid-file={self.folder}/pid",
            f"--port={self.port}",
            *_OPTIONS,
            f"--wsrep-provider={_provider()}",
            f"--wsrep-node-name={self.name}",
            f"--wsrep-cluster-address=gcomm://{addresses}",
            f"--wsrep-sst-receive-address=127.0.0.1:{free_port()}",
            f"--wsrep-provider-options={';'.join(provider_options)}",
        ]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Ctrl-C is for what uses it, and its scripts end with it.
                start_new_session=True,
            )

    def wait_until_ready(self) -> None:
        """Wait until clients are served; raise GaleraError otherwise."""
        give_up = time.monotonic() + START_SECONDS
        while time.monotonic() < give_up and self.is_running:
            if self.status().get("wsrep_ready") == "ON":
                return
            time.sleep(0.1)
        log = (self.folder / "log").read_text(errors="replace")
        raise GaleraError(f"{self.name} did not start:\n{log[-5000:]}")

    @property
    def is_running(self) -> bool:
        """Whether the process of the server is there."""
        return self._process is not None and self._process.poll() is None

    def query(self, *statements: str, database: str = "") -> list[tuple[Any, ...]]:
        """Carry out statements on this node, and return the rows of the last one."""
        import MySQLdb

        connection = MySQLdb.connect(
            host="127.0.0.1",
            port=self.port,
            user="root",
            database=database,
            connect_timeout=2,
        )
        try:
            cursor = connection.cursor()
            for statement in statements:
                cursor.execute(statement)
            return list(cursor.fetchall())
        finally:
            connection.close()

    def status(self) -> dict[str, str]:
        """Return what the node says of the cluster; nothing if it does not answer."""
        import MySQLdb

        try:
            return dict(self.query("SHOW GLOBAL STATUS LIKE 'wsrep%'"))
        except MySQLdb.Error:
            return {}

    def kill(self) -> None:
        """End the server as a crash does, and what it has started."""
        process, self._process = self._process, None
        if process is not None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, 9)
            process.wait()


class Cluster:
    """The nodes, each of which has all rows and takes writes."""

    def __init__(self, folder: Path, count: int = 3) -> None:
        self.nodes = [Node(folder, number) for number in range(1, count + 1)]
        first, *others = [node.folder / "data" for node in self.nodes]
        _install(first)
        for data in others:
            subprocess.run(["cp", "-a", first, data], check=True)

    def start(self) -> None:
        """Start a new cluster."""
        for at, node in enumerate(self.nodes):
            node.start(self.nodes[:at])
            node.wait_until_ready()

    def bring_back(self, node: Node) -> None:
        """Start a node that was killed. Call ``wait_until_ready()`` of it."""
        node.start([one for one in self.nodes if one is not node])

    def stop(self) -> None:
        """End all nodes."""
        for node in self.nodes:
            node.kill()


@contextmanager
def running(count: int = 3) -> Iterator[Cluster]:
    """Run a cluster to the end of the block."""
    with tempfile.TemporaryDirectory(prefix="uidgen-galera-") as folder:
        Path(folder).chmod(0o755)
        cluster = Cluster(Path(folder), count)
        try:
            cluster.start()
            yield cluster
        finally:
            cluster.stop()
