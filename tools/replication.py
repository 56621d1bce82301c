"""A primary and an asynchronous standby, one address for both, and failovers.

A failover here loses commits for certain: the standby receives nothing more for a
while, and then the primary is killed and the standby promoted. A new standby takes the
place of the one that was killed, so failovers can follow each other.

``Replication`` says what happens in which order, and the nodes how. Those of PostgreSQL
are here, those of MariaDB in ``tools.mariadb``; ``tools.patroni`` has a cluster that
promotes its standby by itself. Linux only.
"""

from __future__ import annotations

import shutil
import socket
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol, Self

from tools import postgres, proxy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: Seconds that a server has for what must come. Far more than it takes.
PATIENCE = 120.0


class ReplicationError(RuntimeError):
    """A server did not do what it was asked for."""


class Server(Protocol):
    """What can be asked of a server."""

    def query(self, statement: str) -> str:
        """Run a statement; return the one value of its result, or an empty string."""


class Cluster(Protocol):
    """A primary and a standby, and what clients know of them."""

    @property
    def primary(self) -> Server:
        """The server that takes writes."""

    @property
    def standby(self) -> Server:
        """The server that is promoted next."""

    @property
    def database(self) -> dict[str, Any]:
        """The database in Django's settings, whichever server takes writes."""

    def start(self) -> None:
        """Start a primary, without a standby yet."""

    def add_standbys(self) -> None:
        """Start those that are missing, and wait until they receive."""

    def lose_what_follows(self) -> None:
        """From here on the standbys lack what the primary commits."""

    def fail_over(self) -> None:
        """Kill the primary, with all its connections, and have the standby promoted."""

    def end(self) -> None:
        """End all that was started."""


class Node(Server, Protocol):
    """A server that is a primary, or the standby of one, as it is told."""

    #: Where it listens: a host and a port, or the path of a Unix socket.
    address: tuple[str, int] | str

    def receives(self) -> bool:
        """Tell whether this standby receives what its primary commits."""

    def stop_receiving(self) -> None:
        """Let this standby receive nothing more."""

    def promote(self) -> None:
        """Make this standby a primary, and wait until it takes writes."""

    def kill(self) -> None:
        """End all its processes at once."""


class Nodes(Protocol):
    """Makes servers of one kind."""

    #: The database in Django's settings, but for its address.
    database: dict[str, Any]

    def start(self, name: str, primary: Any) -> Node:
        """Start a primary, or a standby of ``primary``, with no data of its own.

        A server with the name of one that was killed takes its place.
        """


class Replication:
    """A cluster whose standby is promoted by command. Clients reach it by a proxy.

    With two standbys, two failovers can follow each other. The second one forgets what
    was committed since the first, too.
    """

    def __init__(self, nodes: Nodes, *, standbys: int = 1) -> None:
        self._nodes = nodes
        #: Those that are not in use.
        self._names = ["one", "two", "three"][: standbys + 1]
        self._primary_name = self._names.pop(0)
        self._primary: Node | None = None
        self._standbys: list[tuple[str, Node]] = []
        self._proxy = proxy.Proxy(("127.0.0.1", 0))

    @property
    def primary(self) -> Node:
        """The server that takes writes."""
        assert self._primary is not None
        return self._primary

    @property
    def standby(self) -> Node:
        """The server that is promoted next."""
        return self._standbys[0][1]

    @property
    def database(self) -> dict[str, Any]:
        """The database in Django's settings, by way of the proxy."""
        address = {"HOST": "127.0.0.1", "PORT": str(self._proxy.port)}
        return self._nodes.database | address

    def start(self) -> None:
        """Start a primary, without a standby yet."""
        self._primary = self._nodes.start(self._primary_name, None)
        self._proxy.lead_to(self._primary.address)
        self._proxy.start()

    def add_standbys(self) -> None:
        """Start those that are missing, and wait until they receive."""
        while self._names:
            name = self._names.pop(0)
            standby = self._nodes.start(name, self.primary)
            self._standbys.append((name, standby))
            wait_until(standby.receives, "the standby receives")

    def lose_what_follows(self) -> None:
        """From here on the standbys lack what the primary commits."""
        for _, standby in self._standbys:
            standby.stop_receiving()

    def fail_over(self) -> None:
        """Kill the primary, with all its connections, and promote the standby."""
        self.primary.kill()
        self.standby.promote()
        self._names.append(self._primary_name)
        self._primary_name, self._primary = self._standbys.pop(0)
        self._proxy.lead_to(self.primary.address)

    def end(self) -> None:
        """End all servers, and the proxy."""
        self._proxy.end()
        if self._primary is not None:
            self._primary.kill()
        for _, standby in self._standbys:
            standby.kill()


@contextmanager
def running(cluster: Cluster) -> Iterator[None]:
    """Run a primary without a standby yet; end all with the block."""
    try:
        cluster.start()
        yield
    finally:
        cluster.end()


def wait_until(condition: Any, what: str) -> None:
    """Wait until ``condition()`` is true; raise ReplicationError if that takes long."""
    give_up = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > give_up:
            raise ReplicationError(f"Waited {PATIENCE:g} s in vain until {what}.")
        time.sleep(0.02)


@contextmanager
def ended_if_it_fails(node: Node) -> Iterator[None]:
    """End a server if the block fails."""
    try:
        yield
    except BaseException:
        node.kill()
        raise


def free_port() -> int:
    """Return a port of this machine that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


class PostgresNode(postgres.Server):
    """A PostgreSQL server. It listens on a Unix socket in its folder."""

    _OPTIONS = [*postgres.CRASH_SAFE, "wal_level=replica", "hot_standby=on"]

    def __init__(self, folder: Path, binaries: Path, primary: Self | None) -> None:
        self._primary = primary
        folder.mkdir()
        super().__init__(folder, self._OPTIONS, binaries=binaries)
        self.address: tuple[str, int] | str = str(folder / ".s.PGSQL.5432")

    def _make_cluster(self) -> None:
        if self._primary is None:
            super()._make_cluster()
            return
        source = f"--dbname=host={self._primary.folder} user=postgres"
        # It writes the standby's settings too.
        how = ["--write-recovery-conf", "--checkpoint=fast", "--no-sync"]
        self.call("pg_basebackup", source, f"--pgdata={self.folder}/data", *how)

    def query(self, statement: str) -> str:
        """Run a statement; return the one value of its result, or an empty string."""
        where = [f"--dbname=host={self.folder} user=postgres"]
        how = ["--no-psqlrc", "--quiet", "--tuples-only", "--no-align"]
        return self.call("psql", *where, *how, f"--command={statement}").strip()

    def receives(self) -> bool:
        """Tell whether this standby receives what its primary commits."""
        receivers = "SELECT count(*) FROM pg_stat_wal_receiver WHERE status="
        return self.query(f"{receivers}'streaming'") == "1"

    def stop_receiving(self) -> None:
        """Let this standby receive nothing more.

        That its replay is paused would not do: a promotion replays what was received.
        """
        self.query("ALTER SYSTEM SET primary_conninfo = ''")
        self.query("SELECT pg_reload_conf()")
        left = "SELECT count(*) FROM pg_stat_wal_receiver"
        wait_until(lambda: self.query(left) == "0", "the standby receives nothing")

    def promote(self) -> None:
        """Make this standby a primary, and wait until it takes writes."""
        if self.query(f"SELECT pg_promote(true, {PATIENCE:.0f})") != "t":
            raise ReplicationError("The standby was not promoted.")


class PostgresNodes:
    """Makes PostgreSQL servers in a folder, which they may reach."""

    database: dict[str, Any] = {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "postgres",
        "USER": "postgres",
        "OPTIONS": {"connect_timeout": 3},
    }

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._binaries = postgres.find_binaries(folder)

    def start(self, name: str, primary: PostgresNode | None) -> Node:
        """Start a primary, or a standby of ``primary``."""
        folder = self._folder / name
        shutil.rmtree(folder, ignore_errors=True)
        node = PostgresNode(folder, self._binaries, primary)
        with ended_if_it_fails(node):
            node.start()
        return node
