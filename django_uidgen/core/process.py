"""The kind of this process: server, command, test run, without threads.

The functions read the command line, the environment and the modules that others have
imported. They import nothing themselves.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

#: Imported before ``django.setup()`` by a project's wsgi.py or asgi.py.
_SERVER_MODULES = ("django.core.wsgi", "django.core.asgi")


def is_django_command_line(argv: list[str]) -> bool:
    """Return whether this is manage.py, django-admin or ``python -m django``."""
    program = PurePath(*argv[:1])
    return program.stem in ("manage", "django-admin") or (
        program.parts[-2:] == ("django", "__main__.py")
    )


def is_django_shell(argv: list[str]) -> bool:
    """Return whether this is the command ``shell`` or ``shell_plus``."""
    return argv[1:2] in (["shell"], ["shell_plus"]) and is_django_command_line(argv)


def in_test_run() -> bool:
    """Return whether the test environment of Django or pytest-django is set up.

    Return False in a shell.
    """
    # If the module was not imported, the environment was not set up.
    utils = sys.modules.get("django.test.utils")
    if utils is None or not hasattr(utils._TestState, "saved_data"):
        return False
    # Django's tutorial sets it up in a shell, which uses the real database.
    return not (hasattr(sys, "ps1") or is_django_shell(sys.argv))


def is_serving(
    argv: list[str], environ: Mapping[str, str], modules: Mapping[str, Any]
) -> bool:
    """Return whether this process will serve requests or run background tasks.

    True under WSGI and ASGI servers, in a Celery worker, and in the child of
    ``runserver``. False in the parent of that child, which only reloads it.
    """
    if argv[1:2] == ["runserver"]:
        return environ.get("RUN_MAIN") == "true" or "--noreload" in argv
    if is_django_command_line(argv):
        # Apps that import django.test import the server modules too.
        return False
    if "celery" in modules and "worker" in argv[1:]:
        return True
    return any(module in modules for module in _SERVER_MODULES)


def celery_signals(modules: Mapping[str, Any]) -> Any:
    """Return the module ``celery.signals``, or None if it was not imported."""
    return modules.get("celery.signals")


def threads_run(modules: Mapping[str, Any] = sys.modules) -> bool:
    """Return whether daemon threads run here, also between requests.

    uWSGI before 2.0.27, without ``enable-threads`` (or ``threads``), runs only the
    Python thread that serves a request. An isolated sub-interpreter refuses daemon
    threads. While the interpreter is shut down, a new thread may never begin, and its
    starter would wait for it.
    """
    uwsgi = modules.get("uwsgi")
    if uwsgi is not None and not getattr(uwsgi, "has_threads", False):
        return False
    return not sys.is_finalizing() and _daemon_threads_allowed()


def _daemon_threads_allowed() -> bool:
    try:
        threading.Thread(daemon=True)
    except RuntimeError:
        return False
    return True


def may_start_thread(modules: Mapping[str, Any]) -> bool:
    """Return whether a thread may claim worker ids at the start of this process.

    Not in the master of uWSGI, which forks in C and runs no Python hook: its children
    would inherit the locks that the thread holds. Nor if threads do not run between
    requests: the thread would halt with a connection open.
    """
    in_master = "uwsgi" in modules and modules["uwsgi"].worker_id() == 0
    return threads_run(modules) and not in_master


def is_child_of_multiprocessing() -> bool:
    """Return whether ``multiprocessing`` has started this process."""
    processes = sys.modules.get("multiprocessing.process")
    return processes is not None and processes.parent_process() is not None
