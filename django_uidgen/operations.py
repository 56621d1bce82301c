"""Migration operations for columns of UIDs in tables that have rows.

Django's ``AddField`` evaluates a default once and writes it to all rows, so all would
have the same UID.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from django.db import models, transaction
from django.db.migrations.operations import AddField
from django.db.migrations.operations.base import Operation
from django.db.migrations.operations.fields import FieldOperation

from django_uidgen.backfill import BATCH_SIZE, backfill
from django_uidgen.dialects import dialect_of
from django_uidgen.fields import UidField

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper
    from django.db.backends.base.schema import BaseDatabaseSchemaEditor
    from django.db.migrations.state import ProjectState

logger = logging.getLogger("django_uidgen")


class _FillOperation(Operation):
    """The base class of operations that fill a column.

    ``moments_from`` and ``batch_size`` are those of ``backfill()``.
    """

    #: SQL is not enough: the rows are read.
    reduces_to_sql = False

    def __init__(
        self,
        model_name: str,
        name: str,
        *,
        moments_from: str | None = None,
        batch_size: int = BATCH_SIZE,
    ) -> None:
        self.model_name = model_name
        self.name = name
        self.moments_from = moments_from
        self.batch_size = batch_size

    def deconstruct(self) -> tuple[str, list[Any], dict[str, Any]]:
        """Return the arguments for a migration: names, and options that were set."""
        kwargs: dict[str, Any] = {"model_name": self.model_name, "name": self.name}
        if self.moments_from is not None:
            kwargs["moments_from"] = self.moments_from
        if self.batch_size != BATCH_SIZE:
            kwargs["batch_size"] = self.batch_size
        return type(self).__name__, [], kwargs

    def _fill(
        self, model: type[models.Model], schema_editor: BaseDatabaseSchemaEditor
    ) -> None:
        """Fill the column of ``model``, and log the number of rows after each batch."""
        label = f"{model._meta.label}.{self.name}"
        backfill(
            model,
            self.name,
            moments_from=self.moments_from,
            batch_size=self.batch_size,
            using=schema_editor.connection.alias,
            on_batch=lambda done: logger.info(
                "%s: %s rows filled.", label, f"{done:,}"
            ),
        )


class AddUidField(_FillOperation, AddField):
    """Add a column of UIDs, and write a different UID to each row.

    The column is added with NULLs, filled in batches, and finally made unique and NOT
    NULL as the field demands. With ``backfill=False`` it is only added: then the field
    must have ``null=True``, and ``manage.py uidgen backfill`` fills it.

    ``moments_from`` and ``batch_size`` are those of ``backfill()``. Raise
    ``ValueError`` for a field that is not a ``UidField`` or is a primary key.

    In a migration with ``atomic = False`` each batch is committed, and a migration that
    was killed continues when it is run again.
    """

    def __init__(
        self,
        model_name: str,
        name: str,
        field: models.Field[Any, Any],
        *,
        backfill: bool = True,
        moments_from: str | None = None,
        batch_size: int = BATCH_SIZE,
    ) -> None:
        if not isinstance(field, UidField) or field.primary_key:
            raise ValueError(
                f"AddUidField adds a UidField beside the primary key, not {field!r}. "
                f"To replace a primary key by UIDs, see the documentation."
            )
        if not backfill and not field.null:
            raise ValueError("AddUidField with backfill=False needs null=True.")
        self.backfill = backfill
        AddField.__init__(self, model_name, name, field)
        super().__init__(
            model_name, name, moments_from=moments_from, batch_size=batch_size
        )

    def deconstruct(self) -> tuple[str, list[Any], dict[str, Any]]:
        """Return the arguments for a migration, including the field."""
        name, args, kwargs = super().deconstruct()
        kwargs["field"] = self.field
        if not self.backfill:
            kwargs["backfill"] = False
        return name, args, kwargs

    def reduce(self, operation: Operation, app_label: str) -> Any:
        """Merge with no other operation: this one fills rows."""
        return FieldOperation.reduce(self, operation, app_label)

    def describe(self) -> str:
        """Return the text for ``migrate --plan``."""
        return f"Add UIDs {self.name} to {self.model_name}"

    def database_forwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        """Add the column, fill it, and give it the options of the field."""
        connection = schema_editor.connection
        from_model = from_state.apps.get_model(app_label, self.model_name)
        if not self.allow_migrate_model(connection.alias, from_model):
            return
        _check_constraints(connection)
        version = partial(self._model_with, app_label, from_state)
        if self._column not in _description(connection, from_model):
            schema_editor.add_field(from_model, self._in(version(null=True)))
        if not self.backfill:
            self._make_final(schema_editor, from_model, version)
            return
        to_fill = self._model_with_uids(app_label, from_state)
        self._fill(to_fill, schema_editor)
        with _locked(schema_editor, from_model):
            # Rows that others have inserted meanwhile.
            self._fill(to_fill, schema_editor)
            self._make_final(schema_editor, from_model, version)

    def _make_final(
        self,
        schema_editor: BaseDatabaseSchemaEditor,
        model: type[models.Model],
        version: Callable[..., type[models.Model]],
    ) -> None:
        """Alter the column from its present options, after a killed run too."""
        now = _as_it_is(schema_editor.connection, model, self._column)
        _, _, args, final = self.field.deconstruct()
        final.pop("generator", None)
        final.pop("editable", None)
        present = self._in(version(**now))
        _check_constraints(schema_editor.connection)
        schema_editor.alter_field(
            present.model, present, self._in(version(*args, **final))
        )

    @property
    def _column(self) -> str:
        return self.field.db_column or self.name

    def _in(self, model: type[models.Model]) -> models.Field[Any, Any]:
        found: models.Field[Any, Any] = model._meta.get_field(self.name)  # type: ignore[assignment]
        return found

    def _model_with(
        self, app_label: str, state: ProjectState, *args: Any, **options: Any
    ) -> type[models.Model]:
        """Return the model with a column without a default: rows would share that."""
        options.setdefault("db_column", self.field.db_column)
        return self._with(app_label, state, models.BigIntegerField(*args, **options))

    def _model_with_uids(
        self, app_label: str, state: ProjectState
    ) -> type[models.Model]:
        field = self.field.clone()
        field.null = True
        return self._with(app_label, state, field)

    def _with(
        self, app_label: str, state: ProjectState, field: models.Field[Any, Any]
    ) -> type[models.Model]:
        state = state.clone()
        state.add_field(
            app_label, self.model_name_lower, self.name, field, preserve_default=True
        )
        return state.apps.get_model(app_label, self.model_name)


class BackfillUid(_FillOperation):
    """Write a UID to each row that has NULL in a column of UIDs.

    ``moments_from`` and ``batch_size`` are those of ``backfill()``. Backwards it does
    nothing: the UIDs stay.
    """

    def state_forwards(self, app_label: str, state: ProjectState) -> None:
        """Leave the state of the models unchanged."""

    def database_forwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        """Fill the column."""
        model = from_state.apps.get_model(app_label, self.model_name)
        if self.allow_migrate_model(schema_editor.connection.alias, model):
            self._fill(model, schema_editor)

    def database_backwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        """Do nothing: the UIDs stay."""

    def describe(self) -> str:
        """Return the text for ``migrate --plan``."""
        return f"Give rows of {self.model_name} a UID in {self.name}"

    @property
    def migration_name_fragment(self) -> str:
        """Return a part of the migration's default name."""
        return f"backfill_{self.model_name.lower()}_{self.name.lower()}"


def _description(
    connection: BaseDatabaseWrapper, model: type[models.Model]
) -> dict[str, Any]:
    with connection.cursor() as cursor:
        columns = connection.introspection.get_table_description(
            cursor, model._meta.db_table
        )
    return {column.name: column for column in columns}


def _as_it_is(
    connection: BaseDatabaseWrapper, model: type[models.Model], column: str
) -> dict[str, bool]:
    """Return the options of the column in the database."""
    with connection.cursor() as cursor:
        constraints = connection.introspection.get_constraints(
            cursor, model._meta.db_table
        )
    mine = [c for c in constraints.values() if c["columns"] == [column]]
    unique = any(constraint["unique"] for constraint in mine)
    return {
        "null": bool(_description(connection, model)[column].null_ok),
        "unique": unique,
        "db_index": not unique and any(constraint["index"] for constraint in mine),
    }


@contextmanager
def _locked(
    schema_editor: BaseDatabaseSchemaEditor, model: type[models.Model]
) -> Iterator[None]:
    """Lock the table against other writers, if the database has transactional DDL."""
    connection = schema_editor.connection
    if not connection.features.can_rollback_ddl:
        yield
        return
    with transaction.atomic(connection.alias):
        table_lock = dialect_of(connection).table_lock
        if table_lock is not None:
            table = connection.ops.quote_name(model._meta.db_table)
            schema_editor.execute(table_lock.format(table=table))
        yield


def _check_constraints(connection: BaseDatabaseWrapper) -> None:
    """Check deferred constraints now, where the database asks for it.

    PostgreSQL cannot alter a table with pending checks, for example of rows that an
    earlier operation of the same migration has created.
    """
    if dialect_of(connection).checks_before_ddl and connection.in_atomic_block:
        connection.check_constraints()
