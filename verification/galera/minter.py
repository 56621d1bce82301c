"""One of the processes that mint, until it is killed or its standard input ends.

    python -m verification.galera.minter FOLDER

It says that it is ready, waits for a line, and mints. Every UID that it is handed is
written to a log in FOLDER, and what else happens, a line each, to ``events`` there.
"""

from __future__ import annotations

import logging
import os
import random
import select
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import django
from django.db import OperationalError
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from verification.galera.settings import LEASE, WORKER_IDS
from verification.soak.run_log import RunLog, joined

#: The code of MariaDB for a transaction that conflicts with another, on any node.
CONFLICT = 1213

#: The pause of a refused caller, in seconds.
REFUSED_PAUSE = 0.1

#: How often a process rests after a mint: shortly, or for longer than a lease.
SHORT_REST = (0.9, 0.05)
LONG_REST = (0.01, 1.5 * LEASE)

UIDS_AT_ONCE = 500


class Events:
    """The file of events, of which each line is written at once."""

    def __init__(self, folder: Path) -> None:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        self._file = os.open(folder / "events", flags, 0o644)

    def note(self, what: str) -> None:
        """Note what happened."""
        os.write(self._file, f"{what}\n".encode())


class LogOfLibrary(logging.Handler):
    """Note what the library logs."""

    def __init__(self, events: Events) -> None:
        super().__init__(logging.WARNING)
        self._events = events

    def emit(self, record: logging.LogRecord) -> None:
        """Note the first words of a message."""
        self._events.note(f"logged: {record.msg[:60]}")


def watch_conflicts(events: Events) -> None:
    """Note each conflict for which the database rolls a step back."""
    # The types of Django leave out what only its back ends call.
    wrapper: Any = BaseDatabaseWrapper
    commit = wrapper._commit

    def watched_commit(connection: BaseDatabaseWrapper) -> None:
        with noted_conflicts(events, "conflict at COMMIT"):
            commit(connection)

    def watched_statement(execute: Any, *args: Any) -> Any:
        with noted_conflicts(events, "conflict before COMMIT"):
            return execute(*args)

    def watch(*, connection: BaseDatabaseWrapper, **kwargs: Any) -> None:
        connection.execute_wrappers.append(watched_statement)

    wrapper._commit = watched_commit
    connection_created.connect(watch, weak=False)


@contextmanager
def noted_conflicts(events: Events, what: str) -> Iterator[None]:
    """Note a conflict in the block."""
    try:
        yield
    except OperationalError as error:
        if error.args[:1] == (CONFLICT,):
            events.note(what)
        raise


def mint(folder: Path, events: Events) -> None:
    """Mint with both generators in turn, to the end of the input."""
    from django_uidgen import generators
    from django_uidgen.core.exceptions import UidError

    logs = {
        alias: RunLog(folder / "logs" / alias / str(os.getpid()))
        for alias in WORKER_IDS
    }
    leases: dict[str, Any] = dict.fromkeys(WORKER_IDS)
    while not select.select([sys.stdin], [], [], 0)[0]:
        alias = random.choice(list(WORKER_IDS))
        generator = generators[alias]
        try:
            uids = [generator.uid(), *generator.uids(random.randrange(UIDS_AT_ONCE))]
        except UidError as error:
            events.note(f"refused: {type(error).__name__}")
            time.sleep(REFUSED_PAUSE)
            continue
        logs[alias].append(joined(uids))
        before, lease = leases[alias], generator.lease
        leases[alias] = lease
        if before is not None and lease is not None and before != lease:
            renewed = before.key == lease.key
            events.note("renewed" if renewed else "another lease")
        for chance, longest in (SHORT_REST, LONG_REST):
            if random.random() < chance:
                time.sleep(random.uniform(0, longest))
    for log in logs.values():
        log.close()


def main(arguments: list[str]) -> None:
    """Be ready, wait for a line, and mint."""
    folder = Path(arguments[0])
    events = Events(folder)
    django.setup()
    logger = logging.getLogger("django_uidgen")
    logger.addHandler(LogOfLibrary(events))
    logger.propagate = False
    watch_conflicts(events)
    print("ready", flush=True)
    sys.stdin.readline()
    try:
        mint(folder, events)
    except Exception:
        events.note("failed")
        raise


if __name__ == "__main__":
    main(sys.argv[1:])
