"""Clocks that are stepped, slewed or stand still: what the generators make of them."""

from __future__ import annotations

import logging
from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from django_uidgen.core.exceptions import (
    ClockBeforeEpoch,
    MaxWaitExceeded,
    TimeBitsExhausted,
    WorkerIdUnavailable,
)
from django_uidgen.core.generators import CachedUidGenerator, DefaultUidGenerator
from django_uidgen.core.layout import BitLayout
from tests.support.bench import NOW, Bench, both

#: A step back may cost a worker id for as long as it was.
LAYOUT = BitLayout(41, 6, 6)
WORKER_IDS = list(range(64))

MAX_LEAD = MAX_AGE = 1.0
HOUR, DAY = 3600.0, 86_400.0

SMALL = [0.001, 0.4, 0.999, 1.0]
LARGE = [1.001, 2.0, 60.0, HOUR, DAY, 30 * DAY]


@pytest.fixture
def many(bench):
    """Make a Bench that has worker ids enough for every step."""

    def make(kind, layout=LAYOUT, **options):
        one = bench(kind, layout, **options)
        one.assigner.worker_ids = WORKER_IDS
        return one

    return make


def mint(one, count=50):
    """Return UIDs of a batch, then of runs, then one by one."""
    generator = one.generator
    uids = generator.uids(count)
    for run in generator.allocate(count):
        uids += run
    return uids + [generator.uid() for _ in range(count)]


def breaks(uids):
    """Return how often a UID is not larger than the one before it."""
    return sum(one >= other for one, other in pairwise(uids))


def assert_true(one, uids):
    """The time in each UID is that of the clock, as far as was promised."""
    for uid in uids:
        # A lag is measured from the start of a tick.
        assert -MAX_AGE - 0.001 <= one.lead(uid) <= MAX_LEAD


def assert_unnoticed(one, before, after, caplog):
    """The order holds, the time is true, no lease was claimed and nothing logged."""
    assert not breaks(before + after)
    assert_true(one, after)
    assert one.assigner.claims == 1
    assert caplog.text == ""


# One step.


@both
@pytest.mark.parametrize("seconds", SMALL + LARGE)
def test_step_forward(many, kind, seconds, caplog):
    """The order holds, the UIDs tell the new time at once, and nothing is logged."""
    one = many(kind)
    before = mint(one)
    one.clock.step(seconds)
    after = mint(one)
    assert_unnoticed(one, before, after, caplog)


@both
@pytest.mark.parametrize("seconds", SMALL)
def test_step_back_up_to_max_lead(many, kind, seconds, caplog):
    """The order holds, and no lease is claimed."""
    one = many(kind)
    before = mint(one)
    one.clock.step(-seconds)
    one.pad()
    after = mint(one)
    assert_unnoticed(one, before, after, caplog)


@both
@pytest.mark.parametrize("seconds", LARGE)
def test_step_back_beyond_max_lead(many, kind, seconds, caplog):
    """The order breaks once, with a warning, and service goes on at the new time."""
    one = many(kind)
    before = mint(one)
    one.clock.step(-seconds)
    after = mint(one)
    assert len(set(before + after)) == len(before + after)
    assert breaks(before + after) == 1
    assert_true(one, after)
    assert one.assigner.claims == 2
    [warning] = caplog.records
    assert warning.levelno == logging.WARNING
    assert f"stepped back by {seconds:.3f} s" in warning.getMessage()


@both
def test_step_back_where_the_position_is_at_its_limit(bench, kind):
    """Callers wait for the clock as long as it was stepped, and nothing else."""
    one = bench(kind)
    before = one.generator.uids(64_000)
    assert one.lead(before[-1]) > MAX_LEAD - 0.01
    left = one.clock.time_ns()
    one.clock.step(-MAX_LEAD)
    after = one.generator.allocate(64)
    assert after[0].start > before[-1]
    assert_true(one, after[0])
    assert one.clock.time_ns() == pytest.approx(left, abs=10e6)


@both
@pytest.mark.parametrize("seconds", LARGE)
def test_step_back_without_a_bound_on_the_lead(bench, kind, seconds):
    """With MAX_LEAD None the order always holds; the clock catches up some day."""
    one = bench(kind, max_lead=None)
    before = mint(one)
    one.clock.step(-seconds)
    after = mint(one)
    assert not breaks(before + after)
    assert one.assigner.claims == 1


# Several.


@both
def test_small_steps_back_add_up(many, kind, caplog):
    """Only when the clock is MAX_LEAD behind where it has been does the order break."""
    one = many(kind)
    uids = mint(one)
    for _ in range(2):
        one.clock.step(-0.4)
        uids += mint(one)
    assert not breaks(uids)
    one.clock.step(-0.4)
    uids += mint(one)
    assert breaks(uids) == len(caplog.records) == 1
    assert "stepped back by 1.200 s" in caplog.text


@both
@pytest.mark.parametrize("seconds", [0.001, 1.0, HOUR, DAY])
def test_clock_that_swings(many, kind, seconds, caplog):
    """Forward and back for ever: one break and one warning for each way back."""
    one = many(kind)
    swings = 6
    uids = mint(one)
    for _ in range(swings):
        for step in (seconds, -seconds):
            one.clock.step(step)
            uids += mint(one, 10)
    expected = swings if seconds > MAX_LEAD else 0
    assert len(set(uids)) == len(uids)
    assert breaks(uids) == len(caplog.records) == expected


moves = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.001, 0.5, 1.0, 1.001, 5.0, HOUR, DAY]),
        st.sampled_from([1, -1]),
        st.sampled_from(["uid", "uids", "allocate", "pad", "flat out"]),
    ),
    max_size=30,
)


def act(one, action):
    """Mint in the given way, and return the UIDs."""
    if action == "uid":
        return [one.generator.uid() for _ in range(20)]
    if action == "pad":
        one.pad()
        return []
    if action == "allocate":
        return [uid for run in one.generator.allocate(100) for uid in run]
    return one.generator.uids(2000 if action == "flat out" else 20)


@both
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(moves)
def test_any_steps(kind, caplog, moves):
    """Nothing repeats, and the order breaks only where that was logged."""
    caplog.clear()
    one = Bench(kind, LAYOUT)
    one.assigner.worker_ids = WORKER_IDS
    uids = []
    for size, way, action in moves:
        one.clock.step(way * size)
        uids += act(one, action)
    one.generator.close()
    assert len(set(uids)) == len(uids)
    assert breaks(uids) <= len(caplog.records)
    for record in caplog.records:
        assert "The clock was stepped back by" in record.getMessage()


# A leap second.


@both
def test_leap_second_that_is_repeated(many, kind, caplog):
    """Most systems show the last second of the day twice: MAX_LEAD covers it."""
    one = many(kind)
    uids = []
    for _ in range(2):
        for _tenth in range(10):
            uids += mint(one)
            one.clock.step(0.1)
        one.clock.step(-1.0)
    uids += mint(one)
    assert not breaks(uids)
    assert one.assigner.claims == 1
    assert caplog.text == ""


@both
def test_leap_second_with_a_shorter_max_lead(many, kind, caplog):
    """Then it is a clock that was stepped back: one break, and a warning."""
    one = many(kind, max_lead=0.5)
    uids = mint(one)
    one.clock.step(-1.0)
    uids += mint(one)
    assert len(set(uids)) == len(uids)
    assert breaks(uids) == len(caplog.records) == 1


@both
@pytest.mark.parametrize("rate", [0.5, 1 - 1 / 86_400, 1 + 1 / 86_400, 2.0])
def test_slewed_clock(many, kind, rate, caplog):
    """A leap second that is smeared over a day, or time that NTP puts right."""
    one = many(kind)
    uids = []
    for _ in range(100):
        new = mint(one, 5)
        assert_true(one, new)
        uids += new
        one.clock.step(0.05 * rate)
        one.pad()
    assert not breaks(uids)
    assert one.assigner.claims == 1
    assert caplog.text == ""


# Steps at a bad moment.


@both
@pytest.mark.parametrize("seconds", [DAY, HOUR, 1.0, 0.001, -0.001, -1.0, -HOUR, -DAY])
def test_step_while_a_caller_waits(many, kind, seconds):
    """It wakes at the new time, and has what it asked for."""
    one = many(kind)
    sleep, steps = one.clock.sleep, [seconds]

    def stepped(waited):
        sleep(waited)
        if steps:
            one.clock.step(steps.pop())

    one.clock.sleep = stepped
    uids = [uid for run in one.generator.allocate(80_000) for uid in run]
    assert not steps
    assert len(set(uids)) == 80_000
    assert breaks(uids) == (seconds < -MAX_LEAD)
    assert_true(one, [one.generator.uids(1)[0]])


@both
@pytest.mark.parametrize("ways", [(1, 0), (-1, 0), (0, 1), (0, -1), (1, -1), (-1, 1)])
@pytest.mark.parametrize("seconds", [0.001, 1.0, HOUR, DAY])
@pytest.mark.parametrize("first", ["mint", "assign"])
def test_step_during_a_claim(many, kind, first, seconds, ways):
    """Before the database is asked, and after: the mint has what it asked for."""
    one = many(kind)
    claim, pending = one.assigner.claim, list(ways)

    def stepped(now):
        lease = claim(now)
        if pending:
            one.clock.step(pending.pop(0) * seconds)
        return lease

    one.assigner.claim = stepped
    if first == "assign":
        one.generator.assign()
    uids = mint(one)
    one.clock.step(pending.pop(0) * seconds if pending else 0)
    uids += mint(one)
    assert len(set(uids)) == len(uids)
    assert_true(one, [one.generator.uids(1)[0]])


@both
@pytest.mark.parametrize("seconds", LARGE)
def test_step_back_between_the_claim_and_the_first_mint(many, kind, seconds):
    """A host that boots with a wrong clock claims, is put right, and serves."""
    one = many(kind)
    one.generator.assign()
    one.clock.step(-seconds)
    start = one.clock.time_ns()
    assert_true(one, mint(one))
    assert one.clock.time_ns() - start <= MAX_LEAD * 1e9


@both
@pytest.mark.parametrize("minted", [False, True])
def test_future_in_which_nothing_was_minted(many, kind, minted, caplog):
    """A host that was refused there has no order to break when its clock is right."""
    one = many(kind)
    uids = mint(one) if minted else []
    one.clock.step(HOUR)
    one.assigner.down = True
    with pytest.raises(WorkerIdUnavailable):
        one.generator.uids(1)
    one.assigner.down = False
    one.clock.step(-HOUR)
    uids += mint(one)
    assert not breaks(uids)
    assert_true(one, uids)
    assert caplog.text == ""
    assert one.assigner.claims == 1


@both
def test_step_back_while_no_worker_id_can_be_had(many, kind):
    """Nothing is minted at a time that is not covered; service returns by itself."""
    one = many(kind)
    before = mint(one)
    one.clock.step(-HOUR)
    one.assigner.down = True
    with pytest.raises(WorkerIdUnavailable):
        one.generator.uids(1)
    one.assigner.down = False
    after = mint(one)
    assert breaks(before + after) == 1
    assert_true(one, after)


# Outside of the layout's time.


@both
def test_clock_before_the_epoch_and_back(many, kind):
    """Refused as long as it lasts, and then as if it had not been."""
    one = many(kind)
    uids = mint(one)
    for _ in range(3):
        one.clock.step(-365 * DAY)
        one.pad()
        for call in (one.generator.uid, one.generator.assign):
            with pytest.raises(ClockBeforeEpoch):
                call()
        one.clock.step(365 * DAY)
        uids += mint(one)
    assert not breaks(uids)
    assert one.assigner.claims == 1


@both
def test_clock_past_the_end_and_back(many, kind):
    """Refused as long as it lasts, and then as if it had not been."""
    one = many(kind, BitLayout(32, 6, 6, epoch=NOW - timedelta(days=1)))
    uids = mint(one)
    for _ in range(3):
        one.clock.step(60 * DAY)
        one.pad()
        for call in (one.generator.uid, one.generator.assign):
            with pytest.raises(TimeBitsExhausted):
                call()
        one.clock.step(-60 * DAY)
        uids += mint(one)
    assert not breaks(uids)
    assert one.assigner.claims == 1


# A clock that stands still.


@both
def test_standing_clock_serves_what_max_lead_holds(many, kind):
    """Then callers raise; when it moves, minting continues."""
    one = many(kind, max_wait=0.05)
    one.clock.sleep = lambda seconds: None
    uids = []
    with pytest.raises(MaxWaitExceeded, match="clock of this machine stand still"):
        while True:
            uids += one.generator.uids(64)
    assert 64 * 1000 <= len(uids) <= 64 * 1001
    assert_true(one, [uids[0], uids[-1]])
    one.clock.step(0.01)
    uids += one.generator.uids(64)
    assert not breaks(uids)


def test_standing_clock_keeps_a_stock_fresh(many):
    """What lies in stock does not grow old while the clock does not move."""
    one = many(CachedUidGenerator)
    uids = mint(one)
    for _ in range(20):
        uids += [one.generator.uid() for _ in range(20)]
        one.pad()
    assert not breaks(uids)
    assert_true(one, uids)


def test_default_generator_is_exact_after_each_step(many):
    """It has no stock: also single UIDs tell the new time at once."""
    one = many(DefaultUidGenerator)
    one.generator.uid()
    for seconds in (*LARGE, *(-seconds for seconds in LARGE)):
        one.clock.step(seconds)
        tick = one.layout.decompose(one.generator.uid()).tick
        # The sequence may wrap into the next tick.
        assert tick - one.clock.tick() in (0, 1)
