"""A process on a host, which mints on command.

    python -m tests.programs.host

It is a program of its own, as any of a project is: no test run is set up, so worker ids
are leased. It reads a command a line, in JSON, and answers each with a line. Its
settings are those in the environment, but for UIDGEN, which UIDGEN_TEST_GENERATORS
gives, and the other apps. The other end of it is ``tests.support.hosts``.

UIDs are printed as runs: ``[first, last]``, in the order in which they were handed out.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import threading
import time
from collections import Counter

import django
from django.conf import settings

from django_uidgen.core.exceptions import UidError

GENERATORS = "UIDGEN_TEST_GENERATORS"

#: Seconds that a loop waits for its condition at the most. Far more than it needs.
PATIENCE = 60


class Warnings(logging.Handler):
    """Keep what the library warns of, for the next answer."""

    def __init__(self):
        super().__init__(logging.WARNING)
        self.messages = []

    def emit(self, record):
        self.messages.append(record.getMessage())

    def taken(self):
        # The handler's lock: threads may be warning just now.
        with self.lock:
            messages, self.messages = self.messages, []
        return messages


def main():
    """Answer commands until there are no more."""
    settings.UIDGEN = json.loads(os.environ[GENERATORS])
    # Tests start many of these processes.
    settings.INSTALLED_APPS = ["django_uidgen"]
    if "FAKETIME_TIMESTAMP_FILE" in os.environ:
        # libfaketime 0.9.10 has the sleep of Python 3.11 and later fail.
        time.sleep = pause
    django.setup()
    warnings = Warnings()
    logging.getLogger("django_uidgen").addHandler(warnings)
    commands = Commands()
    for line in sys.stdin.buffer:
        name, *arguments = json.loads(line)
        try:
            answer = {"result": getattr(commands, name)(*arguments)}
        except UidError as error:
            answer = {"error": [type(error).__name__, str(error)]}
        answer["warnings"] = warnings.taken()
        print(json.dumps(answer), flush=True)  # noqa: T201 - the answer


def pause(seconds):
    """Wait, by a clock that is not faked."""
    threading.Event().wait(seconds)


def joined(uids):
    """Return UIDs as runs."""
    runs = []
    for uid in uids:
        if runs and uid == runs[-1][1] + 1:
            runs[-1][1] = uid
        else:
            runs.append([uid, uid])
    return runs


class Commands:
    """The commands that this process accepts."""

    def __init__(self):
        self.minters = []
        self.stopped = threading.Event()

    @staticmethod
    def generator(alias):
        from django_uidgen import generators

        return generators[alias]

    def clock(self):
        """Return the time in nanoseconds since 1970."""
        return time.time_ns()

    def mint(self, alias, batch, runs, singly):
        """Mint so many UIDs in a list, as runs, and one by one."""
        generator = self.generator(alias)
        before = time.time_ns()
        minted = joined(generator.uids(batch))
        minted += [[run[0], run[-1]] for run in generator.allocate(runs)]
        minted += joined(generator.uid() for _ in range(singly))
        return [before, time.time_ns(), minted]

    def settle(self, alias):
        """Mint one by one, until a UID tells the time of the clock.

        What was in stock when the clock was stepped does not.
        """
        generator = self.generator(alias)
        before = time.time_ns()
        minted = []
        for _ in range(100 * PATIENCE):
            minted.append(generator.uid())
            tick = generator.layout.decompose(minted[-1]).tick
            if abs(generator.clock.seconds_until(tick)) <= 0.9:
                return [before, time.time_ns(), joined(minted)]
            pause(0.01)
        raise RuntimeError("The UIDs do not tell the time.")

    # Threads.

    def start_threads(self, aliases, count):
        """Start ``count`` threads that mint with each alias, until ``stop_threads``."""
        for alias in aliases:
            for _ in range(count):
                self.minters.append(Minter(alias, self.generator(alias)))
                self.minters[-1].start()

    def rounds(self):
        """Return how many rounds each of the threads has done."""
        return [len(minter.batches) for minter in self.minters]

    def stop_threads(self):
        """Return what each thread minted, and how often it was refused, and why."""
        for minter in self.minters:
            minter.stopping.set()
        for minter in self.minters:
            minter.join()
        answers = [[one.alias, one.batches, one.refusals] for one in self.minters]
        self.minters = []
        return answers

    # Suspension.

    def mint_until_stopped(self, alias, point):
        """Mint, and suspend this process when the mint is at ``point``.

        Return what was minted before and, after it was woken, by the same mint.
        """
        generator = self.generator(alias)
        stopped = self._arm(generator, point)
        before, minted, refusal = time.time_ns(), [], None
        try:
            if point.startswith("late"):
                # On a busy machine the lease lapses, and is renewed, in here.
                self._let_lapse(generator)
                before = time.time_ns()
            while not stopped.is_set():
                for run in generator.allocate(1):
                    minted += run
                pause(0.01)
        except UidError as error:
            refusal = type(error).__name__
        return [[before, time.time_ns(), joined(minted)], refusal]

    def mint_until_stopped_in_a_claim(self, alias, statement):
        """Mint, and suspend this process after ``statement`` of its claim.

        That is a word: the claim is in a transaction then, which is not committed.
        """
        from django.db.backends.signals import connection_created

        def suspend(execute, sql, params, many, context):
            result = execute(sql, params, many, context)
            if sql.startswith(statement) and context["connection"].in_atomic_block:
                os.kill(os.getpid(), signal.SIGSTOP)
            return result

        def watch(*, connection, **kwargs):
            connection.execute_wrappers.append(suspend)

        connection_created.connect(watch)
        return self.mint(alias, 1, 1, 1)

    @staticmethod
    def _let_lapse(generator):
        """Use a lease, and wait for its end."""
        generator.uid()
        while generator.clock.tick() < generator.lease.reserved_until:
            pause(0.01)

    @staticmethod
    def _arm(generator, point):
        """Have the next call of what ``point`` names suspend this process, once."""
        generation = generator._own_stock().generation
        owner, name, when = {
            "clock read": (generator.clock, "tick", "after"),
            "lease checked": (generation, "usable_lease", "after"),
            "UIDs born": (generation.sequence, "allocate", "after"),
            "claim to be sent": (generator.assigner, "claim", "before"),
            "claim answered": (generator.assigner, "claim", "after"),
            "renewal to be sent": (generator.assigner, "renew", "before"),
            "renewal answered": (generator.assigner, "renew", "after"),
            "late renewal to be sent": (generator.assigner, "renew", "before"),
            "late renewal answered": (generator.assigner, "renew", "after"),
        }[point]
        call, stopped = getattr(owner, name), threading.Event()

        def stop():
            if not stopped.is_set():
                stopped.set()
                # Let other threads, if there are any, run into what this one holds.
                pause(0.02)
                os.kill(os.getpid(), signal.SIGSTOP)

        def suspended(*args, **kwargs):
            if when == "before":
                stop()
            result = call(*args, **kwargs)
            stop()
            return result

        setattr(owner, name, suspended)
        return stopped


class Minter(threading.Thread):
    """A thread that mints in all ways, and goes on when it is refused."""

    def __init__(self, alias, generator):
        super().__init__(daemon=True)
        self.alias = alias
        self.generator = generator
        self.stopping = threading.Event()
        self.batches = []
        self.refusals = Counter()

    def run(self):
        while not self.stopping.wait(0.001):
            before, minted = time.time_ns(), []
            try:
                minted += self.generator.uids(10)
                for _ in range(10):
                    minted.append(self.generator.uid())
            except UidError as error:
                self.refusals[type(error).__name__] += 1
                pause(0.01)
            self.batches.append([before, time.time_ns(), joined(minted)])


if __name__ == "__main__":
    main()
