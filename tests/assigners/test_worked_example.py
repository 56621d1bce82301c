"""The assigner of docs/assigners.md, run as it stands on the page."""

from __future__ import annotations

import fcntl
import os
import re
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest

from django_uidgen import conf
from django_uidgen.core.exceptions import (
    LeaseLost,
    WorkerIdsExhausted,
    WorkerIdUnavailable,
)

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "assigners.md").read_text()
[CODE] = re.findall(r"^```python\n(import .*?)^```$", PAGE, re.MULTILINE | re.DOTALL)

#: Mint for so many seconds in this process and a forked child, and write each run of
#: UIDs to a file of the process before the next mint.
PROGRAM = """
import os, sys, time
from django.conf import settings
directory, output, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
settings.configure(
    WORKER_ID_DIRECTORY=directory,
    UIDGEN={"default": {
        "WORKER_ID_ASSIGNER": "worker_ids.FileWorkerIdAssigner",
        "WORKER_IDS": (0, 7),
        "OPTIONS": {"LEASE": 0.2, "MAX_LEAD": 0.05, "MAX_WAIT": 30.0},
    }},
)
from django_uidgen import generators
from django_uidgen.core.exceptions import WorkerIdsExhausted
generator = generators["default"]
generator.allocate(1)
pid = os.fork()
end = time.monotonic() + seconds
with open(f"{output}/{os.getpid()}", "a", buffering=1) as file:
    while time.monotonic() < end:
        try:
            runs = generator.allocate(100)
        except WorkerIdsExhausted:
            time.sleep(0.02)
            continue
        for run in runs:
            file.write(f"{run.start} {run.stop}\\n")
if pid:
    os.waitpid(pid, 0)
generator.close()
"""


@pytest.fixture
def directory(tmp_path):
    """Where the files of the alias "default" are."""
    path = tmp_path / "worker_ids" / "default"
    path.mkdir(parents=True)
    return path


@pytest.fixture
def make(directory, settings):
    """Make an assigner: each is one process's."""
    names = {}
    exec(CODE, names)
    settings.WORKER_ID_DIRECTORY = directory.parent
    settings.UIDGEN = {
        "default": {
            "WORKER_IDS": (0, 1),
            "OPTIONS": {"LEASE": 10, "MAX_WAIT": 0.05},
        }
    }
    config = conf.get_config("default")
    return lambda: names["FileWorkerIdAssigner"].from_config(config)


def test_leases_of_a_worker_id_are_disjoint(make):
    """Released, lapsed or renewed, the next one begins where the last one ended."""
    mine, others = make(), make()
    first = mine.claim(100)
    assert first[:3] == (0, 100, 10_100)
    first = mine.renew(first, 9_000)
    assert first.reserved_until == 19_000
    mine.release(first, 9_500)
    assert others.claim(9_499).worker_id == 1
    second = others.claim(9_500)
    assert second[:3] == (0, 9_500, 19_500)
    lapsed = make().claim(second.reserved_until)
    assert lapsed[:3] == (0, 19_500, 29_500)


def test_none_is_left(make):
    """Neither to another process, nor at the new time of a clock stepped back."""
    make().claim(100)
    make().claim(100)
    for now in (100, 50, 10_099):
        with pytest.raises(WorkerIdsExhausted):
            make().claim(now)


def test_lost_lease(make):
    """Its holder neither renews nor shortens the lease of the successor."""
    mine, others = make(), make()
    lost = mine.claim(100)
    successor = others.claim(lost.reserved_until)
    assert successor.worker_id == lost.worker_id
    with pytest.raises(LeaseLost):
        mine.renew(lost, 10_200)
    mine.release(lost, 200)
    assert others.renew(successor, 10_200).reserved_until == 20_200
    assert make().claim(200).worker_id != lost.worker_id


@pytest.mark.parametrize(("next_tick", "end"), [(0, 500), (600, 600), (99_999, 10_500)])
def test_release_stays_within_the_lease(make, directory, next_tick, end):
    """Ticks before it were minted with the lease before it."""
    before = make().claim(100)
    make().release(before, 500)
    mine = make().claim(500)
    make().release(mine, next_tick)
    assert (directory / "0").read_text() == f"2 {end}"


def test_end_of_the_layout(make):
    """No lease reaches beyond it."""
    last = conf.get_config("default").layout.max_tick
    lease = make().claim(last - 5)
    assert lease.reserved_until == last + 1
    assert make().renew(lease, last - 1).reserved_until == last + 1


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_nothing_is_returned_that_is_not_durable(make, monkeypatch, failing):
    """A disk that fails is a named error, and takes nothing from the holder."""
    mine = make()
    lease = mine.claim(100)

    def fail(*args):
        raise OSError("No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, failing, fail)
        for step in (mine.claim, lambda now: mine.renew(lease, now)):
            with pytest.raises(WorkerIdUnavailable, match="No space left"):
                step(200)
    assert mine.renew(lease, 300).reserved_until == 10_300


def test_written_before_it_is_returned(make, directory, monkeypatch):
    """First the file, then its name, then the directory."""
    done = []
    fsync, replace = os.fsync, os.replace

    def noted_fsync(descriptor):
        is_directory = os.path.samestat(os.fstat(descriptor), directory.stat())
        done.append("directory" if is_directory else "file")
        fsync(descriptor)

    def noted_replace(source, target):
        done.append("replace")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "replace", noted_replace)
    make().claim(100)
    assert done == ["file", "replace", "directory"]


def test_lock_that_is_held_is_not_waited_for_without_end(make, directory):
    """Its holder may be stopped. When it is free, all goes on."""
    descriptor = os.open(directory, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    with pytest.raises(WorkerIdUnavailable):
        make().claim(100)
    os.close(descriptor)
    assert make().claim(100).worker_id == 0


def test_child_forked_during_a_step_does_not_hold_the_lock(make):
    """It has the descriptor open as well."""
    mine = make()
    with mine._locked():
        pid = os.fork()
        if pid == 0:
            time.sleep(60)
            os._exit(0)
    try:
        assert make().claim(100).worker_id == 0
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def test_directory_that_is_missing(make, directory):
    """Is not made: it might be the wrong one, or on a disk that is not mounted."""
    directory.rmdir()
    with pytest.raises(WorkerIdUnavailable, match="No such file"):
        make().claim(100)


@pytest.fixture
def launch(tmp_path, directory):
    """Start the program, in a process group of its own."""
    (tmp_path / "worker_ids.py").write_text(CODE)
    (tmp_path / "minted").mkdir()
    started = []

    def start(seconds):
        process = subprocess.Popen(
            [
                *(sys.executable, "-W", "error::ResourceWarning", "-c", PROGRAM),
                *(directory.parent, tmp_path / "minted", str(seconds)),
            ],
            env=os.environ | {"PYTHONPATH": str(tmp_path)},
            start_new_session=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def minted(tmp_path):
    """Return the runs that were written, in ascending order; a torn line is none."""
    runs = []
    for path in (tmp_path / "minted").iterdir():
        lines = path.read_text().split("\n")[:-1]
        runs += [tuple(map(int, line.split())) for line in lines]
    return sorted(runs)


def test_processes_that_fork_are_killed_and_started_again(launch, directory, tmp_path):
    """No UID comes twice, over many leases."""
    settled = [launch(4) for _ in range(2)]
    for _ in range(3):
        victim = launch(60)
        its_file = tmp_path / "minted" / str(victim.pid)
        deadline = time.monotonic() + 60
        while not its_file.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(0.3)  # for some leases of 0.2 s
        os.killpg(victim.pid, signal.SIGKILL)
        victim.wait()
        assert its_file.read_text()
    settled.append(launch(0.5))
    assert [process.wait(timeout=120) for process in settled] == [0, 0, 0]
    runs = minted(tmp_path)
    assert len(runs) > 1000
    assert all(stop <= start for (_, stop), (start, _) in pairwise(runs))
    terms = [
        int((directory / str(worker_id)).read_text().split()[0])
        for worker_id in range(8)
        if (directory / str(worker_id)).exists()
    ]
    # Each process leased one, most children did, and some worker ids were used again.
    assert sum(terms) > 6
    assert max(terms) > 1
