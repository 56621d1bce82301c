"""How the databases are emptied after a test that commits.

Django truncates all tables, and then fills those of content types and permissions
again. On PostgreSQL that takes longer than most tests.
"""

from __future__ import annotations

from django.db import connections, transaction
from django.test import TransactionTestCase

#: Tables that ``migrate`` fills.
KEPT = {"django_content_type", "auth_permission"}


def delete_rows(test_case: TransactionTestCase) -> None:
    """Delete all rows, but for those of ``KEPT``, in the databases of a test.

    It takes the place of ``TransactionTestCase._fixture_teardown()``.
    """
    for alias in test_case._databases_names(include_mirrors=False):
        connection = connections[alias]
        names = connection.introspection.django_table_names(
            only_existing=True, include_views=False
        )
        with (
            connection.constraint_checks_disabled(),
            transaction.atomic(using=alias),
            connection.cursor() as cursor,
        ):
            for name in set(names) - KEPT:
                table = connection.ops.quote_name(name)
                cursor.execute(f"DELETE FROM {table}")
