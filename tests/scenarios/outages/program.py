"""A program that mints on command, one line for each answer.

    python -m tests.scenarios.outages.program [serving] [threadless]

``mint N`` prints N UIDs, or the class and the message of an error. The end of the input
is a clean exit. ``serving`` starts it as a server's worker is started. ``threadless``
lets it start no thread, as in a container with a limit on processes.
"""

from __future__ import annotations

import logging
import sys
import threading

import django


def refuse(thread):
    """Start no thread. The system's own limit does not bind root."""
    raise RuntimeError("can't start new thread")


def main():
    """Answer until there are no more commands."""
    if "threadless" in sys.argv:
        threading.Thread.start = refuse
    logging.basicConfig(format="%(levelname)s %(message)s", level=logging.WARNING)
    if "serving" in sys.argv:
        from django.core.wsgi import get_wsgi_application

        get_wsgi_application()
    else:
        django.setup()
    from django_uidgen import uids
    from django_uidgen.core.exceptions import UidError

    for line in sys.stdin:
        try:
            answer = " ".join(map(str, uids(int(line.split()[1]))))
        except UidError as error:
            answer = f"{type(error).__name__}: {' '.join(str(error).split())}"
        sys.stdout.write(f"{answer}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
