"""The database of a soak: a PostgreSQL that can be stopped, crashed and started."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

from tools import temporary_postgres as tool

stop_cleanly_on_sigterm = tool.stop_cleanly_on_sigterm

PORT = 54329
STOP_SECONDS = 60

#: What a crash of the server may not lose is written before a commit is answered. The
#: machine itself does not crash, so nothing has to reach the disk.
OPTIONS = [
    "fsync=off",
    "full_page_writes=off",
    "synchronous_commit=on",
    "max_connections=400",
    f"port={PORT}",
]


class Server:
    """A server and its data, both in ``folder``."""

    def __init__(self, folder: Path, addresses: str, networks: list[str]) -> None:
        """``addresses`` are listened at; clients come from ``networks``."""
        self._folder = folder
        folder.mkdir()
        self._account = tool._account(folder)
        self._binaries = tool._binaries(folder)
        tool._initialize(self._binaries, folder, self._account)
        self._options = [*OPTIONS, f"listen_addresses={addresses}"]
        with (folder / "data" / "pg_hba.conf").open("a") as access:
            access.writelines(f"host all all {one} trust\n" for one in networks)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, and wait until clients are served."""
        # A server that crashed leaves it behind.
        (self._folder / "data" / "postmaster.pid").unlink(missing_ok=True)
        options = [part for option in self._options for part in ("-c", option)]
        data = self._folder / "data"
        with (self._folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [self._binaries / "postgres", "-D", data, "-k", self._folder, *options],
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **self._account,
            )
        tool._wait_until_ready(self.process, self._folder)

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
