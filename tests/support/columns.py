"""Columns as they are in the database, whatever the models say."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from django.db import connection


class Column(NamedTuple):
    """The type of a column, in the words of the database, and where values come from.

    ``generated``: the database numbers the rows, by an identity, a sequence,
    AUTO_INCREMENT or AUTOINCREMENT. ``default``: it has another default.
    """

    type: str
    generated: bool
    default: bool
    null: bool


#: A column of UIDs on each of the databases.
BIGINT = Column("bigint", generated=False, default=False, null=False)


def column(table: str, name: str = "id") -> Column:
    """Look the column ``name`` of ``table`` up in the database's own catalogue."""
    return {
        "postgresql": _on_postgresql,
        "mysql": _on_mysql,
        "sqlite": _on_sqlite,
    }[connection.vendor](table, name)


def of_field(field: Any) -> Column:
    """Look up the column of the field of a model."""
    return column(field.model._meta.db_table, field.column)


def _row(statement: str, parameters: tuple[str, ...]) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        [row] = cursor.fetchall()
    return row


def _on_postgresql(table: str, name: str) -> Column:
    kind, identity, default, null, sequence = _row(
        "SELECT data_type, is_identity, column_default, is_nullable,"
        " pg_get_serial_sequence(quote_ident(table_name), column_name)"
        " FROM information_schema.columns WHERE table_schema = current_schema()"
        " AND table_name = %s AND column_name = %s",
        (table, name),
    )
    by_sequence = sequence is not None or "nextval" in (default or "")
    return Column(
        kind,
        generated=identity == "YES" or by_sequence,
        default=default is not None and not by_sequence,
        null=null == "YES",
    )


def _on_mysql(table: str, name: str) -> Column:
    kind, extra, default, null = _row(
        "SELECT data_type, extra, column_default, is_nullable"
        " FROM information_schema.columns WHERE table_schema = DATABASE()"
        " AND table_name = %s AND column_name = %s",
        (table, name),
    )
    return Column(
        kind,
        generated="auto_increment" in extra,
        default=default not in {None, "NULL"},
        null=null == "YES",
    )


def _on_sqlite(table: str, name: str) -> Column:
    kind, not_null, default, created_by = _row(
        'SELECT c.type, c."notnull", c.dflt_value, m.sql'
        " FROM sqlite_master m JOIN pragma_table_info(m.name) c"
        " WHERE m.name = %s AND c.name = %s",
        (table, name),
    )
    # A column "integer PRIMARY KEY" numbers the rows even without AUTOINCREMENT.
    own_words = re.search(rf'\b{name}"? integer[^,]*PRIMARY KEY', created_by)
    return Column(
        kind.lower(),
        generated=own_words is not None,
        default=default is not None,
        null=not not_null,
    )
