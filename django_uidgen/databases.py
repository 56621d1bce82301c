"""The connection for the database work of a lease, which no transaction may undo.

- By default a new connection in a short-lived thread. The caller's connection may be in
  a transaction, broken, or waiting for a server that never answers.
- On SQLite the caller's connection, if this process has opened it and it commits each
  statement: there is no server, and an in-memory database has only this connection.
- In a transaction on SQLite, a second writer would deadlock with the caller. So the
  work joins the transaction, and its lease is provisional.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any, NamedTuple, TypeVar

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from django_uidgen.core import fork
from django_uidgen.core.background_work import BackgroundWork
from django_uidgen.core.process import threads_run
from django_uidgen.dialects import dialect_of
from django_uidgen.transaction_settings import TransactionSettings, replicated

T = TypeVar("T")

#: The longest wait for the gate in seconds, by a fork or by database work: a database
#: that hangs must not stop everything else.
_GATE_TIMEOUT = 2.0

#: The longest wait of a thread for an answer, in seconds. Its caller does not wait, so
#: it may outlast a lock; but a thread for a server that never answers must end.
_LIMIT_IN_THREAD = 60.0

#: The longest wait for a row that another process has locked, in seconds. It may have
#: been stopped in the midst of its transaction, and another row does as well.
_LOCK_WAIT = 1.0

#: Set on a connection of a lease: when its caller stops waiting, by
#: ``time.monotonic()``.
_AWAITED_UNTIL = "_django_uidgen_awaited_until"

#: Set on a connection: the process that opened it. Django's connections belong to one
#: thread, which alone writes and reads this.
_OPENED_BY = "_django_uidgen_opened_by"


class Origin(NamedTuple):
    """What tells one database from another behind the same alias."""

    engine: str
    host: str
    port: str
    name: str


def remember_process(*, connection: BaseDatabaseWrapper, **kwargs: Any) -> None:
    """Record that this process opened ``connection``. For connection_created."""
    setattr(connection, _OPENED_BY, fork.this_process())


def watch_connections() -> None:
    """Record for each connection which process opens it."""
    connection_created.connect(remember_process, dispatch_uid="django_uidgen")
    # Another app may have queried in its own ready().
    for connection in connections.all(initialized_only=True):
        if connection.connection is not None:
            remember_process(connection=connection)


def origin_of(connection: BaseDatabaseWrapper) -> Origin:
    """Return which database is behind ``connection``."""
    settings = connection.settings_dict
    return Origin(*(str(settings[name]) for name in ("ENGINE", "HOST", "PORT", "NAME")))


def _is_open(connection: BaseDatabaseWrapper) -> bool:
    """Return whether ``connection`` is open, and was opened by this process."""
    return (
        connection.connection is not None
        and getattr(connection, _OPENED_BY, None) is fork.this_process()
    )


def _in_transaction(connection: BaseDatabaseWrapper) -> bool:
    """Return whether an open connection to SQLite is in a transaction.

    Only the driver knows of a transaction that a statement began.
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
    """Return whether work must join the caller's transaction, which is on SQLite."""
    connection = connections[database]
    return (
        dialect_of(connection).single_writer
        and _is_open(connection)
        and _in_transaction(connection)
    )


def roll_back(database: str) -> None:
    """Roll back what was not committed. The next statement has a new transaction."""
    connection = connections[database]
    if connection.connection is None:
        return  # the work had no query
    if not dialect_of(connection).single_writer or connection.connection.in_transaction:
        connection.rollback()


def lost_to_a_lock(database: str, error: Exception) -> bool:
    """Return whether ``error`` says that a row is locked, and another may be tried.

    Not once the caller has stopped waiting: then all rows may be locked.
    """
    connection = connections[database]
    return (
        dialect_of(connection).is_lock_timeout(error)
        and getattr(connection, _AWAITED_UNTIL, 0.0) > time.monotonic()
    )


@contextmanager
def locks_awaited(database: str, timeout: float) -> Iterator[None]:
    """Wait for SQLite's locks up to ``timeout`` seconds on the caller's connection.

    The project may let its own statements wait longer, so restore its limit at the end.
    """
    driver = connections[database].connection
    [[before]] = driver.execute("PRAGMA busy_timeout").fetchall()
    limit = min(before, math.ceil(timeout * 1000))
    driver.execute(f"PRAGMA busy_timeout = {limit}")
    try:
        yield
    finally:
        driver.execute(f"PRAGMA busy_timeout = {before}")


def run(database: str, work: Callable[[], T], *, timeout: float) -> T:
    """Return the result of ``work``, whose commits the caller cannot roll back.

    ``work`` uses ``connections[database]``. Raise ``StillRunning`` if it takes longer
    than ``timeout`` seconds in a thread. The lease protocol tolerates statements that
    run late.
    """
    connection = connections[database]
    if (
        dialect_of(connection).single_writer
        and not _on_event_loop()
        and _is_open(connection)
        and not _in_transaction(connection)
    ):
        with locks_awaited(database, timeout):
            return work()
    return _run_apart(database, work, timeout=timeout)


def _run_apart(database: str, work: Callable[[], T], *, timeout: float) -> T:
    """Run ``work`` with a new connection, in a thread if possible, and wait for it."""
    connected = partial(_with_own_connection, database, work, timeout=timeout)
    if not threads_run():
        return connected()
    in_thread = partial(connected, in_thread=True)
    background = BackgroundWork(in_thread, name="django_uidgen-lease")
    try:
        background.start()
    except RuntimeError:  # the interpreter is shutting down, or has too many threads
        return connected()
    return background.result(timeout)


class _ForkGate(fork.ForkAware):
    """Delay forks by Python while another thread has one of these connections open.

    The child would inherit unfinished work of the database's client library. With
    SQLite this includes the state of file locks, and the child could hang.
    """

    #: Another member may first wait for a thread that uses such a connection.
    stops_last = True

    def __init__(self) -> None:
        # After a fork of any kind, the holder may be a thread that is not in the child.
        self._lock = fork.ProcessLock()
        #: The lock that the thread that forks holds, or None.
        self._forking = threading.local()
        fork.hooks.add(self)

    @contextmanager
    def hold(self, timeout: float) -> Iterator[None]:
        """Delay forks by Python, if the lock is free soon."""
        # If another thread hangs with the lock, half of the time remains for the work.
        lock = self._lock.acquire(timeout=min(_GATE_TIMEOUT, timeout / 2))
        try:
            yield
        finally:
            if lock is not None:
                lock.release()

    def before_fork(self) -> None:
        """Wait until the connection is closed, ``_GATE_TIMEOUT`` seconds at most."""
        self._forking.lock = self._lock.acquire(timeout=_GATE_TIMEOUT)

    def after_fork_in_parent(self) -> None:
        """Allow connections again."""
        # Another thread may have imported this module after ``before_fork()`` was due.
        lock = getattr(self._forking, "lock", None)
        if lock is not None:
            lock.release()


_gate = _ForkGate()


def _with_own_connection(
    database: str, work: Callable[[], T], *, timeout: float, in_thread: bool = False
) -> T:
    """Run ``work`` with a new connection, and close it.

    Its caller waits for a connection, and for the answer to each statement, up to
    ``timeout`` seconds. A thread waits longer for answers: nobody waits for it.
    """
    before = connections[database]
    own = connections.create_connection(database)
    options = dict(own.settings_dict["OPTIONS"])
    # A pool would outlive this connection, and a fork would share it.
    options.pop("pool", None)
    dialect = dialect_of(own)
    limit = max(timeout, _LIMIT_IN_THREAD) if in_thread else timeout
    # Without a thread, as at exit, the process would wait for ever for a server that
    # accepts connections but does not answer, or for a lock.
    for name in dialect.connect_limits:
        options.setdefault(name, math.ceil(timeout))
    for name, default in dialect.answer_limits:
        options[name] = min(options.get(name) or default, math.ceil(limit))
    _limit_transactions(own, limit, timeout, in_thread=in_thread)
    setattr(own, _AWAITED_UNTIL, time.monotonic() + timeout)
    # With the project's AUTOCOMMIT = False, nothing would be committed here.
    own.settings_dict = {**own.settings_dict, "OPTIONS": options, "AUTOCOMMIT": True}
    with _gate.hold(timeout):
        connections[database] = own
        try:
            if dialect.session_settings is not None:
                with own.cursor() as cursor:
                    cursor.execute(dialect.session_settings)
            with replicated(own) if dialect.has_synchronous_standbys else nullcontext():
                return work()
        finally:
            try:
                own.close()
            finally:
                connections[database] = before


def _limit_transactions(
    own: BaseDatabaseWrapper, limit: float, timeout: float, *, in_thread: bool
) -> None:
    """Let each transaction of ``own`` begin with its limits, in seconds."""
    settings = dialect_of(own).transaction_settings
    if settings is None:
        return
    answer = math.ceil(limit * 1000)
    lock = math.ceil(min(_LOCK_WAIT, timeout / 4) * 1000)
    # Outside of a transaction there is no other row to try.
    alone = None if in_thread else settings.format(lock=answer, answer=answer)
    wrapper = TransactionSettings(
        settings.format(lock=lock, answer=answer), alone=alone
    )
    own.execute_wrappers.append(wrapper)
