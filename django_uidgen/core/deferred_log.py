"""Log records that wait until no lock is held.

A log handler may store its records under UIDs, and so mint. While a worker id is
claimed, that mint would wait for the claim, which waits for the handler.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from django_uidgen.core import fork

logger = logging.getLogger("django_uidgen")


class _Deferral(logging.Filter):
    """Keep the records of the package's logger back while ``deferred()`` is open.

    Any thread writes ``_open`` and ``_records`` by single calls of a dict and a list.
    """

    def __init__(self) -> None:
        super().__init__()
        #: What is open, with its process: a child inherits what its parent has opened.
        self._open: dict[object, fork.ForkGuard] = {}
        self._records: list[logging.LogRecord] = []
        self._local = threading.local()

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Keep records of all threads back until the body ends."""
        token = object()
        try:
            self._open[token] = fork.this_process()
            yield
        finally:
            self._open.pop(token, None)
            self._flush()

    def _is_open(self) -> bool:
        return fork.this_process() in list(self._open.values())

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep ``record`` back, or let it pass."""
        if not self._is_open():
            return True
        self._records.append(record)
        self._flush()  # if the last one was closed meanwhile
        return False

    def _flush(self) -> None:
        """Hand out the records so far.

        A handler that mints may cause more of them. Those wait for the next time: else
        this could go on for ever.
        """
        if self._is_open() or getattr(self._local, "flushes", False):
            return
        self._local.flushes = True
        try:
            records, self._records = self._records, []
            for record in records:
                logger.handle(record)
        finally:
            self._local.flushes = False


_deferral = _Deferral()
logger.addFilter(_deferral)

#: A context manager: records wait until its body ends.
deferred = _deferral.deferred
