"""Notice a fork, whoever forked and however.

A generator keeps UIDs and a lease in memory, and a fork copies both. The copy must
never be used. Two things tell a child that it is one:

- a private page of memory that the kernel fills with zeros in every child (Linux,
  ``MADV_WIPEONFORK``): also a fork in C that runs no hook of Python's is noticed, and
  reading a byte costs a fraction of ``os.getpid()``;
- elsewhere the hooks of ``os.register_at_fork``, and the process id where UIDs are
  allocated.
"""

from __future__ import annotations

import mmap
import os
import sys
import threading
from weakref import ref

# linux/mman.h; the constant is not in Python's mmap module.
_MADV_WIPEONFORK = 18


class ProcessLock:
    """A re-entrant lock for ``with``, held within one process.

    A fork copies a lock as it is. A thread that is not in the child may have held it,
    and after a fork in C no hook makes it anew, so each process has a lock of its own.
    """

    def __init__(self) -> None:
        self._locks: dict[int, threading.RLock] = {}

    def acquire(self, timeout: float = -1) -> bool:
        """Wait for the lock up to ``timeout`` seconds; tell whether it was had."""
        process_id = os.getpid()
        lock = self._locks.get(process_id)
        if lock is None:
            # Of two threads, the second gets the lock of the first.
            lock = self._locks.setdefault(process_id, threading.RLock())
        return lock.acquire(timeout=timeout)

    def release(self) -> None:
        """Let others have the lock."""
        self._locks[os.getpid()].release()

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(self, *exc_info: object) -> None:
        self.release()


class ForkAware:
    """What can be told of forks that run Python's hooks, by ``hooks.add()``."""

    #: Whether what others stop before a fork may still need this one.
    stops_last = False

    def before_fork(self) -> None:
        """Stop what a child must not inherit half done."""

    def after_fork_in_parent(self) -> None:
        """Take up again what was stopped."""

    def after_fork_in_child(self) -> None:
        """Forget what belongs to the parent."""


def _wiped_on_fork() -> mmap.mmap | None:
    """Return a page that is zeroed in a child, or None where there is none."""
    if not sys.platform.startswith("linux"):
        return None
    page = mmap.mmap(-1, mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    try:
        page.madvise(_MADV_WIPEONFORK)
    except OSError:  # a kernel before 4.14
        return None
    return page


class _FirstByte:
    """The truth of the first byte of a page."""

    def __init__(self, page: mmap.mmap | bytearray) -> None:
        self._page = page

    def __bool__(self) -> bool:
        return self._page[0] != 0


def _truth_of(page: mmap.mmap | bytearray) -> object:
    """Return an object that is true as long as the first byte of ``page`` is not 0.

    A number of ctypes looks at the memory itself, in half the time that ``page[0]``
    takes. That its truth is that of its value is not documented, so it is tried.
    """
    try:
        import ctypes
    except ImportError:  # a Python that was built without it
        return _FirstByte(page)
    number = ctypes.c_ubyte.from_buffer(page)
    seen = []
    for value in (1, 0):
        page[0] = value
        seen.append(bool(number))
    return number if seen == [True, False] else _FirstByte(page)


class ForkGuard:
    """Tell whether this is still the process in which the guard was made.

    ``page[0]`` is 1 in that process, as long as the guard is armed, and 0 in every
    child. ``alive`` is true as long as it is 1.
    """

    def __init__(self) -> None:
        self._pid = os.getpid()
        self.page: mmap.mmap | bytearray = _wiped_on_fork() or bytearray(1)
        self.alive = _truth_of(self.page)
        self.page[0] = 1

    def __bool__(self) -> bool:
        return self.page[0] == 1 and self._pid == os.getpid()

    def disarm(self) -> None:
        """Make every reader of the page take its slow path, for ever."""
        self.page[0] = 0


class _ForkHooks:
    """The hooks of ``os.register_at_fork``: they cannot be unregistered, so one list.

    It is replaced whole, so that threads and children always find it whole. It keeps
    no member alive.
    """

    def __init__(self) -> None:
        self._lock = ProcessLock()
        self._references: list[ref[ForkAware]] = []

    def add(self, member: ForkAware) -> None:
        with self._lock:
            self._references = [*map(ref, self.members()), ref(member)]

    def members(self) -> list[ForkAware]:
        found = [reference() for reference in self._references]
        return [member for member in found if member is not None]

    def before(self) -> None:
        for member in sorted(self.members(), key=lambda member: member.stops_last):
            member.before_fork()

    def in_parent(self) -> None:
        for member in self.members():
            member.after_fork_in_parent()

    def in_child(self) -> None:
        for member in self.members():
            member.after_fork_in_child()


hooks = _ForkHooks()
if hasattr(os, "register_at_fork"):  # pragma: no branch - all systems but Windows
    os.register_at_fork(
        before=hooks.before,
        after_in_parent=hooks.in_parent,
        after_in_child=hooks.in_child,
    )
