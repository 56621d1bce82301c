"""Data migrations before and after the one that makes the worker table.

Each test runs ``migrate`` in a process of its own, on an empty database of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from itertools import pairwise
from types import SimpleNamespace

import pytest
from django.apps import apps
from django.db import connection, connections, transaction

from django_uidgen import bootstrap, conf, generators, registry
from django_uidgen.assigners import FixedWorkerIdAssigner, LeasedWorkerIdAssigner
from django_uidgen.core.exceptions import LeaseLost
from django_uidgen.core.lease import Lease
from django_uidgen.models import WorkerNode
from tests.support.clocks import stop_clock
from tests.support.leases import add_lease

UIDGEN, BEFORE, AFTER = "django_uidgen", "tests.plan.a_before", "tests.plan.z_after"


@pytest.fixture
def project(django_db_blocker, tmp_path):
    """Run commands of a project on an empty database, and read its tables."""
    settings = {
        key: connection.settings_dict[key]
        for key in ("ENGINE", "USER", "PASSWORD", "HOST", "PORT", "OPTIONS")
    }
    name = f"uidgen_plan_{os.getpid()}"
    on_sqlite = connection.vendor == "sqlite"
    settings["NAME"] = str(tmp_path / "plan.sqlite3") if on_sqlite else name
    quoted = connection.ops.quote_name(name)
    with django_db_blocker.unblock():
        if not on_sqlite:
            execute(f"DROP DATABASE IF EXISTS {quoted}")
            execute(f"CREATE DATABASE {quoted}")
        connections.settings["plan"] = connections.configure_settings(
            {"default": connection.settings_dict | settings}
        )["default"]

        def run(*command, installed, fails=""):
            done = subprocess.run(
                [sys.executable, "-W", "error", "-m", "django", *command],
                env={
                    **os.environ,
                    "DJANGO_SETTINGS_MODULE": "tests.settings.plan",
                    "UIDGEN_TEST_PLAN_DATABASES": json.dumps({"default": settings}),
                    "UIDGEN_TEST_PLAN_APPS": json.dumps(installed),
                    "UIDGEN_TEST_PLAN_FAILS": fails,
                },
                capture_output=True,
                text=True,
                check=False,
            )
            assert (done.returncode == 0) == (not fails), done.stderr
            assert not fails or f"RuntimeError: {fails} fails" in done.stderr
            return done.stdout

        yield SimpleNamespace(run=run, rows=rows, leases=leases)
        connections["plan"].close()
        del connections["plan"]
        del connections.settings["plan"]
        if not on_sqlite:
            execute(f"DROP DATABASE {quoted}")


def execute(statement):
    """Execute a statement outside of any transaction."""
    with connection.cursor() as cursor:
        cursor.execute(statement)


def rows(*tables):
    """Return the keys in ``tables`` of the project's database."""
    keys = []
    with connections["plan"].cursor() as cursor:
        for table in tables:
            cursor.execute(f"SELECT id FROM {table} ORDER BY id")
            keys.append([key for [key] in cursor.fetchall()])
    return keys


def leases():
    """Return the worker table of the project's database."""
    return list(WorkerNode.objects.using("plan").order_by("pk"))


def covered(keys, node):
    """Tell whether all ``keys`` were minted under the lease ``node``."""
    layout = conf.get_config("default").layout
    parts = [layout.decompose(key) for key in keys]
    return all(
        part.worker_id == node.worker_id
        and node.reserved_from <= part.tick < node.reserved_until
        for part in parts
    )


def test_data_migrations_before_and_after_in_one_migrate(project):
    """The bootstrap lease is entered into the table, and stays in use."""
    project.run("migrate", installed=[BEFORE, UIDGEN, AFTER])
    before, after = project.rows("a_before_row", "z_after_row")
    assert len(before) == len(after) == 51
    assert max(before) < min(after)
    first = project.leases()[0]
    assert (first.generator, first.worker_id, first.term) == ("default", 0, 1)
    assert covered(before, first)
    assert any(covered(after, node) for node in project.leases())


def test_another_process_cannot_get_the_range_that_was_used(project):
    """The lease is in the table, with what was minted."""
    project.run("migrate", installed=[BEFORE, UIDGEN])
    [before] = project.rows("a_before_row")
    uids = []
    for _ in range(3):
        output = project.run(
            "shell",
            "-c",
            "from django_uidgen import uids; print(*uids(1000))",
            installed=[BEFORE, UIDGEN],
        )
        uids += map(int, output.split()[-1000:])
    assert len({*before, *uids}) == 3051
    ranges = sorted(
        (node.worker_id, node.reserved_from, node.reserved_until)
        for node in project.leases()
    )
    for one, other in pairwise(ranges):
        assert one[0] < other[0] or one[2] <= other[1]


def test_app_added_to_a_project_that_was_migrated_long_ago(project):
    """Its migration is the last, and data migrations of the same run mint."""
    project.run("migrate", installed=["django.contrib.contenttypes"])
    installed = ["django.contrib.contenttypes", BEFORE, UIDGEN, AFTER]
    project.run("migrate", installed=installed)
    before, after = project.rows("a_before_row", "z_after_row")
    assert len({*before, *after}) == 102


def test_worker_table_that_comes_in_a_later_migrate(project):
    """Rows made before are never met again."""
    project.run("migrate", "a_before", installed=[BEFORE, UIDGEN])
    [before] = project.rows("a_before_row")
    project.run("migrate", installed=[BEFORE, UIDGEN, AFTER])
    [after] = project.rows("z_after_row")
    assert len({*before, *after}) == 102


def test_data_migration_runs_back_and_forth(project):
    """To zero and forward again."""
    installed = [BEFORE, UIDGEN, AFTER]
    project.run("migrate", installed=installed)
    project.run("migrate", "z_after", "zero", installed=installed)
    project.run("migrate", "django_uidgen", "zero", installed=installed)
    project.run("migrate", installed=installed)
    before, after = project.rows("a_before_row", "z_after_row")
    assert len({*before, *after}) == 102


@pytest.mark.parametrize("fails", ["a_before", "z_after"])
def test_data_migration_that_is_rolled_back(project, fails):
    """Before or after the worker table was made: what it was handed never comes again.

    Others may know it, though its rows are gone.
    """
    installed = [BEFORE, UIDGEN, AFTER]
    output = project.run("migrate", installed=installed, fails=fails)
    lost = list(map(int, output.split()[-51:]))
    assert [len(keys) for keys in project.rows(f"{fails}_row")] == [0]
    if fails == "z_after":
        before = {node.pk for node in project.leases()}
        if connection.vendor != "sqlite":
            # It was claimed apart, or comes from before.
            assert any(covered(lost, node) for node in project.leases())
    else:
        before = set()
    project.run("migrate", installed=installed)
    keys = [key for part in project.rows("a_before_row", "z_after_row") for key in part]
    assert len({*lost, *keys}) == 3 * 51
    last = conf.get_config("default").layout.decompose(max(lost))
    for node in project.leases():
        is_new = node.pk not in before
        if is_new and node.worker_id == last.worker_id:
            assert node.reserved_from > last.tick


def test_nothing_is_claimed_by_a_migrate_that_mints_nothing(project):
    """The worker id is assigned at the first mint."""
    project.run("migrate", installed=[UIDGEN])
    assert project.leases() == []


# The rules, by hand.


@pytest.fixture
def assigner(settings):
    """Return an assigner of the default settings."""
    settings.UIDGEN = {"default": {"TEST": False, "WORKER_IDS": (5, 9)}}
    return LeasedWorkerIdAssigner(conf.get_config("default"))


@pytest.fixture
def table_is_to_come(monkeypatch):
    """Let the worker table seem not to be there, in a migrate of this process."""
    introspection = type(connection.introspection)
    tables = introspection.table_names
    bootstrap.begin(using="default")
    monkeypatch.setattr(
        introspection,
        "table_names",
        lambda self: [
            name for name in tables(self) if name != WorkerNode._meta.db_table
        ],
    )
    yield
    bootstrap.end(using="default")


@pytest.mark.django_db(transaction=True)
def test_only_the_process_that_migrates_may_do_without(monkeypatch, table_is_to_come):
    """Its children may not, and nobody else."""
    assert bootstrap.table_is_to_come("default")
    monkeypatch.setattr(os, "getpid", lambda: 1)
    assert not bootstrap.table_is_to_come("default")


@pytest.mark.django_db(transaction=True)
def test_bootstrap_lease_is_longer_while_the_table_is_to_come(
    assigner, table_is_to_come
):
    """On the first worker id, since nobody else can hold one."""
    connection.ensure_connection()
    lease = assigner.claim(1000)
    # Behind what a migrate before this one may have minted ahead of the clock.
    start = 1000 + assigner.max_lead + 1
    assert (lease.worker_id, lease.reserved_from, lease.key) == (5, start, None)
    longer = assigner.renew(lease, lease.reserved_until)
    assert longer.reserved_from == start
    assert longer.reserved_until == lease.reserved_until + assigner.lease_ticks
    assert WorkerNode.objects.count() == 0
    assigner.release(lease, 2000)


@pytest.mark.django_db(transaction=True)
def test_bootstrap_lease_is_lost_when_migrate_is_over(assigner):
    """The next mint claims one from the table."""
    lease = Lease(5, 1000, 2000, renew_from=1500)
    with pytest.raises(LeaseLost, match=r"bootstrap lease .* has ended"):
        assigner.renew(lease, 2000)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("kind", [LeasedWorkerIdAssigner, FixedWorkerIdAssigner])
def test_entered_lease_covers_what_was_minted(settings, kind):
    """And a while beyond."""
    settings.UIDGEN = {"default": {"TEST": False, "OPTIONS": {"WORKER_ID": 5}}}
    assigner = kind(conf.get_config("default"))
    lease = Lease(5, 1000, 2000, renew_from=1500)
    entered = assigner.enter_bootstrap_lease(
        lease, 1800, database="default", nodes=WorkerNode.objects.all()
    )
    [node] = WorkerNode.objects.all()
    assert (node.worker_id, node.term, node.reserved_from) == (5, 1, 1000)
    assert node.reserved_until == 1800 + assigner.lease_ticks
    assert (entered.key, entered.reserved_until) == (node.pk, node.reserved_until)


@pytest.mark.django_db(transaction=True)
def test_lease_is_not_entered_where_the_worker_id_is_taken(assigner):
    """MySQL shows the table before the migration has ended."""
    lease = Lease(5, 1000, 2000, renew_from=1500)
    assigner.enter_bootstrap_lease(
        lease, 1800, database="default", nodes=WorkerNode.objects.all()
    )
    entered = assigner.enter_bootstrap_lease(
        lease, 1800, database="default", nodes=WorkerNode.objects.all()
    )
    assert entered is None
    assert WorkerNode.objects.count() == 1


@pytest.mark.django_db(transaction=True, databases=["default", "other"])
def test_leases_of_other_databases_are_not_entered(settings):
    """Each belongs to the database of its generator."""
    settings.UIDGEN = {"default": {"TEST": False}}
    generator = generators["default"]
    generator._own_stock().generation.lease = Lease(5, 1000, 2000, renew_from=1500)
    with connections["other"].schema_editor() as editor:
        bootstrap.enter_leases(apps, editor)
    assert WorkerNode.objects.count() == 0
    with connection.schema_editor() as editor:
        bootstrap.enter_leases(apps, editor)
    assert WorkerNode.objects.get().pk == generator.lease.key
    with connection.schema_editor() as editor:
        bootstrap.enter_leases(apps, editor)
    assert WorkerNode.objects.count() == 1
    registry.generators.reset()


@pytest.mark.parametrize("is_entered", [True, False])
@pytest.mark.django_db(transaction=True)
def test_lease_that_is_renewed_while_it_is_entered(settings, monkeypatch, is_entered):
    """A thread renews it after its row was inserted, and before the commit.

    On a server, its connection does not see the table yet.
    """
    settings.UIDGEN = {"default": {"TEST": False, "OPTIONS": {"LEASE": 10}}}
    monkeypatch.setattr(bootstrap, "table_is_to_come", lambda database: True)
    generator = generators["default"]
    stop_clock(generator, datetime.now(UTC))
    generator.uid()
    if not is_entered:  # the worker id is taken
        add_lease(0)
    # MySQL's schema editor is not in a transaction, but others are.
    with transaction.atomic():
        bootstrap.enter_leases(apps, SimpleNamespace(connection=connection))
        generator.clock.step(20)
        generator.uid()
        longer = generator.lease
        assert longer.key is None
    node = WorkerNode.objects.filter(process_id=os.getpid()).first()
    assert generator.lease is not longer
    assert (generator.lease.key == node.pk) if is_entered else generator.lease is None
    assert bool(node) == is_entered
    registry.generators.reset()


@pytest.mark.django_db(transaction=True)
def test_worker_id_without_a_table_is_not_entered(settings):
    """Another migration 0001, on another database, must not take it away."""
    settings.UIDGEN = {
        "default": {
            "WORKER_ID_ASSIGNER": "django_uidgen.assigners.FixedWorkerIdAssigner",
            "TEST": False,
            "OPTIONS": {"WORKER_ID": 33, "WORKER_TABLE": False},
        }
    }
    generator = generators["default"]
    generator.uid()
    lease = generator.lease
    with connection.schema_editor() as editor:
        bootstrap.enter_leases(apps, editor)
    assert generator.lease is lease
    assert not WorkerNode.objects.exists()
    registry.generators.reset()
