"""The limits of a lease's own connection: of its transactions, and of its driver."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace

import pytest
from django.db import DatabaseError, connection, connections, transaction
from django.db.backends.signals import connection_created
from django.utils import timezone

from django_uidgen import databases, registry, uid
from django_uidgen.core.exceptions import WorkerIdUnavailable
from django_uidgen.transaction_settings import replicated
from tests.support.leases import add_lease

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


# Leases outlast a crash, though the project's rows need not.


@pytest.fixture
def project_with(monkeypatch):
    """Have the project's connections begin with settings of PostgreSQL's."""

    def use(**values):
        line = " ".join(f"-c {name}={value}" for name, value in values.items())
        options = connections.settings["default"]["OPTIONS"]
        monkeypatch.setitem(options, "options", line)
        connection.close()

    yield use
    connection.close()


@ON_POSTGRESQL
@pytest.mark.parametrize(
    ("project", "ours"),
    [("off", "on"), ("on", "on"), ("local", "local"), ("remote_apply", "remote_apply")],
)
def test_synchronous_commit(project_with, project, ours):
    """Off is for rows that may be lost; other levels are the project's choice."""
    project_with(synchronous_commit=project)

    def work():
        with transaction.atomic():
            return setting("synchronous_commit")

    assert on_own_connection(work, in_thread=True) == ours
    assert setting("synchronous_commit") == project


REFUSES_WHAT_MAY_BE_LOST = """
    CREATE FUNCTION uidgen_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF current_setting('synchronous_commit') = 'off' THEN
            RAISE 'not durable';
        END IF;
        RETURN NEW;
    END $$;
    CREATE TRIGGER uidgen_refuse BEFORE INSERT OR UPDATE OF reserved_until
    ON django_uidgen_workernode FOR EACH ROW
    WHEN (NEW.released_at IS NULL) EXECUTE FUNCTION uidgen_refuse();
"""


@ON_POSTGRESQL
def test_claims_and_renewals_are_durable(project_with, settings):
    """Each write that a process relies on; a release may be lost."""
    project_with(synchronous_commit="off")
    settings.UIDGEN = {"default": {"TEST": False, "BACKDATED_WORKER_IDS": (1023, 1023)}}
    generator = registry.generators["default"]
    with connection.cursor() as cursor:
        cursor.execute(REFUSES_WHAT_MAY_BE_LOST)
    try:
        with pytest.raises(DatabaseError, match="not durable"):
            add_lease()
        uid()
        lease = generator.lease
        assert generator.assigner.renew(lease, lease.renew_from) != lease
        assert generator.at(timezone.now())
        registry.generators.reset()
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP FUNCTION uidgen_refuse CASCADE")


@ON_POSTGRESQL
def test_statements_of_a_claim_on_its_own_connection(settings):
    """One for all settings; those outside of a transaction have none."""
    settings.UIDGEN = {"default": {"TEST": False}}
    seen = []

    def log(execute, sql, *args):
        words = sql.strip("(").split()
        seen.append("settings" if "set_config" in sql else words[0])
        return execute(sql, *args)

    def watch(*, connection, **kwargs):
        connection.execute_wrappers.append(log)

    connection_created.connect(watch)
    try:
        uid()
    finally:
        connection_created.disconnect(watch)
        registry.generators.reset()
    assert seen[:6] == [*["SELECT"] * 3, "settings", "INSERT", "UPDATE"]


# Commits that no standby has confirmed.


def connection_of(driver):
    return SimpleNamespace(alias="x", connection=driver, ensure_connection=lambda: None)


@pytest.mark.parametrize(
    "notice",
    [
        "WARNING:  canceling wait for synchronous replication due to user request",
        "WARNING:  canceling the wait for synchronous replication and terminating",
    ],
)
def test_notices_of_psycopg2(notice):
    """It has a list of texts, and no handlers."""
    driver = SimpleNamespace(notices=["NOTICE:  hello"])
    with replicated(connection_of(driver)):
        pass
    with (
        pytest.raises(WorkerIdUnavailable, match="synchronous"),
        replicated(connection_of(driver)),
    ):
        driver.notices.append(notice)


def test_notices_in_another_language():
    """The server's function is known whatever its language."""
    handlers = []
    driver = SimpleNamespace(add_notice_handler=handlers.append)
    diagnostic = SimpleNamespace(
        source_function="SyncRepWaitForLSN", message_primary="storniere Warten"
    )
    with (
        pytest.raises(WorkerIdUnavailable, match="storniere Warten"),
        replicated(connection_of(driver)),
    ):
        handlers[0](diagnostic)
