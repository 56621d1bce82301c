"""Eight processes at once, some of them forked from a parent that has minted."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import defaultdict
from itertools import pairwise

import pytest

from django_uidgen import conf
from django_uidgen.models import WorkerNode
from tests.testapp.models import Order

ROWS = 50_000

#: Children of each program that is started: eight processes in all.
PROGRAMS = [0, 0, 2, 2]


POOL = """
import multiprocessing, django
django.setup()
import sys
from django.db import connections
from django_uidgen import uid
if __name__ == "__main__":
    first = uid() if sys.argv[1] == "parent" else 0
    connections.close_all()
    with multiprocessing.get_context("fork").Pool(3) as pool:
        uids = pool.starmap(uid, [()] * 3000, chunksize=1000)
        pool.close()
        pool.join()
    assert len({first, *uids}) == 3001
"""


@pytest.mark.parametrize("first", ["parent", "child"])
@pytest.mark.django_db(transaction=True)
def test_children_of_multiprocessing_give_their_leases_back(settings, first):
    """They leave past atexit, and a pool may start many. Whoever minted first."""
    subprocess.run(
        [sys.executable, "-W", "error", "-c", POOL, first],
        env={**os.environ, "DJANGO_SETTINGS_MODULE": settings.SETTINGS_MODULE},
        check=True,
    )
    assert WorkerNode.objects.count() >= (2 if first == "parent" else 1)
    assert not WorkerNode.objects.filter(sealed=False, released_at=None).exists()


@pytest.mark.stress
@pytest.mark.django_db(transaction=True)
def test_eight_processes(settings):
    """400,000 rows, no IntegrityError, and tick ranges that are disjoint."""
    programs = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.programs.minter", str(ROWS), str(children)],
            env={**os.environ, "DJANGO_SETTINGS_MODULE": settings.SETTINGS_MODULE},
            stderr=subprocess.PIPE,
            text=True,
        )
        for children in PROGRAMS
    ]
    # All of them: one that went on after a failure would disturb the tests that follow.
    errors = [program.communicate()[1] for program in programs]
    ends = [program.returncode for program in programs]
    assert (ends, errors) == ([0] * len(programs), [""] * len(programs))

    keys = list(Order.objects.order_by("pk").values_list("pk", flat=True))
    assert len(keys) == 8 * ROWS

    nodes = defaultdict(list)
    for node in WorkerNode.objects.order_by("reserved_from"):
        nodes[node.worker_id].append(node)
    for leases in nodes.values():
        for one, other in pairwise(leases):
            assert one.reserved_until <= other.reserved_from
    assert sum(map(len, nodes.values())) >= 8

    layout = conf.get_config("default").layout
    for key in keys:
        tick, worker_id, _ = layout.decompose(key)
        assert any(
            node.reserved_from <= tick < node.reserved_until
            for node in nodes[worker_id]
        )
    minted_by = {layout.decompose(key).worker_id for key in keys}
    assert len(minted_by) <= WorkerNode.objects.count()
    # Clean exits gave every lease back.
    assert not WorkerNode.objects.filter(sealed=False, released_at=None).exists()
