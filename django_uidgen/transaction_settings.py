"""Settings that each transaction of a lease's own connection begins with.

They end with the transaction. Settings of a session would reach other clients of the
same server connection, if a pool such as PgBouncer hands it on after each transaction.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db import transaction

#: ``transaction_status`` of psycopg's connections outside of a transaction.
_IDLE = 0


class TransactionSettings:
    """A wrapper for ``connection.execute_wrappers`` of a driver of PostgreSQL's.

    ``statement`` sets the settings, as the first statement of each ``atomic()`` block.
    With ``always``, each statement outside of such a block gets a transaction with the
    settings too, at the price of three more exchanges with the server.
    """

    def __init__(self, statement: str, *, always: bool) -> None:
        self._statement = statement
        self._always = always

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
        if self._always and not connection.in_atomic_block:
            with transaction.atomic(using=connection.alias):
                return self(execute, sql, params, many, context)
        status = connection.connection.info.transaction_status
        if connection.in_atomic_block and status == _IDLE:
            execute(self._statement, None, False, context)  # noqa: FBT003
        return execute(sql, params, many, context)
