"""What differs between databases: one ``Dialect`` for each vendor.

This module alone knows vendors and the codes of drivers. A vendor is Django's name of a
backend: MariaDB, MySQL and TiDB are "mysql", PostgreSQL and YugabyteDB "postgresql".
The tests run on PostgreSQL, MariaDB and SQLite; the other dialects follow the manuals.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from enum import Enum
from functools import cache
from math import inf
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

logger = logging.getLogger("django_uidgen")


class Fill(Enum):
    """How one UPDATE writes a different value to each of many rows."""

    #: A join with arrays, which are two parameters.
    ARRAYS = "arrays"
    #: A join with a JSON document, which is one parameter.
    JSON = "json"
    #: A CASE with three parameters for each row: standard SQL.
    CASE = "case"


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """The decisions for one vendor. The defaults are safe on any database."""

    vendor: str
    #: Whether the database is a file, without a server and with one writer at a time.
    single_writer: bool = False
    #: A query for microseconds since 1970, whatever the time zone. It returns the
    #: present time, not that of the start of a transaction. None: not compared.
    clock_question: str | None = None
    #: The codes for a transaction that a conflict with another one rolled back: a
    #: serialization failure or a deadlock. A retry may commit.
    conflicts: frozenset[str | int] = frozenset({"40001", "40P01"})
    #: The options of the driver that limit the wait for a connection, in seconds.
    connect_limits: tuple[str, ...] = ()
    #: The options of the driver that limit the wait for an answer or a lock, in
    #: seconds, and their defaults.
    answer_limits: tuple[tuple[str, float], ...] = ()
    #: A statement for the first in a transaction, which sets its limits: ``{lock}`` and
    #: ``{answer}``, the milliseconds for a lock and for a statement. None if there is
    #: no such statement.
    transaction_settings: str | None = None
    #: A statement for a new connection that no pool shares between transactions.
    session_settings: str | None = None
    #: The codes for a lock that was not obtained in the time so set.
    lock_timeouts: frozenset[str | int] = frozenset()
    #: Whether a commit may warn that no synchronous standby has confirmed it.
    has_synchronous_standbys: bool = False
    #: How to write UIDs to rows.
    fill: Fill = Fill.CASE
    #: The most rows of one such UPDATE; None for no limit. SQL Server takes 2,100
    #: parameters in a statement, some databases 999.
    fill_rows: int | None = 300
    #: A statement that locks ``{table}`` against other writers; None if none is known.
    table_lock: str | None = None
    #: Whether a table with pending checks of deferred constraints cannot be altered.
    checks_before_ddl: bool = False
    #: Whether each column of integers holds 64 bits, whatever its type.
    wide_integers: bool = False
    #: A query for at most two rows of ``{table}``.
    two_rows: str = "SELECT 1 FROM {table} LIMIT 2"
    #: The operator of integer division.
    integer_division: str = "/"

    def is_conflict(self, error: Exception) -> bool:
        """Return whether ``error``, raised by Django, is one of ``conflicts``."""
        return not self.conflicts.isdisjoint(_codes(error))

    def is_lock_timeout(self, error: Exception) -> bool:
        """Return whether ``error`` is one of ``lock_timeouts``."""
        return not self.lock_timeouts.isdisjoint(_codes(error))


def _codes(error: Exception) -> set[Any]:
    """Return the codes of an error of the database, as its driver gives them."""
    first = next(iter(error.args), None)
    return {
        getattr(error.__cause__, "sqlstate", None),  # psycopg
        getattr(error.__cause__, "pgcode", None),  # psycopg2
        # Oracle's error is an object with a code. MySQL's drivers and ODBC's begin
        # with the code.
        getattr(first, "code", first),
    }


_POSTGRESQL = Dialect(
    vendor="postgresql",
    clock_question="SELECT (EXTRACT(EPOCH FROM clock_timestamp()) * 1000000)::bigint",
    connect_limits=("connect_timeout",),
    # A lease that was committed must outlast a crash, and a commit must warn if it was
    # not replicated, whatever the project's settings are.
    transaction_settings=(
        "SELECT set_config('lock_timeout', '{lock}', true),"
        " set_config('statement_timeout', '{answer}', true),"
        " set_config('synchronous_commit',"
        " replace(current_setting('synchronous_commit'), 'off', 'on'), true),"
        " set_config('client_min_messages', 'warning', true)"
    ),
    lock_timeouts=frozenset({"55P03"}),
    has_synchronous_standbys=True,
    fill=Fill.ARRAYS,
    fill_rows=None,
    table_lock="LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE",
    checks_before_ddl=True,
)

#: Not run by us. It rolls back on conflicts at its default isolation level, too.
_COCKROACHDB = Dialect(
    vendor="cockroachdb",
    clock_question=_POSTGRESQL.clock_question,
    connect_limits=_POSTGRESQL.connect_limits,
    transaction_settings=(
        "SELECT set_config('lock_timeout', '{lock}', true),"
        " set_config('statement_timeout', '{answer}', true)"
    ),
    lock_timeouts=_POSTGRESQL.lock_timeouts,
    fill=Fill.ARRAYS,
    fill_rows=None,
    integer_division="//",
)

_MYSQL = Dialect(
    vendor="mysql",
    clock_question=(
        "SELECT TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6))"
    ),
    # A row that changed since it was read (MariaDB), a deadlock; then TiDB's write
    # conflicts and a schema that changed meanwhile. TiDB is not run by us.
    conflicts=frozenset({1020, 1213, 8002, 8022, 8028, 9007}),
    connect_limits=("connect_timeout",),
    answer_limits=(("read_timeout", inf), ("write_timeout", inf)),
    # In seconds: 1 is the least of MySQL's.
    session_settings="SET SESSION innodb_lock_wait_timeout = 1",
    lock_timeouts=frozenset({1205}),
    fill_rows=None,  # the client fills in the parameters
    integer_division="DIV",
)

_SQLITE = Dialect(
    vendor="sqlite",
    single_writer=True,
    conflicts=frozenset(),  # there is one writer
    answer_limits=(("timeout", 5.0),),
    fill=Fill.JSON,
    fill_rows=None,
    wide_integers=True,
)

#: Not run by us.
_ORACLE = Dialect(
    vendor="oracle",
    clock_question=(
        "SELECT ROUND((EXTRACT(DAY FROM passed) * 86400"
        " + EXTRACT(HOUR FROM passed) * 3600 + EXTRACT(MINUTE FROM passed) * 60"
        " + EXTRACT(SECOND FROM passed)) * 1000000)"
        " FROM (SELECT SYS_EXTRACT_UTC(SYSTIMESTAMP)"
        " - TIMESTAMP '1970-01-01 00:00:00' AS passed FROM DUAL)"
    ),
    # ORA-00060, a deadlock; ORA-08177, a serialization failure.
    conflicts=frozenset({60, 8177}),
    connect_limits=("tcp_connect_timeout",),
    fill_rows=1000,  # the most values of an IN
    two_rows="SELECT 1 FROM {table} FETCH FIRST 2 ROWS ONLY",
)

#: Not run by us: mssql-django.
_MICROSOFT = Dialect(
    vendor="microsoft",
    clock_question="SELECT DATEDIFF_BIG(MICROSECOND, '1970-01-01', SYSUTCDATETIME())",
    conflicts=frozenset({"40001"}),  # ODBC's code for a deadlock
    connect_limits=("connection_timeout",),
    answer_limits=(("query_timeout", inf),),
    fill_rows=600,
    two_rows="SELECT TOP 2 1 FROM {table}",
    table_lock="SELECT TOP 1 1 FROM {table} WITH (TABLOCKX, HOLDLOCK)",
)

_DIALECTS = {
    dialect.vendor: dialect
    for dialect in (
        _POSTGRESQL,
        _COCKROACHDB,
        _MYSQL,
        _SQLITE,
        _ORACLE,
        _MICROSOFT,
    )
}


def dialect_of(connection: BaseDatabaseWrapper) -> Dialect:
    """Return the dialect of the database behind ``connection``.

    For a vendor that is not known, return safe answers and log one warning.
    """
    return _DIALECTS.get(connection.vendor) or _safe_dialect(connection.vendor)


@cache
def _safe_dialect(vendor: str) -> Dialect:
    logger.warning(
        "django_uidgen does not know the database vendor %r. It does not compare the "
        "clock of this host with that of the server, repeats only steps that fail with "
        "SQLSTATE 40001, and fills columns with standard SQL.",
        vendor,
    )
    return Dialect(vendor=vendor)
