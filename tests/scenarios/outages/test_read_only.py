"""A database that may be read, but not written to."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path

import pytest
from django.db import connection, connections, transaction

from django_uidgen.core.exceptions import WorkerIdUnavailable
from django_uidgen.models import WorkerNode
from tests.scenarios.outages.conftest import (
    ALIAS,
    ON_SERVER,
    USES_DATABASE,
    VENDOR,
    wait_until,
)
from tests.support.leases import NOW
from tools.databases import RUN

pytestmark = USES_DATABASE

SQLITE_ONLY = pytest.mark.skipif(VENDOR != "sqlite", reason="SQLite locks and files")

#: A user of the test's own: no other user of the server is to notice anything.
USER = f"uidgen_{RUN}"

NEW_USER = {
    "postgresql": [
        f"CREATE ROLE {USER} LOGIN PASSWORD 'secret'",
        f"GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO {USER}",
        f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {USER}",
    ],
    "mysql": [
        f"CREATE USER {USER} IDENTIFIED BY 'secret'",
        f"GRANT SELECT, INSERT, UPDATE ON * TO {USER}",
    ],
}
READ_ONLY = {
    # As on a standby: every transaction begins as a read-only one.
    "postgresql": f"ALTER ROLE {USER} SET default_transaction_read_only = on",
    "mysql": f"REVOKE INSERT, UPDATE ON * FROM {USER}",
}
WRITABLE = {
    "postgresql": f"ALTER ROLE {USER} RESET default_transaction_read_only",
    "mysql": f"GRANT INSERT, UPDATE ON * TO {USER}",
}
NO_USER = {
    "postgresql": [f"DROP OWNED BY {USER}", f"DROP ROLE {USER}"],
    "mysql": [f"DROP USER {USER}"],
}
REASON = {
    "postgresql": "in a read-only transaction",
    "mysql": "command denied to user",
}


def execute(*statements):
    """Do what a person who administers the server would."""
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


@pytest.fixture
def user(by_proxy):
    """Let the alias log in as a user that can be kept from writing."""
    execute(*NEW_USER[VENDOR])
    by_proxy |= {"USER": USER, "PASSWORD": "secret"}
    yield
    connections[ALIAS].close()
    execute(*NO_USER[VENDOR])


@ON_SERVER
@pytest.mark.usefixtures("user")
@pytest.mark.parametrize("in_atomic", [False, True])
def test_claim(start, in_atomic):
    """It fails, says why and what to do, and the next mint works once it is over."""
    process = start()
    execute(READ_ONLY[VENDOR])
    for _ in range(2):
        with pytest.raises(WorkerIdUnavailable, match=REASON[VENDOR]) as caught:
            mint(process, in_atomic=in_atomic)
        assert "Is the database up and writable" in str(caught.value)
    assert WorkerNode.objects.count() == 0
    execute(WRITABLE[VENDOR])
    mint(process, in_atomic=in_atomic)
    assert WorkerNode.objects.count() == 1


def mint(process, *, in_atomic):
    """Mint in a transaction of the caller's, or in none."""
    if in_atomic:
        with transaction.atomic(using=ALIAS):
            process.mint()
    else:
        process.mint()


@ON_SERVER
@pytest.mark.usefixtures("user")
def test_renewal(start, caplog):
    """Minting goes on for the rest of the lease, fails, and recovers by itself."""
    process = start()
    process.mint()
    known = process.lease
    execute(READ_ONLY[VENDOR])
    process.move(31)
    process.mint()
    wait_until(lambda: REASON[VENDOR] in caplog.text, "the warning")
    process.move(35)
    with pytest.raises(WorkerIdUnavailable, match=REASON[VENDOR]):
        process.mint()
    assert process.lease == known
    execute(WRITABLE[VENDOR])
    process.mint()
    assert process.lease.key == known.key
    assert process.row.reserved_until == process.lease.reserved_until


@ON_SERVER
@pytest.mark.usefixtures("user")
def test_end(start, caplog):
    """A lease that cannot be released lapses, which is no error."""
    process = start()
    process.mint()
    execute(READ_ONLY[VENDOR])
    process.generator.close()
    assert WorkerNode.objects.get().released_at is None
    assert {record.levelname for record in caplog.records} <= {"DEBUG", "INFO"}


# SQLite: its file, and its one writer.


@pytest.fixture
def file(monkeypatch):
    """Make the alias lead to the file of the suite, with a short patience for locks."""
    settings_dict = connections.settings["default"]
    path = Path(settings_dict["NAME"])
    options = {**settings_dict["OPTIONS"], "timeout": 0.1}
    values = {"NAME": str(path), "OPTIONS": options}
    monkeypatch.setitem(connections.settings, ALIAS, settings_dict | values)
    before = connections[ALIAS]
    connections[ALIAS] = connections.create_connection(ALIAS)
    yield path
    connections[ALIAS].close()
    connections[ALIAS] = before


@contextmanager
def connected(*, is_open):
    """Call with an open connection, on which the work is done then, or with none."""
    connections[ALIAS].close()
    if is_open:
        connections[ALIAS].ensure_connection()
    yield
    connections[ALIAS].close()


both = pytest.mark.parametrize("is_open", [False, True])


@SQLITE_ONLY
@both
def test_locked_by_another_writer(start, file, is_open):
    """The claim fails after the time that the project set for locks; then it works."""
    process = start()
    with connected(is_open=is_open):
        with transaction.atomic():
            WorkerNode.objects.update(sealed=True)
            with pytest.raises(WorkerIdUnavailable, match="database is locked"):
                process.mint()
        process.mint()
        known = process.lease
        process.move(65)
        with transaction.atomic():
            WorkerNode.objects.update(modified=NOW)
            with pytest.raises(WorkerIdUnavailable, match="database is locked"):
                process.mint()
        process.mint()
        assert process.lease.key == known.key


@SQLITE_ONLY
def test_file_that_is_away(start, file):
    """Minting goes on for the rest of the lease, fails, and recovers by itself."""
    process = start()
    process.mint()
    known = process.lease
    connection.close()
    away = file.rename(file.with_suffix(".away"))
    try:
        process.move(58)
        process.mint()
        process.move(10)
        with pytest.raises(WorkerIdUnavailable, match="no such table"):
            process.mint()
        assert process.lease == known
    finally:
        away.rename(file)
    process.mint()
    assert process.lease.key == known.key


@SQLITE_ONLY
def test_file_that_may_only_be_read(start, file, monkeypatch):
    """The claim fails; once the file may be written to, it works."""
    options = {**connections.settings[ALIAS]["OPTIONS"], "uri": True}
    monkeypatch.setitem(connections.settings[ALIAS], "OPTIONS", options)
    monkeypatch.setitem(connections.settings[ALIAS], "NAME", f"file:{file}?mode=ro")
    process = start()
    with pytest.raises(WorkerIdUnavailable, match="readonly database"):
        process.mint()
    monkeypatch.setitem(connections.settings[ALIAS], "NAME", f"file:{file}?mode=rw")
    process.mint()
    assert WorkerNode.objects.count() == 1
