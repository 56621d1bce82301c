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

from django_uidgen import bootstrap, checks, conf, databases, registry

#: Imported before ``django.setup()`` by a project's wsgi.py or asgi.py.
_SERVER_MODULES = ("django.core.wsgi", "django.core.asgi")


class DjangoUidgenConfig(AppConfig):
    """``INSTALLED_APPS = ["django_uidgen"]``."""

    name = "django_uidgen"
    verbose_name = "UID generator"
    # Pinned: with UidAutoField here, claiming a lease would need a UID.
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register checks and hooks. Make no query."""
        register(checks.check_settings)
        register(checks.check_columns, Tags.database)
        pre_migrate.connect(bootstrap.begin, dispatch_uid="django_uidgen")
        post_migrate.connect(bootstrap.end, dispatch_uid="django_uidgen")
        setting_changed.connect(_setting_changed, dispatch_uid="django_uidgen")
        databases.watch_connections()
        atexit.unregister(registry.generators.shut_down)
        atexit.register(registry.generators.shut_down)
        wanted = aliases_to_assign(
            serving=is_serving(sys.argv, os.environ, sys.modules)
        )
        if wanted:
            registry.generators.assign_in_background(wanted)


def _setting_changed(*, setting: str, **kwargs: Any) -> None:
    """Build the generators anew after ``override_settings``."""
    if setting in ("UIDGEN", "DATABASES"):
        conf.forget()
        registry.generators.reset()


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
    if "uwsgi" in modules and modules["uwsgi"].worker_id() == 0:
        # The master, which only forks: with no hook of Python's run, its children
        # would inherit locks that the thread of an assignment holds.
        return False
    if "celery" in modules and "worker" in argv[1:]:
        return True
    return any(module in modules for module in _SERVER_MODULES)


def _is_djangos_command_line(argv: list[str]) -> bool:
    """Tell whether this is manage.py, django-admin or ``python -m django``."""
    program = PurePath(argv[0]) if argv else PurePath()
    return program.stem in ("manage", "django-admin") or (
        program.parts[-2:] == ("django", "__main__.py")
    )


def aliases_to_assign(*, serving: bool) -> list[str]:
    """Return the generators that get their worker id at the start of this process."""
    try:
        configs = [conf.get_config(alias) for alias in conf.aliases()]
    except conf.InvalidSetting:
        return []  # django_uidgen.E001 says it, and so does every mint
    wanted = ("auto", "ready") if serving else ("ready",)
    return [config.alias for config in configs if config.assign in wanted]
