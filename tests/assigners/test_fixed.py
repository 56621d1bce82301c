"""A worker id that the project gives, leased in the table."""

from __future__ import annotations

import pytest

from django_uidgen import conf, generators
from django_uidgen.assigners import FixedWorkerIdAssigner
from django_uidgen.core.exceptions import NestedMint, WorkerIdUnavailable
from django_uidgen.models import WorkerNode

pytestmark = pytest.mark.django_db(transaction=True)

LEASE = 10_000  # ticks, of a millisecond each


def test_fixed_worker_id_of_the_settings(make):
    """Leased, so that a second process with the same number is refused."""
    assigner = make("Fixed", OPTIONS={"WORKER_ID": 2})
    lease = assigner.claim(1000)
    assert lease.worker_id == 2
    WorkerNode.objects.update(process_id=1)
    with pytest.raises(WorkerIdUnavailable, match=r"Worker id 2 .* leased to process"):
        assigner.claim(2000)
    later = assigner.claim(1000 + LEASE)
    assert later.reserved_from >= lease.reserved_until
    assigner.release(later, later.reserved_from + 10)
    assert assigner.claim(later.reserved_from + 10).worker_id == 2


def test_fixed_worker_id_that_this_process_holds_itself(make):
    """Its clock was stepped back."""
    assigner = make("Fixed", OPTIONS={"WORKER_ID": 2})
    assigner.claim(9000)
    with pytest.raises(WorkerIdUnavailable, match="The clock was stepped back"):
        assigner.claim(1000)


def test_fixed_worker_id_before_the_table_exists(make):
    """A migrate uses no other."""
    assert make("Fixed", OPTIONS={"WORKER_ID": 2}).bootstrap_worker_id() == 2


@pytest.mark.parametrize("has_table", [True, False])
def test_fixed_worker_id_after_a_time_limit(settings, has_table):
    """An exception that leaves a lock held costs the generation, not the worker id."""
    options = {"WORKER_ID": 11, "WORKER_TABLE": has_table, "MAX_WAIT": 60}
    path = "django_uidgen.assigners.FixedWorkerIdAssigner"
    settings.UIDGEN = {
        "default": {"WORKER_ID_ASSIGNER": path, "TEST": False, "OPTIONS": options}
    }
    generator = generators["default"]
    before = generator.uid()
    assert generator._generation.lock.acquire(timeout=0)
    with pytest.raises(NestedMint):
        generator.allocate(1)
    after = generator.uid()
    assert after > before
    assert generator.layout.decompose(after).worker_id == 11


class FixedByThePort(FixedWorkerIdAssigner):
    """One of a project, which knows another source of its worker id."""

    def worker_id(self):
        return 9


@pytest.mark.parametrize("table", [True, False])
def test_fixed_worker_id_from_another_source(settings, table):
    """With the table and without it."""
    settings.UIDGEN = {
        "default": {
            "WORKER_ID_ASSIGNER": "tests.assigners.test_fixed.FixedByThePort",
            "OPTIONS": {"WORKER_ID": 2, "WORKER_TABLE": table},
        }
    }
    config = conf.get_config("default")
    assert config.assigner.from_config(config).claim(1000).worker_id == 9
