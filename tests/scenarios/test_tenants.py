"""Another database behind the same alias: a project that switches tenants at run time.

A lease is a row of one database, and bars nobody in another one.
"""

from __future__ import annotations

import pytest
from django.db import connections

from django_uidgen import generators, registry
from django_uidgen.core.exceptions import LeaseLost
from django_uidgen.models import WorkerNode
from tests.support.bench import both

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])


@pytest.fixture
def switch():
    """Let "default" be the database of the alias ``other``, and undo it at the end."""
    connection = connections["default"]
    name = connection.settings_dict["NAME"]

    def switch(to):
        connection.close()
        connection.settings_dict["NAME"] = name if to == "default" else _name_of(to)
        connection.ensure_connection()

    yield switch
    switch("default")


def _name_of(alias):
    return connections[alias].settings_dict["NAME"]


@pytest.fixture
def generator(settings, kind):
    """Return a generator that leases, with one worker id."""
    settings.UIDGEN = {
        "default": {
            "TEST": False,
            "GENERATOR": f"django_uidgen.generators.{kind.__name__}",
            "WORKER_IDS": (3, 3),
            "BACKDATED_WORKER_IDS": (9, 9),
            "OPTIONS": {"MAX_WAIT": 60},
        }
    }
    yield generators["default"]
    registry.generators.reset()


def lease_in(alias):
    """Return the one lease of a process in the database of an alias."""
    return WorkerNode.objects.using(alias).get(worker_id=3)


def slots_in(alias):
    """Return how many backdated slots are leased in the database of an alias."""
    nodes = WorkerNode.objects.using(alias).filter(worker_id=9)
    return nodes.filter(reserved_until__gt=0).count()


@both
def test_each_tenant_has_leases_of_its_own(generator, switch, caplog):
    """Nothing that was leased or minted ahead for one is used for the other."""
    moment = generator.layout.moment(1000)
    uids = [generator.uid() for _ in range(5)]
    generator.at(moment)
    switch("other")
    assert "UIDs that processes there mint, too" in caplog.text
    uids += [generator.uid() for _ in range(5)]
    assert lease_in("other").pk == generator.lease.key
    generator.at(moment)
    assert slots_in("default") == slots_in("other") == 1
    switch("default")
    assert uids == sorted(set(uids))


@both
def test_generators_that_are_not_concerned(generator, settings, switch, caplog):
    """One that has leased nothing yet, and one with leases in another database."""
    orders = {"TEST": False, "DATABASE": "other", "OPTIONS": {"MAX_WAIT": 60}}
    settings.UIDGEN = {**settings.UIDGEN, "orders": orders}
    generators["default"].uids(0)
    generators["orders"].uid()
    lease = generators["orders"].lease
    switch("other")
    assert generators["orders"].lease is lease
    assert caplog.text == ""


@both
def test_lease_of_another_database_is_neither_renewed_nor_released(generator, switch):
    """A row there may have the same key, and be the lease of this process now."""
    generator.uid()
    foreign = generator.lease
    switch("other")
    generator.uid()
    mine = generator.lease
    before = lease_in("other").reserved_until
    assigner = generator.assigner
    with pytest.raises(LeaseLost, match="it is in another database"):
        assigner.renew(foreign._replace(key=mine.key), before + 10**6)
    assigner.release(foreign._replace(key=mine.key), 0)
    node = lease_in("other")
    assert (node.reserved_until, node.released_at) == (before, None)
