"""What the app costs a process that has it: start, memory, wake-ups."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys

from benchmarks import databases, targets
from benchmarks.report import Section, judged

PACKAGES = ["Django"]

#: Prints the milliseconds of django.setup(), and how many queries it made.
SETUP = """
import time
import django
from django.conf import settings
settings.configure(
    INSTALLED_APPS={apps!r},
    DATABASES={{
        "default": {{"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
    }},
)
# What every project imports.
import django.db.models
import django.core.management
from django.db.backends.utils import CursorWrapper
queries = []
CursorWrapper.execute = lambda *arguments: queries.append(arguments)
begin = time.perf_counter()
django.setup()
print((time.perf_counter() - begin) * 1000, len(queries))
"""

#: Prints the KiB that are resident before the first UID and after a million, and how
#: often threads were woken up in five seconds without a mint.
MEMORY = """
import os, time
from pathlib import Path
import django
django.setup()
from django.core.management import call_command
call_command("migrate", verbosity=0)

def field(path, name):
    lines = Path(path).read_text().splitlines()
    [value] = [line.split()[1] for line in lines if line.startswith(name + ":")]
    return int(value)

def wakeups():
    tasks = Path("/proc/self/task").iterdir()
    me = os.getpid()
    return sum(
        field(task / "status", "voluntary_ctxt_switches")
        for task in tasks if int(task.name) != me
    )

def resident():
    return field("/proc/self/status", "VmRSS")

import sqlite3
from django.db import connection
connection.cursor().execute("SELECT 1")
before = resident()
from django_uidgen import uid
for _ in range(1_000_000):
    uid()
after = resident()
# Two rounds of the padding thread without a mint, and it parks.
time.sleep(3)
woken = wakeups()
time.sleep(5)
print(before, after, wakeups() - woken)
"""


def output_of(program: str, **environment: str) -> list[float]:
    """Run a program, and return the numbers that it prints.

    Compiled modules are kept, as in any installation.
    """
    kept = os.environ | {
        "PYTHONDONTWRITEBYTECODE": "",
        "PYTHONPYCACHEPREFIX": os.environ["UIDGEN_BENCH_FOLDER"],
    }
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=databases.ROOT,
        env=kept | environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return [float(word) for word in done.stdout.split()]


def setup_times(rounds: int) -> tuple[float, float]:
    """Return the milliseconds that the app adds to django.setup(), and its queries."""
    # These are in every project.
    without = ["django.contrib.contenttypes", "django.contrib.auth"]
    times: dict[int, list[float]] = {}
    queries = 0.0
    # The first round compiles.
    for _ in range(rounds + 1):
        for apps in (without, [*without, "django_uidgen"]):
            milliseconds, count = output_of(SETUP.format(apps=apps))
            times.setdefault(len(apps), []).append(milliseconds)
            queries = max(queries, count)
    base, with_it = (statistics.median(found[1:]) for found in times.values())
    return with_it - base, queries


def memory() -> tuple[float, float]:
    """Return MiB that a million UIDs leave, and wake-ups of an idle process."""
    before, after, woken = output_of(
        MEMORY,
        DJANGO_SETTINGS_MODULE="benchmarks.settings",
        UIDGEN_BENCH_DATABASE="default",
    )
    return (after - before) / 1024, woken


def run(*, quick: bool) -> Section:
    """Measure in processes of their own."""
    with databases.prepared():
        added, queries = setup_times(3 if quick else 15)
        mib, woken = memory()
    values = {
        "django.setup() with the app, ms more": added,
        "queries of django.setup()": queries,
        "resident memory after 1,000,000 UIDs, MiB more": mib,
        "wake-ups of an idle process in 5 s": woken,
    }
    return Section("weight", judged(values, targets.WEIGHT), packages=PACKAGES)
