"""What kind of process this is, from its command line, environment and modules."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import pytest

from django_uidgen.core import process

# Servers and commands.


@pytest.mark.parametrize(
    ("argv", "environ", "modules", "serving"),
    [
        # runserver: the parent only watches the child.
        (["manage.py", "runserver"], {}, {}, False),
        (["manage.py", "runserver"], {"RUN_MAIN": "true"}, {}, True),
        (["manage.py", "runserver", "--noreload"], {}, {}, True),
        (["manage.py", "runserver", "8000"], {}, {"django.core.wsgi"}, False),
        (["/x/django/__main__.py", "runserver"], {"RUN_MAIN": "true"}, {}, True),
        # Commands, also where an app has imported django.test.
        (["manage.py"], {}, {}, False),
        (["manage.py", "migrate"], {}, {}, False),
        (["./manage.py", "migrate"], {}, {"django.core.wsgi"}, False),
        (["manage.py", "test"], {}, {"django.core.wsgi"}, False),
        (["manage.py", "shell"], {"RUN_MAIN": "true"}, {"django.core.asgi"}, False),
        (["/x/bin/django-admin", "check"], {}, {"django.core.wsgi"}, False),
        (["django-admin.exe", "check"], {}, {"django.core.wsgi"}, False),
        (["/x/django/__main__.py", "check"], {}, {"django.core.wsgi"}, False),
        # Servers import a project's wsgi.py or asgi.py, which imports Django's.
        (["/x/bin/gunicorn", "project.wsgi"], {}, {"django.core.wsgi"}, True),
        (["/x/gunicorn/__main__.py", "p.wsgi"], {}, {"django.core.wsgi"}, True),
        (["/x/bin/uvicorn", "project.asgi"], {}, {"django.core.asgi"}, True),
        (["mod_wsgi"], {}, {"django.core.wsgi"}, True),
        ([""], {}, {"django.core.wsgi"}, True),
        ([], {}, {"django.core.wsgi"}, True),
        # Celery.
        (["/x/bin/celery", "-A", "project", "worker"], {}, {"celery"}, True),
        (["/x/celery/__main__.py", "-A", "p", "worker"], {}, {"celery"}, True),
        (["/x/bin/celery", "-A", "project", "beat"], {}, {"celery"}, False),
        (["/x/bin/celery", "-A", "project", "inspect"], {}, {"celery"}, False),
        (["/x/bin/other", "worker"], {}, {}, False),
        # Others.
        (["/x/bin/pytest"], {}, {"celery", "django.test"}, False),
        (["script.py"], {}, {}, False),
        (["-c"], {}, {}, False),
        ([], {}, {}, False),
    ],
)
def test_is_serving(argv, environ, modules, serving):
    """Told by the command line and by what was imported before the apps."""
    modules = dict.fromkeys(modules)
    assert process.is_serving(argv, environ, modules) is serving


# Test runs.


def test_this_is_a_test_run():
    """Told by the test environment, which Django keeps in a private attribute."""
    assert process.in_test_run()


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["manage.py", "shell"], False),
        (["./manage.py", "shell", "-c", "pass"], False),
        (["/x/django/__main__.py", "shell"], False),
        (["/x/bin/django-admin", "shell_plus"], False),
        (["manage.py", "test"], True),
        (["manage.py", "test", "shell"], True),
        (["/x/bin/pytest", "shell"], True),
        (["manage.py"], True),
        ([], True),
    ],
)
def test_shell_is_no_test_run(monkeypatch, argv, told):
    """Django's tutorial sets up a test environment in one, on the real database."""
    monkeypatch.setattr(sys, "argv", argv)
    assert process.in_test_run() is told


def test_in_test_run_follows_the_environment():
    """As Django sets it up and tears it down; a process without it is in none."""
    code = (
        "from django_uidgen.core import process\n"
        "told = [process.in_test_run()]\n"
        "from django.test import utils\n"
        "told.append(process.in_test_run())\n"
        "utils.setup_test_environment()\n"
        "told.append(process.in_test_run())\n"
        "utils.teardown_test_environment()\n"
        "told.append(process.in_test_run())\n"
        "print(told)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    assert done.stdout == "[False, False, True, False]\n"


# Threads.


@pytest.mark.parametrize(
    ("has_threads", "expected"),
    [({"has_threads": 1}, True), ({"has_threads": 0}, False), ({}, False)],
)
def test_threads_under_uwsgi(monkeypatch, has_threads, expected):
    """It tells itself: before 2.0.27 they ran if an option asked for them."""
    monkeypatch.setitem(sys.modules, "uwsgi", SimpleNamespace(**has_threads))
    assert process.threads_run() is expected


def test_threads_run_elsewhere():
    """Without uWSGI they do."""
    assert process.threads_run()


@pytest.mark.parametrize(
    ("worker_id", "has_threads", "expected"),
    [(0, 1, False), (1, 1, True), (8, 1, True), (1, 0, False)],
)
def test_thread_at_the_start_under_uwsgi(monkeypatch, worker_id, has_threads, expected):
    """Not in the master, which forks in C past all hooks; not where it stands still."""
    uwsgi = SimpleNamespace(worker_id=lambda: worker_id, has_threads=has_threads)
    monkeypatch.setitem(sys.modules, "uwsgi", uwsgi)
    assert process.may_start_thread(sys.modules) is expected


def test_thread_at_the_start_elsewhere():
    """Any other process may start one."""
    assert process.may_start_thread({})
