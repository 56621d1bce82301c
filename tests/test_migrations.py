"""The migrations of the worker table, in a table with rows and with live processes."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from django_uidgen import generators, parse, registry
from django_uidgen.models import WorkerNode
from tests.support.leases import NOW

pytestmark = pytest.mark.django_db(transaction=True)

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def as_before():
    """Go back to before the migration, and return the model of that version."""
    call_command("migrate", "django_uidgen", "0001", verbosity=0)
    state = MigrationExecutor(connection).loader.project_state(
        ("django_uidgen", "0001_initial")
    )
    yield state.apps.get_model("django_uidgen", "WorkerNode")
    call_command("migrate", "django_uidgen", verbosity=0)


def insert(model, worker_id, term, since, until, **values):
    """Insert a row, as the version of ``model`` does."""
    return model.objects.create(
        generator="default",
        worker_id=worker_id,
        term=term,
        reserved_from=since,
        reserved_until=until,
        layout="41/10/12 1ms 2026-01-01T00:00:00.000+00:00",
        host_name="web-1",
        process_id=1,
        node_type=1,
        launched_at=NOW,
        **values,
    ).pk


def kinds():
    return dict(WorkerNode.objects.values_list("pk", "kind"))


def test_kinds_of_rows_that_are_there(as_before):
    """The rows of reserved worker ids are told from those of processes."""
    expected = {
        insert(as_before, 5, 1, 10, 20, sealed=True): "process",
        insert(as_before, 5, 2, 20, 30): "process",
        insert(as_before, 6, 1, 10, 20, sealed=True): "process",
        insert(as_before, 1008, 1, 0, 0, sealed=True): "reserved",
        insert(as_before, 1008, 70, 10, 90, sealed=True): "backdated",
        insert(as_before, 1008, 71, 10, 90, sealed=True): "backdated",
    }
    call_command("migrate", "django_uidgen", verbosity=0)
    assert kinds() == expected


def test_processes_of_the_version_before(as_before):
    """They insert rows without the column until they are replaced."""
    call_command("migrate", "django_uidgen", verbosity=0)
    assert kinds() == {}
    pk = insert(as_before, 5, 1, 10, 20)
    assert kinds() == {pk: "process"}
    assert as_before.objects.get(pk=pk).worker_id == 5


def test_live_leases_stay_valid(settings):
    """A process that mints meanwhile keeps its lease, and renews it."""
    settings.UIDGEN = {"default": {"TEST": False}}
    generator = generators["default"]
    before = [generator.uid(), generator.at(NOON)]
    lease = generator.lease
    call_command("migrate", "django_uidgen", "0001", verbosity=0)
    call_command("migrate", "django_uidgen", verbosity=0)
    assert generator.assigner.renew(lease, lease.reserved_until - 10).key == lease.key
    node = WorkerNode.objects.get(pk=lease.key)
    assert node.reserved_until > lease.reserved_until
    assert [parse(uid).worker_node.kind for uid in before] == ["process", "backdated"]
    assert WorkerNode.objects.get(kind="reserved").term == 1
    registry.generators.reset()
