"""An older copy of the database in the place of the one that leases were leased from.

A backup that was restored, or a replica that was promoted without the last commits:
leases that processes mint with are not in the table, or end earlier there.
"""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.core.management.color import no_style
from django.db import connection

from django_uidgen import node_info
from django_uidgen.core.exceptions import LeaseLost, UidError
from django_uidgen.models import WorkerNode
from tests.scenarios.outages.conftest import (
    ON_SERVER,
    USES_DATABASE,
    VENDOR,
    disjoint,
    wait_until,
)
from tests.support.leases import NOW, add_lease

pytestmark = USES_DATABASE

both = pytest.mark.parametrize("kind", ["Default", "Cached"])


class Copy:
    """The worker table as it is now, to be put in place of what it has become."""

    def __init__(self):
        self._rows = list(WorkerNode.objects.order_by("pk"))

    def restore(self):
        """Put it in place, with the next key that it would have given."""
        WorkerNode.objects.all().delete()
        WorkerNode.objects.bulk_create(self._rows)
        table = WorkerNode._meta.db_table
        last = max((row.pk for row in self._rows), default=0)
        statements = {
            "postgresql": connection.ops.sequence_reset_sql(no_style(), [WorkerNode]),
            "mysql": [f"ALTER TABLE {table} AUTO_INCREMENT = {last + 1}"],
            "sqlite": [
                f"UPDATE sqlite_sequence SET seq = {last} WHERE name = '{table}'"
            ],
        }[VENDOR]
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)


@pytest.fixture
def launch(monkeypatch):
    """Let what is leased from now on be a process's that was launched at a moment."""

    def launch(moment):
        monkeypatch.setattr(node_info, "launched_at", lambda: moment)

    return launch


@pytest.fixture
def begin(start):
    """Start a process with the one worker id, beside the proxy."""

    def begin(kind, **options):
        return start(kind, database="default", worker_ids=(0, 0), **options)

    return begin


def stop_clock(*processes):
    """Let the clocks of processes show one time until they are moved."""
    now = processes[0].clock.time_ns()
    for process in processes:
        process.clock.time_ns = lambda process=process: (
            now + round(process.clock.moved * 1e9)
        )


# What is not promised.


@both
def test_lease_that_is_not_in_the_copy_may_be_leased_again(begin, kind):
    """Until its end both processes may mint the same UIDs. This is the limit."""
    copy = Copy()
    process, other = begin(kind), begin(kind)
    stop_clock(process, other)
    process.mint()
    copy.restore()
    other.mint()
    process.mint()
    assert not disjoint(process, other)
    assert other.lease.worker_id == process.lease.worker_id
    assert other.lease.reserved_from < process.lease.reserved_until


# The promise: it ends, and a message says so.


@both
def test_process_whose_row_is_gone_notices(begin, kind, caplog):
    """At its next renewal it leaves the worker id, and a warning says why."""
    copy = Copy()
    process = begin(kind)
    process.mint()
    lost = process.lease
    copy.restore()
    process.move(31)
    process.mint()
    wait_until(lambda: process.lease is not lost, "the renewal")
    process.mint(10_000)  # more than can be in stock
    assert process.lease.key == WorkerNode.objects.get().pk
    assert re.search(r"row of worker id 0 .* is missing\..* an older copy", caplog.text)


@both
def test_process_whose_lease_has_gone_back_mends_it(begin, kind, caplog):
    """Nobody has taken the worker id in the copy: there the lease is longer again."""
    process = begin(kind)
    process.mint()
    copy = Copy()
    first = process.lease
    process.move(31)
    process.mint()
    wait_until(lambda: process.lease is not first, "the renewal")
    known = process.lease
    copy.restore()
    assert process.row.reserved_until < known.reserved_until
    process.move(31)
    process.mint()
    wait_until(lambda: process.lease is not known, "the renewal")
    assert process.row.reserved_until == process.lease.reserved_until
    assert process.lease.key == known.key
    assert re.search(r"worker id 0 .* ends earlier in the worker table", caplog.text)


@both
def test_process_whose_worker_id_was_taken_in_the_copy(begin, kind):
    """It notices at its next renewal: the row is sealed there."""
    process = begin(kind)
    process.mint()
    copy = Copy()
    process.move(65)
    process.mint()
    copy.restore()
    other = begin(kind)
    other.move(61)
    other.mint()
    assert other.lease.reserved_from < process.lease.reserved_until
    process.move(40)
    process.generator.uid()
    wait_until(lambda: process.lease is None, "the renewal that finds it lost")
    with pytest.raises(UidError, match="1 leases are live"):
        process.mint(10_000)  # more than can be in stock


@pytest.mark.parametrize("step", ["renew", "release"])
def test_key_that_was_given_to_another_lease(begin, launch, step, caplog):
    """A process never takes another's row for its own: not to extend, nor to end it."""
    add_lease(worker_id=9)
    copy = Copy()
    assigner = begin("Default").assigner
    launch(NOW)
    lease = assigner.claim(1000)
    copy.restore()
    launch(NOW + timedelta(seconds=1))
    assert assigner.claim(1000).key == lease.key
    rows = WorkerNode.objects.order_by("pk")
    before = list(rows.values())
    launch(NOW)
    if step == "release":
        assigner.release(lease, 2000)
    else:
        with pytest.raises(LeaseLost, match="its row is missing"):
            assigner.renew(lease, 40_000)
        assert "an older copy of the database" in caplog.text
    assert list(rows.values()) == before


# The remedies.


@ON_SERVER
@both
@pytest.mark.parametrize("copied", ["before the claim", "before the renewal"])
@pytest.mark.usefixtures("by_proxy")
def test_wait_for_a_lease(start, proxy, kind, copied):
    """With the database out of reach until all leases have ended, nothing repeats."""
    copy = Copy()
    process, idle = start(kind), start(kind)
    process.mint()
    idle.mint()
    if copied == "before the renewal":
        copy = Copy()
    known = process.lease
    process.move(31)
    process.mint()
    wait_until(lambda: process.lease is not known, "the renewal")
    proxy.stop()
    copy.restore()
    process.move(59)
    process.mint()
    process.move(6)
    with pytest.raises(UidError):
        process.mint()
    others = [start(kind), start(kind)]
    for one in [idle, *others]:
        one.move(process.clock.moved - one.clock.moved)
    proxy.start()
    for one in [*others, idle, process]:
        one.mint()
    assert disjoint(process, idle, *others)


@both
def test_restart_all_processes(begin, kind):
    """Each begins at the time of its start, behind all that was minted before."""
    copy = Copy()
    max_lead = 0.05
    process = begin(kind, MAX_LEAD=max_lead)
    stop_clock(process)
    # As far ahead of the clock as can be.
    process.uids += process.generator.uids(4096 * 45)
    ahead = max(tick for _, tick in process.ticks)
    assert process.clock.seconds_until(ahead) > max_lead - 0.01
    copy.restore()
    other = begin(kind)
    stop_clock(process, other)
    other.move(max_lead + 0.001)
    other.mint()
    assert WorkerNode.objects.count() == 1
    assert disjoint(process, other)
