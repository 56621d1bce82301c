"""Fill a column of UIDs in a table that has rows.

It reads rows without a UID in the order of their primary key, and writes each batch by
one statement. It never changes a UID, so an interrupted backfill can be repeated and
continues, and it may run while others write to the table.
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
from django_uidgen.dialects import Fill, dialect_of
from django_uidgen.lookups import generator_of, target_of

#: The number of rows in a batch.
BATCH_SIZE = 2000


class NotFillable(UidError, ValueError):
    """A column cannot be filled with UIDs, because of its model."""


def backfill(
    model: type[Model],
    name: str,
    *,
    moments_from: str | None = None,
    batch_size: int = BATCH_SIZE,
    using: str = DEFAULT_DB_ALIAS,
    on_batch: Callable[[int], None] = lambda done: None,
) -> int:
    """Write a UID to the column ``name`` of each row of ``model`` without one.

    Return the number of rows written. By default the UIDs are minted now, in the order
    of the primary key. ``moments_from`` names a column of dates or datetimes, of this
    model or through a foreign key: then the UIDs are backdated to these moments.
    ``on_batch`` is called after each batch with the number of rows written so far.

    Raise ``NotFillable`` if the column does not hold UIDs or is NOT NULL, and
    ``MomentOutOfRange`` if a row has no moment or an invalid one. Earlier batches stay.
    """
    filler = _Filler(model, name, moments_from, batch_size, using)
    done = 0
    # A row inserted behind the position of a pass needs another pass.
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
            raise NotFillable(f"{self._field} is not a column of UIDs.")
        owner = self._field.model
        if owner._meta.concrete_model is not model._meta.concrete_model:
            raise NotFillable(
                f"{self._field} is a column of {owner._meta.label}. Fill it there."
            )
        if not self._field.null:
            raise NotFillable(
                f"{self._field} is NOT NULL, so no row lacks a UID. To add the column "
                f"to a table with rows, use AddUidField."
            )
        if isinstance(model._meta.pk, CompositePrimaryKey):
            raise NotFillable(f"{model._meta.label} has a composite primary key.")
        self._generator = registry.generators[alias]
        self._connection = connections[using]
        limit = dialect_of(self._connection).fill_rows
        self._batch_size = batch_size if limit is None else min(batch_size, limit)
        self._moments_from = moments_from
        # Without a manager of the project, which may hide rows.
        rows: QuerySet[Any] = QuerySet(model, using=using)
        self._rows = rows.filter((f"{name}__isnull", True)).order_by("pk")

    def one_pass(self) -> Iterator[int]:
        """Write all rows without a UID. Yield the number of rows of each batch."""
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
            raise MomentOutOfRange(f"row {key!r} has none. Set it first.")
        if isinstance(value, date) and not isinstance(value, datetime):
            midnight = datetime.combine(value, time.min)
            return timezone.make_aware(midnight, timezone.get_default_timezone())
        if not isinstance(value, datetime):
            raise NotFillable(f"row {key!r} has {value!r} there, which is not a date.")
        return value

    def _write(self, keys: list[Any], uids: list[int]) -> int:
        """Write UIDs to rows without one, by one statement. Return their number."""
        connection = self._connection
        key: Field[Any, Any] = self._field.model._meta.pk
        names = {
            "table": self._field.model._meta.db_table,
            "column": self._field.column,
            "key": key.column,
        }
        quoted = {k: connection.ops.quote_name(str(v)) for k, v in names.items()}
        values = [key.get_db_prep_value(value, connection) for value in keys]
        sql, params = _STATEMENTS[dialect_of(connection).fill](
            quoted, _type_of(key, connection), values, uids
        )
        with connection.cursor() as cursor:
            cursor.execute(sql, params)
            count: int = cursor.rowcount
        return count


def _type_of(key: Field[Any, Any], connection: BaseDatabaseWrapper) -> str:
    """Return the type of a column that can hold ``key``."""
    return str(target_of(key).rel_db_type(connection))


_Statement = tuple[str, list[Any]]


def _with_arrays(
    names: dict[str, str], key_type: str, keys: list[Any], uids: list[int]
) -> _Statement:
    """Return a statement that joins the table with two arrays."""
    sql = (
        "UPDATE {table} SET {column} = filled.uid"
        " FROM unnest(%s::{type}[], %s::bigint[]) AS filled (key, uid)"
        " WHERE {table}.{key} = filled.key AND {table}.{column} IS NULL"
    )
    return sql.format(**names, type=key_type), [keys, uids]


def _with_json(
    names: dict[str, str], key_type: str, keys: list[Any], uids: list[int]
) -> _Statement:
    """Return a statement that joins the table with JSON, a single parameter."""
    sql = (
        "UPDATE {table} SET {column} = json_extract(filled.value, '$[1]')"
        " FROM json_each(%s) AS filled"
        " WHERE {table}.{key} = json_extract(filled.value, '$[0]')"
        " AND {table}.{column} IS NULL"
    )
    pairs = list(zip(keys, uids, strict=True))
    return sql.format(**names), [json.dumps(pairs, default=_in_json)]


def _in_json(key: Any) -> str:
    """Return a key as text that SQLite can compare with the column."""
    if isinstance(key, bytes | memoryview):
        raise NotFillable("On SQLite, a table with binary keys cannot be filled.")
    return str(key)


def _with_case(
    names: dict[str, str], key_type: str, keys: list[Any], uids: list[int]
) -> _Statement:
    """Return a statement in standard SQL, which every database accepts."""
    whens = " WHEN %s THEN %s" * len(keys)
    marks = ", ".join(["%s"] * len(keys))
    sql = (
        "UPDATE {table} SET {column} = CASE {key}{whens} END"
        " WHERE {key} IN ({marks}) AND {column} IS NULL"
    )
    pairs = [value for pair in zip(keys, uids, strict=True) for value in pair]
    return sql.format(**names, whens=whens, marks=marks), [*pairs, *keys]


_STATEMENTS: dict[
    Fill, Callable[[dict[str, str], str, list[Any], list[int]], _Statement]
] = {
    Fill.ARRAYS: _with_arrays,
    Fill.JSON: _with_json,
    Fill.CASE: _with_case,
}
