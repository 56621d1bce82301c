"""The app: it registers checks and hooks, and claims leases when a server starts."""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Mapping
from typing import Any

from django.apps import AppConfig
from django.core.checks import Tags, register
from django.core.signals import setting_changed
from django.db.backends.signals import connection_created
from django.db.models.signals import post_migrate, pre_migrate

from django_uidgen import (
    bootstrap,
    checks,
    conf,
    converters,
    databases,
    databases_in_tests,
    registry,
)
from django_uidgen.core import process


class DjangoUidgenConfig(AppConfig):
    """``INSTALLED_APPS = ["django_uidgen"]``."""

    name = "django_uidgen"
    verbose_name = "UID generator"
    # Pinned: with UidAutoField, claiming a lease would need a UID.
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register checks, hooks and path converters. Make no query."""
        register(checks.check_settings)
        register(checks.check_routers)
        register(checks.check_columns, Tags.database)
        register(checks.check_added_columns, Tags.database)
        converters.register()
        pre_migrate.connect(bootstrap.begin, dispatch_uid="django_uidgen")
        post_migrate.connect(bootstrap.end, dispatch_uid="django_uidgen")
        pre_migrate.connect(
            databases_in_tests.begin_migrate, dispatch_uid="uidgen_tests"
        )
        connection_created.connect(
            databases_in_tests.connected, dispatch_uid="uidgen_tests"
        )
        setting_changed.connect(_setting_changed, dispatch_uid="django_uidgen")
        databases.watch_connections()
        connection_created.connect(
            registry.generators.connected, dispatch_uid="django_uidgen.registry"
        )
        atexit.unregister(registry.generators.shut_down)
        atexit.register(registry.generators.shut_down)
        _watch_celery(sys.modules)
        wanted = aliases_to_assign(
            serving=process.is_serving(sys.argv, os.environ, sys.modules)
        )
        if wanted and process.may_start_thread(sys.modules):
            registry.generators.assign_in_background(wanted)


def _setting_changed(*, setting: str, **kwargs: Any) -> None:
    """Discard configuration and generators after ``override_settings``."""
    if setting in ("UIDGEN", "DATABASES"):
        conf.forget()
        registry.generators.reset()


def _watch_celery(modules: Mapping[str, Any]) -> None:
    """Release leases also when a process of Celery's prefork pool exits.

    It exits by ``os._exit()``, which runs no hooks of ``atexit``, for example after
    ``max-tasks-per-child`` tasks. Without this signal its leases would lapse later.
    """
    signals = process.celery_signals(modules)
    if signals is not None:
        signals.worker_process_shutdown.connect(
            _pool_process_ends, dispatch_uid="django_uidgen"
        )


def _pool_process_ends(**kwargs: Any) -> None:
    registry.generators.shut_down()


def aliases_to_assign(*, serving: bool) -> list[str]:
    """Return the aliases whose lease is claimed at the start of this process."""
    wanted = ("auto", "ready") if serving else ("ready",)
    try:
        aliases = conf.aliases()
        if not any(conf.assign(alias) in wanted for alias in aliases):
            return []
        configs = [conf.get_config(alias) for alias in aliases]
    except conf.InvalidSetting:
        return []  # django_uidgen.E001 and every mint report it
    return [config.alias for config in configs if config.assign in wanted]
