"""Detect forks of every kind.

A generator has UIDs and a lease in memory, and a fork copies both. A child must never
use the copy. It detects the fork by one of:

- a private page of memory that the kernel fills with zeros in every child (Linux,
  ``MADV_WIPEONFORK``). This detects forks in C too, which run no Python hook, and
  reading a byte costs a fraction of ``os.getpid()``;
- on other systems, the hooks of ``os.register_at_fork``, and a comparison of process
  ids on the slow path.
"""

from __future__ import annotations

import mmap
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from weakref import ref

from django_uidgen.core.exceptions import MaxWaitExceeded

# linux/mman.h; the constant is not in Python's mmap module.
_MADV_WIPEONFORK = 18


class ForkAware:
    """An object whose methods run at a fork, once it is passed to ``hooks.add()``.

    A fork in C runs none of them.
    """

    #: Whether ``before_fork()`` runs after that of the others, which may need this one.
    stops_last = False

    def before_fork(self) -> None:
        """Stop work that a child must not inherit unfinished."""

    def after_fork_in_parent(self) -> None:
        """Resume the work that was stopped."""

    def after_fork_in_child(self) -> None:
        """Discard state that belongs to the parent."""


def _wiped_on_fork() -> mmap.mmap | None:
    """Return a page that the kernel zeroes in a child, or None without support."""
    if not sys.platform.startswith("linux"):
        return None
    page = mmap.mmap(-1, mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    try:
        page.madvise(_MADV_WIPEONFORK)
    except OSError:  # a kernel before 4.14
        return None
    return page


class _FirstByte:
    """An object whose truth is that of the first byte of a page."""

    def __init__(self, page: mmap.mmap | bytearray) -> None:
        self._page = page

    def __bool__(self) -> bool:
        return self._page[0] != 0


def _truth_of(page: mmap.mmap | bytearray) -> object:
    """Return an object that is true as long as the first byte of ``page`` is not 0.

    A ctypes number reads the memory directly, in half the time of ``page[0]``. That its
    truth follows its value is undocumented, so this is tested first.
    """
    try:
        import ctypes
    except ImportError:  # a Python built without it
        return _FirstByte(page)
    number = ctypes.c_ubyte.from_buffer(page)
    seen = []
    for value in (1, 0):
        page[0] = value
        seen.append(bool(number))
    return number if seen == [True, False] else _FirstByte(page)


class ForkGuard:
    """True in the process that created it, until ``disarm()``; false in every child.

    ``page[0]`` is 1 in that process while the guard is armed, and 0 in every child.
    ``alive`` is true while it is 1.

    ``disarm()`` and, in a child, the kernel write that byte; every mint reads it
    without a lock. One byte is read atomically, and ``Generation.mint()`` checks again
    under the lock.
    """

    def __init__(self) -> None:
        self.process_id = os.getpid()
        self.page: mmap.mmap | bytearray = _wiped_on_fork() or bytearray(1)
        self.alive = _truth_of(self.page)
        self.page[0] = 1

    def __bool__(self) -> bool:
        return self.page[0] == 1 and self.process_id == os.getpid()

    def disarm(self) -> None:
        """Send every reader of the page to its slow path, for ever."""
        self.page[0] = 0


#: The guard of this process, or of one that it was forked from.
_guard = ForkGuard()

#: By the guard of a process, that of the child which found it false. Filled by
#: ``setdefault``, which is atomic: all threads of a child receive the same guard.
_successors: dict[ForkGuard, ForkGuard] = {}


def this_process() -> ForkGuard:
    """Return an object of this process, which no parent or child shares.

    A process id would not do: the system gives that of a dead process to a new one,
    which may be its grandchild.
    """
    global _guard  # noqa: PLW0603 - the one fact about the process
    guard = _guard
    while not guard:
        guard = _guard = _successors.setdefault(guard, ForkGuard())
    return guard


#: Seconds that ``ProcessLock.held()`` waits. Its holders need microseconds.
_LONGEST_WAIT = 5.0


class ProcessLock:
    """A re-entrant lock that a forked child never inherits held.

    A fork copies a lock in its present state. Its holder may be a thread that does not
    exist in the child, and a fork in C runs no hook that could replace it. So there is
    one lock for each process.
    """

    def __init__(self) -> None:
        self._locks: dict[ForkGuard, threading.RLock] = {}

    def acquire(self, timeout: float) -> threading.RLock | None:
        """Wait for the lock up to ``timeout`` seconds.

        Return what is to be released, or None if another thread holds the lock.
        """
        process = this_process()
        lock = self._locks.get(process)
        if lock is None:
            # Atomic: two threads receive the same lock.
            lock = self._locks.setdefault(process, threading.RLock())
        return lock if lock.acquire(timeout=timeout) else None

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lock for a few statements.

        Raise ``MaxWaitExceeded`` if it is not free within ``_LONGEST_WAIT`` seconds: an
        exception of a signal handler may have left it held. The next caller does
        without that lock. If its holder is only slow, two threads are in the body at a
        time, so the body must be harmless then: nothing unique may rest on it.
        """
        lock = self.acquire(_LONGEST_WAIT)
        if lock is None:
            self._locks.pop(this_process(), None)
            raise MaxWaitExceeded(
                f"Waited {_LONGEST_WAIT} s for a thread that needs a few statements. "
                f"Was it interrupted?"
            )
        try:
            yield
        finally:
            lock.release()


class _ForkHooks:
    """The members whose methods run at a fork.

    Python cannot unregister its hooks, so they are registered once, for this list. The
    list is replaced as a whole, so threads and children never see a part of it. It
    holds weak references. Members are added under a lock, and forks read without it: a
    member that is added during a fork is not called, and its guard notices that fork.
    """

    def __init__(self) -> None:
        self._lock = ProcessLock()
        self._references: list[ref[ForkAware]] = []

    def add(self, member: ForkAware) -> None:
        with self._lock.held():
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
        # Where the kernel wipes no page, the child may have the id of an ancestor.
        _guard.disarm()
        for member in self.members():
            member.after_fork_in_child()


hooks = _ForkHooks()
if hasattr(os, "register_at_fork"):  # pragma: no branch - all systems but Windows
    os.register_at_fork(
        before=hooks.before,
        after_in_parent=hooks.in_parent,
        after_in_child=hooks.in_child,
    )
