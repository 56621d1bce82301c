"""Migration operations for columns of UIDs in tables that have rows.

Django's ``AddField`` asks a default once and writes it to all rows, so each would get
the same UID.
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
from django_uidgen.fields import UidField

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper
    from django.db.backends.base.schema import BaseDatabaseSchemaEditor
    from django.db.migrations.state import ProjectState

logger = logging.getLogger("django_uidgen")


def _fill(
    model: type[models.Model],
    operation: AddUidField | BackfillUid,
    schema_editor: BaseDatabaseSchemaEditor,
) -> None:
    """Fill the column of an operation, and log how far it is."""
    name = operation.name
    label = model._meta.label

    def log(done: int) -> None:
        logger.info("%s.%s: %s rows have got a UID.", label, name, f"{done:,}")

    backfill(
        model,
        name,
        moments_from=operation.moments_from,
        batch_size=operation.batch_size,
        using=schema_editor.connection.alias,
        on_batch=log,
    )


class AddUidField(AddField):
    """Add a column of UIDs, and give each row that is there one of its own.

    It is added without a UID, filled in batches, and made unique and NOT NULL at the
    end, as the field says. With ``backfill=False`` it is only added: the field must
    take NULL then, and ``manage.py uidgen backfill`` fills it.

    ``moments_from`` and ``batch_size`` are those of ``backfill()``.

    In a migration with ``atomic = False`` each batch is committed, and a migration that
    was killed goes on where it was when it is run again.
    """

    #: The rows are read.
    reduces_to_sql = False

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
                f"To put UIDs in the place of a primary key, see the documentation."
            )
        if not backfill and not field.null:
            raise ValueError("AddUidField with backfill=False wants null=True.")
        self.backfill = backfill
        self.moments_from = moments_from
        self.batch_size = batch_size
        super().__init__(model_name, name, field)

    def deconstruct(self) -> Any:
        """Return what a migration writes."""
        name, args, kwargs = super().deconstruct()
        if not self.backfill:
            kwargs["backfill"] = False
        kwargs.update(_given(self.moments_from, self.batch_size))
        return name, args, kwargs

    def reduce(self, operation: Operation, app_label: str) -> Any:
        """Merge with no other operation: rows are filled between them."""
        return FieldOperation.reduce(self, operation, app_label)

    def describe(self) -> str:
        """Return what is shown by ``migrate --plan``."""
        return f"Add UIDs {self.name} to {self.model_name}"

    def database_forwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        """Add the column, fill it, and make it what the field says."""
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
        _fill(to_fill, self, schema_editor)
        with _locked(schema_editor, from_model):
            # What was written meanwhile.
            _fill(to_fill, self, schema_editor)
            self._make_final(schema_editor, from_model, version)

    def _make_final(
        self,
        schema_editor: BaseDatabaseSchemaEditor,
        model: type[models.Model],
        version: Callable[..., type[models.Model]],
    ) -> None:
        """Alter the column from what it is by now, if the migration runs again."""
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
        """Return the model with a column that has no default: one for all rows."""
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


class BackfillUid(Operation):
    """Give each row a UID that has none in a column of UIDs that takes NULL.

    ``moments_from`` and ``batch_size`` are those of ``backfill()``. To take it back
    does nothing: what was there before was nothing.
    """

    reduces_to_sql = False
    reversible = True

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

    def deconstruct(self) -> Any:
        """Return what a migration writes."""
        kwargs = {"model_name": self.model_name, "name": self.name}
        given = _given(self.moments_from, self.batch_size)
        return type(self).__name__, [], kwargs | given

    def state_forwards(self, app_label: str, state: ProjectState) -> None:
        """Change nothing of the models."""

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
            _fill(model, self, schema_editor)

    def database_backwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        """Leave the UIDs where they are."""

    def describe(self) -> str:
        """Return what is shown by ``migrate --plan``."""
        return f"Give rows of {self.model_name} a UID in {self.name}"

    @property
    def migration_name_fragment(self) -> str:
        """Return a part of a name for the migration."""
        return f"backfill_{self.model_name.lower()}_{self.name.lower()}"


def _given(moments_from: str | None, batch_size: int) -> dict[str, Any]:
    """Return the options that are not as usual."""
    given: dict[str, Any] = {}
    if moments_from is not None:
        given["moments_from"] = moments_from
    if batch_size != BATCH_SIZE:
        given["batch_size"] = batch_size
    return given


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
    """Return the options of the column as the database has it."""
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
    """Keep others from writing to the table, where that can be with DDL."""
    connection = schema_editor.connection
    if not connection.features.can_rollback_ddl:
        yield
        return
    with transaction.atomic(connection.alias):
        if connection.vendor == "postgresql":
            table = connection.ops.quote_name(model._meta.db_table)
            schema_editor.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        yield


def _check_constraints(connection: BaseDatabaseWrapper) -> None:
    """Check what would be checked at the commit.

    PostgreSQL alters no table whose rows wait for that, as those that an operation of
    the same migration has made.
    """
    if connection.vendor == "postgresql" and connection.in_atomic_block:
        connection.check_constraints()
