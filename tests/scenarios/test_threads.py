"""Threads that share a generator whose leases are in the database.

The generators alone, with many more threads: ``tests/core/test_threads.py``.
"""

from __future__ import annotations

import sys
import threading
from collections import defaultdict
from contextlib import suppress
from itertools import pairwise

import pytest
from django.db import connection

from django_uidgen import conf, registry, uid, uids
from django_uidgen.assigners.without_table import FixedWithoutTableAssigner
from django_uidgen.core.exceptions import WorkerIdUnavailable
from django_uidgen.models import WorkerNode
from tests.support.connections import in_threads

pytestmark = pytest.mark.django_db(transaction=True)

THREADS = 16


@pytest.fixture(autouse=True)
def _leased(settings):
    """Lease worker ids for real, for moments, with threads that take turns."""
    options = {"LEASE": 0.4, "MAX_LEAD": 0.2, "BOOST_POWER": 0, "MAX_WAIT": 30}
    layout = {
        "time_bits": 41,
        "worker_bits": 10,
        "sequence_bits": 2,
        "tick_ms": 1,
    }
    values = {"TEST": False, "OPTIONS": options, "LAYOUT": layout}
    settings.UIDGEN = {"default": values}
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)
    registry.generators.reset()


def test_leases_that_end_while_threads_mint():
    """Nothing repeats, each thread sees them ascend, and a row covers each UID."""

    def work():
        minted = []
        for _ in range(15):
            minted.append(uid())
            minted += uids(20)
        return minted

    parts, errors = in_threads(work, THREADS)
    assert errors == []
    minted = [number for part in parts for number in part]
    assert len(set(minted)) == len(minted) == THREADS * 15 * 21
    assert all(one < other for part in parts for one, other in pairwise(part))
    nodes = defaultdict(list)
    for node in WorkerNode.objects.all():
        nodes[node.worker_id].append(range(node.reserved_from, node.reserved_until))
    layout = conf.get_config("default").layout
    for number in minted:
        part = layout.decompose(number)
        assert any(part.tick in ticks for ticks in nodes[part.worker_id])
    # They needed more than one lease's time.
    first, last = layout.decompose(min(minted)).tick, layout.decompose(max(minted)).tick
    assert last - first > layout.ticks(0.4)


def test_worker_id_without_a_table_is_one_generators(settings, monkeypatch):
    """A setting was replaced, and a thread still mints with the old generator."""
    together = threading.Barrier(2)

    class Ends(dict):
        def get(self, *args):
            value = super().get(*args)
            with suppress(threading.BrokenBarrierError):
                together.wait(1)
            return value

    options = {"WORKER_ID": 7, "WORKER_TABLE": False}
    settings.UIDGEN = {"default": {"OPTIONS": options}}
    monkeypatch.setattr(FixedWithoutTableAssigner, "_ends", Ends())
    monkeypatch.setattr(FixedWithoutTableAssigner, "_holders", {})
    config = conf.get_config("default")
    assigners = [FixedWithoutTableAssigner(config), FixedWithoutTableAssigner(config)]
    leases, errors = in_threads(lambda: assigners.pop().claim(1000), 2)
    assert len(leases) == 1
    assert [type(error) for error in errors] == [WorkerIdUnavailable]


def test_first_mint_of_many_threads():
    """One claim serves them all."""
    connection.close()
    results, errors = in_threads(uid, 64)
    assert errors == []
    assert len(set(results)) == 64
    assert WorkerNode.objects.count() == 1
