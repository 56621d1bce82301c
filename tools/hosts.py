"""Hosts: a clock each and, where this is permitted, a network and a name each."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

#: Where distributions put the libraries of their package "faketime".
FOLDERS = [
    "usr/lib/*/faketime",
    "usr/lib/faketime",
    "usr/lib64/faketime",
    "usr/local/lib/faketime",
]

#: The library for threads, and the one without their lock, which a fork in C may find
#: held.
FOR_THREADS, FOR_FORKS = "libfaketimeMT.so.1", "libfaketime.so.1"

#: The furthest that a clock is off, in seconds.
FURTHEST = 3600.0

NETWORK = "10.77"


def faketime_library(name: str = FOR_THREADS) -> str | None:
    """Return the path of libfaketime, or None where it is not installed."""
    found = [path for folder in FOLDERS for path in Path("/").glob(f"{folder}/{name}")]
    return str(found[0]) if found else None


def networks_are_permitted() -> bool:
    """Tell whether this process may make networks."""
    # PostgreSQL refuses to be root, and in a namespace of users there is no other.
    tools = all(map(shutil.which, ["ip", "nsenter", "unshare"]))
    if os.geteuid() != 0 or not tools:
        return False
    command = ["unshare", "--net", "--uts", "--mount", "ip", "link", "set", "lo", "up"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


class Clock:
    """The clock of a host. Its processes see it by way of libfaketime."""

    def __init__(
        self,
        path: Path,
        offset: float = 0.0,
        *,
        rate: float = 1.0,
        library: str = FOR_THREADS,
    ) -> None:
        """Keep the time in the file ``path``."""
        self._path = path
        self._rate = rate
        self._library = library
        self.set(offset)

    def set(self, offset: float) -> None:
        """Let the clock be so many seconds ahead, at once."""
        self.offset = offset
        rate = "" if self._rate == 1.0 else f" x{self._rate}"
        new = self._path.with_suffix(".new")
        new.write_text(f"{offset:+.6f}{rate}")
        # In one step: the processes read the file at each look at their clock.
        new.replace(self._path)

    def step(self, seconds: float) -> None:
        """Move the clock by so many seconds."""
        self.set(self.offset + seconds)

    def show(self, moment: int) -> None:
        """Let the clock show ``moment``, in nanoseconds since 1970, and go on."""
        self.set((moment - time.time_ns()) / 1e9)

    @property
    def environment(self) -> dict[str, str]:
        """Return what lets a process see this clock."""
        return {
            "LD_PRELOAD": str(faketime_library(self._library)),
            "FAKETIME_TIMESTAMP_FILE": str(self._path),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }


class Host:
    """A host without a network of its own: processes with the same clock."""

    def __init__(self, number: int, folder: Path) -> None:
        self.name = f"host{number}"
        self.address = "127.0.0.1"
        self.server = "127.0.0.1"
        #: What a command line begins with, to be run on this host.
        self.enter: list[str] = []
        self.clock = Clock(folder / f"clock-{number}", library=FOR_FORKS)

    def set_clock(self, offset: float) -> None:
        """Let the clock be so many seconds ahead, but no more than FURTHEST."""
        self.clock.set(max(-FURTHEST, min(FURTHEST, offset)))

    def cut(self) -> bool:
        """Cut the network, if there is one of this host."""
        return False

    def mend(self) -> None:
        """Mend the network."""


class NetworkedHost(Host):
    """A host with a network and a name of its own, in namespaces."""

    def __init__(self, number: int, folder: Path) -> None:
        super().__init__(number, folder)
        self.server = f"{NETWORK}.{number}.1"
        self._link = f"soak{number}"
        hold = f"hostname {self.name} && echo made && exec cat"
        # It ends with this process, and the namespaces with it.
        self.holder = subprocess.Popen(
            ["unshare", "--net", "--uts", "sh", "-c", hold],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self.holder.stdout is not None
        if self.holder.stdout.readline() != b"made\n":
            raise RuntimeError(f"The namespaces of {self.name} could not be made.")
        self.enter = ["nsenter", f"--target={self.holder.pid}", "--net", "--uts"]
        self._connect(number)

    def _connect(self, number: int) -> None:
        peer = ["peer", "name", "eth0", "netns", str(self.holder.pid)]
        run("ip", "link", "add", self._link, "type", "veth", *peer)
        run("ip", "address", "add", f"{self.server}/24", "dev", self._link)
        self.mend()
        address = f"{NETWORK}.{number}.2/24"
        run(*self.enter, "ip", "address", "add", address, "dev", "eth0")
        run(*self.enter, "ip", "link", "set", "eth0", "up")

    def cut(self) -> bool:
        """Cut the network: what is sent is lost, and sent again when it is mended."""
        run("ip", "link", "set", self._link, "down")
        return True

    def mend(self) -> None:
        """Mend the network."""
        run("ip", "link", "set", self._link, "up")


def set_up_inside() -> None:
    """Make a new network and a new folder of shared memory work."""
    run("ip", "link", "set", "lo", "up")
    # What libfaketime left behind elsewhere would stop a process with the same id.
    run("mount", "-t", "tmpfs", "tmpfs", "/dev/shm")


def tidy_up_after(pid: int) -> None:
    """Remove what libfaketime leaves behind in a process that is killed."""
    for name in ("faketime_shm_", "sem.faketime_sem_"):
        Path(f"/dev/shm/{name}{pid}").unlink(missing_ok=True)


def run(*command: str) -> None:
    """Run a command that must succeed."""
    subprocess.run(command, check=True)
