"""Mint in a process that goes on to fork, and keep what was minted there.

    python -m tests.servers.project.parent PROGRAM [ARGUMENT ...]

runs a program, as ``python -m PROGRAM`` does, in a process that has minted.
"""

from __future__ import annotations

import os
import runpy
import sys
import threading
import time
from pathlib import Path

#: A folder with a file for each process: the UIDs that it minted, one on each line.
FOLDER = "UIDGEN_TEST_MINTED"

#: What a process mints before it forks: not nothing, not all of its stock.
COUNT = 20


def mint() -> None:
    """Mint on the hot path, with some left in stock, and in one call."""
    from django_uidgen import uid, uids

    keep([*uids(5), *(uid() for _ in range(COUNT))])


def keep(minted: list[int]) -> None:
    """Write to the file of this process at once: no buffer that a fork would copy."""
    file = Path(os.environ[FOLDER], str(os.getpid()))
    descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, "".join(f"{uid}\n" for uid in minted).encode())
    finally:
        os.close(descriptor)


def mint_in_a_thread() -> None:
    """Mint for as long as this process lives, also while it forks."""
    mint()
    threading.Thread(target=_mint_on, daemon=True).start()


def _mint_on() -> None:
    while True:
        mint()
        time.sleep(0.002)


def hold_locks_in_a_thread() -> None:
    """Have all locks of the package held by another thread when the fork comes."""
    mint()
    held = threading.Event()
    threading.Thread(target=_hold_locks, args=(held,), daemon=True).start()
    if not held.wait(10):
        sys.exit("The locks could not be had.")


def _hold_locks(held: threading.Event) -> None:
    from django_uidgen import databases, generators, registry
    from django_uidgen.core import fork

    generator = generators["default"]
    generations = generator._generations
    stock = generations.last
    owners = [registry.generators, fork.hooks, databases._gate, generations]
    owners += [stock, stock.keeper, stock.generation, stock.executor]
    for owner in owners:
        for value in vars(owner).values():
            if hasattr(value, "acquire"):
                assert value.acquire(timeout=5)
    held.set()
    time.sleep(3600)


#: By the value of an environment variable, what is to be done before the fork.
WAYS = {"once": mint, "thread": mint_in_a_thread, "locks": hold_locks_in_a_thread}


def mint_as_told() -> None:
    """Mint here, if the environment says so."""
    way = WAYS.get(os.environ.get("UIDGEN_TEST_BEFORE_FORK", ""))
    if way is not None:
        way()


if __name__ == "__main__":
    import django

    django.setup()
    mint()
    sys.argv = sys.argv[1:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
