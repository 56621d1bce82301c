"""The hot path alone."""

from __future__ import annotations

from collections import deque

from django_uidgen.core.fork import ForkGuard
from django_uidgen.core.hot_path import fast_uid


def test_hot_path_pops_while_the_page_is_live():
    """A wiped page and an empty stock lead to the slow path."""
    stock, refills = deque([2, 3]), []
    guard = ForkGuard()

    def refill():
        refills.append(len(stock))
        return 100 + len(refills), guard.alive, stock

    uid = fast_uid(refill)
    assert [uid(), uid(), uid()] == [101, 2, 3]
    assert uid() == 102
    stock.append(4)
    guard.disarm()
    assert uid() == 103
    assert list(stock) == [4]
