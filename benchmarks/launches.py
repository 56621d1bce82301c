"""What a claim does, and for how long, while many processes claim at once.

    python -m benchmarks.launches [--processes 64] [--rounds 3]

Processes are started and wait for a signal, then each claims one worker id. Each notes
when it connected, sent each statement and paused, and for how long. The database is
PostgreSQL, and MariaDB where its URL is given; without its URL, PostgreSQL is a
temporary server.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, NamedTuple

from benchmarks import databases
from benchmarks.claims import name_of
from tools.postgres import stop_cleanly_on_sigterm

#: What a statement is for, by words in it; the first that fits.
PURPOSES = {
    "clock_timestamp": "statement: compare the clocks",
    "UTC_TIMESTAMP": "statement: compare the clocks",
    "INSERT": "statement: insert the lease",
    "UPDATE": "statement: seal the row before, or confirm",
    "IS NOT NULL": "statement: find released worker ids",
    "LIMIT 16": "statement: find lapsed leases",
    "LIMIT 1": "statement: check the layout",
    "LIMIT 21": "statement: read the key",
    "SELECT": "statement: find unused worker ids",
}


#: Set in the processes where the driver of the database is to be imported before.
PRELOAD = "UIDGEN_BENCH_PRELOAD"


class Event(NamedTuple):
    """One thing that a process did for its claim.

    ``began`` and ``ended``: seconds since the signal. ``cpu``: seconds of the process's
    CPU, which a busy machine hardly changes.
    """

    what: str
    began: float
    ended: float
    cpu: float


# In the processes that claim.


class Recorder:
    """Notes what one claim does."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def timed(self, what: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return ``function``, of which each call is noted."""

        def call(*args: Any, **kwargs: Any) -> Any:
            began, cpu = time.time(), time.process_time()
            try:
                return function(*args, **kwargs)
            finally:
                cpu = time.process_time() - cpu
                self.events.append(Event(what, began, time.time(), cpu))

        return call

    def statement(self, execute: Any, sql: str, *args: Any) -> Any:
        """Note a statement, for ``execute_wrappers``."""
        fitting = (purpose for word, purpose in PURPOSES.items() if word in sql)
        what = next(fitting, sql[:30])
        return self.timed(what, execute)(sql, *args)


def claim_once() -> None:
    """Claim when a line comes, and print what was done."""
    import django
    from django.db import connections
    from django.db import utils as db_utils
    from django.db.backends.base.base import BaseDatabaseWrapper as Connection
    from django.db.backends.signals import connection_created

    django.setup()

    from django_uidgen import generators
    from django_uidgen.assigners import retries

    recorder = Recorder()
    if PRELOAD in os.environ:
        connections[os.environ["UIDGEN_BENCH_DATABASE"]]
    db_utils.load_backend = recorder.timed("import the driver", db_utils.load_backend)

    def watch(*, connection: Any, **kwargs: Any) -> None:
        connection.execute_wrappers.append(recorder.statement)

    connection_created.connect(watch, weak=False)
    for name in ("connect", "_commit", "_rollback", "_savepoint", "_set_autocommit"):
        for one in {Connection, *Connection.__subclasses__()}:
            if name in vars(one):
                function = vars(one)[name]
                setattr(one, name, _method(recorder, name.strip("_"), function))
    retries.pause = recorder.timed("pause", retries.pause)
    generator = generators["default"]
    print("ready", flush=True)
    signalled = float(sys.stdin.readline())
    try:
        recorder.timed("claim", generator.assign)()
    finally:
        for one in recorder.events:
            event = one.what, one.began - signalled, one.ended - signalled, one.cpu
            print(json.dumps(event))
    sys.stdout.flush()
    # The release is not part of it, and comes when all have claimed.
    sys.stdin.readline()


def _method(recorder: Recorder, what: str, function: Any) -> Any:
    def method(self: Any, *args: Any) -> Any:
        return recorder.timed(what, function)(self, *args)

    return method


# In the process that starts them.


def launch(alias: str, count: int) -> list[list[Event]]:
    """Return what each of ``count`` processes did, which claim at once."""
    command = [sys.executable, "-c"]
    command += ["from benchmarks.launches import claim_once; claim_once()"]
    with ExitStack() as stack:
        started = [
            stack.enter_context(
                subprocess.Popen(
                    command,
                    env=os.environ | {"UIDGEN_BENCH_DATABASE": alias},
                    cwd=databases.ROOT,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            for _ in range(count)
        ]
        pipes = [(one.stdin, one.stdout) for one in started if one.stdin and one.stdout]
        for _, output in pipes:
            output.readline()
        signalled = time.time()
        for given, _ in pipes:
            given.write(f"{signalled}\n")
            given.flush()
        done = [_read(output) for _, output in pipes]
        for given, _ in pipes:
            given.close()
    return done


def _read(output: Any) -> list[Event]:
    """Read the events of one process; the claim as a whole is the last."""
    events = []
    for line in output:
        events.append(Event(*json.loads(line)))
        if events[-1].what == "claim":
            break
    return events


def show(done: list[list[Event]]) -> None:
    """Print when the claims ended, and what they spent their time with."""
    ends = sorted(events[-1].ended for events in done)
    begins = [events[-1].began for events in done]
    print(f"began {min(begins):.3f} to {max(begins):.3f} s after the signal")
    print(f"ended {ends[0]:.3f} to {ends[-1]:.3f} s, median {ends[len(ends) // 2]:.3f}")
    spent: dict[str, list[Event]] = defaultdict(list)
    for events in done:
        for event in events:
            spent[event.what].append(event)
    print(f"{'':42} a claim  median ms  90 % below  CPU ms a claim")
    for what, found in sorted(spent.items(), key=lambda item: -_cpu(item[1])):
        times = sorted(1000 * (event.ended - event.began) for event in found)
        often = f"{len(found) / len(done):7.2f}"
        wall = f"{statistics.median(times):10.1f} {times[int(len(times) * 0.9)]:11.1f}"
        print(f"{what:42} {often} {wall} {1000 * _cpu(found) / len(done):9.2f}")


def _cpu(events: list[Event]) -> float:
    return sum(event.cpu for event in events)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.launches")
    parser.add_argument("--processes", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--preload", action="store_true", help="import drivers before")
    arguments = parser.parse_args()
    if arguments.preload:
        os.environ[PRELOAD] = "1"
    stop_cleanly_on_sigterm()
    with databases.prepared() as aliases:
        from django_uidgen.models import WorkerNode

        for alias in [alias for alias in aliases if alias != "default"]:
            for round_ in range(arguments.rounds):
                WorkerNode.objects.using(alias).all().delete()
                print(
                    f"\n{name_of(alias)}, {arguments.processes} processes, round "
                    f"{round_ + 1}"
                )
                show(launch(alias, arguments.processes))
    return 0


if __name__ == "__main__":
    sys.exit(main())
