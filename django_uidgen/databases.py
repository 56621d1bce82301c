"""Where the database work of a lease runs, so that no transaction can undo it.

- On the caller's own connection, if that is open in this process and commits each
  statement.
- Otherwise in a short-lived thread with a connection of its own: inside ``atomic()``,
  with autocommit off, on an event loop, or where the caller has no connection yet (one
  opened for it before a fork would be shared with the children).
- Inside a transaction on SQLite a second writer would deadlock with the caller. There
  the work joins the transaction, and what it claims is provisional.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

from django.db import InterfaceError, OperationalError, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from django_uidgen.core import fork
from django_uidgen.core.generators import threads_run

T = TypeVar("T")

#: How many seconds a fork waits for a connection of ours to be closed, and one of
#: ours for another: a database that hangs must not stop all else.
_GATE_TIMEOUT = 2.0

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
    return connection.in_atomic_block or not connection.autocommit


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


class StillRunning(TimeoutError):
    """Work that was waited for long enough. ``flight`` may be waited for again."""

    def __init__(self, flight: Flight[Any], timeout: float) -> None:
        super().__init__(f"no answer within MAX_WAIT = {timeout} s.")
        self.flight = flight


class Flight(Generic[T]):
    """Work that runs in a thread of its own, with a connection of its own."""

    def __init__(self, database: str, work: Callable[[], T]) -> None:
        self._database = database
        self._work = work
        self._results: list[T] = []
        self._errors: list[BaseException] = []
        self._process = os.getpid()
        self._thread = threading.Thread(
            target=self._run, name="django_uidgen-lease", daemon=True
        )

    def start(self) -> None:
        """Begin the work. Raise ``RuntimeError`` where no thread can be started."""
        self._thread.start()

    def _run(self) -> None:
        try:
            self._results.append(_with_own_connection(self._database, self._work))
        except BaseException as error:  # noqa: BLE001 - raised in the caller's thread
            self._errors.append(error)

    @property
    def is_here(self) -> bool:
        """Whether the thread belongs to this process, and not to a parent of it."""
        return self._process == os.getpid()

    def result(self, timeout: float) -> T:
        """Return what the work returned, or raise what it raised.

        Raise ``StillRunning`` where that takes longer than ``timeout`` seconds.
        """
        self._thread.join(timeout)
        if self._thread.is_alive():
            raise StillRunning(self, timeout)
        if self._errors:
            raise self._errors[0]
        return self._results[0]


def run(database: str, work: Callable[[], T], *, timeout: float) -> T:
    """Run ``work`` where what it commits cannot be rolled back, and return its result.

    ``work`` uses ``connections[database]``, and may be run twice. Raise
    ``StillRunning`` where that took longer than ``timeout`` seconds in a thread; the
    protocol of leases is made for statements that run late.
    """
    connection = connections[database]
    if (
        not _on_event_loop()
        and _is_open(connection)
        and not _in_transaction(connection)
    ):
        try:
            return work()
        except (OperationalError, InterfaceError):
            if connection.vendor == "sqlite":
                raise
            # An old connection may be broken while the database is well.
    return _run_apart(database, work, timeout=timeout)


def _run_apart(database: str, work: Callable[[], T], *, timeout: float) -> T:
    """Run ``work`` in a thread of its own, and wait for it."""
    flight = Flight(database, work)
    if not threads_run():
        return _with_own_connection(database, work)
    try:
        flight.start()
    except RuntimeError:  # the interpreter is shutting down
        return _with_own_connection(database, work)
    return flight.result(timeout)


class _ForkGate(fork.ForkAware):
    """No fork by Python while a connection of ours is open in another thread.

    The child would inherit what the database's client library had begun. With SQLite
    that is the state of its file locks, and the child could hang.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._closed = False
        fork.hooks.add(self)

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Keep Python from forking, if that can be had soon."""
        lock = self._lock
        held = lock.acquire(timeout=_GATE_TIMEOUT)
        try:
            yield
        finally:
            if held:
                lock.release()

    def before_fork(self) -> None:
        """Wait for the connection to be closed, but not for ever."""
        self._closed = self._lock.acquire(timeout=_GATE_TIMEOUT)

    def after_fork_in_parent(self) -> None:
        """Let connections be opened again."""
        if self._closed:
            self._closed = False
            self._lock.release()

    def after_fork_in_child(self) -> None:
        """Make a lock anew: a thread that is not here may hold the old one."""
        self._lock = threading.Lock()


_gate = _ForkGate()


def _with_own_connection(database: str, work: Callable[[], T]) -> T:
    """Run ``work`` with a connection that is opened for it, and closed."""
    before = connections[database]
    own = connections.create_connection(database)
    # A pool would outlive this connection, and would be shared after a fork.
    options = dict(own.settings_dict["OPTIONS"])
    options.pop("pool", None)
    own.settings_dict = {**own.settings_dict, "OPTIONS": options}
    with _gate.hold():
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

    It stands as long as its marker is queued on the connection, to be called at the
    commit: Django takes the marker out when the transaction, or the savepoint that it
    was queued in, is rolled back.
    """

    def __init__(self, database: str) -> None:
        self._connection = connections[database]
        #: Set by the generator that the claim is for.
        self.on_commit: Callable[[], None]

    def watch(self) -> None:
        """Queue the marker of the claim on the connection."""
        connection = self._connection
        # connection.on_commit() refuses with autocommit off, but there too a rollback
        # empties the queue. A commit is then not noticed, and the lease only lapses.
        marker: Any = (set(connection.savepoint_ids), self._committed, True)
        connection.run_on_commit.append(marker)

    def _committed(self) -> None:
        self.on_commit()

    def stands(self) -> bool:
        """Tell whether the claim is still to be committed, seen from this thread."""
        connection = self._connection
        return any(entry[1] == self._committed for entry in connection.run_on_commit)
