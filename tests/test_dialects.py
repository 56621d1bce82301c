"""What the package decides by the kind of database, and for databases unknown to it."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.db import (
    DatabaseError,
    Error,
    OperationalError,
    connection,
    connections,
    transaction,
)

from django_uidgen import clock_skew, conf, dialects, registry, uids
from django_uidgen.backfill import backfill
from django_uidgen.checks import _has_rows
from django_uidgen.dialects import Dialect, Fill, dialect_of
from django_uidgen.models import WorkerNode
from tests.support.things import add_empty, uids_of

VENDORS = ["postgresql", "cockroachdb", "mysql", "sqlite", "oracle", "microsoft"]

#: A dialect that the database of the suite understands, though it is another's.
STAND_INS = ["unheard-of"] + ["cockroachdb"] * (connection.vendor == "postgresql")


def dialect(vendor):
    return dialect_of(SimpleNamespace(vendor=vendor))


@pytest.fixture(autouse=True)
def _not_warned_yet():
    dialects._safe_dialect.cache_clear()
    yield
    dialects._safe_dialect.cache_clear()


@pytest.fixture(params=STAND_INS)
def vendor(request, monkeypatch):
    """Have Django call the database of the suite by another name."""
    connection.close()
    monkeypatch.setattr(type(connections["default"]), "vendor", request.param)
    yield request.param
    connection.close()


def test_no_other_module_asks_for_the_vendor():
    """There is one table."""
    package = Path(conf.__file__).parent
    asking = [
        path.name
        for path in package.rglob("*.py")
        if re.search(r"\.vendor\b", path.read_text())
    ]
    assert asking == ["dialects.py"]


@pytest.mark.parametrize("vendor", VENDORS)
def test_known_vendors(vendor, caplog):
    """Each has a dialect of its own name."""
    assert dialect(vendor).vendor == vendor
    assert caplog.text == ""


def test_unknown_vendor(caplog):
    """Safe answers, and one warning."""
    for _ in range(3):
        assert dialect("unheard-of") == Dialect(vendor="unheard-of")
    [record] = caplog.records
    assert "does not know the database vendor 'unheard-of'" in record.getMessage()


@pytest.mark.parametrize("vendor", sorted({*VENDORS} - {"sqlite"}))
def test_clock_of_each_server_is_asked(vendor):
    """And in no case that of a transaction's begin."""
    question = dialect(vendor).clock_question
    assert question.startswith("SELECT ")
    assert not re.search(r"\bNOW\(|CURRENT_TIMESTAMP", question, re.IGNORECASE)


def test_clock_question_of_cockroachdb_is_that_of_postgresql():
    """It speaks the same language."""
    question = dialect("cockroachdb").clock_question
    assert question == dialect("postgresql").clock_question


def caused_by(error=OperationalError, **attributes):
    """Return an error of Django's with a driver's error behind it."""
    cause = Exception()
    for name, value in attributes.items():
        setattr(cause, name, value)
    raised = error("rolled back")
    raised.__cause__ = cause
    return raised


@pytest.mark.parametrize(
    ("vendor", "error"),
    [
        ("postgresql", caused_by(sqlstate="40001")),
        ("postgresql", caused_by(pgcode="40P01")),
        ("cockroachdb", caused_by(sqlstate="40001")),
        ("mysql", OperationalError(1020, "Record has changed since last read")),
        ("mysql", OperationalError(1213, "Deadlock found")),
        # TiDB.
        ("mysql", OperationalError(8002, "SELECT FOR UPDATE write conflict")),
        ("mysql", OperationalError(8022, "KV error safe to retry")),
        ("mysql", OperationalError(8028, "Information schema is changed")),
        ("mysql", OperationalError(9007, "Write conflict")),
        ("oracle", DatabaseError(SimpleNamespace(code=60))),
        ("oracle", DatabaseError(SimpleNamespace(code=8177))),
        # Not a DatabaseError: pyodbc has no class of its own for a deadlock.
        ("microsoft", Error("40001", "[40001] chosen as the deadlock victim (1205)")),
        ("unheard-of", caused_by(sqlstate="40001")),
    ],
)
def test_conflicts(vendor, error):
    """Each is tried again; what is no conflict is not."""
    assert dialect(vendor).is_conflict(error)
    assert not dialect(vendor).is_conflict(OperationalError())
    assert not dialect(vendor).is_conflict(caused_by(sqlstate="42P01", pgcode=None))
    assert not dialect("sqlite").is_conflict(error)


@pytest.mark.parametrize(
    ("vendor", "option"),
    [
        ("postgresql", "connect_timeout"),
        ("cockroachdb", "connect_timeout"),
        ("mysql", "connect_timeout"),
        ("oracle", "tcp_connect_timeout"),
        ("microsoft", "connection_timeout"),
    ],
)
def test_limit_of_a_connection(vendor, option):
    """The options of the drivers; an unknown one would take no unknown option."""
    assert dialect(vendor).connect_limits == (option,)
    assert dialect("unheard-of").connect_limits == ()


@pytest.mark.parametrize(
    ("vendor", "options"),
    [
        ("postgresql", []),  # a setting of the transaction
        ("cockroachdb", []),
        ("mysql", ["read_timeout", "write_timeout"]),
        ("sqlite", ["timeout"]),
        ("oracle", []),
        ("microsoft", ["query_timeout"]),
        ("unheard-of", []),
    ],
)
def test_limit_of_an_answer(vendor, options):
    """By the driver, or by the server."""
    assert [name for name, _ in dialect(vendor).answer_limits] == options
    by_server = dialect(vendor).transaction_settings is not None
    assert by_server is (vendor in {"postgresql", "cockroachdb"})


@pytest.mark.parametrize(
    ("vendor", "error"),
    [
        ("postgresql", caused_by(sqlstate="55P03")),
        ("cockroachdb", caused_by(pgcode="55P03")),
        ("mysql", OperationalError(1205, "Lock wait timeout exceeded")),
    ],
)
def test_lock_timeouts(vendor, error):
    """Of those databases that have a limit for locks."""
    assert dialect(vendor).is_lock_timeout(error)
    assert not dialect(vendor).is_conflict(error)
    for other in ("sqlite", "oracle", "microsoft", "unheard-of"):
        assert not dialect(other).is_lock_timeout(error)


@pytest.mark.parametrize("vendor", VENDORS)
def test_parameters_of_a_backfill(vendor):
    """SQL Server takes 2,100, an IN of Oracle 1,000 values."""
    chosen = dialect(vendor)
    if vendor == "microsoft":
        assert chosen.fill_rows * 3 <= 2100
    elif vendor == "oracle":
        assert chosen.fill_rows <= 1000
    else:
        assert chosen.fill_rows is None
    assert (chosen.fill is Fill.CASE) is (vendor in {"mysql", "oracle", "microsoft"})


# On a real database, under another name.


@pytest.mark.django_db(transaction=True)
def test_lease_under_another_name(vendor, settings):
    """Claimed, renewed and released, with a clock that is compared or is not."""
    settings.UIDGEN = {"default": {"TEST": False, "OPTIONS": {"MAX_WAIT": 60}}}
    try:
        assert len(set(uids(5000))) == 5000
        generator = registry.generators["default"]
        lease = generator.lease
        assert generator.assigner.renew(lease, lease.renew_from) != lease
        skew = clock_skew.measure("default")
        assert (skew is not None) is (vendor == "cockroachdb")
    finally:
        registry.generators.reset()
    assert WorkerNode.objects.get().released_at is not None


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("rows", [10, 400])
def test_backfill_under_another_name(things, vendor, rows):
    """Each row has a UID of its own: no KeyError, nor too many parameters at once."""
    thing = things.model("Thing")
    with transaction.atomic():
        thing.objects.bulk_create(
            thing(name="more") for _ in range(rows - thing.objects.count())
        )
    things.forwards(add_empty())
    assert backfill(things.model("Thing"), "uid") == rows
    assert len(set(uids_of(things)) - {None}) == rows


@pytest.mark.django_db(transaction=True)
def test_rows_under_another_name(things, vendor):
    """Whether there are any, as the check of migrations asks."""
    table = things.model("Thing")._meta.db_table
    assert _has_rows(connection, table)
