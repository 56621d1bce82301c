"""Backdated UIDs: their ticks, and that none repeats."""

from __future__ import annotations

import json
import os
import signal
import threading
from datetime import UTC, datetime, timedelta
from itertools import count, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_uidgen.core import backdated
from django_uidgen.core.backdated import Blocks
from django_uidgen.core.clock import FakeClock
from django_uidgen.core.exceptions import (
    MaxWaitExceeded,
    MomentOutOfRange,
    WorkerIdUnavailable,
)
from django_uidgen.core.generators import CachedUidGenerator, GeneratorOptions
from django_uidgen.core.layout import DEFAULT_EPOCH, PRESETS, BitLayout
from django_uidgen.core.lease import BackdatedLease, Provisional
from tests.core.test_fork import forks, in_child
from tests.support.holders import held_by_a_thread
from tests.support.memory import MemoryAssigner

LAYOUT = BitLayout(41, 4, 7)  # 128 UIDs a millisecond, so 2 for each slot
NOW = datetime(2026, 11, 23, tzinfo=UTC)
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)
DAY = timedelta(days=1)


class BackdatedAssigner(MemoryAssigner):
    """Leases slots one after the other; with ``numbers``, in any process."""

    def __init__(self, layout, numbers=None):
        super().__init__(layout)
        self.numbers = numbers or count()
        self.blocks = []

    def claim_backdated(self, block):
        self._check()
        self.blocks.append(block)
        slots = Blocks(self.layout).slots
        place, slot = divmod(next(self.numbers), slots)
        return BackdatedLease(worker_id=8 + place, block=block, slot=slot)


@pytest.fixture
def generator():
    return make()


def make(layout=LAYOUT, numbers=None, now=NOW, **options):
    return CachedUidGenerator(
        layout,
        BackdatedAssigner(layout, numbers),
        options=GeneratorOptions(**options),
        clock=FakeClock(layout, now),
    )


def moments_of(generator, uids):
    layout = generator.layout
    return [layout.moment(layout.decompose(uid).tick) for uid in uids]


def test_one_for_each_moment_in_their_order(generator):
    """Each tells its moment, to the tick, whatever the order."""
    moments = [NOON, NOON - DAY, NOON + MILLISECOND, NOW, DEFAULT_EPOCH, NOON]
    uids = generator.uids_at(iter(moments))
    assert moments_of(generator, uids) == moments
    assert len(set(uids)) == len(uids)
    assert uids[0] < uids[-1]
    between = generator.at(NOON + DAY + MILLISECOND / 2)
    assert moments_of(generator, [between]) == [NOON + DAY]


def test_one_lease_for_each_day(generator):
    """And none where nothing is asked for."""
    assert generator.uids_at([]) == []
    assert generator.assigner.blocks == []
    generator.uids_at([NOON, NOON + MILLISECOND, NOON + DAY, NOON])
    first = (NOON - DEFAULT_EPOCH) // DAY
    assert generator.assigner.blocks == [first, first + 1]
    assert generator.assigner.claims == 0


def test_apart_from_what_is_minted_now(generator):
    """The worker ids of processes have no part in it."""
    now = generator.uids(1000)
    backdated = generator.uids_at([NOW] * 1000)
    workers = {generator.layout.decompose(uid).worker_id for uid in now}
    reserved = {generator.layout.decompose(uid).worker_id for uid in backdated}
    assert not workers & reserved


def test_more_than_a_moment_holds():
    """The next ones are later, but by no more than MAX_LEAD; then another slot."""
    generator = make(max_lead=0.005)
    uids = generator.uids_at([NOON] * 30)
    leads = [moment - NOON for moment in moments_of(generator, uids)]
    # Two of each of six milliseconds, and then from the beginning.
    once = [step * MILLISECOND for step in range(6) for _ in range(2)]
    assert leads == (once * 3)[:30]
    assert len(set(uids)) == 30
    assert uids[:12] == sorted(uids[:12])
    assert len(generator.assigner.blocks) == 3


def test_no_bound_on_the_lead():
    """Then one slot lasts until the end of its day."""
    generator = make(max_lead=None)
    uids = generator.uids_at([NOON] * 5000)
    assert uids == sorted(set(uids))
    assert len(generator.assigner.blocks) == 1


def test_end_of_a_day():
    """No slot reaches into the next day: that is another's."""
    generator = make()
    last = NOON.replace(hour=23, minute=59, second=59, microsecond=999_000)
    uids = generator.uids_at([last, last, last, last + MILLISECOND])
    assert moments_of(generator, uids) == [last, last, last, last + MILLISECOND]
    block = (NOON - DEFAULT_EPOCH) // DAY
    assert generator.assigner.blocks == [block, block, block + 1]


@given(
    steps=st.lists(st.integers(0, 6) | st.integers(0, 200_000_000), max_size=200),
    max_lead=st.sampled_from([0.0, 0.003, 1.0, None]),
)
def test_never_twice(steps, max_lead):
    """Any moments in any order: unique, and no more than MAX_LEAD later."""
    generator = make(max_lead=max_lead)
    moments = [DEFAULT_EPOCH + step * MILLISECOND for step in steps]
    half = len(moments) // 2
    uids = generator.uids_at(moments[:half]) + generator.uids_at(moments[half:])
    assert len(set(uids)) == len(moments)
    for moment, minted_at in zip(moments, moments_of(generator, uids), strict=True):
        assert moment <= minted_at
        if max_lead is not None:
            assert minted_at - moment <= timedelta(seconds=max_lead)


def test_memory_is_bounded(monkeypatch):
    """Where too many ticks would have to be remembered, other slots are leased."""
    monkeypatch.setattr(backdated, "_MAX_TICKS", 10)
    generator = make()
    moments = [NOON + step * MILLISECOND for step in range(11)]
    uids = generator.uids_at(moments)
    assert len(generator.assigner.blocks) == 1
    uids += generator.uids_at(moments[:1]) + generator.uids_at(moments[:1])
    assert len(generator.assigner.blocks) == 2
    assert len(set(uids)) == 13


@pytest.mark.parametrize(
    ("moment", "said"),
    [
        (
            DEFAULT_EPOCH - MILLISECOND,
            "is before 2026-01-01T00:00:00",
        ),
        (datetime.min.replace(tzinfo=UTC), "before"),
        (NOW + timedelta(seconds=1.001), "is in the future"),
        (datetime.max.replace(tzinfo=UTC), "is in the future"),
        (NOON.replace(tzinfo=None), "has no time zone"),
    ],
)
def test_moments_that_no_uid_can_have(generator, moment, said):
    """Before the epoch, after the clock, or of nowhere; and nothing is leased."""
    with pytest.raises(MomentOutOfRange, match=said.replace("+", r"\+")):
        generator.at(moment)
    assert generator.assigner.blocks == []


def test_present_moment(generator):
    """As far as the clock and MAX_LEAD reach."""
    moments = [NOW, NOW + timedelta(seconds=1)]
    assert moments_of(generator, generator.uids_at(moments)) == moments


def test_database_is_down(generator):
    """An error, and minting continues when it is back."""
    generator.assigner.down = True
    with pytest.raises(WorkerIdUnavailable):
        generator.at(NOON)
    generator.assigner.down = False
    assert generator.at(NOON)


def test_assigner_without_backdated_leases():
    """For example one of a project."""
    generator = CachedUidGenerator(LAYOUT, MemoryAssigner(LAYOUT))
    with pytest.raises(WorkerIdUnavailable, match="MemoryAssigner leases no back"):
        generator.at(NOON)


def test_threads():
    """One object for all of them, and no UID twice."""
    generator = make()
    found = []
    barrier = threading.Barrier(8)

    def work():
        barrier.wait()
        for step in range(40):
            found.extend(generator.uids_at([NOON + step * MILLISECOND] * 5))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == len(found) == 8 * 40 * 5


def test_two_threads_that_lease_a_day_at_once(generator):
    """The second slot takes the place of the first; both mint what is theirs."""
    claim, started, go_on = generator.assigner.claim_backdated, threading.Event(), []

    def slowly(block):
        if not go_on:
            go_on.append(True)
            started.set()
            other.join()
        return claim(block)

    generator.assigner.claim_backdated = slowly
    found = []
    other = threading.Thread(target=lambda: found.extend(wait_and_mint()))

    def wait_and_mint():
        started.wait()
        return generator.uids_at([NOON] * 3)

    other.start()
    found += generator.uids_at([NOON] * 3)
    found += generator.uids_at([NOON] * 3)
    assert len(set(found)) == 9


def test_two_threads_that_are_the_first(generator):
    """The later one finds the state of the earlier, and mints with its slot."""
    backdated = generator._backdated
    lock = backdated._rebirth_lock
    found = []

    def mint():
        found.append(generator.at(NOON))

    class HadByAnotherFirst:
        def held(self):
            backdated._rebirth_lock = lock
            other = threading.Thread(target=mint)
            other.start()
            other.join(60)
            return lock.held()

    backdated._rebirth_lock = HadByAnotherFirst()
    mint()
    assert len(set(found)) == 2
    assert len(generator.assigner.blocks) == 1


@forks
def test_child_leases_other_slots(fork):
    """Whoever forked and however: no slot of its parent's."""
    generator = make(numbers=iter([0, 1]))
    before = generator.uids_at([NOON] * 3)

    def mint():
        # Processes share no memory, so the numbers differ.
        generator.assigner.numbers = iter([2, 3])
        return generator.uids_at([NOON] * 3)

    child = in_child(mint, fork=fork)
    after = generator.uids_at([NOON] * 3)
    assert len({*before, *child, *after}) == 9


@forks
def test_fork_by_whoever_iterates_over_the_moments(fork):
    """The child goes on in the midst of the call, with slots of its own."""
    generator = make(numbers=iter([0, 1, 2]))
    read, write = os.pipe()
    children = []

    def moments():
        yield NOON
        children.append(fork())
        if children == [0]:
            signal.alarm(20)
            generator.assigner.numbers = iter([3, 4, 5])
        yield from [NOON] * 3

    try:
        uids = generator.uids_at(moments())
        if children == [0]:
            os.write(write, json.dumps(uids).encode())
    finally:
        if children == [0]:
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as answer:
        theirs = json.loads(answer.read())
    os.waitpid(children[0], 0)
    assert theirs[0] == uids[0]  # minted before the fork
    assert len({*uids, *theirs[1:]}) == 4 + 3


def test_thread_that_was_interrupted_while_it_minted(generator):
    """Its lock is given up after MAX_WAIT, and so are its slots."""
    generator = make(max_wait=0.001)
    first = generator.at(NOON)
    lock = generator._backdated._generation.lock
    with held_by_a_thread(lambda: lock), pytest.raises(MaxWaitExceeded):
        generator.at(NOON)
    assert generator.at(NOON) != first
    assert len(generator.assigner.blocks) == 2


class Transaction(Provisional):
    """Of a caller, that a slot was leased in."""

    is_open = True
    commit = None

    def stands(self):
        return self.is_open

    def on_commit(self, callback):
        self.commit = callback


@pytest.fixture
def transaction(generator):
    """Return the transaction in which the next slots are leased."""
    claim = generator.assigner.claim_backdated
    one = Transaction()

    def provisionally(block):
        lease = claim(block)
        return BackdatedLease(lease.worker_id, lease.block, lease.slot, one)

    generator.assigner.claim_backdated = provisionally
    return one


def test_slot_of_a_transaction_that_was_rolled_back(generator, transaction):
    """Its row is gone: another process may have leased the slot."""
    generator.at(NOON)
    generator.at(NOON)
    assert len(generator.assigner.blocks) == 1
    transaction.is_open = False
    generator.at(NOON)
    assert len(generator.assigner.blocks) == 2


def test_slot_of_a_transaction_is_the_threads_own(generator, transaction):
    """Others could mint with it, and commit, before it is rolled back."""
    generator.at(NOON)
    thread = threading.Thread(target=generator.at, args=[NOON])
    thread.start()
    thread.join()
    assert len(generator.assigner.blocks) == 2


def test_slot_of_a_transaction_that_was_committed(generator, transaction):
    """It is as good as any, and no UID of it comes again."""
    first = generator.at(NOON)
    transaction.is_open = False
    transaction.commit()
    assert generator.at(NOON) != first
    assert len(generator.assigner.blocks) == 1


def test_slot_that_was_leased_again(generator, transaction):
    """After a rollback to a savepoint by hand: the first is not confirmed any more."""
    generator.assigner.numbers = iter([0, 0])
    generator.at(NOON)
    first = transaction.commit
    transaction.is_open = False
    minted = {generator.at(NOON)}
    transaction.is_open = True
    minted |= {generator.at(NOON) for _ in range(5)}
    first()
    transaction.commit()
    assert generator.at(NOON) not in minted
    assert len(generator.assigner.blocks) == 2


def test_end_of_the_layouts_time():
    """The tick after the last is no UID's, and nothing is leased for it."""
    layout = BitLayout(10, 4, 7)
    end = layout.moment(layout.max_tick)
    generator = make(layout, now=end)
    assert moments_of(generator, [generator.at(end)]) == [end]
    with pytest.raises(MomentOutOfRange):
        generator.at(end + MILLISECOND)
    assert len(generator.assigner.blocks) == 1


LAYOUTS = st.builds(
    BitLayout,
    st.integers(1, 45),
    st.integers(1, 8),
    st.integers(1, 10),
    tick_ms=st.sampled_from([1, 7, 1000, 86_400_000]),
) | st.sampled_from([BitLayout.preset(name) for name in PRESETS])


@given(layout=LAYOUTS, data=st.data())
def test_blocks_divide_the_time(layout, data):
    """Each tick is in one block, and no two slots have the same number."""
    blocks = Blocks(layout)
    tick = data.draw(st.integers(0, layout.max_tick))
    block = blocks.block_of(tick)
    first, end = blocks.ends(block)
    assert first <= tick < end <= layout.max_tick + 1
    assert end - first <= blocks.ticks
    if end <= layout.max_tick:
        assert blocks.ends(block + 1)[0] == end
    assert blocks.slots * blocks.slot_size == layout.sequence_size
    numbers = [blocks.number(block, slot) for slot in range(blocks.slots)]
    numbers.append(blocks.number(block + 1, 0))
    assert all(other - one == 1 for one, other in pairwise(numbers))
    # With the terms that come before them, they fit a 31-bit column.
    assert blocks.number(blocks.block_of(layout.max_tick), blocks.slots - 1) < 2**31 - 2
