"""Fill a column of UIDs in a table that has rows.

Rows without a UID are read in the order of their primary key, some at a time, and each
batch is written by one statement. What is written is not touched again, so a backfill
that was ended goes on where it was, and may run while the table is written to.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime, time
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import CompositePrimaryKey, Field, Model, QuerySet
from django.utils import timezone

from django_uidgen import registry
from django_uidgen.core.exceptions import MomentOutOfRange, UidError
from django_uidgen.lookups import generator_of, target_of

#: Rows that are read, and written, at a time.
BATCH_SIZE = 2000


class NotFillable(UidError, ValueError):
    """A column that cannot be filled with UIDs, as its model has it."""


def backfill(
    model: type[Model],
    name: str,
    *,
    moments_from: str | None = None,
    batch_size: int = BATCH_SIZE,
    using: str = DEFAULT_DB_ALIAS,
    on_batch: Callable[[int], None] = lambda done: None,
) -> int:
    """Give each row of ``model`` that has none a UID in the column ``name``.

    Return how many rows were written. By default the UIDs are minted now, in the order
    of the primary key. ``moments_from`` names a column of dates or datetimes, of this
    model or through a foreign key: then each UID tells that moment. ``on_batch`` is
    told after each batch how many rows have been written.

    Raise ``NotFillable`` for a column that is none of UIDs or takes no NULL, and
    ``MomentOutOfRange`` where a row has no moment, or one that no UID can have. Batches
    before that are kept.
    """
    filler = _Filler(model, name, moments_from, batch_size, using)
    done = 0
    # A row may be inserted behind where a pass has been, and wait for the next.
    while True:
        before = done
        for written in filler.one_pass():
            done += written
            on_batch(done)
        if done == before:
            return done


class _Filler:
    """The statements of a backfill."""

    def __init__(
        self,
        model: type[Model],
        name: str,
        moments_from: str | None,
        batch_size: int,
        using: str,
    ) -> None:
        self._field: Field[Any, Any] = model._meta.get_field(name)  # type: ignore[assignment]
        alias = generator_of(self._field)
        if alias is None or self._field.is_relation:
            raise NotFillable(f"{self._field} is no column of UIDs.")
        owner = self._field.model
        if owner._meta.concrete_model is not model._meta.concrete_model:
            raise NotFillable(
                f"{self._field} is a column of {owner._meta.label}, so fill it there."
            )
        if not self._field.null:
            raise NotFillable(
                f"{self._field} takes no NULL, so no row of it waits for a UID. Where "
                f"it is to be added to a table with rows, see AddUidField."
            )
        if isinstance(model._meta.pk, CompositePrimaryKey):
            raise NotFillable(f"{model._meta.label} has a key of several columns.")
        self._generator = registry.generators[alias]
        self._connection = connections[using]
        self._batch_size = batch_size
        self._moments_from = moments_from
        # No manager of the project's, which may hide rows.
        rows: QuerySet[Any] = QuerySet(model, using=using)
        self._rows = rows.filter((f"{name}__isnull", True)).order_by("pk")

    def one_pass(self) -> Iterator[int]:
        """Write the rows that have no UID; yield for each batch how many."""
        rows = self._rows
        while True:
            batch = list(rows.values_list("pk", *self._wanted)[: self._batch_size])
            if not batch:
                return
            keys = [row[0] for row in batch]
            yield self._write(keys, self._mint(batch))
            rows = self._rows.filter(pk__gt=keys[-1])

    @property
    def _wanted(self) -> list[str]:
        return [] if self._moments_from is None else [self._moments_from]

    def _mint(self, batch: Sequence[tuple[Any, ...]]) -> list[int]:
        """Return one UID for each row."""
        if self._moments_from is None:
            return self._generator.uids(len(batch))
        try:
            return self._generator.uids_at(self._moment(*row) for row in batch)
        except MomentOutOfRange as error:
            raise MomentOutOfRange(
                f"{self._field.model._meta.label}, rows {batch[0][0]!r} to "
                f"{batch[-1][0]!r}, {self._moments_from}: {error}"
            ) from error

    @staticmethod
    def _moment(key: Any, value: Any) -> datetime:
        if value is None:
            raise MomentOutOfRange(f"row {key!r} has none. Set it, or leave it out.")
        if isinstance(value, date) and not isinstance(value, datetime):
            midnight = datetime.combine(value, time.min)
            return timezone.make_aware(midnight, timezone.get_default_timezone())
        if not isinstance(value, datetime):
            raise NotFillable(f"row {key!r} has {value!r} there, which is no date.")
        return value

    def _write(self, keys: list[Any], uids: list[int]) -> int:
        """Write UIDs to rows that have none, by one statement; return how many."""
        connection = self._connection
        key: Field[Any, Any] = self._field.model._meta.pk
        names = {
            "table": self._field.model._meta.db_table,
            "column": self._field.column,
            "key": key.column,
        }
        quoted = {k: connection.ops.quote_name(str(v)) for k, v in names.items()}
        values = [key.get_db_prep_value(value, connection) for value in keys]
        sql, params = _STATEMENTS[connection.vendor](
            quoted, _type_of(key, connection), values, uids
        )
        with connection.cursor() as cursor:
            cursor.execute(sql, params)
            count: int = cursor.rowcount
        return count


def _type_of(key: Field[Any, Any], connection: BaseDatabaseWrapper) -> str:
    """Return the type of a column that may hold ``key``."""
    return str(target_of(key).rel_db_type(connection))


_Statement = tuple[str, list[Any]]


def _for_postgresql(
    names: dict[str, str], key_type: str, keys: list[Any], uids: list[int]
) -> _Statement:
    """Join the table with two arrays."""
    sql = (
        "UPDATE {table} SET {column} = filled.uid"
        " FROM unnest(%s::{type}[], %s::bigint[]) AS filled (key, uid)"
        " WHERE {table}.{key} = filled.key AND {table}.{column} IS NULL"
    )
    return sql.format(**names, type=key_type), [keys, uids]


def _for_sqlite(
    names: dict[str, str], key_type: str, keys: list[Any], uids: list[int]
) -> _Statement:
    """Join the table with JSON, which is one parameter."""
    sql = (
        "UPDATE {table} SET {column} = json_extract(filled.value, '$[1]')"
        " FROM json_each(%s) AS filled"
        " WHERE {table}.{key} = json_extract(filled.value, '$[0]')"
        " AND {table}.{column} IS NULL"
    )
    pairs = list(zip(keys, uids, strict=True))
    return sql.format(**names), [json.dumps(pairs, default=_in_json)]


def _in_json(key: Any) -> str:
    """Return a key as text that SQLite compares with the column."""
    if isinstance(key, bytes | memoryview):
        raise NotFillable("On SQLite, tables with keys of bytes cannot be filled.")
    return str(key)


def _for_mysql(
    names: dict[str, str], key_type: str, keys: list[Any], uids: list[int]
) -> _Statement:
    """Tell the UID of each key: these have no table of values in an UPDATE."""
    whens = " WHEN %s THEN %s" * len(keys)
    marks = ", ".join(["%s"] * len(keys))
    sql = (
        "UPDATE {table} SET {column} = CASE {key}{whens} END"
        " WHERE {key} IN ({marks}) AND {column} IS NULL"
    )
    pairs = [value for pair in zip(keys, uids, strict=True) for value in pair]
    return sql.format(**names, whens=whens, marks=marks), [*pairs, *keys]


_STATEMENTS: dict[
    str, Callable[[dict[str, str], str, list[Any], list[int]], _Statement]
] = {
    "postgresql": _for_postgresql,
    "sqlite": _for_sqlite,
    "mysql": _for_mysql,
}
