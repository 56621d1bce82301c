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
BOTH = pytest.mark.parametrize("in_thread", [False, True])


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
@BOTH
def test_settings_of_our_transactions(in_thread):
    """Each begins with them; none of them outlives it, as a pool would hand it on."""
    value = partial(setting, "statement_timeout")

    def work():
        values = []
        for _ in range(2):
            with transaction.atomic():
                values.append(value())
                with transaction.atomic():
                    values.append(value())
        values.append(value())
        with connections["default"].connection.cursor() as cursor:
            cursor.execute("SELECT current_setting('statement_timeout')")
            values.append(cursor.fetchone()[0])
        return values

    limit = "1min" if in_thread else "2500ms"
    # Outside of a transaction: the statement has one, but only if nobody else waits.
    alone = "0" if in_thread else "2500ms"
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

    assert on_own_connection(work, in_thread=True) == ["", "statement_timeout", "", ""]


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
