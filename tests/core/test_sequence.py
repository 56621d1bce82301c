"""The position: the one place where UIDs are born."""

from __future__ import annotations

from itertools import chain

from hypothesis import given
from hypothesis import strategies as st

from django_uidgen.core.layout import BitLayout
from django_uidgen.core.lease import Lease
from django_uidgen.core.sequence import Sequence

LAYOUT = BitLayout(20, 4, 3)  # 8 UIDs a tick


def lease(worker_id=5, start=100, end=1000):
    return Lease(worker_id, start, end, renew_from=end)


def mint(sequence, count, held, *, now, max_lead=10):
    runs = sequence.allocate(count, held, now=now, max_lead=max_lead)
    return [LAYOUT.decompose(uid) for uid in chain.from_iterable(runs)]


def test_runs_are_of_one_tick():
    """A run ends where its tick does."""
    runs = Sequence(LAYOUT).allocate(20, lease(), now=100, max_lead=10)
    assert [len(run) for run in runs] == [8, 8, 4]
    assert [{LAYOUT.decompose(uid).tick for uid in run} for run in runs] == [
        {100},
        {101},
        {102},
    ]


def test_sequence_goes_on_when_the_clock_has_moved():
    """The low bits of a quiet process do not all read zero."""
    sequence = Sequence(LAYOUT)
    low_bits = [
        mint(sequence, 1, lease(), now=100 + 7 * n)[0].sequence for n in range(10)
    ]
    assert low_bits == [0, 1, 2, 3, 4, 5, 6, 7, 0, 1]


def test_start_of_the_sequence_is_free():
    """A process may begin anywhere in its first tick; that ends all the same."""
    sequence = Sequence(LAYOUT, sequence=6)
    assert mint(sequence, 3, lease(), now=100) == [
        (100, 5, 6),
        (100, 5, 7),
        (101, 5, 0),
    ]


def test_runs_ahead_of_the_clock_by_max_lead_at_most():
    """What cannot be minted yet is not."""
    sequence = Sequence(LAYOUT)
    minted = mint(sequence, 100, lease(), now=100, max_lead=2)
    assert len(minted) == 3 * 8
    assert minted[-1].tick == 102
    assert mint(sequence, 1, lease(), now=100, max_lead=2) == []
    assert len(mint(sequence, 100, lease(), now=101, max_lead=2)) == 8


def test_no_bound_on_the_lead():
    """With None only the lease is a bound."""
    minted = mint(Sequence(LAYOUT), 10_000, lease(end=200), now=100, max_lead=None)
    assert len(minted) == 100 * 8


def test_never_outside_the_lease():
    """Neither before its start nor from its end on."""
    held = lease(start=100, end=102)
    minted = mint(Sequence(LAYOUT), 100, held, now=98)
    assert {parts.tick for parts in minted} == {100, 101}
    assert mint(Sequence(LAYOUT), 100, held, now=102) == []


def test_clock_behind_the_position_changes_nothing():
    """The position does not move back."""
    sequence = Sequence(LAYOUT)
    before = mint(sequence, 1, lease(), now=105)
    assert mint(sequence, 1, lease(), now=101) == [(105, 5, before[0].sequence + 1)]


def test_another_worker_id_begins_in_a_new_tick():
    """A lower worker id in the same tick would give a lower UID."""
    sequence = Sequence(LAYOUT)
    mint(sequence, 1, lease(worker_id=9), now=100)
    assert mint(sequence, 1, lease(worker_id=2), now=100)[0].tick == 101


def test_next_tick_was_never_minted():
    """It is where a released lease ends."""
    sequence = Sequence(LAYOUT)
    minted = mint(sequence, 9, lease(), now=100)
    assert sequence.next_tick > minted[-1].tick


def test_restart_goes_back():
    """Only for a clock that was stepped back, with a fresh lease."""
    sequence = Sequence(LAYOUT)
    mint(sequence, 3, lease(), now=500)
    sequence.restart(lease(worker_id=2, start=50))
    assert mint(sequence, 1, lease(worker_id=2, start=50), now=50)[0].tick == 50


steps = st.lists(
    st.tuples(
        st.integers(1, 40),  # count
        st.integers(-6, 30),  # movement of the clock
        st.booleans(),  # another lease
        st.integers(0, 15),  # its worker id
    ),
    max_size=40,
)


@given(steps, st.integers(0, 7), st.one_of(st.none(), st.integers(0, 10)))
def test_order_and_lease_hold_whatever_happens(steps, start, max_lead):
    """Each UID is larger than the one before it, and inside the lease and the lead."""
    sequence = Sequence(LAYOUT, sequence=start)
    now, last, held = 100, -1, lease()
    for count, movement, another, worker_id in steps:
        now = max(now + movement, 0)
        if another:
            held = lease(worker_id, now, now + 50)
        runs = sequence.allocate(count, held, now=now, max_lead=max_lead)
        uids = list(chain.from_iterable(runs))
        assert len(uids) <= count
        for uid in uids:
            assert uid > last
            last = uid
            parts = LAYOUT.decompose(uid)
            assert parts.worker_id == held.worker_id
            assert held.reserved_from <= parts.tick < held.reserved_until
            assert max_lead is None or parts.tick <= now + max_lead
