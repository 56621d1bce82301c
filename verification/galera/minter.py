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
import traceback
from pathlib import Path
from typing import Any

import django
from django.db import OperationalError

from verification.galera.settings import LEASE, WORKER_IDS
from verification.soak.run_log import RunLog, joined

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
    """Note each conflict that a step is repeated for, and whether it was at COMMIT."""
    from django_uidgen import databases

    known = databases.is_conflict

    def is_conflict(error: OperationalError) -> bool:
        found = known(error)
        if found:
            frames = traceback.extract_tb(error.__traceback__)
            at_commit = any(frame.name == "_commit" for frame in frames)
            events.note(f"conflict {'at COMMIT' if at_commit else 'before COMMIT'}")
        return found

    databases.is_conflict = is_conflict


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
