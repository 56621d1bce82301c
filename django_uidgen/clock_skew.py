"""The difference between the clocks of this host and of the database server.

Uniqueness does not depend on it. But a host whose clock runs ahead reserves ticks that
are in the future for all others, and blocks its worker id for all that time.
"""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from django.db import connections

from django_uidgen import node_info
from django_uidgen.core.exceptions import ClockSkewTooLarge
from django_uidgen.dialects import dialect_of

logger = logging.getLogger("django_uidgen")

#: A difference of this many seconds or more is logged as a warning.
WARNING_FROM = 1.0

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class ClockSkew(NamedTuple):
    """Readings of the two clocks, in microseconds since 1970.

    ``asked`` and ``answered`` are readings of this host, before and after the query.
    The server read its clock between them, so a slow answer does not count as skew.
    """

    asked: int
    server: int
    answered: int

    @property
    def seconds(self) -> float:
        """The smallest possible lead of this host, in seconds; negative if behind."""
        if self.server < self.asked:
            return (self.asked - self.server) / 1e6
        return min(self.answered - self.server, 0) / 1e6


def measure(database: str) -> ClockSkew | None:
    """Return the readings of both clocks.

    Return None if there is only one (SQLite), or the server's cannot be read.
    """
    connection = connections[database]
    question = dialect_of(connection).clock_question
    if question is None:
        return None
    with connection.cursor() as cursor:
        asked = _now()
        cursor.execute(question)
        [server] = cursor.fetchone()
        return ClockSkew(asked, int(server), _now())


def check(database: str, *, alias: str, max_skew: float | None) -> None:
    """Raise ``ClockSkewTooLarge`` beyond ``max_skew`` seconds; None for no check."""
    skew = None if max_skew is None else measure(database)
    if skew is None or max_skew is None:
        return
    off = abs(skew.seconds)
    if off > max_skew:
        raise ClockSkewTooLarge(
            f"Generator {alias!r} leases no worker id: {_described(skew, database)} "
            f"MAX_CLOCK_SKEW is {max_skew} s. Set the clock that is wrong: a lease "
            f"claimed at a wrong time would block a worker id for other processes."
        )
    if off >= WARNING_FROM:
        logger.warning(
            "Generator %r: %s Synchronize both with the same time server.",
            alias,
            _described(skew, database),
        )


def _described(skew: ClockSkew, database: str) -> str:
    way = "ahead of" if skew.seconds > 0 else "behind"
    return (
        f"the clock of host {node_info.host_name()!r} shows {_shown(skew.answered)}, "
        f"that of the server of database {database!r} {_shown(skew.server)}: "
        f"{abs(skew.seconds):.1f} s {way} it."
    )


def _shown(microseconds: int) -> str:
    return (_EPOCH + timedelta(microseconds=microseconds)).isoformat()


def _now() -> int:
    return time.time_ns() // 1000
