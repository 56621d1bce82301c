"""Whoever forks, and however: no UID of a parent comes again in a child.

Each test runs a program of its own (``tests/programs/forker.py``) that has minted
before it forks, and compares what all its processes were handed. The servers that fork
have tests of their own; what the generators do is in ``tests/core/test_fork.py``.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import defaultdict
from contextlib import suppress
from itertools import pairwise

import pytest

from django_uidgen import conf
from django_uidgen.models import WorkerNode
from tests.programs.forker import WAYS
from tests.support.locks import locked_worker_table

pytestmark = pytest.mark.django_db(transaction=True)


class Forker:
    """The program, and what its processes wrote."""

    def __init__(self, folder, environ):
        self._folder = folder
        self._environ = environ

    def start(self, *arguments):
        """Start it."""
        self._program = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "tests.programs.forker",
                str(self._folder),
                *arguments,
            ],
            env=self._environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        return self._program

    def end(self):
        """Wait for its end; return what was minted, by name and process id."""
        _, errors = self._program.communicate(timeout=120)
        assert self._program.returncode == 0, errors
        minted = defaultdict(list)
        for file in self._folder.iterdir():
            name, process, _ = file.name.rsplit("-", 2)
            minted[name, process] += map(int, file.read_text().split())
        return minted

    def run(self, *arguments):
        """Do both."""
        self.start(*arguments)
        return self.end()

    def kill(self):
        """Leave nothing behind: a child that hangs would hold the pipes."""
        with suppress(ProcessLookupError):
            os.killpg(self._program.pid, signal.SIGKILL)
        self._program.communicate()


@pytest.fixture
def forker(settings, tmp_path):
    """Return the program, for one run.

    Without the coverage tool, whose own locks a fork in C may leave held.
    """
    environ = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("COVERAGE")
    }
    environ["DJANGO_SETTINGS_MODULE"] = settings.SETTINGS_MODULE
    forker = Forker(tmp_path, environ)
    yield forker
    forker.kill()


def all_of(minted):
    """Return the UIDs of all processes."""
    return [number for numbers in minted.values() for number in numbers]


def assert_nothing_repeats(minted):
    """See that all differ, and that processes share no worker id at one time."""
    everything = all_of(minted)
    assert len(set(everything)) == len(everything)
    by_worker_id = defaultdict(list)
    for node in WorkerNode.objects.order_by("reserved_from", "reserved_until"):
        by_worker_id[node.worker_id].append(node)
    for nodes in by_worker_id.values():
        for one, other in pairwise(nodes):
            assert one.reserved_until <= other.reserved_from
    layout = conf.get_config("default").layout
    for number in everything:
        part = layout.decompose(number)
        assert any(
            node.reserved_from <= part.tick < node.reserved_until
            for node in by_worker_id[part.worker_id]
        )


@pytest.mark.parametrize("way", sorted({*WAYS} - {"os.fork during a claim"}))
def test_children_mint_their_own(forker, way):
    """So do their children, and the parent goes on."""
    minted = forker.run(way)
    assert_nothing_repeats(minted)
    assert len({process for _, process in minted}) >= 2 or way == "os.fork in atomic"


def test_fork_during_a_claim(forker):
    """The child claims for itself, and what the parent's thread claims is its own."""
    program = forker.start("os.fork during a claim")
    assert program.stdout.readline() == "ready\n"
    with locked_worker_table() as go_on:
        program.stdin.write("locked\n")
        program.stdin.flush()
        assert program.stdout.readline() == "forked\n"
        go_on.set()
    minted = forker.end()
    assert_nothing_repeats(minted)
    assert len({process for _, process in minted}) == 3


@pytest.mark.parametrize(
    "way",
    ["os.fork", "raw C fork", "Process, fork", "ProcessPoolExecutor, fork"],
)
def test_without_the_guard_they_would_repeat(forker, way):
    """Which shows that the tests above would notice."""
    everything = all_of(forker.run(way, "unguarded"))
    assert len(set(everything)) < len(everything)
