"""A program that fills a table with rows keyed by UIDs, alone or with forked children.

    python -m tests.programs.minter ROWS CHILDREN

It works on the database of the settings that are in the environment, as any program of
a project does: no test run is set up, so worker ids are leased. Each process makes ROWS
rows, some with create() and the rest with bulk_create(). The children are forked after
their parent has minted.
"""

from __future__ import annotations

import os
import sys

import django

SINGLY = 200
BATCH = 2500


def main(rows: int, children: int) -> int:
    """Make ``rows`` rows here and in each of ``children`` forked processes."""
    django.setup()

    from django.conf import settings
    from django.db import connections

    from tests.testapp.models import Order

    # A claim is a write. Where all write at once it waits for them, as they do for each
    # other: on a busy machine, longer than the default of 5 s.
    settings.UIDGEN = {"default": {"OPTIONS": {"MAX_WAIT": 60}}}

    Order.objects.create(name="before the fork")
    connections.close_all()
    pids = []
    for _ in range(children):
        pid = os.fork()
        if pid == 0:
            fill(rows)
            # An exit that runs the hooks of a clean one, as a server's worker has.
            sys.exit(0)
        pids.append(pid)
    fill(rows - 1)
    return max([os.waitpid(pid, 0)[1] for pid in pids], default=0)


def fill(rows: int) -> None:
    """Make ``rows`` rows."""
    from tests.testapp.models import Order

    for number in range(SINGLY):
        Order.objects.create(name=f"{os.getpid()} {number}")
    left = rows - SINGLY
    while left:
        count = min(BATCH, left)
        Order.objects.bulk_create(
            [Order(name=f"{os.getpid()} bulk") for _ in range(count)]
        )
        left -= count


if __name__ == "__main__":
    sys.exit(1 if main(*map(int, sys.argv[1:])) else 0)
