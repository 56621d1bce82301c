"""Retries of a step while other processes are faster."""

from __future__ import annotations

import time
from collections.abc import Callable
from random import SystemRandom
from typing import TypeVar

from django.db import Error, connections

from django_uidgen import databases
from django_uidgen.core.exceptions import WorkerIdUnavailable
from django_uidgen.dialects import dialect_of

T = TypeVar("T")

#: The number of rounds, and the longest pause between two in seconds.
ROUNDS = 40
_LONGEST_PAUSE = 0.05

#: For all assigners: forked children inherit the state of the module ``random``.
system_random = SystemRandom()


def pause(round_: int) -> None:
    """Sleep for a random time, longer in later rounds."""
    time.sleep(system_random.uniform(0, min(0.001 * 2**round_, _LONGEST_PAUSE)))


def until_won(attempt: Callable[[], T | None], *, alias: str) -> T:
    """Return what ``attempt`` returns, again and again as long as that is None.

    Raise ``WorkerIdUnavailable`` if other processes are faster for too long.
    """
    for round_ in range(ROUNDS):
        won = attempt()
        if won is not None:
            return won
        pause(round_)
    raise WorkerIdUnavailable(
        f"Generator {alias!r} could not lease a worker id in {ROUNDS} tries: "
        f"too many processes claim at once. Try again."
    )


def unless_locked(change: Callable[[], T | None], *, database: str) -> T | None:
    """Return the result of ``change``, or None if another process has locked the row.

    That process may have been stopped in the midst of its claim.
    """
    try:
        return change()
    except Error as error:
        if not databases.lost_to_a_lock(database, error):
            raise
        return None


def after_conflicts(step: Callable[[], T], *, database: str) -> T:
    """Return the result of ``step`` on ``database``. Repeat it after a conflict.

    With REPEATABLE READ or SERIALIZABLE, PostgreSQL rolls back instead of reporting
    that no row was changed. Each step is one transaction, so nothing of it remains.
    """
    for round_ in range(ROUNDS):
        try:
            return step()
        except Error as error:
            if not dialect_of(connections[database]).is_conflict(error):
                raise
            pause(round_)
    return step()
