"""System checks: they report at the start what would fail later."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.apps import AppConfig, apps
from django.core import checks
from django.db import connections, models, router
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.exceptions import BadMigrationError, NodeNotFoundError
from django.db.migrations.operations import AddField

from django_uidgen import conf
from django_uidgen.dialects import dialect_of
from django_uidgen.fields import UidAutoField, UidField
from django_uidgen.lookups import target_of

if TYPE_CHECKING:
    from django.db.migrations.loader import MigrationLoader

#: The warning about the end of a layout begins this many years before it.
_YEARS_AHEAD = 5

#: Columns of less than 64 bits, by the names that introspection returns.
_TOO_SMALL = frozenset(
    {
        "AutoField",
        "IntegerField",
        "PositiveIntegerField",
        "PositiveSmallIntegerField",
        "SmallAutoField",
        "SmallIntegerField",
    }
)


def check_settings(
    app_configs: Sequence[AppConfig] | None, **kwargs: Any
) -> list[checks.CheckMessage]:
    """Check the ``UIDGEN`` setting, and that no layout ends soon."""
    try:
        aliases = conf.aliases()
    except conf.InvalidSetting as error:
        return [_invalid(error)]
    messages: list[checks.CheckMessage] = []
    for alias in aliases:
        try:
            config = conf.get_config(alias)
        except conf.InvalidSetting as error:
            messages.append(_invalid(error))
        else:
            messages += _check_end_of_life(config)
    return messages


def _invalid(error: conf.InvalidSetting) -> checks.Error:
    return checks.Error(
        str(error),
        hint="See the list of settings in the README of django_uidgen.",
        id="django_uidgen.E001",
    )


def _check_end_of_life(config: conf.GeneratorConfig) -> list[checks.CheckMessage]:
    ends_at = config.layout.ends_at
    if ends_at - datetime.now(UTC) > timedelta(days=365 * _YEARS_AHEAD):
        return []
    return [
        checks.Warning(
            f"The time bits of generator {config.alias!r} last until "
            f"{ends_at.date().isoformat()}.",
            hint="Plan a new alias with more time_bits or a later EPOCH.",
            id="django_uidgen.W001",
        )
    ]


def check_routers(
    app_configs: Sequence[AppConfig] | None, **kwargs: Any
) -> list[checks.CheckMessage]:
    """Warn of routers that send the worker table elsewhere than ``DATABASE``.

    Not errors: the table may be made there in another way than by ``migrate``.
    """
    # Imported here: the app imports this module before models can be.
    from django_uidgen.assigners.table import TableAssigner

    return [
        message
        for config in conf.valid_configs()
        if issubclass(config.assigner, TableAssigner)
        and config.assigner_options.worker_table
        for message in _check_routers_of(config)
    ]


def _check_routers_of(config: conf.GeneratorConfig) -> Iterator[checks.CheckMessage]:
    leases = f"Generator {config.alias!r} leases worker ids in {config.database!r}"
    model = apps.get_model("django_uidgen", "WorkerNode")
    # Where no router has an opinion, Django stays with the database of the instance.
    node = model()
    node._state.db = config.database
    written_to = router.db_for_write(model, instance=node)
    if written_to != config.database:
        yield checks.Warning(
            f"{leases}, but a router sends writes of WorkerNode to {written_to!r}.",
            hint=(
                f"Let db_for_write() return {config.database!r} for WorkerNode, or set "
                f"DATABASE of the generator. Leases always follow DATABASE; code that "
                f"uses WorkerNode.objects follows the router."
            ),
            id="django_uidgen.W004",
        )
    if not router.allow_migrate_model(config.database, model):
        yield checks.Warning(
            f"{leases}, but a router keeps 'migrate' from making the worker table "
            f"there.",
            hint=(
                f"Let allow_migrate() return True for the app 'django_uidgen' in "
                f"{config.database!r}, or set DATABASE of the generator. Silence this "
                f"check if another project makes the table."
            ),
            id="django_uidgen.W005",
        )


def check_columns(
    app_configs: Sequence[AppConfig] | None,
    databases: Sequence[str] | None = None,
    **kwargs: Any,
) -> list[checks.CheckMessage]:
    """Warn of columns that are too small for UIDs, in ``databases``.

    Not an error: ``migrate`` runs this before the migration that widens a column.
    """
    return [
        message
        for alias in databases or ()
        for message in _check_columns_of(alias, app_configs)
    ]


def _check_columns_of(
    alias: str, app_configs: Sequence[AppConfig] | None
) -> Iterator[checks.CheckMessage]:
    connection = connections[alias]
    if dialect_of(connection).wide_integers:
        return
    inspect = connection.introspection
    with connection.cursor() as cursor:
        tables = set(inspect.table_names(cursor))
        for model, columns in _uid_columns(alias, app_configs):
            table = model._meta.db_table
            if table not in tables:
                continue
            for row in inspect.get_table_description(cursor, table):
                field = columns.get(row.name)
                if field and inspect.get_field_type(row.type_code, row) in _TOO_SMALL:
                    yield checks.Warning(
                        f"The column {row.name!r} of table {table!r} in database "
                        f"{alias!r} is too small for UIDs.",
                        hint=(
                            "Make it a bigint. Migrations never change the key of the "
                            "join table of a ManyToManyField: alter that by hand, or "
                            "with migrations.RunSQL."
                        ),
                        obj=field,
                        id="django_uidgen.W002",
                    )


def _uid_columns(
    alias: str, app_configs: Sequence[AppConfig] | None
) -> Iterator[tuple[type[models.Model], dict[str, models.Field[Any, Any]]]]:
    """Yield the models with UIDs in the database ``alias``, and their columns."""
    for model in apps.get_models(include_auto_created=True):
        meta = model._meta
        wanted = app_configs is None or meta.app_config in app_configs
        if wanted and router.allow_migrate_model(alias, model):
            fields = meta.local_concrete_fields
            columns = {
                field.column: field
                for field in fields
                if field.column and _has_uids(field)
            }
            if columns:
                yield model, columns


def _has_uids(field: models.Field[Any, Any]) -> bool:
    """Return whether the values of ``field``, or of its target, are UIDs."""
    return isinstance(target_of(field), UidField | UidAutoField)


def check_added_columns(
    app_configs: Sequence[AppConfig] | None,
    databases: Sequence[str] | None = None,
    **kwargs: Any,
) -> list[checks.CheckMessage]:
    """Warn of unapplied migrations that write one UID to all rows of a table.

    Django evaluates the default of an added column once, and writes it to all rows.
    ``migrate`` runs this check, and ``check --database``.
    """
    return [
        message
        for alias in databases or ()
        for message in _check_migrations_of(alias, app_configs)
    ]


def _check_migrations_of(
    alias: str, app_configs: Sequence[AppConfig] | None
) -> Iterator[checks.CheckMessage]:
    # Imported here: every process imports this module, few run this check.
    from django.db.migrations.loader import MigrationLoader

    connection = connections[alias]
    try:
        loader = MigrationLoader(connection)
    except (BadMigrationError, NodeNotFoundError):
        return  # ``migrate`` reports it
    labels = [config.label for config in app_configs or apps.get_app_configs()]
    for label, name, operation in _additions_to_come(loader):
        if label not in labels:
            continue
        state = loader.project_state((label, name), at_end=False)
        model = state.models.get((label, operation.model_name_lower))
        if model is None:
            continue  # made by the same migration
        table = model.options.get("db_table") or f"{label}_{operation.model_name_lower}"
        if _has_rows(connection, table):
            yield checks.Warning(
                f"Migration {label}.{name} adds {operation.name!r} to table {table!r} "
                f"in database {alias!r}, which has rows: all would have the same UID.",
                hint="Use django_uidgen.operations.AddUidField instead of AddField.",
                id="django_uidgen.W003",
            )


def _additions_to_come(loader: MigrationLoader) -> Iterator[tuple[str, str, AddField]]:
    """Yield app, migration and operation of each ``AddField`` not yet applied."""
    for (label, name), migration in sorted(loader.graph.nodes.items()):
        if (label, name) in (loader.applied_migrations or {}):
            continue
        for operation in migration.operations:
            # Not a subclass: AddUidField is the remedy.
            if type(operation) is AddField and isinstance(operation.field, UidField):
                yield label, name, operation


def _has_rows(connection: BaseDatabaseWrapper, table: str) -> bool:
    """Return whether a table has more than one row."""
    with connection.cursor() as cursor:
        if table not in connection.introspection.table_names(cursor):
            return False
        name = connection.ops.quote_name(table)
        cursor.execute(dialect_of(connection).two_rows.format(table=name))
        return len(cursor.fetchall()) > 1
