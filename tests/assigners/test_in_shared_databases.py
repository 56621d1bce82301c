"""A test run in a database that was there before, and that others may use."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from django_uidgen import databases_in_tests, generators, parse, registry, uid, uids
from django_uidgen.models import WorkerNode
from tests.assigners.test_in_test_runs import freeze
from tests.testapp.models import Event


@pytest.fixture(autouse=True)
def _shared(monkeypatch, settings):
    """The database was there before this test run."""
    registry.generators.reset()
    settings.UIDGEN = {"default": {"TEST": {"WORKER_ID": 9}}}
    monkeypatch.setitem(databases_in_tests._made, "default", False)
    yield
    # While what the leases are of is still known to be shared.
    registry.generators.reset()


@pytest.mark.django_db(transaction=True)
def test_worker_id_is_leased():
    """Also for backdated UIDs; a clean end releases it."""
    minted = [uid(), *uids(10)]
    backdated = generators["default"].at(datetime(2026, 3, 1, tzinfo=UTC))
    registry.generators.reset()
    lease = parse(minted[0]).worker_node
    assert {parse(one).worker_node for one in minted} == {lease}
    assert lease.released_at is not None
    assert parse(backdated).worker_node.sealed


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("date", [(2020, 1, 1), (2026, 2, 1), (2090, 1, 1)])
def test_clock_that_was_frozen(monkeypatch, settings, date):
    """UIDs go on as in any test run, and the worker id is not lost to later runs."""
    settings.UIDGEN = {"default": {"WORKER_IDS": (0, 0)}}
    minted = [uid(), *uids(10)]
    freeze(monkeypatch, *date)
    minted += [uid(), *uids(10_000), Event().pk]
    registry.generators.reset()
    minted += [uid(), *uids(10)]
    monkeypatch.undo()
    databases_in_tests._made["default"] = False
    minted += [uid(), *uids(10)]
    registry.generators.reset()
    minted += [uid(), *uids(10)]
    databases_in_tests._made["default"] = True
    assert minted == sorted(set(minted))
    assert WorkerNode.objects.count() == 3


def test_tests_without_a_database(monkeypatch):
    """They mint with the fixed worker id, since they can store nothing."""
    minted = [uid(), *uids(10), Event().pk]
    assert {parse(one).worker_id for one in minted} == {9}
    freeze(monkeypatch, 2090, 1, 1)
    minted += uids(5_000_000)
    assert minted == sorted(set(minted))
    first, second = generators["default"].uids_at(
        [datetime(2026, 3, 5, tzinfo=UTC)] * 2
    )
    assert first < second


def test_lease_that_a_test_without_a_database_cannot_renew(
    monkeypatch, django_db_blocker, django_db_setup
):
    """It goes on with the fixed worker id, and leases again when it can."""
    with django_db_blocker.unblock():
        leased = parse(uid()).worker_id
    assert leased != 9
    freeze(monkeypatch, 2091, 1, 1)
    assert parse(uids(1_000_000)[-1]).worker_id == 9
    freeze(monkeypatch, 2092, 1, 1)
    with django_db_blocker.unblock():
        assert parse(uids(1_000_000)[-1]).worker_id != 9
        registry.generators.reset()
        WorkerNode.objects.all().delete()
