"""The limits of a lease's own connection: of its transactions, and of its driver."""

from __future__ import annotations

from functools import partial

import pytest
from django.db import connection, connections, transaction

from django_uidgen import databases

pytestmark = pytest.mark.django_db(transaction=True)

ON_POSTGRESQL = pytest.mark.skipif(
    connection.vendor != "postgresql", reason="others have no settings of transactions"
)


def on_own_connection(work, *, in_thread=False, timeout=2.5):
    """Return what ``work`` returns with a connection as leases have it."""
    return databases._with_own_connection(
        "default", work, timeout=timeout, in_thread=in_thread
    )


def setting(name):
    """Return a setting of PostgreSQL's as it is now, with its unit."""
    with connections["default"].cursor() as cursor:
        cursor.execute("SELECT current_setting(%s)", [name])
        return cursor.fetchone()[0]


@ON_POSTGRESQL
@pytest.mark.parametrize(
    ("name", "in_thread", "limit", "alone"),
    [
        ("statement_timeout", False, "2500ms", "2500ms"),
        ("statement_timeout", True, "1min", "0"),
        ("lock_timeout", False, "625ms", "2500ms"),
        ("lock_timeout", True, "625ms", "0"),
    ],
)
def test_settings_of_our_transactions(name, in_thread, limit, alone):
    """Each begins with them; none of them outlives it, as a pool would hand it on.

    A statement outside has a transaction of its own only where its caller waits for it.
    """
    value = partial(setting, name)

    def work():
        values = []
        for _ in range(2):
            with transaction.atomic():
                values.append(value())
                with transaction.atomic():
                    values.append(value())
        values.append(value())
        with connections["default"].connection.cursor() as cursor:
            cursor.execute("SELECT current_setting(%s)", [name])
            values.append(cursor.fetchone()[0])
        return values

    assert on_own_connection(work, in_thread=in_thread) == [limit] * 4 + [alone, "0"]


@ON_POSTGRESQL
def test_settings_cost_one_statement_a_transaction():
    """And nothing outside of one, where a thread can be left behind."""

    def work():
        seen = []

        def watch(execute, sql, *args):
            seen.append(sql)
            return execute(sql, *args)

        connections["default"].execute_wrappers.append(watch)
        setting("port")
        with transaction.atomic():
            setting("port")
            setting("port")
        return [sql.split("'")[1] if "set_config" in sql else "" for sql in seen]

    assert on_own_connection(work, in_thread=True) == ["", "lock_timeout", "", ""]


#: The options of the driver, and its defaults.
ANSWER_LIMITS = {
    "postgresql": {},
    "mysql": {"read_timeout": None, "write_timeout": None},
    "sqlite": {"timeout": 5},
}[connection.vendor]


@pytest.mark.parametrize("name", ANSWER_LIMITS)
@pytest.mark.parametrize(
    ("project", "in_thread", "limit"),
    [
        ("unset", False, 3),
        (3600, False, 3),
        (1, False, 1),
        (3600, True, 60),
        (7, True, 7),
        ("unset", True, "default"),
    ],
)
def test_limits_of_the_driver(monkeypatch, name, project, in_thread, limit):
    """No longer than MAX_WAIT or, in a thread, a minute; the project's if shorter."""
    options = connections.settings["default"]["OPTIONS"]
    monkeypatch.setitem(options, name, project)
    if project == "unset":
        monkeypatch.delitem(options, name)
    if limit == "default":
        limit = ANSWER_LIMITS[name] or 60

    def work():
        return connections["default"].get_connection_params()[name]

    assert on_own_connection(work, in_thread=in_thread) == limit


def test_settings_of_the_project_are_left_alone():
    """The limits are those of our connections."""
    before = dict(connections.settings["default"]["OPTIONS"])
    on_own_connection(lambda: None)
    assert connections.settings["default"]["OPTIONS"] == before


@ON_POSTGRESQL
def test_row_is_not_waited_for_much_longer_than_a_second():
    """However long MAX_WAIT is."""

    def work():
        with transaction.atomic():
            return setting("lock_timeout")

    assert on_own_connection(work, timeout=3600) == "1s"
