"""How the transactions of a lease's own connection begin and end, on PostgreSQL.

Their settings end with the transaction. Settings of a session would reach other clients
of the same server connection, if a pool such as PgBouncer hands it on after each
transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from django_uidgen.core.exceptions import WorkerIdUnavailable

#: The server's function that waits for standbys, and words of its warning in English.
_NOT_REPLICATED = ("SyncRepWaitForLSN", "synchronous replication")

#: ``transaction_status`` of psycopg's connections outside of a transaction.
_IDLE = 0


class TransactionSettings:
    """A wrapper for ``connection.execute_wrappers`` of a driver of PostgreSQL's.

    ``settings`` is the first statement of each ``atomic()`` block. With ``alone``, each
    statement outside of such a block has a transaction of its own, which begins with
    ``alone``. That costs three more exchanges with the server.
    """

    def __init__(self, settings: str, *, alone: str | None) -> None:
        self._settings = settings
        self._alone = alone

    def __call__(
        self,
        execute: Callable[..., Any],
        sql: str,
        params: Any,
        many: bool,  # noqa: FBT001 - Django passes it by position
        context: dict[str, Any],
    ) -> Any:
        """Run ``sql``, after the settings if it begins a transaction."""
        connection = context["connection"]
        if connection.in_atomic_block:
            if connection.connection.info.transaction_status == _IDLE:
                execute(self._settings, None, False, context)  # noqa: FBT003
        elif self._alone is not None:
            with transaction.atomic(using=connection.alias):
                execute(self._alone, None, False, context)  # noqa: FBT003
                return execute(sql, params, many, context)
        return execute(sql, params, many, context)


@contextmanager
def replicated(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """Raise ``WorkerIdUnavailable`` at the end if a commit may not be replicated.

    PostgreSQL commits and warns if somebody cancels the wait for a synchronous standby.
    If that standby is promoted, the commit is lost.
    """
    connection.ensure_connection()
    driver: Any = connection.connection
    notices: list[str] = []

    def note(diagnostic: Any) -> None:
        notices.append(f"{diagnostic.source_function}: {diagnostic.message_primary}")

    if hasattr(driver, "add_notice_handler"):
        driver.add_notice_handler(note)
    else:  # psycopg2
        notices = driver.notices
    yield
    for notice in notices:
        if any(sign in notice for sign in _NOT_REPLICATED):
            raise WorkerIdUnavailable(
                f"No synchronous standby of database {connection.alias!r} confirmed "
                f"the commit of a lease, so it may be lost with the primary, and "
                f"nothing is minted with it: {notice.strip()} - Is the standby up?"
            )
