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
