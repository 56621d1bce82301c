"""One of the processes that mint, until it is killed or its standard input ends.

    python -m verification.soak.minter FOLDER HOST

It writes every UID that it is handed to logs in FOLDER, and what else happens, a line
each, to the file ``events`` there.
"""

from __future__ import annotations

import asyncio
import ctypes
import faulthandler
import logging
import os
import random
import select
import signal
import sys
import threading
import time
import traceback
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

import django
from django.conf import settings
from django.db import (
    DatabaseError,
    InterfaceError,
    connection,
    connections,
    transaction,
)

from django_uidgen.core.exceptions import UidError
from verification.soak.run_log import STEPPED_BACK, RunLog, joined

#: The exit status of a process in which something went wrong that should not.
FAILED = 70

#: Seconds between two forks of a process, on average.
FORK_INTERVAL = 4.0

#: The longest life of a forked child, in seconds.
CHILD_SECONDS = 3.0

#: Which part of the children ends at a random instruction.
CRASHING = 0.4

#: After how many seconds a child of a fork in C has hung. Some do, and some crash, in
#: CPython: its own locks, the GIL's above all, may be held by a thread that is not
#: there, and what it knows of the threads of the parent is true no more.
HUNG_SECONDS = 20.0

#: How long a refused caller waits, in seconds.
REFUSED_PAUSE = 0.1

#: How often a thread rests after a mint. A rest is longer than a lease, at times.
REST_CHANCE = 0.0005
REST_SECONDS = 2.0

#: Seconds for threads of the library to come to rest.
SETTLING = 0.1

#: What CPython 3.13 may say after a fork in C, of any thread: it took the memory of a
#: thread of the parent, whose object is still there, and is detached with it.
JOIN_FAILED = "Failed joining thread"

_real_fork = ctypes.PyDLL(None).fork


class RolledBack(Exception):
    """What rolls a transaction back."""


class Soak:
    """What this process knows: where to write, and when to stop."""

    def __init__(self, folder: Path, host: str) -> None:
        self.folder = folder
        self.host = host
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._events = os.open(folder / "events", flags, 0o644)
        self._logs: list[tuple[str, RunLog]] = []
        self._kept: list[Any] = []
        self.stopping = threading.Event()

    def tell(self, *words: object) -> None:
        """Write down that something happened."""
        line = " ".join(map(str, [self.host, os.getpid(), *words])) + "\n"
        os.write(self._events, line.encode())

    def new_log(self, alias: str) -> RunLog:
        """Return a log for one thread."""
        # The same process id, and in a namespace the same time, may come again.
        name = f"{self.host}-{os.getpid()}-{random.getrandbits(48):012x}"
        folder = self.folder / "logs" / alias
        folder.mkdir(parents=True, exist_ok=True)
        log = RunLog(folder / name)
        self._logs.append((alias, log))
        return log

    def stepped_back(self, alias: str) -> None:
        """Write down that the next UIDs of a generator may be lower."""
        for of, log in list(self._logs):
            if of == alias:
                log.mark(STEPPED_BACK)

    def close_logs(self) -> None:
        """End the logs as complete ones."""
        logs, self._logs = self._logs, []
        for _, log in logs:
            log.close()

    def forget_the_parent(self) -> None:
        """Leave to the parent of this process what is the parent's."""
        random.seed()
        self._logs = []
        self.stopping = threading.Event()
        for one in connections.all(initialized_only=True):
            # Not closed: that would end the parent's session.
            self._kept.append(one.connection)
            one.connection = None

    def fail(self) -> NoReturn:
        """End this process as one in which something went wrong."""
        self.tell("failed", repr(sys.exc_info()[1]))
        traceback.print_exc()
        os._exit(FAILED)


class Warned(logging.Handler):
    """Hear when a generator leaves the future, and count what else it warns of."""

    def __init__(self, soak: Soak) -> None:
        super().__init__(logging.WARNING)
        self._soak = soak

    def createLock(self) -> None:  # noqa: N802 - the name in logging
        """Have no lock: after a fork in C it could stay held for ever."""
        self.lock = None

    def handle(self, record: logging.LogRecord) -> bool:
        """Write it down."""
        if str(record.msg).startswith("The clock was stepped back"):
            _, alias, _ = record.args  # type: ignore[misc]
            self._soak.stepped_back(str(alias))
            self._soak.tell("stepped-back")
        elif record.exc_info:
            self._soak.tell("failed", record.getMessage(), repr(record.exc_info[1]))
            traceback.print_exception(record.exc_info[1])
        return True


class Minter:
    """What one thread does: mint with all generators, in all ways."""

    def __init__(self, soak: Soak, *, after_raw_fork: bool = False) -> None:
        from django_uidgen import generators

        self._soak = soak
        self._after_raw_fork = after_raw_fork
        self._generators = generators
        self._logs = {alias: soak.new_log(alias) for alias in settings.UIDGEN}
        self._ways = [
            (self._one_by_one, 4),
            (self._listed, 3),
            (self._allocated, 4),
            (self._awaited, 0 if after_raw_fork else 1),
            (self._rolled_back, 1),
        ]

    def mint_for(self, seconds: float) -> None:
        """Mint for so long, or until the process is to stop."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not self._soak.stopping.is_set():
            self.mint()
            if random.random() < REST_CHANCE:
                self._soak.stopping.wait(random.expovariate(1 / REST_SECONDS))

    def mint(self) -> None:
        """Mint once, in some way, and write it down."""
        alias = random.choice(list(self._logs))
        ways, weights = zip(*self._ways, strict=True)
        [way] = random.choices(ways, weights)
        handed_out: list[range] = []
        try:
            way(alias, handed_out)
        except UidError as error:
            self._soak.tell("refused", type(error).__name__)
            self._soak.stopping.wait(REFUSED_PAUSE)
        except (DatabaseError, InterfaceError):
            # That of the caller itself, as the database was stopped.
            self._soak.tell("lost-transaction")
            with suppress(DatabaseError, InterfaceError):
                connection.close()
            self._soak.stopping.wait(REFUSED_PAUSE)
        except RuntimeError as error:
            if not self._after_raw_fork or str(error) != JOIN_FAILED:
                raise
            self._soak.tell("refused", "RuntimeError-after-a-fork-in-C")
        finally:
            self._logs[alias].append(handed_out)

    def _one_by_one(self, alias: str, handed_out: list[range]) -> None:
        from django_uidgen import uid

        mint = uid if alias == "default" else self._generators[alias].uid
        uids: list[int] = []
        count = random.randint(1, 300)
        try:
            # Those before an error were handed out.
            uids.extend(mint() for _ in range(count))
        finally:
            handed_out += joined(uids)

    def _listed(self, alias: str, handed_out: list[range]) -> None:
        count = random.randint(1, 2000)
        handed_out += joined(self._generators[alias].uids(count))

    def _allocated(self, alias: str, handed_out: list[range]) -> None:
        count = int(10 ** random.uniform(0, 6))
        handed_out += self._generators[alias].allocate(count)

    def _awaited(self, alias: str, handed_out: list[range]) -> None:
        count = random.randint(1, 500)
        handed_out += joined(asyncio.run(self._generators[alias].auids(count)))

    def _rolled_back(self, alias: str, handed_out: list[range]) -> None:
        """Mint in a transaction that is undone. What was handed out stays so."""
        with suppress(RolledBack), transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1")
            self._one_by_one(alias, handed_out)
            with suppress(RolledBack), transaction.atomic():
                self._allocated(alias, handed_out)
                raise RolledBack
            raise RolledBack


def work(soak: Soak) -> None:
    """Mint in a thread, until the process is to stop."""
    try:
        Minter(soak).mint_for(float("inf"))
        connections.close_all()
    except BaseException:  # noqa: BLE001 - any is a finding
        soak.fail()


def fork(soak: Soak, minter: Minter, *, raw: bool) -> int:
    """Fork right after a mint; return the child's id. ``raw``: past all hooks."""
    minter.mint()
    if raw:
        # A child seldom hangs if no thread was waiting for the GIL. The stock stays.
        pause(SETTLING)
    child = _real_fork() if raw else os.fork()
    if child:
        return int(child)
    try:
        be_a_child(soak, raw=raw)
    except BaseException:  # noqa: BLE001 - any is a finding
        soak.fail()
    if raw or random.random() < 0.5:
        # Python does not know that it was forked, or the child leaves as many do.
        os._exit(0)
    sys.exit(0)


def be_a_child(soak: Soak, *, raw: bool) -> None:
    """Mint for a while, with what was inherited lying around."""
    soak.forget_the_parent()
    soak.tell("start", "raw-fork" if raw else "fork")
    if random.random() < CRASHING:
        # Nothing handles this signal: it ends the process wherever it is.
        signal.setitimer(signal.ITIMER_REAL, random.uniform(0.01, CHILD_SECONDS))
    minter = Minter(soak, after_raw_fork=raw)
    minter.mint_for(random.uniform(0.2, CHILD_SECONDS))
    connections.close_all()
    soak.close_logs()


class Children:
    """The children of this process."""

    def __init__(self, soak: Soak, *, raw: bool) -> None:
        self._soak = soak
        self._raw = raw
        self._begun: dict[int, float] = {}

    def add(self, child: int) -> None:
        """Note a new one."""
        self._begun[child] = time.monotonic()
        if self._raw:
            self._soak.tell("raw-child", child)

    def wait(self) -> None:
        """Wait for all."""
        while self._begun:
            self.reap()
            pause(SETTLING)

    def reap(self) -> None:
        """Tell which have ended, and how. End those that hang in CPython."""
        for child in list(self._begun):
            pid, status = os.waitpid(child, os.WNOHANG)
            age = time.monotonic() - self._begun[child]
            if pid:
                del self._begun[child]
                code = os.waitstatus_to_exitcode(status)
                self._soak.tell("child-ended", code, child)
            elif self._raw and age > HUNG_SECONDS:
                self._soak.tell("child-hung", child)
                # The rest of it is waited for in another round.
                os.kill(child, signal.SIGKILL)


def pause(seconds: float) -> None:
    """Wait. For libfaketime 0.9.10, which has the sleep of Python fail."""
    threading.Event().wait(seconds)


def run(soak: Soak) -> None:
    """Mint and fork until the standard input ends."""
    logger = logging.getLogger("django_uidgen")
    logger.addHandler(Warned(soak))
    logger.propagate = False
    soak.tell("start", "launch")
    count = random.choice([0, 0, 1, 2, 3])
    threads = [threading.Thread(target=work, args=[soak]) for _ in range(count)]
    for thread in threads:
        thread.start()
    minter, children = Minter(soak), Children(soak, raw=not threads)
    while not is_over(random.expovariate(1 / FORK_INTERVAL) if threads else 0.0):
        if not threads:
            minter.mint_for(random.uniform(0, 1))
        if threads or random.random() < 0.5 / FORK_INTERVAL:
            children.add(fork(soak, minter, raw=not threads))
        children.reap()
    soak.stopping.set()
    for thread in threads:
        thread.join()
    soak.close_logs()
    children.wait()


def is_over(seconds: float) -> bool:
    """Wait so long at the most; tell whether the standard input has ended."""
    readable, _, _ = select.select([sys.stdin], [], [], seconds)
    return bool(readable)


def main(folder: str, host: str) -> None:
    """Set up as any program of a project does, and mint."""
    faulthandler.enable()
    faulthandler.register(signal.SIGUSR1)
    # Python warns of forks beside threads, which are what is tried here.
    warnings.simplefilter("ignore", DeprecationWarning)
    time.sleep = pause  # type: ignore[assignment]
    django.setup()
    soak = Soak(Path(folder), host)
    try:
        run(soak)
    except Exception:  # noqa: BLE001 - any is a finding
        soak.fail()


if __name__ == "__main__":
    main(*sys.argv[1:])
