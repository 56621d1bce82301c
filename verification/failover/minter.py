"""Fork processes that mint, until the standard input ends.

    python -m verification.failover.minter FOLDER PROCESSES

Each is forked by a parent that has minted nothing, and leases a worker id of its own.
The UIDs go to logs in FOLDER, and what else happens, a line each, to the file
``events`` there. ``spans`` there has the times in which processes were served: pairs of
nanoseconds of the machine's monotonic clock.
"""

from __future__ import annotations

import os
import random
import select
import signal
import sys
import time
from array import array
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import django

from django_uidgen.core.exceptions import UidError
from verification.failover import ALIAS
from verification.soak.run_log import RunLog, joined

if TYPE_CHECKING:
    from django_uidgen.core.generators import UidGenerator

#: How long a process mints before something becomes of it, in leases, on average, and
#: how often. Some claim again and again, others renew what they have.
LIVES = {0.07: 3, 1.0: 1}

T = TypeVar("T")

#: What becomes of it, and how often.
ENDS = {"leave": 5, "crash": 1, "sleep": 1, "close": 3}

#: How long it sleeps at the most, in leases.
LONGEST_SLEEP = 2.0

#: How long a refused process waits, in seconds.
REFUSED_PAUSE = 0.05

#: Spans are written so often, in ns; a longer time without UIDs ends one.
SPAN, GAP = 50_000_000, 20_000_000


class Output:
    """The files that all processes append to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._events = os.open(folder / "events", flags, 0o644)
        self._spans = os.open(folder / "spans", flags, 0o644)

    def tell(self, *words: object) -> None:
        """Write down that something happened."""
        line = " ".join(map(str, [os.getpid(), *words])) + "\n"
        os.write(self._events, line.encode())

    def served(self, begin: int, end: int) -> None:
        """Write down that this process was served from ``begin`` to ``end``."""
        os.write(self._spans, array("Q", [begin, end]).tobytes())

    def new_log(self) -> RunLog:
        """Return a log for one generator of this process."""
        folder = self.folder / "logs" / ALIAS
        folder.mkdir(parents=True, exist_ok=True)
        return RunLog(folder / f"{os.getpid()}-{random.getrandbits(48):012x}")


class Service:
    """The times in which this process was handed UIDs."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._begin = self._end = time.monotonic_ns()

    def start(self) -> None:
        """Begin anew: what was before was no wait."""
        self._begin = self._end = time.monotonic_ns()

    def note(self) -> None:
        """Note that this process was handed UIDs just now."""
        now = time.monotonic_ns()
        waited = now - self._end
        if waited > GAP:
            self._output.served(self._begin, self._end)
            self._output.tell("waited", waited)
            self._begin = now
        elif now - self._begin > SPAN:
            self._output.served(self._begin, now)
            self._begin = now
        self._end = now


class Minter:
    """What one process does."""

    def __init__(self, output: Output, lease: float) -> None:
        from django_uidgen import generators, uid

        self._lease_seconds = lease
        self._generators = generators
        self._uid = uid
        self._output = output
        self._service = Service(output)
        self._log = output.new_log()
        self._lease: object = None

    @property
    def _generator(self) -> UidGenerator:
        return self._generators[ALIAS]

    def live(self) -> None:
        """Mint, and let something become of this process, again and again."""
        while True:
            mean = drawn(LIVES) * self._lease_seconds
            end = time.monotonic() + random.expovariate(1 / mean)
            while time.monotonic() < end:
                if is_over():
                    return
                self._mint()
            what = drawn(ENDS)
            self._output.tell(what)
            if what == "leave":
                return
            if what == "crash":
                os.kill(os.getpid(), signal.SIGKILL)
            if what == "sleep":
                # The process that forked this one wakes it.
                os.kill(os.getpid(), signal.SIGSTOP)
            if what == "close":
                self._generator.close()
                self._log = self._output.new_log()
            self._service.start()

    def _mint(self) -> None:
        """Mint in some way, and write it down before anything else."""
        handed_out: list[range] = []
        try:
            way = random.choice([self._allocated, self._listed, self._one_by_one])
            way(handed_out)
        except UidError as error:
            self._output.tell("refused", type(error).__name__)
            time.sleep(REFUSED_PAUSE)
        finally:
            self._log.append(handed_out)
        if handed_out:
            self._service.note()
            self._note_lease()

    def _allocated(self, handed_out: list[range]) -> None:
        # Beyond MAX_LEAD it waits for the clock: so every tick is used up.
        handed_out += self._generator.allocate(random.randint(1, 100_000))

    def _listed(self, handed_out: list[range]) -> None:
        handed_out += joined(self._generator.uids(random.randint(1, 2000)))

    def _one_by_one(self, handed_out: list[range]) -> None:
        uids: list[int] = []
        try:
            # Those before an error were handed out.
            uids.extend(self._uid() for _ in range(random.randint(1, 300)))
        finally:
            handed_out += joined(uids)

    def _note_lease(self) -> None:
        lease = self._generator.lease
        known = lease and (lease.key, lease.worker_id, lease.reserved_from)
        if known != self._lease:
            self._lease = known
            self._output.tell("claimed")


def drawn(weights: dict[T, int]) -> T:
    """Return one of the keys, each as often as its weight says."""
    return random.choices(list(weights), list(weights.values()))[0]


class Processes:
    """Those that mint, as children of this process."""

    def __init__(self, output: Output, lease: float) -> None:
        self._output = output
        self._lease = lease
        #: The children, and when they are to be woken.
        self._all: dict[int, float] = {}

    def keep(self, count: int) -> None:
        """Keep so many, until the standard input ends; wait for the last ones then."""
        while not is_over(0.02):
            self._look_after()
            while len(self._all) < count:
                self._fork()
        while self._all:
            self._look_after()
            time.sleep(0.02)

    def _fork(self) -> None:
        child = os.fork()
        if child:
            self._all[child] = float("inf")
            return
        random.seed()
        Minter(self._output, self._lease).live()
        # As any program ends.
        sys.exit(0)

    def _look_after(self) -> None:
        """Note who has ended, or sleeps, and wake who has slept long enough."""
        for pid in list(self._all):
            ended, status = os.waitpid(pid, os.WNOHANG | os.WUNTRACED)
            if ended and os.WIFSTOPPED(status):
                seconds = self._lease * random.uniform(0, LONGEST_SLEEP)
                self._all[pid] = time.monotonic() + seconds
            elif ended:
                del self._all[pid]
                code = os.waitstatus_to_exitcode(status)
                if code not in (0, -signal.SIGKILL):
                    self._output.tell("failed", f"process {pid}, status {code}")
            elif self._all[pid] <= time.monotonic():
                self._all[pid] = float("inf")
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)


def is_over(seconds: float = 0.0) -> bool:
    """Wait so long at the most; tell whether the standard input has ended."""
    readable, _, _ = select.select([sys.stdin], [], [], seconds)
    return bool(readable)


def main(folder: str, count: str) -> None:
    """Set up as any program of a project does, and fork."""
    django.setup()
    from django.conf import settings

    lease = settings.UIDGEN[ALIAS]["OPTIONS"]["LEASE"]
    Processes(Output(Path(folder)), lease).keep(int(count))


if __name__ == "__main__":
    main(*sys.argv[1:])
