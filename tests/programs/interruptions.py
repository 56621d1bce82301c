"""A program that mints while a signal raises exceptions at any line.

python -m tests.programs.interruptions CachedUidGenerator
"""

from __future__ import annotations

import random
import signal
import sys

from django_uidgen.core import generators
from django_uidgen.core.exceptions import MaxWaitExceeded
from django_uidgen.core.layout import BitLayout
from tests.support.memory import MemoryAssigner

INTERRUPTIONS = 300


class Interrupted(Exception):
    """What a signal handler raises: a time limit, Ctrl-C."""


def handler(signum, frame):
    raise Interrupted


def main(kind):
    layout = BitLayout.preset("snowflake")
    generator = getattr(generators, kind)(
        layout,
        MemoryAssigner(layout, worker_ids=list(range(1000))),
        options=generators.GeneratorOptions(max_wait=0.05),
    )
    generator.uid()
    minted, interruptions, refusals = [], 0, 0
    signal.signal(signal.SIGALRM, handler)
    while interruptions < INTERRUPTIONS:
        try:
            signal.setitimer(signal.ITIMER_REAL, random.uniform(5e-5, 5e-4))
            while True:
                minted.append(generator.uid())
                minted.extend(generator.uids(3))
        except Interrupted:
            interruptions += 1
        except MaxWaitExceeded:
            refusals += 1
    signal.setitimer(signal.ITIMER_REAL, 0)
    for _ in range(2):
        try:
            minted.append(generator.uid())
        except MaxWaitExceeded:  # says so once, and goes on without the lock
            refusals += 1
    minted.append(generator.uid())
    assert len(set(minted)) == len(minted)
    assert refusals <= interruptions
    generator.close()


if __name__ == "__main__":
    main(sys.argv[1])
