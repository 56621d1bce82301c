"""How far the clock of this host is from that of the database server.

Uniqueness does not need it. But a host whose clock runs ahead reserves ticks that for
all others lie in the future, and keeps its worker ids from them for as long.
"""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from django.db import connections

from django_uidgen import node_info
from django_uidgen.core.exceptions import ClockSkewTooLarge

logger = logging.getLogger("django_uidgen")

#: From this many seconds on a warning is logged.
WARNING_FROM = 1.0

#: What asks a server for microseconds since 1970, by the vendor's name in Django. The
#: time is that of the answer, not of the start of a transaction, and in no time zone.
_QUESTIONS = {
    "postgresql": "SELECT (EXTRACT(EPOCH FROM clock_timestamp()) * 1000000)::bigint",
    "mysql": "SELECT TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6))",
}

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class ClockSkew(NamedTuple):
    """What the two clocks showed, in microseconds since 1970.

    ``asked`` and ``answered`` are this host's, around the question. The server read
    its own at some moment between them, so a slow answer is not taken for skew.
    """

    asked: int
    server: int
    answered: int

    @property
    def seconds(self) -> float:
        """Return by how much this host is ahead at the least; negative: behind."""
        if self.server < self.asked:
            return (self.asked - self.server) / 1e6
        return min(self.answered - self.server, 0) / 1e6


def measure(database: str) -> ClockSkew | None:
    """Return how the clocks differ, or None where there is but one (SQLite)."""
    connection = connections[database]
    question = _QUESTIONS.get(connection.vendor)
    if question is None:
        return None
    with connection.cursor() as cursor:
        asked = _now()
        cursor.execute(question)
        [server] = cursor.fetchone()
        return ClockSkew(asked, int(server), _now())


def check(database: str, *, alias: str, max_skew: float | None) -> None:
    """Raise ``ClockSkewTooLarge`` beyond ``max_skew`` seconds; None: ask nothing."""
    skew = None if max_skew is None else measure(database)
    if skew is None or max_skew is None:
        return
    off = abs(skew.seconds)
    if off > max_skew:
        raise ClockSkewTooLarge(
            f"Generator {alias!r} leases no worker id: {_described(skew, database)} "
            f"MAX_CLOCK_SKEW is {max_skew} s. Set the clock that is wrong: a lease "
            f"taken at another time would keep a worker id from others."
        )
    if off >= WARNING_FROM:
        logger.warning(
            "Generator %r: %s Have both follow the same time server.",
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
