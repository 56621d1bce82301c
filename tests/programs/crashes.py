"""A crash loop: processes that are killed as soon as they have minted.

    python -m tests.programs.crashes LAUNCHES AT_ONCE

Each is forked from a parent that has minted nothing, with no connection open. Prints
their UIDs and errors, one a line. The settings are those in the environment.
"""

from __future__ import annotations

import os
import signal
import sys

import django
from django.conf import settings


def main(launches, at_once):
    """Launch so many processes, at most ``at_once`` at a time."""
    # On a busy machine a claim may take longer than the default.
    settings.UIDGEN = {"default": {"OPTIONS": {"MAX_WAIT": 30.0}}}
    django.setup()

    from django_uidgen import generators

    generator = generators["default"]
    running = 0
    for _ in range(launches):
        if running == at_once:
            os.wait()
            running -= 1
        if os.fork() == 0:
            crash(generator)
        running += 1
    for _ in range(running):
        os.wait()


def crash(generator):
    """Mint once, say what came of it, and die without any clean-up."""
    try:
        outcome = str(generator.uid())
    except Exception as error:  # noqa: BLE001 - for the test to see
        outcome = f"{type(error).__name__}: {error}"
    os.write(sys.stdout.fileno(), outcome.encode() + b"\n")
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
