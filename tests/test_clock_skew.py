"""A host whose clock is far from the database server's leases no worker id."""

from __future__ import annotations

import logging
import time

import pytest
from django.db import connection

from django_uidgen import clock_skew, conf
from django_uidgen.clock_skew import ClockSkew
from django_uidgen.core.exceptions import ClockSkewTooLarge
from django_uidgen.models import WorkerNode
from django_uidgen.node_info import host_name

pytestmark = pytest.mark.django_db(transaction=True)

has_server = pytest.mark.skipif(
    connection.vendor == "sqlite", reason="SQLite has the clock of the process"
)
HOUR = 3600


@pytest.fixture
def clock_off(monkeypatch):
    """Have the host's clock run ahead by some seconds, or behind."""

    def set_off(seconds):
        monkeypatch.setattr(
            clock_skew, "_now", lambda: (time.time_ns() + int(seconds * 1e9)) // 1000
        )

    return set_off


@pytest.fixture
def make(settings):
    """Make an assigner with the given bound."""

    def assigner(kind="Leased", **options):
        settings.UIDGEN = {
            "default": {
                "WORKER_ID_ASSIGNER": f"django_uidgen.assigners.{kind}WorkerIdAssigner",
                "OPTIONS": {"LEASE": 10, "WORKER_ID": 1, **options},
            }
        }
        config = conf.get_config("default")
        return config.assigner.from_config(config)

    return assigner


@has_server
@pytest.mark.parametrize("off", [61, -61, HOUR, -HOUR, 86400, -86400])
@pytest.mark.parametrize("kind", ["Leased", "Disposable", "Fixed"])
def test_wrong_clock_is_refused(make, clock_off, kind, off):
    """The error names both times, and nothing is left in the table."""
    clock_off(off)
    with pytest.raises(ClockSkewTooLarge) as raised:
        make(kind).claim(1000)
    message = str(raised.value)
    assert f"the clock of host {host_name()!r} shows " in message
    assert message.count("+00:00") == 2
    assert (" s ahead of it." if off > 0 else " s behind it.") in message
    assert "MAX_CLOCK_SKEW is 60.0 s." in message
    assert not WorkerNode.objects.exists()


@has_server
@pytest.mark.parametrize("off", [2, -2, 50, -50])
def test_doubtful_clock_is_warned_of(make, clock_off, caplog, off):
    """And has its lease."""
    clock_off(off)
    assert make().claim(1000).reserved_from == 1000
    [warning] = caplog.records
    assert warning.levelno == logging.WARNING
    assert "Synchronize both with the same time server." in warning.getMessage()


@has_server
@pytest.mark.parametrize("bound", [1.5, 7200])
def test_the_bound_is_a_setting(make, clock_off, bound):
    """Narrower or wider."""
    clock_off(bound + 1)
    with pytest.raises(ClockSkewTooLarge, match=f"MAX_CLOCK_SKEW is {bound} s"):
        make(MAX_CLOCK_SKEW=bound).claim(1000)
    clock_off(bound - 1)
    assert make(MAX_CLOCK_SKEW=bound).claim(1000)


def test_no_bound(make, clock_off, caplog, django_assert_num_queries):
    """Then nothing is asked, and no warning is logged."""
    clock_off(HOUR)
    with django_assert_num_queries(0):
        clock_skew.check("default", alias="default", max_skew=None)
    assert make(MAX_CLOCK_SKEW=None).claim(1000)
    assert not caplog.records


@has_server
def test_lapsed_lease_is_not_renewed_at_a_wrong_time(make, clock_off):
    """It is as good as a claim. A lease that has not ended may be renewed."""
    assigner = make()
    lease = assigner.claim(1000)
    clock_off(HOUR)
    assert assigner.renew(lease, 6000).reserved_until == 16000
    with pytest.raises(ClockSkewTooLarge):
        assigner.renew(lease, lease.reserved_until)
    assert WorkerNode.objects.get().reserved_until == 16000


@has_server
@pytest.mark.parametrize("zone", ["+00:00", "-05:00", "+05:45"])
def test_server_on_this_machine_has_this_clock(zone):
    """Read between the two looks at the clock, whatever zone the session is in."""
    statement = (
        "SET TIME ZONE" if connection.vendor == "postgresql" else "SET time_zone ="
    )
    with connection.cursor() as cursor:
        cursor.execute(f"{statement} '{zone}'")
    try:
        assert clock_skew.measure("default").seconds == 0
    finally:
        connection.close()


@pytest.mark.skipif(connection.vendor != "sqlite", reason="servers have clocks")
def test_sqlite_has_no_other_clock(make, clock_off):
    """So there is nothing to compare."""
    clock_off(HOUR)
    assert clock_skew.measure("default") is None
    assert make().claim(1000)


@pytest.mark.parametrize(
    ("asked", "server", "answered", "seconds"),
    [
        (1_000_000, 1_000_000, 1_000_000, 0),
        (1_000_000, 61_000_000, 99_000_000, 0),  # a slow answer
        (1_000_000, 3_000_000, 2_000_000, -1),
        (9_000_000, 3_000_000, 99_000_000, 6),
    ],
)
def test_what_can_be_said_for_certain(asked, server, answered, seconds):
    """The server read its clock at some moment between question and answer."""
    assert ClockSkew(asked, server, answered).seconds == seconds
