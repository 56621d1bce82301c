"""The start and the end of a process, in processes that are real."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.apps import apps as app_registry
from django.core.signals import setting_changed
from django.db import models
from django.db.backends.signals import connection_created
from django.db.models.signals import post_migrate, pre_migrate

from django_uidgen import apps, conf, parse, registry
from django_uidgen.models import WorkerNode

ROOT = Path(__file__).resolve().parents[1]

#: The settings of the suite's own database, with nothing installed but the package.
SETTINGS = """
from {base} import *
INSTALLED_APPS = ["django_uidgen"]
MIDDLEWARE = []
ROOT_URLCONF = "no_urls"
UIDGEN = {{"default": {{}}}}
"""

#: A database of its own, in which nothing was migrated.
EMPTY = """
from pathlib import Path
DATABASES = {{"default": {{"ENGINE": "django.db.backends.sqlite3", "NAME": r"{name}"}}}}
"""

WSGI = "from django.core.wsgi import get_wsgi_application as get; get()\n"
ASGI = "from django.core.asgi import get_asgi_application as get; get()\n"
SETUP = "import django; django.setup()\n"

#: Wait for the background, but not for ever.
POLL = """
import time
from django_uidgen.models import WorkerNode
from django.db import connections
for _ in range(600):
    if WorkerNode.objects.exists():
        break
    time.sleep(0.05)
"""


class Project:
    """A project in a folder of its own, on the database of the suite."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings = SETTINGS.format(base=os.environ["DJANGO_SETTINGS_MODULE"])
        (folder / "no_urls.py").write_text("urlpatterns = []\n")

    def start(self, *arguments: str) -> subprocess.Popen:
        """Start Python with ``arguments``. Every warning is an error there."""
        (self.folder / "project_settings.py").write_text(self.settings)
        return subprocess.Popen(
            [sys.executable, "-W", "error", *arguments],
            cwd=ROOT,
            env=os.environ
            | {
                "DJANGO_SETTINGS_MODULE": "project_settings",
                "PYTHONPATH": os.pathsep.join([str(self.folder), str(ROOT)]),
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str) -> str:
        """Return what Python prints, if that is all that it has to say."""
        process = self.start(*arguments)
        out, err = process.communicate(timeout=120)
        assert (process.returncode, err) == (0, ""), out
        return out


@pytest.fixture
def project(tmp_path):
    """A project, whose processes lease from the tables of the suite."""
    return Project(tmp_path)


# Which worker ids are claimed at the start.


@pytest.mark.parametrize(
    ("worker_id", "has_threads", "expected"),
    [(0, 1, False), (1, 1, True), (8, 1, True), (1, 0, False)],
)
def test_thread_at_the_start_under_uwsgi(monkeypatch, worker_id, has_threads, expected):
    """Not in the master, which forks in C past all hooks; not where it stands still."""
    uwsgi = SimpleNamespace(worker_id=lambda: worker_id, has_threads=has_threads)
    monkeypatch.setitem(sys.modules, "uwsgi", uwsgi)
    started = []
    monkeypatch.setattr(registry.generators, "assign_in_background", started.append)
    monkeypatch.setattr(apps, "aliases_to_assign", lambda *, serving: ["default"])
    app_registry.get_app_config("django_uidgen").ready()
    assert started == ([["default"]] if expected else [])


@pytest.mark.parametrize(
    ("assign", "serving", "elsewhere"),
    [
        ("auto", True, False),
        ("ready", True, True),
        ("first_use", False, False),
    ],
)
def test_aliases_to_assign(settings, assign, serving, elsewhere):
    """By the setting of each alias."""
    settings.UIDGEN = {"orders": {"ASSIGN": assign}, "users": {"ASSIGN": "first_use"}}
    wanted = apps.aliases_to_assign(serving=True)
    assert wanted == (["default", "orders"] if serving else ["default"])
    wanted = apps.aliases_to_assign(serving=False)
    assert wanted == (["orders"] if elsewhere else [])


@pytest.mark.parametrize("setting", [[], {"orders": {"ASSIGN": "nope"}}])
def test_wrong_setting_does_not_stop_the_start(settings, setting):
    """The system check says it, and so does every mint."""
    settings.UIDGEN = setting
    assert apps.aliases_to_assign(serving=True) == []


# The hook.


def test_key_of_the_worker_table_is_pinned():
    """With a UID there, claiming a lease would need a UID."""
    config = app_registry.get_app_config("django_uidgen")
    assert config.default_auto_field == "django.db.models.BigAutoField"
    assert type(WorkerNode._meta.pk) is models.BigAutoField


def test_ready_twice_registers_once(monkeypatch):
    """As in tests that build the registry anew."""
    config = app_registry.get_app_config("django_uidgen")
    signals = [pre_migrate, post_migrate, setting_changed, connection_created]
    before = [len(signal_.receivers) for signal_ in signals]
    monkeypatch.setattr(apps, "aliases_to_assign", lambda *, serving: [])
    config.ready()
    assert [len(signal_.receivers) for signal_ in signals] == before


COUNT_CONNECTIONS = """
import threading
from django.apps import apps
from django.db.backends.base.base import BaseDatabaseWrapper
connect, made = BaseDatabaseWrapper.connect, []
def count(self):
    made.append((threading.current_thread().name, apps.ready))
    return connect(self)
BaseDatabaseWrapper.connect = count
"""


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("start", [WSGI, ASGI, SETUP])
def test_ready_makes_no_query(project, start):
    """Nor a connection; the background connects when all apps are ready."""
    out = project.run(
        "-c",
        COUNT_CONNECTIONS
        + start
        + "from django_uidgen.registry import generators\n"
        + "if generators._assigning: generators._assigning.join(60)\n"
        + "print(made)\n",
    )
    background = [] if start is SETUP else [("django_uidgen-lease", True)]
    assert out.strip() == str(background)


@pytest.mark.django_db(transaction=True)
def test_commands_claim_nothing(project):
    """Neither at their start nor later, and they warn of nothing."""
    commands = [
        ["-m", "django", "check"],
        ["-m", "django", "migrate", "--verbosity", "0"],
        ["-m", "django", "shell", "--verbosity", "0", "-c", "pass"],
        # As where an app imports django.test, which imports the server.
        ["-c", "import django.test\n" + COMMAND],
    ]
    processes = [project.start(*command) for command in commands]
    for process in processes:
        out, err = process.communicate(timeout=120)
        assert (process.returncode, err) == (0, ""), out
    assert WorkerNode.objects.count() == 0


COMMAND = """
import sys
sys.argv = ["manage.py", "check"]
from django.core.management import execute_from_command_line
execute_from_command_line()
"""


@pytest.mark.django_db(transaction=True)
def test_checks_fail_before_anything_is_minted(project):
    """A wrong setting is an error of ``check``, and does not stop ``ready()``."""
    project.settings += 'UIDGEN = {"default": {"LAYOUT": "nope"}}\n'
    process = project.start("-m", "django", "check")
    _, err = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "(django_uidgen.E001) UIDGEN['default']['LAYOUT'] is 'nope'" in err
    assert "Traceback" not in err


@pytest.mark.django_db(transaction=True)
def test_server_has_its_worker_id_before_it_mints(project):
    """Claimed in the background, and released unused by a clean exit."""
    project.run("-c", WSGI + POLL + "assert WorkerNode.objects.get().state == 'live'")
    node = WorkerNode.objects.get()
    assert node.released_at is not None
    # On SQLite the process begins behind its claim, which is where an unused one ends.
    assert 0 <= node.reserved_until - node.reserved_from < 60_000


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("assign", "start", "leases"),
    [("ready", SETUP, 1), ("first_use", WSGI, 0), ("auto", SETUP, 0)],
)
def test_assign(project, assign, start, leases):
    """The setting decides for every process.

    Even one that ends at once releases its lease.
    """
    project.settings += f'UIDGEN = {{"default": {{"ASSIGN": "{assign}"}}}}\n'
    patient = "from django_uidgen import registry; registry._STOP_TIMEOUT = 60\n"
    project.run("-c", start + patient)
    assert WorkerNode.objects.count() == leases
    assert WorkerNode.objects.filter(released_at=None).count() == 0


# A start without its database.


@pytest.mark.parametrize("name", ["empty.sqlite3", "missing/database.sqlite3"])
def test_start_without_the_database(project, name):
    """No table, or no database at all: one warning, and an error at every mint.

    Both say what to do. No restart is needed when the database is there.
    """
    file = project.folder / name
    project.settings += EMPTY.format(name=file)
    process = project.start(
        "-c",
        WSGI
        + "from pathlib import Path\n"
        + "from django.core.management import call_command\n"
        + "from django_uidgen import registry, uid\n"
        + "from django_uidgen.core.exceptions import WorkerIdUnavailable\n"
        + "registry.generators._assigning.join(60)\n"
        + "for _ in range(2):\n"
        + "    try:\n"
        + "        uid()\n"
        + "    except WorkerIdUnavailable as error:\n"
        + "        print(error)\n"
        + f"Path(r'{file}').parent.mkdir(exist_ok=True)\n"
        + "call_command('migrate', verbosity=0)\n"
        + "assert uid() > 0\n",
    )
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    reason = "no such table" if "empty" in name else "unable to open database file"
    [first, second] = out.strip().splitlines()
    assert first == second
    assert re.match(
        r"Generator 'default' received no worker id from database 'default': "
        rf"{reason}.*"
        r" Is the database up and writable, and has 'migrate django_uidgen' been run",
        first,
    )
    assert err.strip().splitlines() == [
        f"No worker id at start-up, the first mint will try: {first}"
    ]


# The end.


# A shell lets its background jobs ignore SIGINT, and the suite may be one.
INTERRUPT = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
os.kill(os.getpid(), signal.SIGINT)
time.sleep(60)
"""


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("kind", "end", "status"),
    [
        ("Default", "", 0),
        ("Cached", "", 0),
        ("Default", "raise RuntimeError('a bug')", 1),
        ("Default", INTERRUPT, -signal.SIGINT),
    ],
)
def test_clean_exit_gives_the_lease_back(project, kind, end, status):
    """The row ends with the last minted tick: the worker id is free at once."""
    path = f"django_uidgen.generators.{kind}UidGenerator"
    project.settings += f'UIDGEN = {{"default": {{"GENERATOR": "{path}"}}}}\n'
    process = project.start(
        "-c",
        "import os, time\n"
        + SETUP
        + "from django_uidgen import uid\n"
        + f"uid(); print(uid(), flush=True)\n{end}\n",
    )
    out, err = process.communicate(timeout=120)
    assert process.returncode == status, err
    node = WorkerNode.objects.get()
    last = parse(out.strip())
    assert last.worker_node == node
    assert node.released_at is not None
    assert node.process_id == process.pid
    assert node.state == "free"
    # With a stock, UIDs were minted that nobody took. Else nothing was minted after
    # the last, whose tick is followed by another if its sequence was at the end.
    ahead = 1000 if kind == "Cached" else 1
    assert 1 <= node.reserved_until - last.tick <= 1 + ahead


@pytest.mark.django_db(transaction=True)
def test_killed_process_leaves_its_lease(project):
    """Nothing can release it: it lapses."""
    process = project.start(
        "-c",
        "import os, signal\n"
        + SETUP
        + "from django_uidgen import uid; print(uid(), flush=True)\n"
        + "os.kill(os.getpid(), signal.SIGKILL)\n",
    )
    out, _ = process.communicate(timeout=120)
    assert process.returncode == -signal.SIGKILL
    node = WorkerNode.objects.get()
    assert parse(out.strip()).worker_node == node
    assert node.released_at is None
    assert node.state == "live"
    lease = conf.get_config("default").assigner_options.lease
    assert node.reserved_until - node.reserved_from == lease * 1000


# A fork at the start.

FORK = """
import os, sys, threading, time
from django_uidgen.core.assigner import WorkerIdAssigner
from django_uidgen.core.lease import Lease
forking, claimed = threading.Event(), threading.Event()
class Assigner(WorkerIdAssigner):
    def __init__(self, config):
        pass
    def claim(self, now):
        assert forking.wait(60)
        time.sleep(0.1)
        claimed.set()
        return Lease(5, now, now + 10**6, renew_from=now + 10**6)
"""


def test_fork_waits_for_the_claim_of_the_start(project):
    """The child must not inherit what a thread has begun.

    As under gunicorn --preload, which forks as soon as it has loaded the project.
    """
    (project.folder / "assigning.py").write_text(FORK)
    path = "assigning.Assigner"
    project.settings += f'UIDGEN = {{"default": {{"WORKER_ID_ASSIGNER": "{path}"}}}}\n'
    project.run(
        "-c",
        WSGI
        + "import os, assigning\n"
        + "from django_uidgen import generators, registry, uid\n"
        + "registry._STOP_TIMEOUT = 60\n"
        # Hooks before a fork run in the reverse order: this one first.
        + "os.register_at_fork(before=assigning.forking.set)\n"
        + "pid = os.fork()\n"
        + "if pid == 0:\n"
        + "    os._exit(0 if assigning.claimed.is_set() and uid() else 1)\n"
        + "assert os.waitpid(pid, 0)[1] == 0\n"
        + "assert generators['default'].lease.worker_id == 5\n",
    )


@pytest.mark.parametrize("modules", [{}, {"celery.signals"}])
def test_end_of_a_pool_process_of_celery(monkeypatch, modules):
    """It leaves past atexit, so Celery's own signal releases the leases."""
    connected, ended = [], []
    monkeypatch.setattr(registry.generators, "shut_down", lambda: ended.append(1))
    signal_ = SimpleNamespace(connect=lambda f, dispatch_uid: connected.append(f))
    celery_signals = SimpleNamespace(worker_process_shutdown=signal_)
    apps._watch_celery(dict.fromkeys(modules, celery_signals))
    for receiver in connected:
        receiver(sender="worker", pid=1, exitcode=0)
    assert ended == [1] * len(modules)
