"""A second process that claims worker ids on command.

    python -m tests.programs.claimant

Each line of its input is a JSON object: the UIDGEN setting, and the tick that its clock
shall show. It answers with the lease that it was given, or with the name of the error,
and releases the lease.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

import django


class Claimant:
    """The process, seen by the one that started it."""

    def __init__(self, settings_module):
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.programs.claimant"],
            env={**os.environ, "DJANGO_SETTINGS_MODULE": settings_module},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def claim(self, uidgen, tick):
        """Return the lease as a dict, or the name of the error."""
        command = json.dumps({"uidgen": uidgen, "tick": tick})
        self._process.stdin.write(f"{command}\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def end(self):
        """Let the process leave."""
        self._process.communicate(timeout=30)
        assert self._process.returncode == 0


def main():
    """Answer line by line."""
    django.setup()

    from django.conf import settings

    from django_uidgen import generators, registry

    for line in sys.stdin:
        command = json.loads(line)
        settings.UIDGEN = command["uidgen"]
        answer = claim(generators["default"], command["tick"])
        registry.generators.reset()
        sys.stdout.write(f"{json.dumps(answer)}\n")
        sys.stdout.flush()


def claim(generator, tick):
    """Return what a claim at ``tick`` gives."""
    from django_uidgen.core.exceptions import UidError
    from tests.support.clocks import stop_clock

    layout = generator.layout
    stop_clock(generator, layout.moment(tick))
    try:
        generator.assign()
    except UidError as error:
        return type(error).__name__
    lease = generator.lease
    return {
        "worker_id": lease.worker_id,
        "from": lease.reserved_from,
        "until": lease.reserved_until,
    }


if __name__ == "__main__":
    main()
