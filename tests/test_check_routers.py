"""The system checks of database routers."""

from __future__ import annotations

import pytest
from django.core import checks
from django.core.checks.registry import registry as check_registry
from django.core.management import call_command

from django_uidgen.checks import check_routers
from django_uidgen.core.assigner import WorkerIdAssigner


class WithoutTable(WorkerIdAssigner):
    """An assigner of the project's own."""

    def claim(self, now):
        """Fail: nothing is to be claimed here."""
        raise NotImplementedError


class Replicas:
    """Send all reads to a replica. The worker table may be read there, too."""

    def db_for_read(self, model, **hints):
        """Name the replica."""
        return "other"


class Elsewhere:
    """Send all writes of the package to the other database."""

    def db_for_write(self, model, **hints):
        """Name the other database for the package, and have no opinion otherwise."""
        return "other" if model._meta.app_label == "django_uidgen" else None


class KeepsOut:
    """Keep the package out of the default database."""

    def allow_migrate(self, db, app_label, **hints):
        """Refuse the package alone."""
        return app_label != "django_uidgen" or db != "default"


class OneForEach:
    """Let each instance stay where it is, as a router of tenants does."""

    def db_for_write(self, model, instance=None, **hints):
        """Name the database of the instance."""
        return None if instance is None else instance._state.db


def use(settings, *routers):
    """Set the routers, by their paths."""
    settings.DATABASE_ROUTERS = [f"{__name__}.{one.__name__}" for one in routers]


W004 = checks.Warning(
    "Generator 'default' leases worker ids in 'default', but a router sends writes of "
    "WorkerNode to 'other'.",
    hint=(
        "Let db_for_write() return 'default' for WorkerNode, or set DATABASE of the "
        "generator. Leases always follow DATABASE; code that uses WorkerNode.objects "
        "follows the router."
    ),
    id="django_uidgen.W004",
)

W005 = checks.Warning(
    "Generator 'default' leases worker ids in 'default', but a router keeps 'migrate' "
    "from making the worker table there.",
    hint=(
        "Let allow_migrate() return True for the app 'django_uidgen' in 'default', or "
        "set DATABASE of the generator. Silence this check if another project makes "
        "the table."
    ),
    id="django_uidgen.W005",
)


@pytest.mark.parametrize(
    "uidgen",
    [
        {"default": {}},
        {"default": {}, "orders": {"DATABASE": "other"}},
        {"default": {"WORKER_ID_ASSIGNER": "django_uidgen.assigners.Fixed"}},
    ],
)
@pytest.mark.parametrize("routers", [[], [Replicas], [OneForEach]])
def test_healthy_projects(settings, uidgen, routers):
    """No routers, reading replicas, several databases, and settings of E001."""
    settings.UIDGEN = uidgen
    use(settings, *routers)
    assert check_routers(None) == []


def test_writes_that_go_elsewhere(settings):
    """Where the generator leases is not where the project looks."""
    settings.UIDGEN = {"default": {}, "orders": {"DATABASE": "other"}}
    use(settings, Elsewhere)
    assert check_routers(None) == [W004]


def test_table_that_is_kept_out(settings):
    """Each claim would fail."""
    settings.UIDGEN = {"default": {}, "orders": {"DATABASE": "other"}}
    use(settings, KeepsOut)
    assert check_routers(None) == [W005]


def test_both_at_once(settings):
    """The router of a project that keeps the table in another database."""
    settings.UIDGEN = {"default": {}}
    use(settings, Elsewhere, KeepsOut)
    assert check_routers(None) == [W004, W005]
    settings.UIDGEN = {"default": {"DATABASE": "other"}}
    assert check_routers(None) == []


def test_generators_without_the_table(settings):
    """They have no rows anywhere."""
    fixed = "django_uidgen.assigners.FixedWorkerIdAssigner"
    options = {"WORKER_ID": 5, "WORKER_TABLE": False}
    custom = "tests.test_check_routers.WithoutTable"
    settings.UIDGEN = {
        "default": {"WORKER_ID_ASSIGNER": fixed, "OPTIONS": options},
        "orders": {"WORKER_ID_ASSIGNER": custom},
    }
    use(settings, Elsewhere, KeepsOut)
    assert check_routers(None) == []


def test_check_command_warns(settings, capsys):
    """Registered by ``ready()``, with no tag: it runs always, without a database."""
    assert check_registry.get_checks().count(check_routers) == 1
    assert check_routers.tags == ()
    settings.UIDGEN = {"default": {}, "orders": {}}
    use(settings, Elsewhere)
    call_command("check")
    assert "(django_uidgen.W004)" in capsys.readouterr().err
