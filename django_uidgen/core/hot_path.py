"""The hot path: read one guard byte, pop one UID. See decision record 12."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Protocol, TypeAlias


class Shelf(Protocol):
    """UIDs that any thread may pop at any time, without a lock."""

    def popleft(self) -> int:
        """Return the lowest UID. Raise ``IndexError`` if no UID may be handed out."""


#: A shelf that is never filled.
EMPTY: Shelf = deque[int]()

#: What the slow path returns: a UID; an object that is true as long as this process may
#: pop the shelf; the shelf with the next UIDs.
Refill: TypeAlias = tuple[int, object, Shelf]


def fast_uid(refill: Callable[[], Refill]) -> Callable[[], int]:
    """Return ``uid()``: it pops a shelf, and calls ``refill`` for everything else.

    The guard byte is 0 in a forked child and after the generator was closed. Every
    generation has a new byte and a new shelf, and the old shelf is empty for ever
    before there is a new byte. So a thread may see a byte and a shelf of different
    generations: a stale value only costs one call of ``refill``. Any thread may write
    the two cells on its slow path, each by one store.
    """
    alive: object = False
    stock: Shelf = EMPTY

    def uid() -> int:
        """Return one UID."""
        if alive:
            try:
                # CPython calls a method faster than a stored bound method.
                return stock.popleft()
            except IndexError:
                pass
        return slow()

    def slow() -> int:
        nonlocal alive, stock
        value, new_alive, new_stock = refill()
        stock = new_stock
        alive = new_alive
        return value

    return uid
