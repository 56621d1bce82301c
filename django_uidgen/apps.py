"""The app: checks, hooks, and a worker id at the start of a process that serves."""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from django.apps import AppConfig
from django.core.checks import Tags, register
from django.core.signals import setting_changed
from django.db.models.signals import post_migrate, pre_migrate

from django_uidgen import bootstrap, checks, conf, converters, databases, registry
from django_uidgen.core.generators import threads_run

#: Imported before ``django.setup()`` by a project's wsgi.py or asgi.py.
_SERVER_MODULES = ("django.core.wsgi", "django.core.asgi")


class DjangoUidgenConfig(AppConfig):
    """``INSTALLED_APPS = ["django_uidgen"]``."""

    name = "django_uidgen"
    verbose_name = "UID generator"
    # Pinned: with UidAutoField here, claiming a lease would need a UID.
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register checks, hooks and path converters. Make no query."""
        register(checks.check_settings)
        register(checks.check_columns, Tags.database)
        register(checks.check_added_columns, Tags.database)
        converters.register()
        pre_migrate.connect(bootstrap.begin, dispatch_uid="django_uidgen")
        post_migrate.connect(bootstrap.end, dispatch_uid="django_uidgen")
        setting_changed.connect(_setting_changed, dispatch_uid="django_uidgen")
        databases.watch_connections()
        atexit.unregister(registry.generators.shut_down)
        atexit.register(registry.generators.shut_down)
        _watch_celery(sys.modules)
        wanted = aliases_to_assign(
            serving=is_serving(sys.argv, os.environ, sys.modules)
        )
        if wanted and may_start_thread(sys.modules):
            registry.generators.assign_in_background(wanted)


def _setting_changed(*, setting: str, **kwargs: Any) -> None:
    """Build the generators anew after ``override_settings``."""
    if setting in ("UIDGEN", "DATABASES"):
        conf.forget()
        registry.generators.reset()


def _watch_celery(modules: Mapping[str, Any]) -> None:
    """Give leases back also at the end of the processes of Celery's prefork pool.

    Those leave by ``os._exit()``, past the hooks of ``atexit``, and after
    ``max-tasks-per-child`` tasks; their leases would only lapse.
    """
    signals = modules.get("celery.signals")
    if signals is not None:
        signals.worker_process_shutdown.connect(
            _pool_process_ends, dispatch_uid="django_uidgen"
        )


def _pool_process_ends(**kwargs: Any) -> None:
    registry.generators.shut_down()


def is_serving(
    argv: list[str], environ: Mapping[str, str], modules: Mapping[str, Any]
) -> bool:
    """Tell whether this process will serve requests or work off tasks.

    True under WSGI and ASGI servers, in a Celery worker, and in the child of
    ``runserver`` (not in the parent, which only reloads it).
    """
    command = argv[1] if len(argv) > 1 else ""
    if command == "runserver":
        return environ.get("RUN_MAIN") == "true" or "--noreload" in argv
    if _is_djangos_command_line(argv):
        # Apps that import django.test have the server modules imported here too.
        return False
    if "celery" in modules and "worker" in argv[1:]:
        return True
    return any(module in modules for module in _SERVER_MODULES)


def may_start_thread(modules: Mapping[str, Any]) -> bool:
    """Tell whether a thread may claim worker ids at the start of this process.

    Not in the master of uWSGI, which only forks: with no hook of Python's run, its
    children would inherit locks that the thread holds. And not where it would stand
    still, with a connection open, whenever no request is served.
    """
    in_master = "uwsgi" in modules and modules["uwsgi"].worker_id() == 0
    return threads_run() and not in_master


def _is_djangos_command_line(argv: list[str]) -> bool:
    """Tell whether this is manage.py, django-admin or ``python -m django``."""
    program = PurePath(argv[0]) if argv else PurePath()
    return program.stem in ("manage", "django-admin") or (
        program.parts[-2:] == ("django", "__main__.py")
    )


def aliases_to_assign(*, serving: bool) -> list[str]:
    """Return the generators that get their worker id at the start of this process."""
    wanted = ("auto", "ready") if serving else ("ready",)
    try:
        aliases = conf.aliases()
        if not any(conf.assign(alias) in wanted for alias in aliases):
            return []
        configs = [conf.get_config(alias) for alias in aliases]
    except conf.InvalidSetting:
        return []  # django_uidgen.E001 says it, and so does every mint
    return [config.alias for config in configs if config.assign in wanted]
