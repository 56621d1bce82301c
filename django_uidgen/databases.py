"""Where the database work of a lease runs, so that no transaction can undo it.

- In a short-lived thread with a connection of its own. The caller's may be in a
  transaction, broken, or waiting for a server that never answers.
- On SQLite on the caller's own connection, if that is open in this process and commits
  each statement: there is no server, and a database in memory is seen by no other.
- Inside a transaction on SQLite a second writer would deadlock with the caller. There
  the work joins the transaction, and what it claims is provisional.
"""

from __future__ import annotations

import asyncio
import math
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from typing import Any, Generic, TypeVar

from django.db import OperationalError, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from django_uidgen.core import fork
from django_uidgen.core.generators import threads_run

T = TypeVar("T")

#: How many seconds a fork waits for a connection of ours to be closed, and one of
#: ours for another: a database that hangs must not stop all else.
_GATE_TIMEOUT = 2.0

#: What PostgreSQL (SQLSTATE) and MySQL call a transaction that was undone for the sake
#: of another: it could not be serialized, or the two were in a deadlock.
_CONFLICTS = ("40001", "40P01", 1020, 1213)

#: Set on a connection: the process that opened it.
_OPENED_BY = "_django_uidgen_opened_by"


def remember_process(*, connection: BaseDatabaseWrapper, **kwargs: Any) -> None:
    """Note which process opened ``connection``. A receiver of connection_created."""
    setattr(connection, _OPENED_BY, os.getpid())


def watch_connections() -> None:
    """Have each connection remember the process that opens it."""
    connection_created.connect(remember_process, dispatch_uid="django_uidgen")
    # Another app may have queried in its own ready().
    for connection in connections.all(initialized_only=True):
        if connection.connection is not None:
            remember_process(connection=connection)


def _is_open(connection: BaseDatabaseWrapper) -> bool:
    """Tell whether ``connection`` was opened, and by this process."""
    return (
        connection.connection is not None
        and getattr(connection, _OPENED_BY, None) == os.getpid()
    )


def _in_transaction(connection: BaseDatabaseWrapper) -> bool:
    """Tell whether an open connection to SQLite is in a transaction.

    One that was begun by a statement is known to the driver alone.
    """
    return (
        connection.in_atomic_block
        or not connection.autocommit
        or connection.connection.in_transaction
    )


def _on_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def must_join(database: str) -> bool:
    """Tell whether work has to join the caller's transaction: on SQLite."""
    connection = connections[database]
    return (
        connection.vendor == "sqlite"
        and _is_open(connection)
        and _in_transaction(connection)
    )


def is_conflict(error: OperationalError) -> bool:
    """Tell whether the database undid a transaction that may succeed if retried."""
    cause = error.__cause__
    state = getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None)
    return (state or next(iter(error.args), None)) in _CONFLICTS


class StillRunning(TimeoutError):
    """Work that was waited for long enough. ``flight`` may be waited for again."""

    def __init__(self, flight: Flight[Any], timeout: float) -> None:
        super().__init__(f"no answer within MAX_WAIT = {timeout} s.")
        self.flight = flight


class Flight(Generic[T]):
    """Work that runs in a thread of its own."""

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._results: list[T] = []
        self._errors: list[BaseException] = []
        self._process = os.getpid()
        self._began = time.monotonic()
        self._ended = threading.Event()
        self._thread = threading.Thread(
            target=self._run, name="django_uidgen-lease", daemon=True
        )

    def start(self) -> None:
        """Begin the work. Raise ``RuntimeError`` where no thread can be started."""
        self._thread.start()

    def _run(self) -> None:
        try:
            self._results.append(self._work())
        except BaseException as error:  # noqa: BLE001 - raised in the caller's thread
            self._errors.append(error)
        finally:
            self._ended.set()

    @property
    def is_here(self) -> bool:
        """Whether the thread belongs to this process, and not to a parent of it."""
        return self._process == os.getpid()

    @property
    def is_running(self) -> bool:
        """Whether the work has not ended."""
        return not self._ended.is_set()

    @property
    def age(self) -> float:
        """Seconds since the work was begun."""
        return time.monotonic() - self._began

    def result(self, timeout: float) -> T:
        """Return what the work returned, or raise what it raised.

        Raise ``StillRunning`` where that takes longer than ``timeout`` seconds.
        """
        self._wait(timeout)
        if self._errors:
            raise self._errors[0]
        return self._results[0]

    def late_result(self, timeout: float) -> T | None:
        """Return what the work returned to the first that asks, and None to others.

        None, too, where the work failed. What it claimed is one lease: a second thread
        that has it could give back what the first mints with.
        """
        self._wait(timeout)
        try:
            return self._results.pop()
        except IndexError:
            return None

    def _wait(self, timeout: float) -> None:
        if not self._ended.wait(timeout):
            raise StillRunning(self, timeout)
        # So that a fork does not find the thread in its last steps. In a child of a
        # fork in C, CPython may have lost it.
        with suppress(RuntimeError):
            self._thread.join(timeout)


def run(database: str, work: Callable[[], T], *, timeout: float) -> T:
    """Run ``work`` where what it commits cannot be rolled back, and return its result.

    ``work`` uses ``connections[database]``. Raise ``StillRunning`` where that took
    longer than ``timeout`` seconds in a thread; the protocol of leases is made for
    statements that run late.
    """
    connection = connections[database]
    if (
        connection.vendor == "sqlite"
        and not _on_event_loop()
        and _is_open(connection)
        and not _in_transaction(connection)
    ):
        return work()
    return _run_apart(database, work, timeout=timeout)


def _run_apart(database: str, work: Callable[[], T], *, timeout: float) -> T:
    """Run ``work`` in a thread of its own, and wait for it."""
    connected = partial(_with_own_connection, database, work, timeout=timeout)
    if not threads_run():
        return connected()
    flight = Flight(connected)
    try:
        flight.start()
    except RuntimeError:  # the interpreter is shutting down
        return connected()
    return flight.result(timeout)


class _ForkGate(fork.ForkAware):
    """No fork by Python while a connection of ours is open in another thread.

    The child would inherit what the database's client library had begun. With SQLite
    that is the state of its file locks, and the child could hang.
    """

    #: A thread that another member ends before the fork may be using its connection.
    stops_last = True

    def __init__(self) -> None:
        # A thread that is not in a child may have held it, whoever forked.
        self._lock = fork.ProcessLock()
        #: Whether the thread that forks has closed the gate.
        self._forking = threading.local()
        fork.hooks.add(self)

    @contextmanager
    def hold(self, timeout: float) -> Iterator[None]:
        """Keep Python from forking, if that can be had soon."""
        # Where another thread of ours hangs, some of the time is left for the work.
        held = self._lock.acquire(timeout=min(_GATE_TIMEOUT, timeout / 2))
        try:
            yield
        finally:
            if held:
                self._lock.release()

    def before_fork(self) -> None:
        """Wait for the connection to be closed, but not for ever."""
        self._forking.closed = self._lock.acquire(timeout=_GATE_TIMEOUT)

    def after_fork_in_parent(self) -> None:
        """Let connections be opened again."""
        # Another thread may have imported this module since the hooks before the fork.
        if getattr(self._forking, "closed", False):
            self._lock.release()


_gate = _ForkGate()


def _with_own_connection(database: str, work: Callable[[], T], *, timeout: float) -> T:
    """Run ``work`` with a connection that is opened for it, and closed."""
    before = connections[database]
    own = connections.create_connection(database)
    options = dict(own.settings_dict["OPTIONS"])
    # A pool would outlive this connection, and would be shared after a fork.
    options.pop("pool", None)
    if own.vendor in ("postgresql", "mysql"):
        # Where no thread can be waited for, as at exit, a server that takes connections
        # but does not answer would be waited for without end.
        options.setdefault("connect_timeout", math.ceil(timeout))
    own.settings_dict = {**own.settings_dict, "OPTIONS": options}
    with _gate.hold(timeout):
        connections[database] = own
        try:
            return work()
        finally:
            try:
                own.close()
            finally:
                connections[database] = before


class ProvisionalClaim:
    """The caller's transaction on SQLite, that a lease was claimed in.

    It stands as long as its row is there, and its marker is queued on the connection,
    to be called at the commit: Django takes the marker out when the transaction, or
    the block that it was queued in, is rolled back. Of savepoints that a caller made by
    hand Django's queue knows nothing; there the row tells.
    """

    def __init__(self, database: str) -> None:
        self._connection = connections[database]
        self._row: tuple[str, list[Any]]
        #: Set by the generator that the claim is for.
        self.on_commit: Callable[[], None]

    def watch(self, table: str, row: dict[str, Any]) -> None:
        """Queue the marker of the claim on the connection. ``row`` is what it made."""
        connection = self._connection
        quote = connection.ops.quote_name
        conditions = " AND ".join(f"{quote(column)} = ?" for column in row)
        statement = f"SELECT 1 FROM {quote(table)} WHERE {conditions}"  # noqa: S608
        self._row = statement, list(row.values())
        # connection.on_commit() refuses with autocommit off, but there too a rollback
        # empties the queue. A commit is then not noticed, and the lease only lapses.
        marker: Any = (set(connection.savepoint_ids), self._committed, True)
        connection.run_on_commit.append(marker)

    def _committed(self) -> None:
        if self._row_is_there():
            self.on_commit()

    def stands(self) -> bool:
        """Tell whether the claim is still to be committed, seen from this thread."""
        connection = self._connection
        is_queued = any(
            entry[1] == self._committed for entry in connection.run_on_commit
        )
        return is_queued and self._row_is_there()

    def _row_is_there(self) -> bool:
        # By the driver's own cursor. What watches queries on Django's may mint, and the
        # generator's lock is held by now. No other connection can make this one wait.
        with closing(self._connection.connection.cursor()) as cursor:
            return bool(cursor.execute(*self._row).fetchall())
