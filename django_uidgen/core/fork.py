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
from weakref import WeakSet

# linux/mman.h; the constant is not in Python's mmap module.
_MADV_WIPEONFORK = 18

#: A page as a child sees it: nothing may be minted from what lies behind it.
WIPED = b"\0"


class ForkAware:
    """What can be told of forks that run Python's hooks, by ``hooks.add()``."""

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


class ForkGuard:
    """Tell whether this is still the process in which the guard was made.

    ``page[0]`` is 1 in that process, as long as the guard is armed, and 0 in every
    child.
    """

    def __init__(self) -> None:
        self._pid = os.getpid()
        self.page: mmap.mmap | bytearray = _wiped_on_fork() or bytearray(1)
        self.page[0] = 1

    def __bool__(self) -> bool:
        return self.page[0] == 1 and self._pid == os.getpid()

    def disarm(self) -> None:
        """Make every reader of the page take its slow path, for ever."""
        self.page[0] = 0


class _ForkHooks:
    """The hooks of ``os.register_at_fork``: they cannot be unregistered, so one set."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._members: WeakSet[ForkAware] = WeakSet()

    def add(self, member: ForkAware) -> None:
        with self._lock:
            self._members.add(member)

    def before(self) -> None:
        with self._lock:
            members = list(self._members)
        try:
            for member in members:
                member.before_fork()
        finally:
            # Held over the fork, so that the child finds the set whole.
            self._lock.acquire()

    def in_parent(self) -> None:
        self._lock.release()
        for member in list(self._members):
            member.after_fork_in_parent()

    def in_child(self) -> None:
        self._lock = threading.Lock()
        for member in list(self._members):
            member.after_fork_in_child()


hooks = _ForkHooks()
if hasattr(os, "register_at_fork"):  # pragma: no branch - all systems but Windows
    os.register_at_fork(
        before=hooks.before,
        after_in_parent=hooks.in_parent,
        after_in_child=hooks.in_child,
    )
