"""A backfill that is killed in its midst.

    python -m tests.programs.killed_backfill STATEMENT MODEL FIELD [OPTION ...]

Runs ``uidgen backfill`` and sends this process SIGKILL right after the UPDATE of that
number, counted from 1.
"""

from __future__ import annotations

import os
import signal
import sys
from itertools import count

import django
from django.core.management import call_command
from django.db import connection


def main(statement, *arguments):
    """Run the command."""
    django.setup()
    updates = count(1)

    def killing(execute, sql, params, many, context):
        result = execute(sql, params, many, context)
        is_a_batch = sql.startswith("UPDATE") and "worker" not in sql
        if is_a_batch and next(updates) == int(statement):
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    with connection.execute_wrapper(killing):
        call_command("uidgen", "backfill", *arguments)


if __name__ == "__main__":
    main(*sys.argv[1:])
