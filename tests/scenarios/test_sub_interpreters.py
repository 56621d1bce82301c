"""Sub-interpreters, isolated and not: as some servers and executors use them."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from django_uidgen.core import process

PROGRAM = """
import sys
kind, path, database = sys.argv[1:]
import _interpreters
code = f'''
import sys
sys.path[:0] = {sys.path!r}
import django
from django.conf import settings
settings.configure(
    DATABASES={{"default": {{
        "ENGINE": "django.db.backends.sqlite3", "NAME": {database!r},
    }}}},
    INSTALLED_APPS=["django_uidgen"],
    UIDGEN={{"default": {{"GENERATOR": {path!r}}}}},
)
django.setup()
from django.core.management import call_command
call_command("migrate", verbosity=0)
from django_uidgen import uid, uids
print(*[uid() for _ in range(3)], *uids(3), flush=True)
'''
made = [_interpreters.create(kind) for _ in range(2)]
for one in made:
    failure = _interpreters.exec(one, code)
    assert failure is None, failure.errdisplay
# The first is left to the end of the process.
_interpreters.destroy(made[1])
"""


@pytest.mark.skipif(sys.version_info < (3, 13), reason="another module before 3.13")
@pytest.mark.parametrize("kind", ["isolated", "legacy"])
@pytest.mark.parametrize("generator", ["CachedUidGenerator", "DefaultUidGenerator"])
def test_each_mints_its_own(tmp_path, kind, generator):
    """With worker ids of their own, and they end when they are asked to."""
    path = f"django_uidgen.generators.{generator}"
    # coverage's tracer cannot be loaded there.
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("COVERAGE")
    }
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, kind, path, str(tmp_path / "db.sqlite3")],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    uids = [int(uid) for uid in ended.stdout.split()]
    assert len(set(uids)) == 12


def test_daemon_threads_that_are_refused(monkeypatch):
    """As in an isolated sub-interpreter."""

    def refuse(*, daemon):
        raise RuntimeError("daemon threads are disabled in this (sub)interpreter")

    monkeypatch.setattr("django_uidgen.core.process.threading.Thread", refuse)
    assert not process.threads_run()


def test_no_thread_is_begun_while_the_interpreter_shuts_down(monkeypatch):
    """It might never run, and its starter would wait for it."""
    assert process.threads_run()
    monkeypatch.setattr(sys, "is_finalizing", lambda: True)
    assert not process.threads_run()
